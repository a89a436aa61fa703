/** Limits, signals and variables of whoever starts the program: none gives a secret away, or stops it. */
import { createConnection } from "node:net";
import { describe, expect, test } from "vitest";
import { writeConfig } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { freePort } from "./support/free-port.ts";
import { startIssuer } from "./support/issuer.ts";
import { runProgram, startDaemon, startProgram } from "./support/program.ts";
import { readTokenFile, tokenOtherThan } from "./support/token-file.ts";

/** The program as a shell starts it under that limit. */
const under = (limit: string) => ["bash", "-c", `${limit}; exec "$@"`, "bash"];

describe("4 GiB of addresses, as hosting panels allow,", () => {
	const launcher = under("ulimit -v 4194304");

	test("are enough for once and run", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const once = await runProgram(["once", "--config", config.file], {
			launcher,
		});
		expect(once.code).toBe(0);
		const { value } = readTokenFile(config.tokenFile("wx1"));
		const daemon = await startDaemon(config.file, { launcher });
		daemon.kill("SIGHUP");
		await tokenOtherThan(value, config.tokenFile("wx1"));
		expect((await daemon.stop()).code).toBe(0);
		expect(issuer.requests).toHaveLength(2);
	});
});

describe("Node.js's debug output", () => {
	const sets = "undici,fetch,http,https,net,tls";

	test.each([
		["once", { NODE_DEBUG: sets }],
		["run", { NODE_DEBUG: sets }],
		["check", { NODE_DEBUG: "*" }],
		["once", { NODE_DEBUG_NATIVE: "HTTP2,TLS" }],
	])("of %s is refused before anything is sent: %o", async (command, env) => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		// What it prints is searched for the secret, as all output is.
		const online = command === "check" ? ["--online"] : [];
		const { code, stderr } = await runProgram(
			[command, ...online, "--config", config.file],
			{ env },
		);
		expect(code).toBe(78);
		expect(stderr).toMatch(/NODE_DEBUG(_NATIVE)?: would .*AppSecret; unset it/);
		expect(issuer.requests).toEqual([]);
	});

	test("does not keep a reader from its token", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		await runProgram(["once", "--config", config.file]);
		const { value } = readTokenFile(config.tokenFile("wx1"));
		const { code, stdout } = await runProgram(
			["get", "wx1", "--config", config.file],
			{ env: { NODE_DEBUG: "http" } },
		);
		expect({ code, stdout }).toEqual({ code: 0, stdout: `${value}\n` });
	});
});

describe("a signal that a logrotate script sends to every daemon", () => {
	test.each(["SIGUSR1", "SIGUSR2"] as const)(
		"%s opens no debugger, kills nothing, and is told once",
		async (signal) => {
			const issuer = await startIssuer();
			const config = writeConfig(issuer);
			const port = await freePort();
			const daemon = await startDaemon(config.file, {
				env: { NODE_OPTIONS: `--inspect-port=127.0.0.1:${port}` },
			});
			daemon.kill(signal);
			const told = await daemon.event("signal.ignored");
			expect(told).toMatchObject({ level: "warn", signal });
			// Whatever it does once is done by then: it answers a reload.
			const { value } = readTokenFile(config.tokenFile("wx1"));
			daemon.kill(signal);
			daemon.kill("SIGHUP");
			await tokenOtherThan(value, config.tokenFile("wx1"));
			expect(await isOpen(port)).toBe(false);
			const { code, stderr } = await daemon.stop();
			expect(code).toBe(0);
			expect(stderr).not.toContain("Debugger");
			expect(stderr.match(/signal\.ignored/g)).toHaveLength(1);
		},
	);

	test("does not end once, nor open its debugger", async () => {
		const held: (() => void)[] = [];
		const issuer = await startIssuer({
			twist: (_request, _response, give) => {
				held.push(give);
				process.kill(running.pid, "SIGUSR1");
				process.kill(running.pid, "SIGUSR2");
			},
		});
		const config = writeConfig(issuer);
		const port = await freePort();
		const running = startProgram(["once", "--config", config.file], {
			env: { NODE_OPTIONS: `--inspect-port=127.0.0.1:${port}` },
		});
		await eventually(() => held[0], { what: "the request" });
		expect(await isOpen(port)).toBe(false);
		held[0]?.();
		expect(await running.exited).toEqual({ code: 0, signal: null });
		expect(running.stderr()).not.toContain("Debugger");
	});
});

describe("a limit on the size of files", () => {
	const launcher = under("ulimit -f 0");

	test("fails the write, which is told, and does not kill the daemon", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const { code, signal, stderr } = await runProgram(
			["once", "--config", config.file],
			{ launcher },
		);
		expect({ code, signal }).toEqual({ code: 73, signal: null });
		expect(stderr).toMatch(/EFBIG.*LimitFSIZE/s);
		const daemon = await startDaemon(config.file, { launcher });
		expect(await daemon.event("store.failed")).toMatchObject({ code: "EFBIG" });
		const { code: end, signal: by } = await daemon.stop();
		expect({ end, by }).toEqual({ end: 0, by: null });
		// Without a place for the token none is asked for.
		expect(issuer.requests).toEqual([]);
	});
});

test("a proxy variable that is misread is told by check, once and run, without its password", async () => {
	const issuer = await startIssuer();
	const config = writeConfig(issuer);
	const options = {
		env: {
			HTTPS_PROXY: '"http://me:passw0rd@127.0.0.1:9"',
			ALL_PROXY: "socks5://me:passw0rd@127.0.0.1:9",
		},
	};
	const asked = ["--config", config.file];
	const outputs = [
		(await runProgram(["check", ...asked], options)).stderr,
		(await runProgram(["once", ...asked], options)).stderr,
		(await (await startDaemon(config.file, options)).stop()).stderr,
	];
	for (const output of outputs) {
		expect(output).toMatch(/HTTPS_PROXY .*quotes; it is used without them/);
		expect(output).not.toContain("passw0rd");
	}
	const { code, stderr } = await runProgram(["check", ...asked], {
		env: { https_proxy: "socks5://127.0.0.1:1080" },
	});
	expect({ code, stderr }).toMatchObject({
		code: 78,
		stderr: expect.stringContaining("https_proxy: is not the address of"),
	});
});

function isOpen(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = createConnection(port, "127.0.0.1");
		socket.on("connect", () => {
			socket.destroy();
			resolve(true);
		});
		socket.on("error", () => resolve(false));
	});
}

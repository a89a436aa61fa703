import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, test } from "vitest";
import { programPath } from "../support/program.ts";
import { call } from "./call.ts";

let child: ChildProcess | undefined;

afterEach(() => {
	child?.kill("SIGKILL");
	child = undefined;
});

interface Run {
	readonly process: ChildProcess;
	readonly output: { stdout: string; stderr: string };
	/** Settles with the exit code. */
	readonly ended: Promise<number | null>;
}

function run(...words: readonly string[]): Run {
	const started = spawn(process.execPath, [programPath, "simulate", ...words]);
	child = started;
	const output = { stdout: "", stderr: "" };
	started.stdout.on("data", (chunk) => {
		output.stdout += chunk;
	});
	started.stderr.on("data", (chunk) => {
		output.stderr += chunk;
	});
	const ended = once(started, "close").then(([code]) => code as number | null);
	return { process: started, output, ended };
}

/** Runs until the welcome is complete; the address is in it. */
async function welcomed(...words: readonly string[]) {
	const running = run("--port", "0", ...words);
	while (!running.output.stdout.includes("/sim/state'")) {
		if (running.process.exitCode !== null)
			throw new Error(running.output.stderr);
		await Promise.race([
			once(running.process.stdout ?? process, "data"),
			running.ended,
		]);
	}
	const [, url = ""] = /simulator at (\S+)/.exec(running.output.stdout) ?? [];
	return { ...running, url };
}

test("without an account it makes one, and prints what a daemon needs to use it", async () => {
	const { output } = await welcomed();
	const { stdout } = output;
	const [, secret] = /secret = "([0-9a-f]{32})"/.exec(stdout) ?? [];
	expect(stdout).toContain('appid  = "wx0123456789abcdef"');
	expect(stdout).toContain(
		`export WECHAT_APPID=wx0123456789abcdef WECHAT_SECRET=${secret}`,
	);
	const [, fetchUrl = ""] = /curl '(\S+cgi-bin\/token\S+)'/.exec(stdout) ?? [];
	const { body } = await call(fetchUrl);
	expect(JSON.parse(body)).toHaveProperty("access_token");
});

test.each(["SIGINT", "SIGTERM"] as const)(
	"%s ends it with 0, also while a request hangs",
	async (signal) => {
		const { process, ended, url } = await welcomed();
		const hang = JSON.stringify({ mode: "hang" });
		await call(`${url}/sim/faults`, { method: "POST", body: hang });
		const hanging = call(`${url}/cgi-bin/token`).catch(({ code }) => code);
		for (let tries = 0; tries < 1000; tries += 1) {
			const { body } = await call(`${url}/sim/requests`);
			if (body.includes("fault hang")) break;
		}
		process.kill(signal);
		expect(await ended).toBe(0);
		expect(await hanging).toBe("ECONNRESET");
	},
);

test("it logs each request on one line, masked, and nothing with --quiet", async () => {
	const secret = "do-not-show-me";
	const target = `/cgi-bin/token?grant_type=client_credential&appid=wx1&secret=${secret}`;
	const loud = await welcomed("--account", `wx1:${secret}`);
	const { body } = await call(`${loud.url}${target}`);
	await call(`${loud.url}/cgi-bin/token?appid=a%0ab%1b`);
	loud.process.kill("SIGTERM");
	await loud.ended;
	const { stderr } = loud.output;
	expect(stderr.trimEnd().split("\n")).toHaveLength(2);
	expect(stderr).toMatch(/GET \/cgi-bin\/token .*secret=\*\*\* -> issued$/m);
	expect(stderr).not.toContain(secret);
	expect(stderr).not.toContain(JSON.parse(body).access_token);
	expect(stderr).not.toContain("\u001b");

	const quiet = await welcomed("--quiet", "--account", `wx1:${secret}`);
	await call(`${quiet.url}${target}`);
	quiet.process.kill("SIGTERM");
	expect(await quiet.ended).toBe(0);
	expect(quiet.output.stderr).toBe("");
});

test("its options reach the platform", async () => {
	const { url, output } = await welcomed(
		...["--token-lifetime", "20", "--overlap", "5", "--time-scale", "2"],
		...["--seed", "7", "--latency", "1", "--hosts", "--quiet"],
		...["--account", "wx1:s1", "--account", "wx2:s:2"],
	);
	const { body } = await call(
		`${url}/cgi-bin/token?grant_type=client_credential&appid=wx2&secret=s:2`,
	);
	expect(JSON.parse(body)).toMatchObject({ expires_in: 20 });
	const knobs = JSON.parse((await call(`${url}/sim/knobs`)).body);
	expect(knobs).toMatchObject({ tokenLifetimeSeconds: 20, overlapSeconds: 5 });
	const [, urls = ""] = /base_urls = (\[.*\])/.exec(output.stdout) ?? [];
	const answers = await Promise.all(
		JSON.parse(urls).map((host: string) => call(`${host}/cgi-bin/token`)),
	);
	expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
});

describe("a wrong command line ends with 64 and names what is wrong", () => {
	test.each([
		[["--prot", "1"], "--prot"],
		[["extra"], "extra"],
		[["--port"], "--port"],
		[["--port", "x"], '--port is "x"; expected a number from 0 to 65535'],
		[["--port", "1.5"], "--port is 1.5; expected a whole number"],
		[["--port", ""], "--port"],
		[["--time-scale", "0"], '--time-scale is "0"'],
		[["--token-lifetime", "0"], '--token-lifetime is "0"'],
		[["--account", "wx1"], "--account number 1 is not APPID:SECRET"],
		[["--account", "wx/1:s"], "--account number 1"],
		[["--account", "wx1:a", "--account", "wx1:b"], "wx1 is given twice"],
	])("%j", async (words, message) => {
		const { ended, output } = run(...words);
		expect(await ended).toBe(64);
		expect(output.stderr).toContain(message);
		expect(output.stderr).not.toMatch(/^\s+at /m);
		expect(output.stdout).toBe("");
	});

	test("and a secret in it is not repeated", async () => {
		const { ended, output } = run("--account", "bad appid:hush");
		expect(await ended).toBe(64);
		expect(output.stderr).not.toContain("hush");
	});
});

test("a port in use ends with 69 and says what to do", async () => {
	const { url } = await welcomed();
	const { port } = new URL(url);
	const first = child;
	const { ended, output } = run("--port", port);
	expect(await ended).toBe(69);
	expect(output.stderr).toContain("address already in use");
	expect(output.stderr).toContain("--port N");
	expect(output.stderr).not.toMatch(/^\s+at /m);
	first?.kill("SIGKILL");
});

test("--help names every option, the exit codes and an example", async () => {
	const { ended, output } = run("--help");
	expect(await ended).toBe(0);
	for (const word of [
		...["--port", "--account", "--token-lifetime", "--overlap", "--seed"],
		...["--time-scale", "--latency", "--hosts", "--quiet", "--help"],
		...["Exit codes", "Example", "/sim/kill"],
	])
		expect(output.stdout).toContain(word);
});

import {
	chmodSync,
	chownSync,
	mkdirSync,
	readdirSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { certificate } from "./support/certificate.ts";
import {
	newAccounts,
	type TestConfig,
	writeConfig,
} from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { newToken, startIssuer, type Twist } from "./support/issuer.ts";
import { noteToken } from "./support/leaks.ts";
import {
	type Finished,
	runProgram,
	type SpawnOptions,
} from "./support/program.ts";
import { startRaw } from "./support/raw-server.ts";
import {
	hasFile,
	readTokenFile,
	writeTokenFile,
} from "./support/token-file.ts";

const refuse: Twist = (_request, response) =>
	response.end('{"errcode":40125,"errmsg":"invalid appsecret rid: 0-0-0"}');

describe("once", () => {
	test("ends with 0 after a fetch, and with 0, no output and no request if nothing is due", async () => {
		const issuer = await startIssuer();
		const config = writeConfig({
			...issuer,
			accounts: newAccounts(2),
			top: { log_level: "info" },
		});
		const first = await once(config);
		expect(first.code).toBe(0);
		expect(first.stdout).toMatch(
			/^wx\d: a new token, valid until 2\d{3}-.*Z\nwx\d: a new token, valid until .*Z\n$/,
		);
		const second = await once(config);
		expect(second).toEqual({ code: 0, signal: null, stdout: "", stderr: "" });
		expect(issuer.requests).toHaveLength(2);
		expect(
			readdirSync(config.directory).filter((name) => !name.startsWith(".")),
		).toEqual(["wx_access_token_wx1", "wx_access_token_wx2"]);
	});

	test.each([
		[4_200, 1],
		[2_400, 0],
	])(
		"with refresh_before = %i a token that has an hour left is renewed %i times: an hourly job leaves no gap if it is raised",
		async (seconds, fetches) => {
			const issuer = await startIssuer();
			const config = writeConfig({
				...issuer,
				wechat: { refresh_before: seconds },
			});
			const value = noteToken(newToken());
			const expire = Math.floor(Date.now() / 1000) + 3_500;
			writeTokenFile(config.tokenFile("wx1"), { value, expire });
			expect((await once(config)).code).toBe(0);
			expect(issuer.requests).toHaveLength(fetches);
		},
	);

	test.each([
		["classic", /at least every 40 minutes, or raise `refresh_before`/],
		["stable", /at least every 4 minutes$/m],
	])(
		"after a gap it says how often it must run (%s); check says so before",
		async (wire, often) => {
			const config = writeConfig({
				...(await startIssuer()),
				wechat: { interface: wire },
			});
			const value = noteToken(newToken());
			const expire = Math.floor(Date.now() / 1000) - 600;
			writeTokenFile(config.tokenFile("wx1"), { value, expire });
			const { stderr } = await once(config);
			expect(stderr).toMatch(
				/^wxtokend: wx1: the last token had ended 1\d min/m,
			);
			expect(stderr).toMatch(often);
			const checked = await runProgram(["check", "--config", config.file]);
			expect(checked.stdout).toMatch(
				wire === "stable"
					? /"wxtokend once" at least every 4 minutes\n$/
					: /"wxtokend once" at least every 40 minutes\n$/,
			);
		},
	);

	test.skipIf(process.getuid?.() !== 0)(
		"started by root it gives its files to the group of the directory, whose members could not read them otherwise",
		async () => {
			const issuer = await startIssuer();
			const config = writeConfig({ ...issuer });
			mkdirSync(config.directory, 0o750);
			chownSync(config.directory, 4_000, 4_001);
			expect((await once(config)).code).toBe(0);
			const groups = readdirSync(config.directory).map(
				(name) => statSync(join(config.directory, name)).gid,
			);
			expect(groups).toEqual([4_001, 4_001]);
		},
	);

	test("tells what is doubtful about the configuration on a terminal, and not to cron; check tells it always", async () => {
		const issuer = await startIssuer();
		const config = writeConfig({
			...issuer,
			top: { mode: "0644", log_level: "info" },
		});
		expect((await once(config)).stderr).toBe("");
		const terminal = ["sh", "-c", 'exec script -q -e -c "$*" /dev/null', "sh"];
		const seen = await once(config, { launcher: terminal });
		expect(seen.stdout).toContain("every user of this machine can read");
		expect((await check(config)).stderr).toContain(
			"every user of this machine",
		);
	});

	test("refreshes only the accounts that are named", async () => {
		const issuer = await startIssuer();
		const config = writeConfig({ ...issuer, accounts: newAccounts(3) });
		expect((await once(config, "wx2", "wx2")).code).toBe(0);
		expect(issuer.requests.map(({ query }) => query.appid)).toEqual(["wx2"]);
	});

	test("reports an expired certificate of a trusted authority, and sends nothing", async () => {
		const day = 86_400_000;
		const now = Date.now();
		const tls = certificate(new Date(now - 2 * day), new Date(now - day));
		const server = await startRaw(() => {}, { tls });
		const authority = join(newDirectory(), "authority.pem");
		writeFileSync(authority, tls.cert);
		const url = `https://127.0.0.1:${server.port}`;
		const config = writeConfig({ url });
		const { code, stderr } = await runProgram(
			["once", "--config", config.file],
			{ env: { NODE_EXTRA_CA_CERTS: authority } },
		);
		expect(code).toBe(69);
		expect(stderr).toContain(
			"the server's certificate cannot be trusted (CERT_HAS_EXPIRED)",
		);
		expect(stderr).toContain("check the clock");
		expect(server.requests).toEqual([]);
	});

	test("ends with 64 for an account that is not configured, and names those that are", async () => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		expect(await once(config, "wx9")).toEqual({
			code: 64,
			signal: null,
			stdout: "",
			stderr: `wxtokend: there is no account "wx9" in ${config.file}; accounts: wx1\n`,
		});
	});

	test.each([
		["WeChat refuses", refuse],
		["the connection breaks", (_request, response) => response.destroy()],
		["no answer comes", () => {}],
	] as const satisfies readonly (readonly [string, Twist])[])(
		"ends with 69 when %s and no valid token is on disk",
		async (_why, twist: Twist) => {
			const issuer = await startIssuer({ twist });
			const config = writeConfig({ ...issuer, wechat: { timeout: 0.5 } });
			const { code, stderr } = await once(config);
			expect(code).toBe(69);
			expect(stderr).toContain('"event":"fetch.failed"');
			expect(hasFile(config.tokenFile("wx1"))).toBe(false);
		},
	);

	test("ends with 75 when WeChat refuses but the token on disk still lives, and leaves it alone", async () => {
		const issuer = await startIssuer({ twist: refuse });
		const config = writeConfig(issuer);
		const token = writeToken(config, "wx1", 60);
		expect((await once(config)).code).toBe(75);
		expect(readTokenFile(config.tokenFile("wx1"))).toEqual(token);
		expect(issuer.requests).toHaveLength(1);
	});

	test("keeps the pause that WeChat asked for, unless the account is named", async () => {
		const issuer = await startIssuer({
			twist: (_request, response) =>
				response.end('{"errcode":89506,"errmsg":"refused for 24 h"}'),
		});
		const config = writeConfig(issuer);
		expect((await once(config)).code).toBe(69);
		const again = await once(config);
		expect(again.code).toBe(69);
		expect(again.stderr).toMatch(
			/^wxtokend: wx1 is not tried before 2.*Z: .*89506.*; "wxtokend once wx1" tries at once\n$/,
		);
		expect(issuer.requests).toHaveLength(1);
		expect((await once(config, "wx1")).code).toBe(69);
		expect(issuer.requests).toHaveLength(2);
	});

	test("ends with 73 when the directory cannot be made", async () => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		writeFileSync(config.directory, "a file in its place");
		const { code, stderr } = await once(config);
		expect(code).toBe(73);
		expect(stderr).toMatch(/^wxtokend: could not .*tokens.*; .*\n$/);
	});

	test("ends with 73 when nothing can be written, and sends no request whose token would be lost", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const token = writeToken(config, "wx1", 60);
		const { code, stderr } = await once(config, withoutSpace);
		expect(code).toBe(73);
		expect(stderr).toContain('"event":"store.failed"');
		expect(stderr).toContain("EFBIG");
		expect(issuer.requests).toHaveLength(0);
		expect(readTokenFile(config.tokenFile("wx1"))).toEqual(token);
		expect(readdirSync(config.directory)).toEqual(["wx_access_token_wx1"]);
	});

	test("ends with the code that most needs a person, if accounts end differently", async () => {
		const issuer = await startIssuer({
			twist: (request, response, give) =>
				request.query.appid === "wx1"
					? give()
					: refuse(request, response, give),
		});
		const config = writeConfig({ ...issuer, accounts: newAccounts(3) });
		writeToken(config, "wx2", 60);
		expect((await once(config, "wx1")).code).toBe(0);
		expect((await once(config, "wx1", "wx2")).code).toBe(75);
		expect((await once(config)).code).toBe(69);
	});
});

describe("get", () => {
	test("prints the token and nothing else", async () => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		const { value } = writeToken(config, "wx1", 60);
		expect(await get(config, "wx1", "--min-valid", "50")).toEqual({
			code: 0,
			signal: null,
			stdout: `${value}\n`,
			stderr: "",
		});
	});

	test.each([
		[
			"there is no file",
			undefined,
			"could not be read: no such file or directory (ENOENT)",
		],
		["the token has ended", -1, "has ended"],
		["the token ends too soon", 5, "lives for another"],
	])("ends with 69 when %s", async (_why, left, says) => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		if (left !== undefined) writeToken(config, "wx1", left);
		const result = await get(config, "wx1", "--min-valid", "20");
		expect(result).toMatchObject({ code: 69, stdout: "" });
		expect(result.stderr).toMatch(/^wxtokend: could not get a token .*\n$/);
		expect(result.stderr).toContain(says);
	});

	test.each(["", "{", "[]", '{"value":1,"expire":9999999999}', "null"])(
		"ends with 69 when the file holds %j",
		async (content) => {
			const config = writeConfig({ url: "http://127.0.0.1:9" });
			mkdirSync(config.directory);
			writeFileSync(config.tokenFile("wx1"), content);
			const { code, stderr } = await get(config, "wx1");
			expect(code).toBe(69);
			expect(stderr).toContain("holds no token");
		},
	);

	test("ends with 75 when its wait is over", async () => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		const { code, stderr } = await get(config, "wx1", "--wait", "0.3");
		expect(code).toBe(75);
		expect(stderr).toContain("ENOENT");
	});

	test("waits until there is a token", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const waiting = get(config, "wx1", "--wait", "30");
		await once(config);
		expect(await waiting).toMatchObject({
			code: 0,
			stdout: `${issuer.issued[0]?.value}\n`,
		});
	});

	test("ends with 64 for an account that is not configured", async () => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		const { code, stderr } = await get(config, "wx9");
		expect(code).toBe(64);
		expect(stderr).toContain("accounts: wx1");
	});
});

describe("check", () => {
	test("ends with 0 if all is well, and leaves no file behind", async () => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		expect(await check(config)).toEqual({
			code: 0,
			signal: null,
			stdout: `created ${config.directory}\n${config.file}: 1 account; ${config.directory} can be written\nwithout a daemon: run "wxtokend once" at least every 40 minutes\n`,
			stderr: "",
		});
		expect(readdirSync(config.directory)).toEqual([]);
	});

	test("ends with 73 when the directory is there and cannot be written", async () => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		const { code, stderr } = await check(config, withoutSpace);
		expect(code).toBe(73);
		expect(stderr).toMatch(
			/^wxtokend: could not write .*: .* \(EFBIG\); .*\n$/,
		);
		expect(readdirSync(config.directory)).toEqual([]);
	});

	test.skipIf(process.getuid?.() !== 0)(
		"ends with 73 when a token file is mounted by itself, and says that the directory is to be mounted",
		async () => {
			const config = writeConfig({
				url: "http://127.0.0.1:9",
				directory: join(newDirectory(), "with a blank"),
			});
			writeToken(config, "wx1", 3_600);
			const script = 'mount --bind "$0" "$0" && exec "$@"; exit 1';
			const { code, stderr } = await check(config, {
				launcher: [
					...["unshare", "-m", "sh", "-c", script],
					config.tokenFile("wx1"),
				],
			});
			expect(code).toBe(73);
			expect(stderr).toBe(
				`wxtokend: could not use ${config.tokenFile("wx1")}: a single file is mounted there, and a mounted file cannot be replaced; mount the directory instead: ${config.directory}\n`,
			);
		},
	);

	test("ends with 73 if every user may replace files in the directory", async () => {
		const directory = newDirectory();
		chmodSync(directory, 0o777);
		const config = writeConfig({
			url: "http://127.0.0.1:9",
			directory,
		});
		const { code, stderr } = await check(config);
		expect(code).toBe(73);
		expect(stderr).toContain(`chmod o-w ${directory}`);
	});

	test("--online ends with 0 when every account got a token, which is published", async () => {
		const issuer = await startIssuer();
		const config = writeConfig({ ...issuer, accounts: newAccounts(2) });
		const { code, stdout } = await check(config, "--online");
		expect(code).toBe(0);
		expect(stdout).toMatch(/wx1: .*published\n/);
		expect(issuer.requests).toHaveLength(2);
		expect(issuer.issued.map(({ value }) => value)).toContain(
			readTokenFile(config.tokenFile("wx2")).value,
		);
	});

	test("--online ends with 69 when an account got none, and 75 when its token on disk still lives", async () => {
		const issuer = await startIssuer({ twist: refuse });
		const config = writeConfig(issuer);
		const without = await check(config, "--online");
		expect(without.code).toBe(69);
		expect(without.stdout).toMatch(/wx1: could not fetch .*40125.*; copy/);
		writeToken(config, "wx1", 3600);
		expect((await check(config, "--online")).code).toBe(75);
	});
});

describe("commands in common", () => {
	test.each(["run", "once", "check"])(
		"%s ends with 78 for a broken configuration",
		async (command) => {
			const file = join(newDirectory(), "config.toml");
			writeFileSync(file, "mode = 1");
			const { code, stdout } = await runProgram([command, "--config", file]);
			expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
		},
	);

	test("run ends with 73 if its directory cannot be used", async () => {
		const config = writeConfig({ url: "http://127.0.0.1:9" });
		writeFileSync(config.directory, "");
		const { code, stderr } = await runProgram(["run", "--config", config.file]);
		expect(code).toBe(73);
		expect(stderr).toMatch(/^wxtokend: could not /);
	});

	test.each(["run", "once"])(
		"%s ends with 70 for a bug, and asks for a report with the stack",
		async (command) => {
			// A bug cannot be made on demand, so the machine's randomness fails instead.
			const fault = join(newDirectory(), "fault.cjs");
			writeFileSync(
				fault,
				'require("node:crypto").randomBytes = () => { throw new RangeError("no chance"); };',
			);
			const config = writeConfig({ url: "http://127.0.0.1:9" });
			const { code, stderr } = await runProgram(
				[command, "--config", config.file],
				{ env: { NODE_OPTIONS: `--require ${fault}` } },
			);
			expect(code).toBe(70);
			expect(stderr).toMatch(
				/^wxtokend: this is a bug, please report it:\nRangeError: no chance\n {4}at /m,
			);
		},
	);
});

type Extra = string | SpawnOptions;

/** Every write to a file fails, as on a full disk; pipes still work. */
const withoutSpace: SpawnOptions = {
	launcher: ["bash", "-c", 'trap "" XFSZ; ulimit -f 0; exec "$@"', "bash"],
};

function once(config: TestConfig, ...extra: readonly Extra[]) {
	return command("once", config, extra);
}

function get(config: TestConfig, ...extra: readonly Extra[]) {
	return command("get", config, extra);
}

function check(config: TestConfig, ...extra: readonly Extra[]) {
	return command("check", config, extra);
}

function command(
	name: string,
	{ file }: TestConfig,
	extra: readonly Extra[],
): Promise<Finished> {
	const args = extra.filter((one) => typeof one === "string");
	const options = extra.find((one) => typeof one !== "string");
	return runProgram([name, "--config", file, ...args], options);
}

/** As a daemon may have left it; valid for so many seconds. */
function writeToken(
	{ tokenFile }: TestConfig,
	appid: string,
	leftSeconds: number,
) {
	const token = {
		value: noteToken(newToken()),
		expire: Math.floor(Date.now() / 1000) + leftSeconds,
	};
	writeTokenFile(tokenFile(appid), token);
	return token;
}

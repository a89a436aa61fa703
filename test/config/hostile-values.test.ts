/**
 * Values with characters that nobody sees, paths that lead to what is no file, and a
 * metrics file over a file of ours: all refused, with the reason.
 */
import { execFileSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	rmSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { stringify } from "smol-toml";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import { ConfigError } from "../../src/core/errors.ts";
import { newDirectory } from "../support/directory.ts";
import { newSecret } from "../support/leaks.ts";
import { runProgram } from "../support/program.ts";

type Tree = Readonly<Record<string, unknown>>;

/** The problems of a configuration file, or of the environment. */
function problemsOf(
	content: Tree | string | undefined,
	env: Readonly<Record<string, string>> = {},
) {
	const file = join(newDirectory(), "config.prom");
	if (content !== undefined)
		writeFileSync(
			file,
			typeof content === "string"
				? content.replaceAll("CONFIG", file)
				: stringify(content).replaceAll("CONFIG", file),
		);
	try {
		loadConfig({
			file: content === undefined ? undefined : file,
			env,
			secrets: true,
			ignoreDefaultFile: true,
		});
		return {};
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		return Object.fromEntries(
			error.problems.map(({ path, message }) => [path, message]),
		);
	}
}

const account = { appid: "wx1", secret: newSecret() };

describe("a character that nobody sees is named, in every value", () => {
	const places: Readonly<
		Record<string, (bad: (text: string) => string) => Tree>
	> = {
		directory: (bad) => ({ directory: bad("/run/tokens"), account: [account] }),
		schedule: (bad) => ({ schedule: bad("* * * * *"), account: [account] }),
		mode: (bad) => ({ mode: bad("0640"), account: [account] }),
		group: (bad) => ({ group: bad("root"), account: [account] }),
		socket: (bad) => ({ socket: bad("c.sock"), account: [account] }),
		log_level: (bad) => ({ log_level: bad("info"), account: [account] }),
		metrics_file: (bad) => ({
			metrics_file: bad("/x/y.prom"),
			account: [account],
		}),
		"wechat.interface": (bad) => ({
			wechat: { interface: bad("stable") },
			account: [account],
		}),
		"wechat.base_urls[0]": (bad) => ({
			wechat: { base_urls: [bad("https://api.weixin.qq.com")] },
			account: [account],
		}),
		"account[0].appid": (bad) => ({
			account: [{ ...account, appid: bad("wx0123456789abcdef") }],
		}),
		"account[0].file": (bad) => ({
			account: [{ ...account, file: bad("token") }],
		}),
		"account[0].secret": (bad) => ({
			account: [{ ...account, secret: bad(newSecret()) }],
		}),
		"account[0].secret_file": (bad) => ({
			account: [{ appid: "wx1", secret_file: bad("/x") }],
		}),
	};
	const characters = [
		["\ufeff", "U+FEFF (byte order mark)"],
		["\u200b", "U+200B (zero width space)"],
		["\u00a0", "U+00A0 (no-break space)"],
		["\u3000", "U+3000 (full-width blank)"],
	] as const;

	test.each(Object.entries(places))("%s", (path, content) => {
		for (const [character, name] of characters) {
			const found = [
				content((text) => text + character),
				content((text) => character + text),
				content((text) => `${text[0]}${character}${text.slice(1)}`),
			].map((one) => problemsOf(one)[path]);
			expect(found).toEqual([
				expect.stringContaining(`holds ${name} at the end`),
				expect.stringContaining(`holds ${name} at the beginning`),
				expect.stringContaining(`holds ${name} as its character 2`),
			]);
		}
		// A line end of Windows; around a secret in a file it does no harm.
		const crlf = problemsOf(content((text) => `${text}\r`))[path];
		if (path === "account[0].secret") expect(crlf).toBeUndefined();
		else expect(crlf).toContain("holds U+000D (carriage return) at the end");
	});

	test.each([
		["WXTOKEND_DIRECTORY", "/run/tokens"],
		["WXTOKEND_SCHEDULE", "* * * * *"],
		["WXTOKEND_INTERFACE", "stable"],
		["WXTOKEND_BASE_URL", "https://api.weixin.qq.com"],
		["WECHAT_APPID", "wx0123456789abcdef"],
		["WECHAT_SECRET", newSecret()],
		["WECHAT_SECRET_FILE", "/run/secret"],
		["RUNTIME_DIRECTORY", "/run/tokens"],
		["WXTOKEND_CONFIG", "/etc/config.toml"],
	])("$%s", (name, value) => {
		for (const [character, says] of [
			...characters,
			["\r", "U+000D (carriage return)"],
			["\n", "U+000A (line feed)"],
		] as const) {
			const env: Record<string, string> = {
				WECHAT_APPID: "wx1",
				...(name === "WECHAT_SECRET_FILE"
					? {}
					: { WECHAT_SECRET: newSecret() }),
				[name]: value + character,
			};
			expect(problemsOf(undefined, env)[name]).toContain(
				`holds ${says} at the end`,
			);
		}
	});

	test("such a directory is not made, and get does not look in it", async () => {
		const place = newDirectory();
		const env = {
			WECHAT_APPID: "wx1",
			WECHAT_SECRET: newSecret(),
			WXTOKEND_DIRECTORY: `${place}/tokens\r`,
		};
		for (const command of [["check"], ["once"], ["get", "wx1"], ["status"]]) {
			const { code, stderr } = await runProgram(command, { env });
			expect({ command, code }).toEqual({ command, code: 78 });
			expect(stderr).toContain("WXTOKEND_DIRECTORY: holds U+000D");
		}
		expect(readdirSync(place)).toEqual([]);
	});

	test("in a key, in the path of the file and in a line that is no TOML, too", () => {
		expect(problemsOf({ "mode\u200b": "0640", account: [account] })).toEqual({
			"mode\\u{200B}": expect.stringContaining("is not a key"),
		});
		const [[, message] = []] = Object.entries(problemsOf('\u00a0socket = ""'));
		expect(message).toContain("holds an invisible character (U+00A0)");
	});

	test("a blank inside a value, and a byte order mark before a secret file, do no harm", () => {
		const secretFile = join(newDirectory(), "secret of wx1");
		writeFileSync(secretFile, `\ufeff${newSecret()}\r\n`, { mode: 0o600 });
		expect(
			problemsOf({
				directory: "/run/my tokens",
				account: [{ appid: "wx1", secret_file: secretFile }],
			}),
		).toEqual({});
	});
});

describe("a metrics file over a file of ours is refused", () => {
	const place = newPlace();
	function newPlace() {
		return { directory: "/run/wx.prom/tokens" };
	}
	test.each([
		[
			"the token file of account[0]",
			{
				metrics_file: "/run/wx.prom/tokens/t.prom",
				account: [{ ...account, file: "t.prom" }],
			},
		],
		[
			"the control socket",
			{
				metrics_file: "/run/wx.prom/tokens/c.prom",
				socket: "c.prom",
				account: [account],
			},
		],
		[
			"the directory of the tokens",
			{ metrics_file: "/run/wx.prom/tokens/../../wx.prom", account: [account] },
		],
		[
			"the secret file of account[0]",
			{
				metrics_file: "/x/secret.prom",
				account: [{ appid: "wx1", secret_file: "/x/./secret.prom" }],
			},
		],
		["this configuration file", { metrics_file: "CONFIG", account: [account] }],
	])("%s", (what, content) => {
		expect(problemsOf({ ...place, ...content }).metrics_file).toContain(
			`, ${what}`,
		);
	});

	test("also where a link leads to the same directory; a file of its own is not", () => {
		const real = newDirectory();
		const link = join(newDirectory(), "link");
		symlinkSync(real, link);
		const content = {
			directory: real,
			account: [{ ...account, file: "t.prom" }],
		};
		expect(
			problemsOf({ ...content, metrics_file: `${link}/t.prom` }).metrics_file,
		).toContain("the token file of account[0]");
		expect(problemsOf({ ...content, metrics_file: `${link}/m.prom` })).toEqual(
			{},
		);
	});
});

describe("what is no file, or a giant, ends with a reason, and not never", () => {
	const things: Readonly<Record<string, (path: string) => void>> = {
		"a device": (path) => symlinkSync("/dev/zero", path),
		"a pipe": (path) => void execFileSync("mkfifo", [path]),
		"a directory": (path) => mkdirSync(path),
		"a file of 100 MB": (path) => {
			writeFileSync(path, "");
			truncateSync(path, 100_000_000);
		},
	};

	test.each(Object.entries(things))("%s", async (_what, make) => {
		const place = newDirectory();
		const thing = join(place, "thing");
		make(thing);
		const as = (content: Tree) => {
			const file = join(place, "config.toml");
			writeFileSync(file, stringify(content), { mode: 0o600 });
			return file;
		};
		const run = (...args: readonly string[]) =>
			runProgram(args, { launcher: ["timeout", "-s", "KILL", "20"] });

		for (const command of [["check"], ["get", "wx1"], ["status"]]) {
			const config = await run(...command, "--config", thing);
			expect({ command, code: config.code }).toEqual({ command, code: 78 });
			expect(config.stderr).toContain(thing);
		}

		const secret = await run(
			"check",
			"--config",
			as({ directory: place, account: [{ appid: "wx1", secret_file: thing }] }),
		);
		expect(secret.code).toBe(78);
		expect(secret.stderr).toContain(`account[0].secret_file: ${thing} `);

		const token = as({
			directory: place,
			account: [{ ...account, file: "thing" }],
		});
		const got = await run("get", "wx1", "--config", token);
		expect(got.code).toBe(69);
		expect(got.stderr).toContain(thing);
		const status = await run("status", "--json", "--config", token);
		expect(status.code).toBe(69);
		expect(JSON.parse(status.stdout).accounts[0].state).toBe("unusable");
		expect(existsSync(thing)).toBe(true);
		rmSync(thing, { recursive: true });
	});
});

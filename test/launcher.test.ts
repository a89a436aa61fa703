/**
 * `wxtokend get` answered by the shell: it does so in the plain case only, and hands
 * everything else on to Node.js as it came. Here `node` is a stand-in that says what
 * it was started with, but for where its own answer counts.
 */
import { execFile, spawnSync } from "node:child_process";
import {
	appendFileSync,
	chmodSync,
	copyFileSync,
	existsSync,
	mkdirSync,
	renameSync,
	symlinkSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { emptyRecord, encodeRecord, recordPathOf } from "../src/core/record.ts";
import { tokenId } from "../src/core/token.ts";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { newToken, startIssuer } from "./support/issuer.ts";
import { noteToken } from "./support/leaks.ts";
import { programPath, runProgram } from "./support/program.ts";
import { readTokenFile, writeTokenFile } from "./support/token-file.ts";

const shells = [
	{ shell: "dash", argv: ["dash"], seesNanoseconds: true },
	{ shell: "bash", argv: ["bash", "--posix"], seesNanoseconds: true },
	{ shell: "busybox", argv: ["busybox", "sh"], seesNanoseconds: false },
].filter(
	// In CI a shell that is missing is a mistake.
	({ shell }) =>
		process.env.CI !== undefined ||
		["/bin", "/usr/bin"].some((folder) => existsSync(join(folder, shell))),
);

/** Says how it was started, and ends with 42. */
const standIn = `#!/bin/sh
printf 'node'
printf ' <%s>' "$@"
exit 42
`;

interface Said {
	readonly code: number;
	readonly stdout: string;
	readonly stderr: string;
}

function ended(
	[file = "", ...argv]: readonly string[],
	env: Readonly<Record<string, string | undefined>>,
): Promise<Said> {
	return new Promise((resolve, reject) => {
		execFile(file, argv, { env: { ...env } }, (error, stdout, stderr) => {
			const code = error === null ? 0 : error.code;
			if (typeof code === "number") resolve({ code, stdout, stderr });
			else reject(error);
		});
	});
}

/** Tries all rows at the same time, as each one is mostly the start of a process. */
async function all<T>(
	rows: readonly T[],
	attempt: (row: T) => Promise<void>,
): Promise<void> {
	await Promise.all(rows.map(attempt));
}

interface Place {
	readonly directory: string;
	readonly token: string;
	readonly value: string;
	readonly expire: number;
	/** Runs the program by that shell, in the directory unless \`env\` says more. */
	run(
		argv: readonly string[],
		words: readonly string[],
		env?: Readonly<Record<string, string>>,
	): Promise<Said>;
}

function place(name = "wx_access_token_wx1", livesFor = 3_600): Place {
	const directory = newDirectory();
	const tools = join(newDirectory(), "tools");
	mkdirSync(tools);
	writeFileSync(join(tools, "node"), standIn);
	chmodSync(join(tools, "node"), 0o755);
	const value = noteToken(newToken());
	const expire = Math.floor(Date.now() / 1_000) + livesFor;
	const token = join(directory, name);
	writeTokenFile(token, { value, expire });
	return {
		directory,
		token,
		value,
		expire,
		run: (argv, words, env = {}) =>
			ended([...argv, programPath, ...words], {
				PATH: `${tools}:${process.env.PATH}`,
				WXTOKEND_DIRECTORY: directory,
				...env,
			}),
	};
}

/** As a keeper leaves token file and record; `apartMs`: the record is younger by so much. */
function record({ token, value, expire }: Place, apartMs = 0): string {
	const path = recordPathOf(token);
	const published = {
		id: tokenId(value),
		expiresAt: expire * 1_000,
		lifetimeMs: 7_200_000,
		fetchedAt: 1,
		reason: "due",
	};
	const kept = { ...emptyRecord, generation: 1, published };
	writeFileSync(path, encodeRecord(kept));
	const at = Date.now() / 1_000;
	utimesSync(token, at, at);
	utimesSync(path, at + apartMs / 1_000, at + apartMs / 1_000);
	return path;
}

/** The words of the stand-in for that command line. */
function handedOn(words: readonly string[]): Said {
	const all = [programPath, ...words].map((word) => ` <${word}>`);
	return { code: 42, stdout: `node${all.join("")}`, stderr: "" };
}

const publishedNames = [
	"wx_access_token_wx1",
	"wx_jsapi_ticket_wx1",
	"wx_card_ticket_wx1",
	"wx_sdk_ticket_wx1",
	"wx_component_access_token_wx1",
	"wecom_access_token_ww1_1000002",
	"wecom_jsapi_ticket_ww1_1000002",
	"wecom_agent_ticket_ww1_1000002",
	"wecom_provider_access_token_ww1",
	"wecom_suite_access_token_dk1",
];

const notPlain: readonly (readonly [string, (here: Place) => void])[] = [
	["ended", (here) => leave(here, { expire: here.expire - 3_601 })],
	["ends in an instant", (here) => leave(here, { livesFor: 1 })],
	["empty", ({ token }) => writeFileSync(token, "")],
	["torn", (here) => writeFileSync(here.token, text(here).slice(0, 60))],
	["without its end", (here) => writeFileSync(here.token, text(here).trim())],
	["two lines", ({ token }) => appendFileSync(token, "\n")],
	["more behind it", ({ token }) => appendFileSync(token, "{}")],
	["an escape", (here) => leave(here, { value: `${here.value}\\u0041` })],
	["a quote", (here) => leave(here, { value: `${here.value}\\"x` })],
	["a blank", (here) => leave(here, { value: `${here.value} x` })],
	["a letter of another script", (here) => leave(here, { value: "é微" })],
	["an empty value", (here) => leave(here, { value: "" })],
	["far too long", (here) => leave(here, { value: "x".repeat(1_025) })],
	["an end with a fraction", (here) => leave(here, { end: "4000000000.5" })],
	[
		"an end with a zero before it",
		(here) => leave(here, { end: "04000000000" }),
	],
	["an end of eleven digits", (here) => leave(here, { end: "40000000000" })],
	["an end that is a text", (here) => leave(here, { end: '"4000000000"' })],
	["a third key", (here) => leave(here, { end: '4000000000,"a":1' })],
	[
		"another order",
		(here) =>
			writeFileSync(here.token, `{"expire":${here.expire},"value":"x"}\n`),
	],
	[
		"a carriage return",
		(here) => writeFileSync(here.token, text(here).replace("\n", "\r\n")),
	],
	["absent", ({ token }) => unlinkSync(token)],
	[
		"a link",
		({ token, directory }) => {
			renameSync(token, join(directory, "elsewhere"));
			symlinkSync("elsewhere", token);
		},
	],
	[
		"a folder",
		({ token }) => {
			unlinkSync(token);
			mkdirSync(token);
		},
	],
	[
		"a pipe",
		({ token }) => {
			unlinkSync(token);
			spawnSync("mkfifo", [token]);
		},
	],
	[
		"altered after it was published",
		(here) => {
			record(here);
			leave(here, { value: noteToken(newToken()) });
		},
	],
	[
		"younger than its record by two microseconds",
		(here) => record(here, -0.002),
	],
	["older than its record by two microseconds", (here) => record(here, 0.002)],
	[
		"a file of before, put back with its time",
		(here) => {
			const before = join(here.directory, "before");
			copyFileSync(here.token, before);
			utimesSync(before, 1_000_000_000, 1_000_000_000);
			record(here);
			renameSync(before, here.token);
		},
	],
	[
		"a record that a later failure was added to",
		(here) => {
			appendFileSync(record(here), "\n{}");
		},
	],
	[
		"a record that is a dangling link",
		({ token }) => symlinkSync("nowhere", recordPathOf(token)),
	],
];

const otherLines: readonly (readonly string[])[] = [
	[],
	["get"],
	["get", ""],
	["get", "--help"],
	["get", "-h"],
	["get", "../wx1"],
	["get", "wx 1"],
	["get", "wx1 "],
	["get", "wx*"],
	["get", "wxé"],
	["get", "x".repeat(65)],
	["get", "wx2"],
	["get", "wx1", "wx2"],
	["get", "wx1", "--wait", "1"],
	["get", "wx1", "--min-valid", "60"],
	["get", "wx1", "--config", ""],
	["get", "wx1", "--config", "/absent/config.toml"],
	["get", "wx1", "--config", "/"],
	["get", "--config", "x", "wx1"],
	["status", "wx1"],
	["run", "a b", "", "c\nd", "'\"$x`"],
];

const environments: readonly Readonly<Record<string, string>>[] = [
	{ WECHAT_APPID: "wx1" },
	{ RUNTIME_DIRECTORY: "/run/other" },
	{ NODE_OPTIONS: "--no-warnings" },
	{ LD_PRELOAD: "libc.so.6" },
	{ WXTOKEND_CONFIG: "/absent/config.toml" },
	{ WXTOKEND_DIRECTORY: "relative" },
	{ WXTOKEND_DIRECTORY: "/tmp/no\u00a0break" },
];

/** What the account is followed by, and what stands in place of the first line. */
const notPlainConfigs: readonly (readonly [string, string, string?])[] = [
	["another file name", '\nfile = "wx_access_token_wx1"\n'],
	["an escape", '\nsecret = "a\\u0041"\n'],
	["a text of several lines", '\nsecret = """\na"""\n'],
	["a literal text", "\nsecret = 'a'\n"],
	["a fraction", "\ntimeout = 0.5\n"],
	["a key twice", '\nappid = "wx1"\n'],
	["a dotted key", '\na.b = "c"\n'],
	["a quoted key", '\n"file" = "x"\n'],
	["a table in a line", '\na = { file = "x" }\n'],
	["a list of several lines", '\ntickets = [\n"jsapi"]\n'],
	["a table of a table", "\n[account.more]\n"],
	["a table twice", "\n[wechat]\n[wechat]\n"],
	["a table named as a list of tables", "\n[account]\n"],
	["a list of tables named as a table", "\n[wechat]\n[[wechat]]\n"],
	["a table named as a key", "\n[directory]\n"],
	["the account twice", '\n[[account]]\nappid = "wx1"\n'],
	["a word", "\ntimeout = soon\n"],
	["no value", "\ntimeout =\n"],
	["no key", '\n= "x"\n'],
	["more behind a value", '\nsecret = "x" y\n'],
	["more behind a table", "\n[wechat] y\n"],
	["a number with a zero before it", "\ntimeout = 010\n"],
	["a line end of Windows", '\nsecret = "x"\r\n'],
	["a control character", "\n# \u0001\n"],
	["a last line without an end", ""],
	["a relative directory", "\n", 'directory = "here"'],
	["more than a hundred lines", "\n".repeat(100)],
];

describe.each(shells)("$shell", ({ argv, seesNanoseconds }) => {
	test("the shell prints the value of each published file, and nothing else", () =>
		all(publishedNames, async (name) => {
			const { run, value } = place(name);
			const words = [name, name.replace("wx_access_token_", "")];
			for (const word of words)
				expect(await run(argv, ["get", word]), word).toEqual({
					code: 0,
					stdout: `${value}\n`,
					stderr: "",
				});
		}));
	test("a file and its record of the same time: only a shell that compares nanoseconds believes it", async () => {
		const here = place();
		record(here);
		const words = ["get", "wx1"];
		expect((await here.run(argv, words)).stdout).toBe(
			seesNanoseconds ? `${here.value}\n` : handedOn(words).stdout,
		);
	});

	test("Node.js is asked about a file that is not plain", () =>
		all(notPlain, async ([what, change]) => {
			const here = place();
			change(here);
			const words = ["get", "wx1"];
			expect(await here.run(argv, words), what).toEqual(handedOn(words));
		}));

	test("Node.js gets any other command line word for word", () =>
		all(otherLines, async (words) =>
			expect(await place().run(argv, words)).toEqual(handedOn(words)),
		));

	test("Node.js is asked if the environment means something to it", () =>
		all(environments, async (env) => {
			const words = ["get", "wx1"];
			const said = await place().run(argv, words, env);
			expect(said, JSON.stringify(env)).toEqual(handedOn(words));
		}));

	test("a plain configuration that may be read names the directory, the accounts and their tickets", async () => {
		const { directory, run, token, value } = place();
		const ticket = join(directory, "wx_card_ticket_wx2");
		copyFileSync(token, ticket);
		const config = join(directory, "config.toml");
		writeFileSync(
			config,
			`# 配置 / configuration
directory = "${directory}"   # here
schedule = "*/5 * * * * *"

[wechat]
timeout = 10
base_urls = [ "https://api.weixin.qq.com", "https://api2.weixin.qq.com", ]
[[account]]
appid = "wx1"
secret_file = "/etc/wxtokend/wx1.secret"
  [[account]]
  appid = "wx2"
  tickets = ["jsapi","wx_card"]
[[wecom]]
corpid = "ww1"
`,
		);
		const env = { WXTOKEND_CONFIG: config, WXTOKEND_DIRECTORY: "/nowhere" };
		for (const name of ["wx1", "wx_card_ticket_wx2"]) {
			const plain = { code: 0, stdout: `${value}\n`, stderr: "" };
			expect(await run(argv, ["get", name, "--config", config])).toEqual(plain);
			expect(await run(argv, ["get", name], env)).toEqual(plain);
		}
		const others = [
			"wx2",
			"wx3",
			"ww1",
			"wx_sdk_ticket_wx2",
			"wx_card_ticket_wx1",
			"wx_access_token_wx1",
		];
		await all(others, async (name) => {
			const words = ["get", name, "--config", config];
			expect(await run(argv, words)).toEqual(handedOn(words));
		});
	});

	test("Node.js reads a configuration that is not plain", () =>
		all(notPlainConfigs, async ([what, more, before = ""]) => {
			const { directory, run } = place();
			const config = join(directory, "config.toml");
			const account = '[[account]]\nappid = "wx1"';
			writeFileSync(
				config,
				`${before || `directory = "${directory}"`}\n${account}${more}`,
			);
			const words = ["get", "wx1", "--config", config];
			expect(await run(argv, words), what).toEqual(handedOn(words));
		}));

	test("a pipe that its reader has closed ends as with Node.js, and so does a full disk", async () => {
		const { directory } = place();
		const env = { PATH: process.env.PATH, WXTOKEND_DIRECTORY: directory };
		const said = (line: string, program: readonly string[]) =>
			ended(
				["bash", "--norc", "-c", line, ...program, programPath, "get", "wx1"],
				env,
			);
		const closed = `"$0" "$@" | true; exit "\${PIPESTATUS[0]}"`;
		expect(await said(closed, argv)).toEqual({
			code: 0,
			stdout: "",
			stderr: "",
		});
		const full = 'exec "$0" "$@" >/dev/full';
		const byNode = await said(full, [process.execPath]);
		expect(byNode.code).toBe(73);
		expect(await said(full, argv)).toEqual(byNode);
	});
});

function text({ value, expire }: Pick<Place, "value" | "expire">): string {
	return `${JSON.stringify({ value, expire })}\n`;
}

/** Writes the token file with something else in it. */
function leave(
	{ token, value, expire }: Place,
	other: {
		readonly value?: string;
		readonly expire?: number;
		readonly livesFor?: number;
		/** As it stands in the file. */
		readonly end?: string;
	},
): void {
	const now = Math.floor(Date.now() / 1_000);
	const end =
		other.livesFor === undefined
			? (other.expire ?? expire)
			: now + other.livesFor;
	writeFileSync(
		token,
		`{"value":"${other.value ?? value}","expire":${other.end ?? end}}\n`,
	);
}

test("what a keeper publishes is plain; what somebody has altered since is not printed", async () => {
	const issuer = await startIssuer();
	const config = writeConfig({ ...issuer, accounts: newAccounts(1) });
	expect((await runProgram(["once", "--config", config.file])).code).toBe(0);
	const { run, ...here } = place();
	const token = join(config.directory, "wx_access_token_wx1");
	const { value, expire } = readTokenFile(token);
	const env = { WXTOKEND_DIRECTORY: config.directory };
	const words = ["get", "wx1"];
	expect(await run(["dash"], words, env)).toEqual({
		code: 0,
		stdout: `${value}\n`,
		stderr: "",
	});
	writeTokenFile(token, { value: here.value, expire });
	expect(await run(["dash"], words, env)).toEqual(handedOn(words));
	const byNode = await runProgram(words, { env });
	expect(byNode).toMatchObject({ code: 69, stdout: "" });
	expect(byNode.stderr).toContain("it holds another token than was recorded");
});

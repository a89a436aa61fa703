import { randomBytes } from "node:crypto";
import {
	chmodSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { checkHere } from "../support/check-here.ts";
import { newDirectory } from "../support/directory.ts";
import { newSecret, noteSecret } from "../support/leaks.ts";
import { runProgram, type SpawnOptions } from "../support/program.ts";

interface BadConfig {
	readonly why: string;
	readonly toml: string;
	/** `path: what`, as many as there are problems; of `what` the beginning. */
	readonly problems: readonly string[];
}

const badConfigs = parseTable(
	readFileSync(new URL("bad-configs.txt", import.meta.url), "utf8"),
);

describe("a configuration with a mistake is refused with the path of each problem", () => {
	test.each(badConfigs)("$why", async ({ toml, problems }) => {
		const place = newDirectory();
		writeSecretFiles(place);
		const config = join(place, "config.toml");
		const filled = toml
			.replaceAll("PLACE", place)
			.replaceAll("SECRET", newSecret());
		writeFileSync(config, filled);
		const found = await problemsOf(["check", "--config", config]);
		const wanted = problems.map((line) => line.replaceAll("PLACE", place));
		expect(
			found.map(([path, what], index) =>
				`${path}: ${what}`.slice(0, wanted[index]?.length),
			),
		).toEqual(wanted);
	});

	test("the table has a case for each rule: more than 60", () => {
		expect(badConfigs.length).toBeGreaterThan(60);
	});
});

test.each([
	["in place of a mode", (secret: string) => `mode = "${secret}"`],
	["behind a mode", (secret: string) => `mode = "0640${secret}"`],
	["in place of a key", (secret: string) => `${secret} = 1`],
	["as a part of a key", (secret: string) => `"x[${secret}]" = 1`],
	["in the name of a table", (secret: string) => `[${secret}]\nx = 1`],
	["as a value without quotes", (secret: string) => `mode = ${secret}`],
])("a secret %s is not shown", async (_, tomlWith) => {
	const config = join(newDirectory(), "config.toml");
	const secret = hexSecret();
	writeFileSync(
		config,
		`${tomlWith(secret)}\n[[account]]\nappid = "wx1"\nsecret = "${secret}"\n`,
	);
	const found = JSON.stringify(await problemsOf(["check", "--config", config]));
	expect(found).not.toContain(secret);
});

test("one run reports every problem of a file", async () => {
	const place = newDirectory();
	const config = join(place, "config.toml");
	writeFileSync(
		config,
		`directory = "tokens"
schedule = "often"
mode = "0777"
group = "no-such-group"
socket = 1
log_level = "loud"
colour = "red"
taste = "sweet"
[wechat]
colour = "red"
taste = "sweet"
interface = "fast"
base_urls = ["x"]
timeout = -1
budget = 0
[[account]]
appid = "wx 1"
secret = "${newSecret()} "
retries = 1
colour = "red"
[[account]]
appid = "wx2"
secret_file = "${place}/absent"
[[account]]
appid = "wx2"
secret = 5
[[account]]
appid = "wx4"
secret = "${newSecret()}"
file = "wx_access_token_wx2"
`,
	);
	const problems = await problemsOf(["check", "--config", config], {});
	expect(problems.map(([path]) => path).sort()).toEqual([
		"account[0].appid",
		"account[0].colour",
		"account[0].retries",
		"account[1].secret_file",
		"account[2].appid",
		"account[2].secret",
		"account[3].file",
		"colour",
		"directory",
		"group",
		"log_level",
		"mode",
		"schedule",
		"socket",
		"taste",
		"wechat.base_urls[0]",
		"wechat.budget",
		"wechat.colour",
		"wechat.interface",
		"wechat.taste",
		"wechat.timeout",
	]);
});

/** A correct account. It comes last in a file, because it opens a table. */
const account = `
[[account]]
appid = "wx1"
secret = "SECRET"
`;

describe("a missing configuration", () => {
	test("a missing file is named, with what to do", async () => {
		const path = join(newDirectory(), "absent.toml");
		expect(await problemsOf(["check", "--config", path])).toEqual([
			[
				path,
				expect.stringContaining(
					"could not be read: no such file or directory (ENOENT); create it",
				),
			],
		]);
	});

	test("$WXTOKEND_CONFIG names the file as well as --config does", async () => {
		const path = join(newDirectory(), "absent.toml");
		const env = { WXTOKEND_CONFIG: path };
		expect(await problemsOf(["check"], { env })).toEqual([
			[path, expect.stringContaining("no such file or directory (ENOENT)")],
		]);
	});

	test("a directory is not a file", async () => {
		const path = newDirectory();
		expect(await problemsOf(["check", "--config", path])).toEqual([
			[
				path,
				expect.stringContaining(
					"it is a directory (EISDIR); name a file in it",
				),
			],
		]);
	});

	test.skipIf(process.getuid?.() !== 0)(
		"a file or secret that the user must not read is named (needs root to become nobody)",
		async () => {
			const place = newDirectory();
			const secretFile = join(place, "secret");
			writeFileSync(secretFile, newSecret(), { mode: 0o600 });
			const config = join(place, "config.toml");
			writeFileSync(
				config,
				`[[account]]\nappid = "wx1"\nsecret_file = "${secretFile}"`,
			);
			const nobody = { uid: 65534, gid: 65534 };
			expect(await problemsOf(["check", "--config", config], nobody)).toEqual([
				[
					"account[0].secret_file",
					expect.stringContaining(
						"could not be read: permission denied (EACCES)",
					),
				],
			]);
			chmodSync(config, 0o600);
			expect(await problemsOf(["check", "--config", config], nobody)).toEqual([
				[config, expect.stringContaining("(EACCES); run this as root (sudo)")],
			]);
		},
	);

	test.each(["run", "once", "check"])(
		"%s without any configuration names all ways to give one",
		async (command) => {
			expect(await problemsOf([command], {})).toEqual([
				[
					"/etc/wxtokend/config.toml",
					expect.stringMatching(
						/--config.*WXTOKEND_CONFIG.*WECHAT_APPID.*run --simulate/,
					),
				],
			]);
		},
	);

	test("swapped appid and secret are reported, and neither is shown", async () => {
		const config = join(newDirectory(), "config.toml");
		const secret = hexSecret();
		writeFileSync(
			config,
			`[[account]]
appid = "${secret}"
secret = "wx0123456789abcdef"
[[account]]
appid = "${secret}"
secret = "${secret}"
[[account]]
appid = "wx1"
secret_file = "relative"
`,
			{ mode: 0o600 },
		);
		expect(await problemsOf(["check", "--config", config])).toEqual([
			["account[0].appid", expect.stringContaining("the other way round")],
			["account[1].appid", expect.stringContaining("same as the AppSecret")],
			[
				"account[2].secret_file",
				expect.stringMatching(
					/did you mean `secret`\? \(account wx1, line 9\)$/,
				),
			],
		]);
	});

	test("get refuses a broken file, although it needs no secret", async () => {
		const config = join(newDirectory(), "config.toml");
		writeFileSync(config, `directory = 1\n[[account]]\nappid = "wx1"`);
		expect(
			await problemsOf(["get", "wx1", "--config", config, "--min-valid", "1"]),
		).toEqual([["directory", expect.stringContaining("is 1")]]);
	});
});

describe("one account from the environment: problems name the variables", () => {
	test.each([
		[
			"a wrong appid",
			{ WECHAT_APPID: "wx/1" },
			[["WECHAT_APPID", "expected 1 to 64"]],
		],
		[
			"a secret without its appid",
			{ WECHAT_APPID: "" },
			[["WECHAT_APPID", "is missing"]],
		],
		[
			"no secret",
			{ WECHAT_SECRET: "" },
			[
				[
					"WECHAT_SECRET_FILE",
					"is missing; expected WECHAT_SECRET_FILE, WECHAT_SECRET",
				],
			],
		],
		[
			"two secrets",
			{ WECHAT_SECRET_FILE: "/absent" },
			[["WECHAT_SECRET", "stands beside WECHAT_SECRET_FILE"]],
		],
		[
			"the secret in place of its file",
			{ WECHAT_SECRET: "", WECHAT_SECRET_FILE: "0123456789abcdef".repeat(2) },
			[
				[
					"WECHAT_SECRET_FILE",
					"is not an absolute path (it is not shown here: it may be the AppSecret itself); expected one, or did you mean WECHAT_SECRET?",
				],
			],
		],
		[
			"a secret file that is missing",
			{ WECHAT_SECRET: "", WECHAT_SECRET_FILE: "/absent" },
			[["WECHAT_SECRET_FILE", "/absent could not be read: no such file"]],
		],
		[
			"a relative directory",
			{ WXTOKEND_DIRECTORY: "tokens" },
			[["WXTOKEND_DIRECTORY", 'is "tokens"']],
		],
		[
			"a wrong schedule",
			{ WXTOKEND_SCHEDULE: "often" },
			[["WXTOKEND_SCHEDULE", 'is "often"']],
		],
		[
			"a wrong interface",
			{ WXTOKEND_INTERFACE: "fast" },
			[["WXTOKEND_INTERFACE", 'is "fast"']],
		],
		[
			"a wrong URL among others",
			{ WXTOKEND_BASE_URL: "https://a, b" },
			[["WXTOKEND_BASE_URL", 'is "b"']],
		],
		[
			"several at once",
			{ WXTOKEND_BASE_URL: "b", WXTOKEND_SCHEDULE: "x", WECHAT_SECRET: "a b" },
			[
				["WXTOKEND_SCHEDULE", ""],
				["WXTOKEND_BASE_URL", ""],
				["WECHAT_SECRET", "holds blanks"],
			],
		],
	] as const)("%s", async (_why, change, says) => {
		const env = { WECHAT_APPID: "wx1", WECHAT_SECRET: newSecret(), ...change };
		expect(await problemsOf(["check"], { env, isHere: true })).toEqual(
			says.map(([name, what]) => [name, expect.stringContaining(what)]),
		);
	});
});

describe("unusual, but right", () => {
	test.each([
		[
			"a byte order mark and line ends of Windows",
			(toml: string) => `\ufeff${toml.replaceAll("\n", "\r\n")}`,
		],
		[
			"fractions of seconds",
			(toml: string) =>
				toml.replace(
					"[[",
					"[wechat]\ntimeout = 0.5\nrefresh_before = 1.5\ncooldown = 0\n[[",
				),
		],
		[
			"a mode without the leading zero",
			(toml: string) => `mode = "600"\n${toml}`,
		],
		[
			"a group by id, as text",
			(toml: string) => `group = "${process.getgid?.()}"\n${toml}`,
		],
		[
			"a schedule of five fields",
			(toml: string) => `schedule = "* * * * *"\n${toml}`,
		],
		["a socket that is turned off", (toml: string) => `socket = ""\n${toml}`],
		[
			"blanks and a line end around a secret",
			(toml: string) => toml.replace('"SECRET"', '"""\n  SECRET\n"""'),
		],
	])("%s", async (_why, change) => {
		const place = newDirectory();
		const config = join(place, "config.toml");
		const toml = `directory = "${place}/tokens"${account}`;
		writeFileSync(config, change(toml).replace("SECRET", newSecret()));
		chmodSync(config, 0o600);
		expect(await checkHere(["--config", config])).toEqual({
			code: 0,
			signal: null,
			stdout: expect.stringContaining(
				`created ${place}/tokens\n${config}: 1 account; ${place}/tokens can be written\nwithout a daemon: `,
			),
			stderr: "",
		});
	});

	test.each([
		[
			"directory = PLACE/tokens\nsocket = PLACE/none/x",
			"directory is not there",
		],
		["directory = PLACE\nsocket = PLACE/file", "something else lies there"],
		["directory = /proc/none/x", "no such file or directory (ENOENT)"],
		["directory = PLACE/file/x", "not a directory (ENOTDIR)"],
		["directory = PLACE/file", "it is not a directory"],
	])("%s: check reports what cannot be made, with 73", async (toml, says) => {
		const place = newDirectory();
		const config = join(place, "config.toml");
		writeFileSync(join(place, "file"), "");
		const lines = toml
			.replaceAll("PLACE", place)
			.replaceAll(/= (.*)/g, '= "$1"');
		writeFileSync(config, `${lines}${account.replace("SECRET", newSecret())}`, {
			mode: 0o600,
		});
		const said = await checkHere(["--config", config]);
		expect(said).toMatchObject({
			code: 73,
			stdout: expect.not.stringContaining("can be"),
		});
		expect(said.stderr).toContain(says);
	});

	test("directories above a new one can be entered with any umask", async () => {
		const place = newDirectory();
		const config = join(place, "config.toml");
		writeFileSync(
			config,
			`directory = "${place}/a/b"${account.replace("SECRET", newSecret())}`,
			{ mode: 0o600 },
		);
		const launcher = ["sh", "-c", 'umask 077; exec "$0" "$@"'];
		const { code } = await runProgram(["check", "--config", config], {
			launcher,
		});
		expect(code).toBe(0);
		const modeOf = (path: string) => statSync(join(place, path)).mode & 0o777;
		expect(["a", "a/b"].map(modeOf)).toEqual([0o755, 0o750]);
	});

	test("a secret comes from a systemd credential that has the appid's name", async () => {
		const place = newDirectory();
		mkdirSync(join(place, "credentials"));
		writeFileSync(join(place, "credentials/wx1"), `${hexSecret()}\n`, {
			mode: 0o400,
		});
		const config = join(place, "config.toml");
		writeFileSync(
			config,
			`directory = "${place}/tokens"\n[[account]]\nappid = "wx1"`,
		);
		const env = { CREDENTIALS_DIRECTORY: join(place, "credentials") };
		expect(await checkHere(["--config", config], env)).toMatchObject({
			code: 0,
			stderr: "",
		});
	});

	test.each([
		["*/30 * * * *", "classic", undefined],
		["*/4 * * * *", "stable", undefined],
		["*/30 * * * *", "stable", "30"],
		["*/5 * 0-23 * * *", "stable", undefined],
		["0 */45 * * * *", "classic", "45"],
		["* * 9-17 * * *", "classic", "960"],
		["0 0 9-17 * * *", "classic", "960"],
		["0 0 12 * * 1", "classic", "10080"],
		["0 0 1 1 *", "stable", "527040"],
	])(
		"a schedule of %s, %s: a warning if tokens can end between two ticks (minutes: %s)",
		async (schedule, wire, says) => {
			const place = newDirectory();
			const env = {
				WECHAT_APPID: "wx1",
				WECHAT_SECRET: newSecret(),
				WXTOKEND_DIRECTORY: join(place, "tokens"),
				WXTOKEND_SCHEDULE: schedule,
				WXTOKEND_INTERFACE: wire,
				TZ: "UTC",
			};
			const { code, stderr } = await runProgram(["check"], { env });
			expect(code).toBe(0);
			if (says === undefined) expect(stderr).toBe("");
			else expect(stderr).toContain(`up to ${says} minutes pass`);
		},
	);

	test.each([
		["stable", "cooldown = 5", "cooldown = 5 (account wx1) is taken as 31"],
		["stable", "cooldown = 31", undefined],
		["stable", "", undefined],
		["classic", "cooldown = 5", undefined],
	])(
		"%s with %j: a warning if another value is used",
		async (wire, toml, says) => {
			const place = newDirectory();
			const config = join(place, "config.toml");
			writeFileSync(
				config,
				`directory = "${place}/tokens"\n[wechat]\ninterface = "${wire}"\n${toml}${account}`.replace(
					"SECRET",
					newSecret(),
				),
				{ mode: 0o600 },
			);
			const { code, stderr } = await checkHere(["--config", config]);
			expect(code).toBe(0);
			if (says === undefined) expect(stderr).toBe("");
			else expect(stderr).toContain(says);
		},
	);

	test("a secret that is not 32 hexadecimal digits is a warning, and not refused", async () => {
		const place = newDirectory();
		writeFileSync(join(place, "secret"), newSecret(), { mode: 0o600 });
		const config = join(place, "config.toml");
		writeFileSync(
			config,
			`directory = "${place}/tokens"\n[[account]]\nappid = "wx1"\nsecret_file = "${place}/secret"`,
		);
		const { code, stderr } = await checkHere(["--config", config]);
		expect(code).toBe(0);
		expect(stderr).toMatch(
			/warning: what stands in secret file \S+ does not look/,
		);
	});

	test("one run reports warnings and problems", async () => {
		const place = newDirectory();
		const config = join(place, "config.toml");
		writeFileSync(
			config,
			`directory = "tokens"
colour = "red"
[wechat]
base_urls = ["http://api.weixin.qq.com"]
timeout = "soon"
[[account]]
appid = "wx1"
secret = "${newSecret()}"
cooldown = -1
`,
		);
		chmodSync(config, 0o644);
		const { code, stderr } = await checkHere(["--config", config]);
		expect(code).toBe(78);
		expect(stderr).toMatch(/^wxtokend: 4 problems/);
		expect(stderr).toMatch(/warning: \S+ holds an AppSecret and is readable/);
		expect(stderr).toContain(
			"warning: base URL http://api.weixin.qq.com is not",
		);
	});

	test("a dangerous configuration works, with a warning for each danger", async () => {
		const place = newDirectory();
		writeFileSync(join(place, "secret"), hexSecret());
		chmodSync(join(place, "secret"), 0o644);
		const config = join(place, "config.toml");
		writeFileSync(
			config,
			`directory = "${place}/tokens"
mode = "0644"
schedule = "0 * * * *"
[wechat]
base_urls = ["http://api.weixin.qq.com", "http://127.0.0.1:8090"]
[[account]]
appid = "wx1"
secret_file = "${place}/secret"
[[account]]
appid = "wx2"
secret = "${newSecret()}"
`,
		);
		chmodSync(config, 0o644);
		const { code, stderr } = await checkHere(["--config", config]);
		expect(code).toBe(0);
		expect(stderr.trimEnd().split("\n")).toEqual([
			expect.stringContaining(`${place}/secret is readable by all`),
			expect.stringContaining(
				`${config} holds an AppSecret and is readable by all`,
			),
			expect.stringContaining("http://api.weixin.qq.com is not encrypted"),
			expect.stringContaining("lets up to 60 minutes pass between two looks"),
			expect.stringContaining("every user of this machine can read the tokens"),
		]);
	});
});

describe("what check finds by writing", () => {
	test.each([
		[
			"metrics_file in a directory that is not there",
			(place: string) => `metrics_file = "${place}/absent/a.prom"`,
			/could not create a file beside \S+a\.prom: no such file .*\(ENOENT\); .*another `metrics_file`$/,
		],
		[
			"a file in place of the directory",
			(place: string) => `directory = "${place}/config.toml"`,
			/could not use \S+config\.toml: it is not a directory; set `directory`/,
		],
	])("%s", async (_why, key, says) => {
		const place = newDirectory();
		const config = join(place, "config.toml");
		const others = key(place).startsWith("directory")
			? ""
			: `directory = "${place}/tokens"\n`;
		const toml = `${others}${key(place)}${account}`;
		writeFileSync(config, toml.replace("SECRET", newSecret()), { mode: 0o600 });
		const { code, stderr } = await checkHere(["--config", config]);
		expect(code).toBe(73);
		expect(stderr.trimEnd()).toMatch(says);
		expect(stderr).not.toContain("    at ");
	});

	test("check leaves no file beside metrics_file", async () => {
		const place = newDirectory();
		const config = join(place, "config.toml");
		const toml = `directory = "${place}/tokens"\nmetrics_file = "${place}/a.prom"${account}`;
		writeFileSync(config, toml.replace("SECRET", newSecret()), { mode: 0o600 });
		expect((await checkHere(["--config", config])).code).toBe(0);
		expect(readdirSync(place).sort()).toEqual(["config.toml", "tokens"]);
		expect(readdirSync(join(place, "tokens"))).toEqual([]);
	});
});

/** In the form of WeChat's. */
function hexSecret(): string {
	return noteSecret(randomBytes(16).toString("hex"));
}

function writeSecretFiles(place: string): void {
	writeFileSync(join(place, "in-quotes"), `"${newSecret()}"\n`);
	writeFileSync(join(place, "empty"), "");
	writeFileSync(join(place, "two-lines"), `${newSecret()}\n${newSecret()}\n`);
	writeFileSync(join(place, "long"), newSecret().padEnd(5_000, "x"));
}

/** The problems that a command reports before it ends with 78; it prints nothing else. */
async function problemsOf(
	args: readonly string[],
	options: SpawnOptions & { readonly isHere?: boolean } = { isHere: true },
): Promise<readonly (readonly [path: string, what: string])[]> {
	const [command, ...words] = args;
	const { code, stdout, stderr } =
		command === "check" && options.isHere
			? await checkHere(words, options.env)
			: await runProgram(args, options);
	const [headline = "", ...rest] = stderr.trimEnd().split("\n");
	const lines = rest.filter((line) => !line.startsWith("wxtokend: warning: "));
	expect(headline).toMatch(/^wxtokend: \d+ problems?( in .+)?:$/);
	expect(headline).toContain(
		lines.length === 1 ? " 1 problem" : ` ${lines.length} problems`,
	);
	expect(stderr).not.toMatch(/^\s+at /m);
	expect({ code, stdout }).toEqual({ code: 78, stdout: "" });
	return lines.map((line) => {
		const [, path = line, what = ""] = /^ {2}(.+?): (.*)$/.exec(line) ?? [];
		return [path, what];
	});
}

function parseTable(text: string): readonly BadConfig[] {
	const [, ...sections] = text.split(/^### /m);
	return sections.map((section) => {
		const [why = "", ...lines] = section.trimEnd().split("\n");
		const isProblem = (line: string) => line.startsWith("=> ");
		return {
			why,
			toml: `${lines.filter((line) => !isProblem(line)).join("\n")}\n`
				.replaceAll("<CR>", "\r")
				.replaceAll("<NUL>", "\0")
				.replaceAll("<SOH>", "\u0001"),
			problems: lines.filter(isProblem).map((line) => line.slice(3)),
		};
	});
}

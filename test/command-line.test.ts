import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseCommandLine } from "../src/cli/command-line.ts";
import { type CommandUsage, commands } from "../src/cli/usage.ts";
import { UsageError } from "../src/core/errors.ts";
import { wxtokendHere } from "./support/check-here.ts";
import { newDirectory } from "./support/directory.ts";
import { newToken } from "./support/issuer.ts";
import { newSecret } from "./support/leaks.ts";
import { type Finished, runProgram } from "./support/program.ts";

describe("a wrong command line ends with 64 and one line that says what to do", () => {
	test.each([
		["no-such-command", 'there is no command "no-such-command"'],
		["Run", 'there is no command "Run"'],
		["--verbose", 'there is no command "--verbose"'],
		["constructor", 'there is no command "constructor"'],
		["run --verbose", "there is no option --verbose"],
		["run -x", "there is no option -x"],
		["run extra", 'unexpected argument "extra"'],
		["run --config", "--config has no value; expected --config F"],
		["run --config=", "--config is empty; expected F"],
		["run --simulate=yes", "--simulate takes no value"],
		["once --online", "there is no option --online"],
		["get", "APPID is missing"],
		["get wx1 wx2", 'unexpected argument "wx2"'],
		[
			"get wx1 --wait soon",
			'--wait is "soon"; expected a number of at least 0',
		],
		["get wx1 --wait -1", "a dash is given as --wait=S"],
		["help no-such-command", 'there is no command "no-such-command"'],
		["get wx1 --wait=-1", '--wait is "-1"; expected a number'],
		["get wx1 --min-valid nan", '--min-valid is "nan"; expected a number'],
		["get wx1 --min-valid=", "--min-valid is empty; expected S"],
		["check everything", 'unexpected argument "everything"'],
		["status wx1", 'unexpected argument "wx1"'],
		["refresh --stale", "--stale has no value; expected --stale TOKEN"],
		["simulate --port many", '--port is "many"'],
	])("wxtokend %s", async (line, says) => {
		expectRefused(await wxtokend(line), says);
	});

	test.each([
		["no-such-command", 'there is no command "no-such-command"'],
		["refresh --stale -", "there is no token on stdin"],
	])("the process itself: wxtokend %s", async (line, says) => {
		expectRefused(await runProgram(line.split(" ")), says);
	});

	function expectRefused(
		{ code, stdout, stderr }: Finished,
		says: string,
	): void {
		expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
		expect(stderr).toMatch(
			/^wxtokend: .*; (see wxtokend \w+ --help|commands: .*|write the token .*)\n$/,
		);
		expect(stderr).toContain(says);
	}

	test("without a command all commands are listed", async () => {
		const { code, stdout, stderr } = await wxtokend("");
		expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
		for (const name of Object.keys(commands))
			expect(stderr).toContain(`  ${name} `);
	});
});

describe("an answer that cannot be written is a failure, but no bug", () => {
	const into = (target: string) => ["bash", "-c", `"$0" "$@" ${target}`];
	test.each(["--help", "--version", "get --help", "status --help", "help get"])(
		"wxtokend %s on a full disk ends with 73",
		async (line) => {
			const said = await runProgram(line.split(" "), {
				launcher: into(">/dev/full"),
			});
			expect(said).toMatchObject({ code: 73, stdout: "" });
			expect(said.stderr).toMatch(
				/^wxtokend: could not write the answer: no space left .*\(ENOSPC\); .*\n$/,
			);
		},
	);

	test("check reports a full disk after the probe, and get does not show the token on stderr", async () => {
		const place = newDirectory();
		const env = {
			WECHAT_APPID: "wx1",
			WECHAT_SECRET: newSecret(),
			WXTOKEND_DIRECTORY: place,
		};
		const token = { value: newToken(), expire: Date.now() / 1_000 + 100 };
		writeFileSync(join(place, "wx_access_token_wx1"), JSON.stringify(token));
		for (const line of ["check", "get wx1", "status --json"]) {
			const options = { env, launcher: into(">/dev/full") };
			const said = await runProgram(line.split(" "), options);
			expect(said.code, line).toBe(73);
			expect(said.stderr.match(/could not write/g)?.length).toBe(1);
			expect(said.stderr).not.toContain(token.value);
		}
	});

	test("a closed pipe or a full stderr is no failure", async () => {
		const pipe = `"$0" "$@" | true; exit "\${PIPESTATUS[0]}"`;
		const closed = { launcher: ["bash", "-c", pipe] };
		expect(await runProgram(["--help"], closed)).toMatchObject({
			code: 0,
			stderr: "",
		});
		const mute = await runProgram(["no-such-command"], {
			launcher: into("2>/dev/full"),
		});
		expect(mute.code).toBe(64);
	});
});

describe("help goes to stdout, so that it can be piped to a pager", () => {
	test.each(Object.values<CommandUsage>(commands))(
		"wxtokend $name --help shows usage, defaults, exit codes and an example",
		async ({ name, options, exitCodes, example }) => {
			const { code, stdout, stderr } = await wxtokend(`${name} --help`);
			expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
			expect(stdout).toMatch(new RegExp(`^Usage: wxtokend ${name} `));
			for (const { flag } of options) expect(stdout).toContain(`--${flag}`);
			for (const [exit] of exitCodes)
				expect(stdout).toMatch(new RegExp(`^ {2}${exit} `, "m"));
			expect(stdout).toContain(example);
		},
	);

	test("help works even if the rest of the line is wrong or missing", async () => {
		expect((await wxtokend("get --help")).code).toBe(0);
		expect((await wxtokend("run extra --help")).code).toBe(0);
	});

	test.each(["help get", "get -h", "-h", "help", "--help"])(
		"wxtokend %s shows help",
		async (line) => {
			const { code, stdout } = await wxtokend(line);
			expect(code).toBe(0);
			expect(stdout).toContain(
				line.includes("get") ? "Usage: wxtokend get APPID" : "Commands:",
			);
		},
	);

	test("the version is a number and nothing else", async () => {
		const { stdout } = await runProgram(["--version"]);
		expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
	});
});

describe("options", () => {
	const usage: CommandUsage = {
		...commands.get,
		options: [
			{ flag: "wait", value: "S", about: "" },
			{ flag: "account", value: "A", many: true, about: "" },
			{ flag: "quiet", about: "" },
		],
	};

	test("stand before or behind operands, with a blank or an equals sign", () => {
		const line = parseCommandLine(usage, ["--wait=1", "wx1", "--quiet"]);
		expect(line.operands).toEqual(["wx1"]);
		expect(line.number("wait")).toBe(1);
		expect(line.has("quiet")).toBe(true);
		expect(line.value("account")).toBeUndefined();
	});

	test("given twice: the last one counts, and an option that may be repeated has all values", () => {
		const argv = "wx1 --wait 1 --wait 2.5 --account a --account b".split(" ");
		const line = parseCommandLine(usage, argv);
		expect(line.number("wait")).toBe(2.5);
		expect(line.values("account")).toEqual(["a", "b"]);
	});

	test("two dashes end them, so that an operand may begin with a dash", () => {
		expect(parseCommandLine(usage, ["--", "-wx1"]).operands).toEqual(["-wx1"]);
	});

	test("an empty value is refused, because it comes from an unset variable", () => {
		expect(() => parseCommandLine(usage, ["wx1", "--wait", ""])).toThrow(
			"--wait is empty; expected S",
		);
	});

	test.each([" ", "1s", "-0.1", "Infinity", "1e999", "NaN", "--1"])(
		"%j is refused as a number of seconds",
		(text) => {
			const line = parseCommandLine(usage, ["wx1", `--wait=${text}`]);
			expect(() => line.number("wait")).toThrow(UsageError);
		},
	);

	test("a number must lie within its bounds", () => {
		const line = parseCommandLine(usage, ["wx1", "--wait=7"]);
		expect(line.number("wait", 7, 7)).toBe(7);
		expect(() => line.number("wait", 8)).toThrow("at least 8");
		expect(() => line.number("wait", 0, 6)).toThrow("from 0 to 6");
	});
});

function wxtokend(line: string): Promise<Finished> {
	return wxtokendHere(line.split(" ").filter((word) => word !== ""));
}

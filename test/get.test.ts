import { execFileSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	readFileSync,
	renameSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { emptyRecord, encodeRecord, recordPathOf } from "../src/core/record.ts";
import { tokenId } from "../src/core/token.ts";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { newToken } from "./support/issuer.ts";
import { noteToken } from "./support/leaks.ts";
import { runProgram, startProgram } from "./support/program.ts";
import { readTokenFile, writeTokenFile } from "./support/token-file.ts";

/** A configuration and a token file, as a daemon would leave them; no daemon. */
function place({
	livesFor = 3_600,
	more = "",
	name = "wx_access_token_wx1",
}: {
	readonly livesFor?: number;
	/** TOML, after the account. */
	readonly more?: string;
	readonly name?: string;
} = {}) {
	const directory = newDirectory();
	const file = join(directory, "config.toml");
	const account = '[[account]]\nappid = "wx1"\nsecret = "x"\n';
	writeFileSync(file, `directory = "${directory}"\n${account}${more}`);
	const value = noteToken(newToken());
	const token = join(directory, name);
	leaveToken(token, value, livesFor);
	return { directory, file, token, value, flags: ["--config", file] };
}

function leaveToken(path: string, value: string, livesFor: number): void {
	const expire = Math.floor(Date.now() / 1_000) + livesFor;
	writeTokenFile(path, { value, expire });
}

test("get prints the token and nothing else", async () => {
	const { flags, value } = place();
	expect(await runProgram(["get", "wx1", ...flags])).toMatchObject({
		code: 0,
		stdout: `${value}\n`,
		stderr: "",
	});
});

test("an stderr that cannot be written does not change the exit code", async () => {
	const { flags } = place();
	const full = ["sh", "-c", 'exec "$@" 2>/dev/full', "sh"];
	for (const [argv, code] of [
		[["wx1", "--min-valid", "999999", ...flags], 69],
		[["wx2", ...flags], 64],
		[["wx1", "--config", "/absent"], 78],
	] as const)
		expect(
			(await runProgram(["get", ...argv], { launcher: full })).code,
			argv.join(" "),
		).toBe(code);
});

test("get loads only four small files of ours: no validation, schedule or network", async () => {
	const { directory, flags } = place();
	const trace = join(directory, "trace");
	const said = await runProgram(["get", "wx1", ...flags], {
		launcher: ["strace", "-D", "-f", "-qq", "-e", "trace=openat", "-o", trace],
	});
	expect(said.code).toBe(0);
	const opened = readFileSync(trace, "utf8").matchAll(/"([^"]+\.c?js)"/g);
	const files = new Set([...opened].map(([, path = ""]) => basename(path)));
	expect([...files].sort()).toEqual([
		"errors.cjs",
		"get.cjs",
		"main.cjs",
		"wxtokend.cjs",
	]);
	const source = readFileSync("dist/get.cjs", "utf8");
	for (const name of ["node:crypto", "node:http", "child_process"])
		expect(source).not.toContain(`require("${name}")`);
});

test("get uses an account's own file name, even if other keys of the configuration are wrong", async () => {
	const { flags, value } = place({
		name: "my_token",
		more: 'file = "my_token"\n[wechat]\ntimeout = "soon"\n',
	});
	expect((await runProgram(["get", "wx1", ...flags])).stdout).toBe(
		`${value}\n`,
	);
});

test("without a configuration the file is found by the environment", async () => {
	const { directory, value } = place();
	const named = { WECHAT_APPID: "wx1", WECHAT_SECRET: "x" };
	for (const env of [{}, named]) {
		const said = await runProgram(["get", "wx1"], {
			env: { ...env, WXTOKEND_DIRECTORY: directory },
		});
		expect(said).toMatchObject({ code: 0, stdout: `${value}\n`, stderr: "" });
	}
});

test("a file that is missing, ended, too short-lived or not a token file: 69 and a sentence on stderr", async () => {
	const gone = place();
	writeFileSync(gone.token, "");
	const over = place({ livesFor: -1 });
	const short = place({ livesFor: 100 });
	for (const [{ flags }, args, words] of [
		[gone, [], "holds no token"],
		[over, [], "has ended"],
		[short, ["--min-valid", "200"], "s only"],
	] as const) {
		const said = await runProgram(["get", "wx1", ...args, ...flags]);
		expect(said).toMatchObject({ code: 69, stdout: "" });
		expect(said.stderr).toContain(words);
		expect(said.stderr).toContain("wxtokend status");
	}
	const long = await runProgram([
		...["get", "wx1", "--min-valid", "20", ...short.flags],
	]);
	expect(long.code).toBe(0);
});

test("get --wait waits for a token that lives long enough", async () => {
	const { directory, flags, token } = place({ livesFor: 5 });
	const trace = join(directory, "trace");
	const wishes = ["--wait", "30", "--min-valid", "60"];
	const get = startProgram(["get", "wx1", ...wishes, ...flags], {
		launcher: ["strace", "-D", "-qq", "-e", "trace=openat", "-o", trace],
	});
	const looks = () =>
		existsSync(trace) ? readFileSync(trace, "utf8").split(token).length - 1 : 0;
	// It has read the short-lived token more than once.
	await eventually(() => looks() > 1, { what: "two looks" });
	const value = noteToken(newToken());
	leaveToken(token, value, 3_600);
	expect(await get.exited).toEqual({ code: 0, signal: null });
	expect(get.stdout()).toBe(`${value}\n`);
	expect(get.stderr()).toBe("");
});

test("get --wait gives up with 75", async () => {
	const { flags } = place({ livesFor: -1 });
	const said = await runProgram(["get", "wx1", "--wait", "0.2", ...flags]);
	expect(said).toMatchObject({ code: 75, stdout: "" });
	expect(said.stderr).toContain("has ended");
});

test("wrong usage and wrong configurations are reported as by every command", async () => {
	const { directory, flags } = place();
	const broken = join(directory, "broken.toml");
	writeFileSync(broken, "directory = [");
	const folder = join(directory, "folder");
	mkdirSync(folder);
	const pipe = join(directory, "pipe");
	execFileSync("mkfifo", [pipe]);
	for (const [args, code, words] of [
		[["get", ...flags], 64, "APPID"],
		[["get", "wx9", ...flags], 64, "accounts: wx1"],
		[["get", "../wx1", ...flags], 64, "no account"],
		[["get", "wx1", "--wait", "soon", ...flags], 64, "--wait"],
		[["get", "wx1", "--config", `${broken}.not`], 78, "ENOENT"],
		[["get", "wx1", "--config", folder], 78, "EISDIR"],
		[["get", "wx1", "--config", pipe], 78, "it is a pipe"],
		[["get", "wx1", "--config", broken], 78, "line 1"],
		[["get", "wx1"], 78, "there is no configuration"],
	] as const) {
		const said = await runProgram(args);
		expect(said, args.join(" ")).toMatchObject({ code, stdout: "" });
		expect(said.stderr).toContain(words);
		expect(said.stderr).not.toContain("    at ");
	}
});

test("get and status report a pipe in place of the token file, and do not wait for it", async () => {
	const { flags, token } = place();
	unlinkSync(token);
	execFileSync("mkfifo", [token]);
	const said = await runProgram(["get", "wx1", ...flags]);
	expect(said).toMatchObject({ code: 69, stdout: "" });
	expect(said.stderr).toContain("it is a pipe");
	const status = await runProgram(["status", "--json", ...flags]);
	expect(JSON.parse(status.stdout).accounts).toMatchObject([
		{ state: "unusable", valid: false },
	]);
});

/** As a keeper records what it published. */
function recordToken(path: string, value: string, expire: number): void {
	const published = {
		id: tokenId(value),
		expiresAt: expire * 1_000,
		lifetimeMs: 7_200_000,
		fetchedAt: 1,
		reason: "due",
	};
	writeFileSync(
		recordPathOf(path),
		encodeRecord({ ...emptyRecord, generation: 1, published }),
	);
}

test("a token that is not the recorded one, or that shall live longer, is not given by get, and not called valid by status", async () => {
	const { flags, token, value } = place();
	const { expire } = readTokenFile(token);
	recordToken(token, value, expire);
	expect((await runProgram(["get", "wx1", ...flags])).code).toBe(0);
	for (const [altered, words] of [
		[{ value, expire: expire + 60 }, "its end is later than was recorded"],
		[
			{ value: noteToken(newToken()), expire },
			"it holds another token than was recorded",
		],
	] as const) {
		writeTokenFile(token, altered);
		const said = await runProgram(["get", "wx1", ...flags]);
		expect(said).toMatchObject({ code: 69, stdout: "" });
		expect(said.stderr).toContain(words);
		const waited = ["get", "wx1", "--wait", "0.2", ...flags];
		expect((await runProgram(waited)).code).toBe(75);
		const status = await runProgram(["status", ...flags]);
		expect(status.code).toBe(69);
		expect(status.stdout).toMatch(/^wx1 +unusable /m);
		expect(status.stdout).toContain(words);
	}
	// An earlier end does no harm.
	writeTokenFile(token, { value, expire: expire - 60 });
	expect((await runProgram(["get", "wx1", ...flags])).stdout).toBe(
		`${value}\n`,
	);
	expect((await runProgram(["status", ...flags])).code).toBe(0);
});

test("a token that no keeper has recorded is given as soon as a daemon keeps it", async () => {
	const { flags, token } = place({
		more: 'base_urls = ["http://127.0.0.1:9"]\n',
	});
	recordToken(token, "the-token-of-yesterday", 1_000);
	const daemon = startProgram(["run", ...flags]);
	await daemon.event("token.adopted");
	await daemon.event("control.opened");
	const said = await runProgram(["get", "wx1", ...flags]);
	expect(said).toMatchObject({ code: 0, stderr: "" });
	await daemon.stop();
	expect((await runProgram(["get", "wx1", ...flags])).code).toBe(69);
});

test("a ticket that is not the recorded one is not given either", async () => {
	const { flags, token, value } = place({
		more: 'tickets = ["jsapi"]\n',
		name: "wx_jsapi_ticket_wx1",
	});
	const { expire } = readTokenFile(token);
	recordToken(token, value, expire);
	const line = ["get", "wx_jsapi_ticket_wx1", ...flags];
	expect(await runProgram(line)).toMatchObject({
		code: 0,
		stdout: `${value}\n`,
	});
	writeTokenFile(token, { value: noteToken(newToken()), expire });
	const said = await runProgram(line);
	expect(said).toMatchObject({ code: 69, stdout: "" });
	expect(said.stderr).toContain("it holds another token than was recorded");
});

test("a link in the token file's place is not followed", async () => {
	const { directory, flags, token } = place();
	renameSync(token, join(directory, "elsewhere"));
	symlinkSync("elsewhere", token);
	const said = await runProgram(["get", "wx1", ...flags]);
	expect(said).toMatchObject({ code: 69, stdout: "" });
	expect(said.stderr).toContain("it is a symbolic link");
});

test("a closed pipe is no error", async () => {
	const { flags } = place();
	const line = `"$0" "$@" | true; exit "\${PIPESTATUS[0]}"`;
	const said = await runProgram(["get", "wx1", ...flags], {
		launcher: ["bash", "-c", line],
	});
	expect(said).toMatchObject({ code: 0, stderr: "" });
});

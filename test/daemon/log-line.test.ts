/** How lines of the log look: for systemd's journal, for a terminal, on request. */
import { expect, test } from "vitest";
import { textLine } from "../../src/daemon/log-line.ts";
import { writeConfig } from "../support/config-file.ts";
import { startIssuer } from "../support/issuer.ts";
import { runProgram, startProgram } from "../support/program.ts";

const line = JSON.stringify({
	level: "error",
	time: "2026-03-01T12:00:00.000Z",
	pid: 7,
	event: "fetch.failed",
	appid: "wx1",
	code: "errcode 40164",
	hint: "add the IP to the whitelist",
	attempts: 2,
	msg: "could not fetch a token for wx1:\n not in the whitelist",
});

test("in the journal, message and hint come first, then the event and its fields", () => {
	expect(textLine(line, "journal")).toBe(
		'could not fetch a token for wx1: not in the whitelist; add the IP to the whitelist  event=fetch.failed appid=wx1 code="errcode 40164" attempts=2\n',
	);
});

test("elsewhere the line begins with the time and the level", () => {
	expect(textLine(line, "other")).toMatch(
		/^2026-03-01T12:00:00\.000Z ERROR could not .* pid=7\n$/,
	);
	expect(textLine(line, "terminal")).toMatch(
		/^\d\d:\d\d:\d\d ERROR could not fetch/,
	);
});

/** As systemd starts a service: stderr is the journal's, and this variable says so. */
const underSystemd = [
	"sh",
	"-c",
	'JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2) exec "$@"',
	"sh",
];

test.each([
	["under systemd", undefined, underSystemd, /^<3>could not fetch a token/m],
	["under systemd", "json", underSystemd, /^<3>\{"level":"error"/m],
	["into a pipe", undefined, [], /^\{"level":"error"/m],
	["into a pipe", "text", [], /^\S+Z ERROR could not fetch a token/m],
])("%s with log_format %s", async (_where, format, launcher, looks) => {
	const issuer = await startIssuer({
		twist: (_request, response) =>
			response.end('{"errcode":40164,"errmsg":"invalid ip 192.0.2.1"}'),
	});
	const top = format === undefined ? {} : { log_format: format };
	const { file } = writeConfig({ ...issuer, top });
	const args = ["once", "--config", file];
	const { stderr, code } = await runProgram(args, { launcher });
	expect(code).toBe(69);
	expect(stderr).toMatch(looks);
});

test("a reload changes the format", async () => {
	const issuer = await startIssuer();
	const top = { log_format: "text" };
	const config = writeConfig({ ...issuer, top });
	const daemon = startProgram(["run", "--config", config.file]);
	await daemon.output(/ INFO {2}.* {2}event=daemon\.ready /);
	expect(daemon.events()).toEqual([]);
	const { readFileSync, writeFileSync } = await import("node:fs");
	const text = readFileSync(config.file, "utf8");
	writeFileSync(config.file, text.replace('"text"', '"json"'));
	daemon.kill("SIGHUP");
	await daemon.event("token.refreshed");
});

test("a format that there is not is refused", async () => {
	const issuer = await startIssuer();
	const { file } = writeConfig({ ...issuer, top: { log_format: "xml" } });
	const { code, stderr } = await runProgram(["check", "--config", file]);
	expect(code).toBe(78);
	expect(stderr).toContain('log_format: is "xml"; expected "json" or "text"');
});

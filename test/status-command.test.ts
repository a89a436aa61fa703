import { execFileSync, spawn } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { writeConfig } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import {
	programPath,
	runProgram,
	startDaemon,
	startProgram,
} from "./support/program.ts";
import { callSocket } from "./support/socket.ts";
import { startAll } from "./support/start-all.ts";
import { readTokenFile } from "./support/token-file.ts";
import { fetchesOf } from "./support/wechat.ts";

/** With the flags by which a command finds the configuration. */
async function startWithFlags(count = 1) {
	const all = await startAll({ count, wechat: { cooldown: 1 } });
	return { ...all, flags: ["--config", all.config.file] };
}

test("status --json prints what the socket answers", async () => {
	const { flags, socket } = await startWithFlags(2);
	const said = await runProgram(["status", "--json", ...flags]);
	expect(said).toMatchObject({ code: 0, stderr: "" });
	const [one, other] = [
		JSON.parse(said.stdout),
		{
			...(await callSocket(socket, "/v1/accounts")).json(),
			...(await callSocket(socket, "/v1/credentials")).json(),
		},
	].map((report) => JSON.stringify(withoutSeconds(report)));
	expect(one).toBe(other);
	expect(JSON.parse(said.stdout).accounts.length).toBe(2);
});

test("status and the lists of the socket tell of a wrong clock until WeChat's answers agree with it", async () => {
	const { wechat, flags, socket } = await startWithFlags();
	const clockSaid = async () =>
		(await callSocket(socket, "/v1/credentials")).json().clock;
	const setWeChatClock = async (clockOffsetSeconds: number) => {
		const body = JSON.stringify({ clockOffsetSeconds });
		const call = { method: "POST", body } as const;
		expect((await fetch(`${wechat.url}/sim/knobs`, call)).status).toBe(200);
	};
	expect(await clockSaid()).toBeNull();
	await setWeChatClock(-7_200);
	expect((await runProgram(["refresh", ...flags])).code).toBe(0);
	const said = await runProgram(["status", ...flags]);
	expect(said.code).toBe(0);
	expect(said.stdout).toMatch(
		/^the clock of this server is 7\d\d\d s ahead of WeChat's\n {2}hint: set the clock of this server/m,
	);
	expect(await clockSaid()).toMatchObject({
		aheadSeconds: expect.closeTo(7_200, -2),
		message: expect.stringContaining("ahead of WeChat's"),
		hint: expect.stringContaining("NTP"),
	});
	expect((await callSocket(socket, "/v1/accounts")).json().clock).toEqual(
		(await callSocket(socket, "/v1/credentials?days")).json().clock,
	);
	await setWeChatClock(0);
	expect((await runProgram(["refresh", ...flags])).code).toBe(0);
	expect(await clockSaid()).toBeNull();
});

test("status without a daemon reports the same from the files, and says so", async () => {
	const { config, daemon, flags } = await startWithFlags();
	const before = await runProgram(["status", "--json", ...flags]);
	await daemon.stop();
	const said = await runProgram(["status", "--json", ...flags]);
	expect(said.code).toBe(0);
	expect(said.stderr).toMatch(
		/no daemon answers at .*control\.sock: no such file .*\(ENOENT\).*from the files/s,
	);
	const report = JSON.parse(said.stdout);
	expect(report.source).toBe("files");
	expect(withoutSeconds(report).accounts).toEqual(
		withoutSeconds(JSON.parse(before.stdout)).accounts,
	);
	rmSync(config.tokenFile("wx1"));
	const missing = await runProgram(["status", ...flags]);
	expect(missing.code).toBe(69);
	expect(missing.stdout).toMatch(/^wx1 +missing +- /m);
});

test("status shows a failure with its hint, and ends with 75 as long as the token lives", async () => {
	const { wechat, flags } = await startWithFlags();
	await wechat.addFault({ mode: "errcode", errcode: 40164 });
	expect((await runProgram(["refresh", ...flags])).code).toBe(75);
	const said = await runProgram(["status", ...flags]);
	expect(said.code).toBe(75);
	expect(said.stdout).toMatch(/^wx1 +failing /m);
	expect(said.stdout).toMatch(/^ {2}failed once since \d\d:\d\d \(/m);
	expect(said.stdout).toMatch(/^ {2}apps will fail from .*\d\d:\d\d on$/m);
	expect(said.stdout).toContain("errcode 40164");
	expect(said.stdout).toMatch(/^ {2}hint: .*whitelist/m);
});

test("after a wrong secret is corrected and the daemon restarted, nothing fails any more", async () => {
	const { wechat, config, daemon, flags } = await startWithFlags();
	const good = readFileSync(config.file, "utf8");
	const { secret = "" } = config.accounts[0] ?? {};
	await daemon.stop();
	writeFileSync(config.file, good.replace(secret, secret.replace(/..$/, "zz")));
	const wrong = await startDaemon(config.file);
	expect((await runProgram(["refresh", ...flags])).code).toBe(75);
	expect((await runProgram(["status", ...flags])).code).toBe(75);
	await wrong.stop();
	writeFileSync(config.file, good);
	await startDaemon(config.file);
	const said = await runProgram(["status", ...flags]);
	expect(said.code).toBe(0);
	expect(said.stdout).not.toMatch(/fail|next try/);
	expect(fetchesOf(wechat, "wx1")).toBe(2);
});

test("bars and colours are only shown on a terminal, and no colours with NO_COLOR", async () => {
	const { config, flags } = await startWithFlags();
	const onTerminal = (env: Readonly<Record<string, string>>) =>
		execFileSync(
			"script",
			[
				...["-q", "-e", "-c"],
				[process.execPath, programPath, "status", ...flags].join(" "),
				"/dev/null",
			],
			{
				encoding: "utf8",
				env: { PATH: process.env.PATH, TERM: "xterm", ...env },
			},
		);
	const colored = onTerminal({});
	expect(colored).toMatch(/\[#{19,20}-?\]/);
	expect(colored).toContain("\u001b[32m");
	const plain = onTerminal({ NO_COLOR: "1" });
	expect(plain).toMatch(/\[#{19,20}-?\]/);
	expect(plain).not.toContain("\u001b");
	expect(onTerminal({ TERM: "dumb" })).not.toContain("\u001b");
	const piped = await runProgram(["status", "--config", config.file]);
	expect(piped.stdout).not.toContain("[");
});

test("status --watch prints line after line without a terminal, follows the daemon, and ends with Ctrl-C", async () => {
	const { daemon, flags } = await startWithFlags();
	const watch = startProgram(["status", "--watch", "--json", ...flags]);
	await watch.output(/(.*"source":"daemon".*\n){2}/);
	await daemon.stop();
	await watch.output(/"source":"files"/);
	await watch.output(/no daemon answers/);
	watch.kill("SIGINT");
	expect(await watch.exited).toEqual({ code: 0, signal: null });
	for (const line of watch.stdout().match(/.+/g) ?? [])
		expect(JSON.parse(line).accounts[0]).toMatchObject({ valid: true });
});

test("status --watch on a terminal redraws in place", async () => {
	const { flags } = await startWithFlags();
	const command = [
		"exec",
		process.execPath,
		programPath,
		"status",
		"--watch",
		...flags,
	];
	const child = spawn(
		"script",
		["-q", "-e", "-c", command.join(" "), "/dev/null"],
		{
			env: { PATH: process.env.PATH, TERM: "xterm" },
			stdio: ["pipe", "pipe", "inherit"],
		},
	);
	onTestFinished(() => void child.kill("SIGKILL"));
	let text = "";
	let typed = false;
	child.stdout.setEncoding("utf8");
	for await (const chunk of child.stdout) {
		text += chunk;
		if (typed || text.split("\u001b[H").length < 4) continue;
		typed = true;
		child.stdin.write("\u0003"); // Ctrl-C, as typed at the terminal.
	}
	const ended = await new Promise((resolve) =>
		child.exitCode === null
			? child.on("exit", resolve)
			: resolve(child.exitCode),
	);
	expect(ended).toBe(0);
	const pictures = text.split("\u001b[H").slice(1);
	expect(pictures.length).toBeGreaterThanOrEqual(3);
	for (const picture of pictures) {
		expect(picture).toMatch(/^APPID .*\n.*valid/s);
		expect(picture).toContain("\u001b[J");
	}
});

test("refresh waits, says what happened, and leaves a new token on disk", async () => {
	const { wechat, config, flags } = await startWithFlags(2);
	const before = readTokenFile(config.tokenFile("wx2"));
	const one = await runProgram(["refresh", "wx2", ...flags]);
	expect(one).toMatchObject({ code: 0, stderr: "" });
	expect(one.stdout).toMatch(/^wx2: refreshed; the new token lives until 20/);
	expect(readTokenFile(config.tokenFile("wx2")).value).not.toBe(before.value);
	expect([fetchesOf(wechat, "wx1"), fetchesOf(wechat, "wx2")]).toEqual([1, 2]);
	const all = await runProgram(["refresh", ...flags]);
	expect(all.stdout.match(/: refreshed/g)?.length).toBe(2);
	// The second one waited for the cooldown of the first.
	expect([fetchesOf(wechat, "wx1"), fetchesOf(wechat, "wx2")]).toEqual([2, 3]);
});

test("refresh --stale says whether the token was replaced already, or still lives", async () => {
	const { wechat, config, flags, socket } = await startWithFlags();
	const { value } = readTokenFile(config.tokenFile("wx1"));
	const old = ["refresh", "wx1", "--stale", "70_of_yesterday", ...flags];
	expect(await runProgram(old)).toMatchObject({
		code: 0,
		stdout: expect.stringMatching(/^wx1: already fresh/),
	});
	// On stdin, where no other user sees it.
	const said = execFileSync(
		process.execPath,
		[programPath, "refresh", "wx1", "--stale", "-", ...flags],
		{ input: "70_of_the_day_before\n", encoding: "utf8" },
	);
	expect(said).toMatch(/^wx1: already fresh/);
	// With the end of the line it is the same token, on the command line and in a report.
	expect(
		await runProgram(["refresh", "--stale", `${value}\n`, ...flags]),
	).toMatchObject({ stdout: expect.stringMatching(/^wx1: alive: /) });
	const reported = await callSocket(socket, "/v1/accounts/wx1/refresh", {
		method: "POST",
		body: JSON.stringify({ stale: `${value}\n` }),
	});
	expect(reported.json().outcome).toBe("alive");
	expect(
		await runProgram(["refresh", "--stale", value, ...flags]),
	).toMatchObject({
		code: 0,
		stdout: expect.stringMatching(/^wx1: alive: /),
	});
	expect(fetchesOf(wechat, "wx1")).toBe(1);
	wechat.platform.kill("wx1", wechat.now());
	// The result of the last probe is used until the cooldown is over.
	await eventually(
		async () => {
			const dead = await runProgram(["refresh", "--stale", value, ...flags]);
			return dead.stdout.startsWith("wx1: refreshed");
		},
		{ what: "a refresh of the dead token" },
	);
	expect(fetchesOf(wechat, "wx1")).toBe(2);
});

test("a refresh that fails prints message and hint on stderr, and ends with 75 while the token lives, else with 69", async () => {
	const { wechat, flags, config } = await startWithFlags();
	await wechat.addFault({ mode: "errcode", errcode: 40164 });
	const failed = await runProgram(["refresh", "wx1", ...flags]);
	expect(failed).toMatchObject({ code: 75, stdout: "" });
	expect(failed.stderr).toMatch(
		/could not fetch a token for wx1: .*40164.*; add the IP/,
	);
	const none = writeConfig({
		url: wechat.url,
		accounts: [{ appid: "wx9", secret: "unknown-to-the-platform" }],
	});
	await startDaemon(none.file);
	const lost = await runProgram(["refresh", "--config", none.file]);
	expect(lost.code).toBe(69);
	expect(readFileSync(config.tokenFile("wx1"), "utf8")).toContain("value");
});

test("without a daemon refresh says how to start it, and its code shows whether apps have a valid token", async () => {
	const { daemon, config, flags } = await startWithFlags();
	await daemon.stop();
	const said = await runProgram(["refresh", ...flags]);
	expect(said).toMatchObject({ code: 75, stdout: "" });
	expect(said.stderr).toMatch(/no daemon answers.*systemctl start wxtokend/);
	rmSync(config.tokenFile("wx1"));
	expect((await runProgram(["refresh", ...flags])).code).toBe(69);
});

test("while the configuration on disk is broken, commands still find the daemon, and say that it is broken", async () => {
	const { wechat, config, flags } = await startWithFlags();
	const good = readFileSync(config.file, "utf8");
	writeFileSync(config.file, `${good}\ncolour = "red"\n`);
	const seen = await runProgram(["status", "--json", ...flags]);
	expect(seen.code).toBe(0);
	expect(seen.stderr).toMatch(/colour: is not a key .*from the daemon/);
	expect(JSON.parse(seen.stdout).source).toBe("daemon");
	const one = await runProgram(["refresh", "wx1", ...flags]);
	expect(one.stdout).toMatch(/^wx1: refreshed/);
	const all = await runProgram(["refresh", "--reload", ...flags]);
	expect(all).toMatchObject({ code: 78, stdout: "" });
	expect(all.stderr).toMatch(/the old configuration stays: .*colour/);
	expect(fetchesOf(wechat, "wx1")).toBe(3);

	// A file that is not TOML still names its directory.
	writeFileSync(config.file, `${good}\ncolour = [`);
	const found = await runProgram(["status", "--json", ...flags]);
	expect(found.code).toBe(0);
	expect(found.stderr).toMatch(/is not TOML.*from the daemon/);
	expect((await runProgram(["get", "wx1", ...flags])).code).toBe(0);

	// If not even the directory can be read from it, the usual paths are tried.
	writeFileSync(config.file, `${good.replace("directory", "directory =")}\n`);
	const env = { WXTOKEND_DIRECTORY: config.directory };
	const { value } = readTokenFile(config.tokenFile("wx1"));
	const got = await runProgram(["get", "wx1", ...flags], { env });
	expect(got).toMatchObject({ code: 0, stdout: `${value}\n` });
	expect(got.stderr).toMatch(/^wxtokend: warning: .*is not TOML/);
	expect((await runProgram(["status", ...flags], { env })).code).toBe(0);
	const reloaded = await runProgram(["refresh", "--reload", ...flags], { env });
	expect(reloaded.stderr).toMatch(/the old configuration stays: .*is not TOML/);
	for (const command of ["status", "refresh"]) {
		const lost = await runProgram([command, ...flags]);
		expect(lost).toMatchObject({ code: 78, stdout: "" });
		expect(lost.stderr).toMatch(/no daemon answers.*is not TOML/s);
		if (command === "status") {
			expect(lost.stderr).toMatch(/only the usual place/);
			expect(lost.stderr).not.toMatch(/start it/);
		}
	}
});

test("a report without a token is wrong usage, and does not force a refresh", async () => {
	const { wechat, flags } = await startWithFlags();
	const before = fetchesOf(wechat, "wx1");
	const said = await runProgram(["refresh", "--stale", "-", ...flags]);
	expect(said).toMatchObject({ code: 64, stdout: "" });
	expect(said.stderr).toContain("no token on stdin");
	expect(fetchesOf(wechat, "wx1")).toBe(before);
});

test.for([
	[["refresh", "../etc/passwd"], "is neither an appid nor"],
	[["refresh", "wx7"], 'no account with this appid: "wx7"'],
	[["refresh", "--stale", "70_a"], "one account"],
	[["refresh", "--now"], "--now"],
	[["status", "wx1"], "unexpected argument"],
] as const)(
	"wxtokend %s is wrong usage: 64 and a sentence",
	async ([args, words]) => {
		const { flags } = await startWithFlags(2);
		const said = await runProgram([...args, ...flags]);
		expect(said.code).toBe(64);
		expect(said.stdout).toBe("");
		expect(said.stderr).toContain(words);
		expect(said.stderr).not.toContain("    at ");
	},
);

/** The seconds may differ between two reports. */
function withoutSeconds(report: Record<string, unknown>) {
	const cut = (list: unknown) =>
		(list as readonly object[]).map((one) => ({ ...one, secondsLeft: 0 }));
	return {
		...report,
		accounts: cut(report.accounts),
		credentials: cut(report.credentials),
	};
}

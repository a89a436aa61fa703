/** Alerts of the built daemon, and the test message of `check --alert`. */
import {
	appendFileSync,
	readFileSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { exitCode } from "../src/core/errors.ts";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { newSecret, noteSecret } from "./support/leaks.ts";
import { runProgram, startDaemon } from "./support/program.ts";
import { type FakeRobot, startRobot } from "./support/robot.ts";
import { startWeChat } from "./support/wechat.ts";

/** Adds `[alert]` with the robot's address in a file. */
function addRobot(config: string, { url }: FakeRobot, more: string): void {
	const file = join(dirname(config), "alert.url");
	writeFileSync(file, `${url}\n`, { mode: 0o600 });
	appendFileSync(config, `\n[alert]\nurl_file = "${file}"\n${more}\n`);
}

test("an IP that is not in the whitelist is told once, also over a restart, and so is its end", async () => {
	const accounts = newAccounts(2);
	const wechat = await startWeChat({
		accounts: accounts.map((one) => ({ ...one, whitelist: ["203.0.113.7"] })),
		knobs: { whitelistDelaySeconds: 0 },
	});
	const robot = await startRobot();
	const config = writeConfig({ url: wechat.url, accounts });
	addRobot(config.file, robot, 'format = "wecom"');
	const first = await startDaemon(config.file);
	await first.event("alert.sent");
	expect(robot.taken).toEqual([
		expect.stringMatching(
			/^wxtokend @ \S+：2 个凭据出了问题\n● wx_access_token_wx[12]、wx_access_token_wx[12]：本服务器的 IP 不在 IP 白名单里（errcode 40164）\n {2}从 \d\d:\d\d 起失败，应用从 \d\d:\d\d 起报错（其中最早的）\n {2}处理：把 127\.0\.0\.1 加进后台/,
		),
	]);
	expect((await first.stop()).code).toBe(0);

	const second = await startDaemon(config.file);
	await second.event("fetch.failed");
	expect((await second.stop()).code).toBe(0);
	expect(robot.taken).toHaveLength(1);

	for (const { appid } of accounts)
		await fetch(`${wechat.url}/sim/accounts`, {
			method: "POST",
			body: JSON.stringify({ appid, whitelist: null }),
		});
	const third = await startDaemon(config.file);
	await third.event("alert.sent", ({ over }) => over === 2);
	expect(robot.taken.slice(1)).toEqual([
		expect.stringMatching(
			/^wxtokend @ \S+：2 个已恢复\n○ wx_access_token_wx[12]、wx_access_token_wx[12]：已恢复；/,
		),
	]);
});

test("a robot that never answers holds up neither a refresh nor the end", async () => {
	const accounts = newAccounts(2);
	const [frozen, good] = accounts;
	const wechat = await startWeChat({
		accounts: accounts.map((one) => ({
			...one,
			...(one === frozen ? { whitelist: ["203.0.113.7"] } : {}),
		})),
	});
	const robot = await startRobot();
	robot.twist(() => true);
	const config = writeConfig({ url: wechat.url, accounts });
	addRobot(config.file, robot, 'language = "en"\nformat = "wecom"');
	const daemon = await startDaemon(config.file);
	await robot.arrived(1);
	daemon.kill("SIGHUP");
	await daemon.event(
		"token.refreshed",
		({ appid, reason }) => appid === good?.appid && reason === "forced",
	);
	const { code, stderr } = await daemon.stop();
	expect(code).toBe(0);
	expect(stderr).not.toContain("alert.");
});

test("a reload moves the alerts to another robot, and a wrong address stays out of the log", async () => {
	const accounts = newAccounts(1);
	const wechat = await startWeChat({
		accounts: accounts.map((one) => ({ ...one, whitelist: ["203.0.113.7"] })),
	});
	const robot = await startRobot();
	const config = writeConfig({ url: wechat.url, accounts });
	const before = readFileSync(config.file, "utf8");
	const gone = new URL(robot.url);
	gone.searchParams.set("key", noteSecret("0123456789abcdef0123-gone"));
	addRobot(config.file, { ...robot, url: gone.href }, 'format = "wecom"');
	const daemon = await startDaemon(config.file);
	await daemon.event("alert.unsent", ({ code }) => code === "errcode 93000");
	writeFileSync(config.file, before);
	addRobot(config.file, robot, 'format = "wecom"');
	daemon.kill("SIGHUP");
	await daemon.event("alert.sent");
	expect(robot.taken).toHaveLength(1);
});

test("check --alert sends a test message, or says why it does not arrive", async () => {
	const robot = await startRobot({ format: "feishu", secret: newSecret() });
	const config = writeConfig({ url: "http://127.0.0.1:9" });
	const check = () => runProgram(["check", "--alert", "--config", config.file]);
	const missing = await check();
	expect(missing.code).toBe(exitCode.configuration);
	expect(missing.stderr).toContain(
		"alert: is missing; expected a table [alert]",
	);

	const signed = `format = "feishu"\nsecret = "${robot.secret}"`;
	addRobot(config.file, robot, signed);
	const sent = await check();
	expect(sent).toMatchObject({ code: 0 });
	expect(sent.stdout).toMatch(/^alert: the robot took a test message$/m);
	expect(robot.taken).toEqual([
		expect.stringMatching(/^wxtokend @ \S+：测试消息\n告警会发到这里/),
	]);

	robot.twist((_nth, response) => {
		response.end('{"code":19021,"msg":"sign match fail"}');
		return true;
	});
	const refused = await check();
	expect(refused.code).toBe(exitCode.noToken);
	expect(refused.stdout).toMatch(
		/^alert: could not send a test message to the robot: the signature is wrong \(19021\); copy the secret again/m,
	);
});

test("the address and the secret come from systemd's credentials", async () => {
	const robot = await startRobot({ format: "dingtalk", secret: newSecret() });
	const config = writeConfig({ url: "http://127.0.0.1:9" });
	appendFileSync(config.file, '\n[alert]\nformat = "dingtalk"\n');
	const credentials = newDirectory();
	writeFileSync(join(credentials, "secret_alert.url"), `${robot.url}\n`);
	writeFileSync(join(credentials, "alert.secret"), `${robot.secret}\n`);
	const { code, stdout } = await runProgram(
		["check", "--alert", "--config", config.file],
		{ env: { CREDENTIALS_DIRECTORY: credentials } },
	);
	expect(stdout).toContain("alert: the robot took a test message");
	expect(code).toBe(0);
});

test("once tells what its pass has found, but nothing twice", async () => {
	const accounts = newAccounts(2);
	const [barred, good] = accounts;
	const wechat = await startWeChat({
		accounts: accounts.map((one) => ({
			...one,
			...(one === barred ? { whitelist: ["203.0.113.7"] } : {}),
		})),
		knobs: { whitelistDelaySeconds: 0 },
	});
	const robot = await startRobot();
	const config = writeConfig({ url: wechat.url, accounts });
	addRobot(config.file, robot, 'format = "wecom"');
	const pass = (...names: readonly string[]) =>
		runProgram(["once", ...names, "--config", config.file]);
	const lastMessage = (secondsAgo: number) => {
		const then = Date.now() / 1_000 - secondsAgo;
		utimesSync(join(config.directory, ".alerts"), then, then);
	};

	expect(await pass()).toMatchObject({ code: exitCode.noToken });
	expect(robot.taken).toEqual([
		expect.stringMatching(
			/^wxtokend @ \S+：1 个凭据出了问题\n● wx_access_token_\S+：本服务器的 IP 不在 IP 白名单里/,
		),
	]);
	lastMessage(60);
	await pass();
	await pass(good?.appid ?? "");
	expect(robot.taken).toHaveLength(1);

	lastMessage(5);
	await fetch(`${wechat.url}/sim/accounts`, {
		method: "POST",
		body: JSON.stringify({ appid: barred?.appid, whitelist: null }),
	});
	expect(await pass(barred?.appid ?? "")).toMatchObject({ code: 0 });
	// At most one message in a minute: this one waits for the next pass.
	expect(robot.taken).toHaveLength(1);
	lastMessage(60);
	await pass();
	expect(robot.taken.slice(1)).toEqual([
		expect.stringMatching(/^wxtokend @ \S+：1 个已恢复\n○ wx_access_token_/),
	]);
	lastMessage(60);
	await pass();
	expect(robot.taken).toHaveLength(2);
});

test("beside a daemon once tells nothing: the daemon does", async () => {
	const accounts = newAccounts(1);
	const wechat = await startWeChat({
		accounts: accounts.map((one) => ({ ...one, whitelist: ["203.0.113.7"] })),
	});
	const robot = await startRobot();
	const config = writeConfig({ url: wechat.url, accounts });
	const daemon = await startDaemon(config.file);
	await daemon.event("fetch.failed");
	const { directory } = config;
	const other = writeConfig({ url: wechat.url, accounts, directory });
	addRobot(other.file, robot, 'format = "wecom"');
	const pass = () => runProgram(["once", "--config", other.file]);
	await pass();
	expect(robot.bodies).toEqual([]);
	await daemon.stop();
	await pass();
	expect(robot.taken).toHaveLength(1);
});

test("a robot that refuses changes nothing about a pass, and gets it at the next one", async () => {
	const accounts = newAccounts(1);
	const wechat = await startWeChat({
		accounts: accounts.map((one) => ({ ...one, whitelist: ["203.0.113.7"] })),
	});
	const robot = await startRobot();
	robot.twist((_nth, response) => {
		response.end('{"errcode":93000,"errmsg":"invalid webhook url"}');
		return true;
	});
	const config = writeConfig({ url: wechat.url, accounts });
	addRobot(config.file, robot, 'format = "wecom"');
	const pass = () => runProgram(["once", "--config", config.file]);
	const refused = await pass();
	expect(refused.code).toBe(exitCode.noToken);
	expect(refused.stderr).toContain("could not send the alert to the robot");
	robot.twist(undefined);
	const then = Date.now() / 1_000 - 60;
	utimesSync(join(config.directory, ".alerts"), then, then);
	await pass();
	expect(robot.taken).toHaveLength(1);
});

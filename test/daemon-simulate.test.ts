import { readdirSync, rmSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { noteToken } from "./support/leaks.ts";
import { runProgram, startDaemon, startProgram } from "./support/program.ts";
import {
	hasFile,
	readTokenFile,
	tokenOtherThan,
} from "./support/token-file.ts";
import { fetchesOf, startWeChat } from "./support/wechat.ts";

describe("run --simulate", () => {
	test("needs no configuration: it makes up an account, and removes its files at the end", async () => {
		const temporary = newDirectory();
		const daemon = startProgram(["run", "--simulate"], {
			env: { TMPDIR: temporary },
		});
		const [, url, directory] = await daemon.output(
			/simulating WeChat at (http:\S+); tokens in (\S+)\n/,
		);
		const started = await daemon.event("daemon.started");
		expect(started.config).toMatch(/^none/);
		await daemon.event("daemon.ready");
		const path = `${directory}/wx_access_token_wx0123456789abcdef`;
		const { value } = readTokenFile(path);
		expect(await use(url, noteToken(value))).toBe(0);
		const ticket = `${directory}/wx_jsapi_ticket_wx0123456789abcdef`;
		await eventually(() => hasFile(ticket), { what: "a ticket beside it" });
		noteToken(readTokenFile(ticket).value);
		daemon.kill("SIGHUP");
		const renewed = await tokenOtherThan(value, path);
		expect(await use(url, noteToken(renewed.value))).toBe(0);
		expect(await use(url, value), "the old one lives on").toBe(0);
		expect((await daemon.stop()).code).toBe(0);
		expect(readdirSync(temporary)).toEqual([]);
	});

	test("knows the accounts of a configuration, never calls WeChat, and publishes files as a real daemon does", async () => {
		const config = writeConfig({
			url: "https://192.0.2.1",
			accounts: newAccounts(2),
		});
		const args = ["run", "--simulate", "--config", config.file];
		const daemon = startProgram(args);
		await daemon.event("daemon.ready");
		for (const { appid } of config.accounts)
			noteToken(readTokenFile(config.tokenFile(appid)).value);
		expect((await daemon.stop()).code).toBe(0);
		for (const { appid } of config.accounts)
			expect(hasFile(config.tokenFile(appid))).toBe(true);
		expect(readdirSync(config.directory)).toContain(".simulated");
	});

	test("refuses the directory of a real server: one with live tokens, or with a daemon that answers", async () => {
		const accounts = newAccounts(1);
		const wechat = await startWeChat({ accounts });
		// It ticks only at New Year, so the file stays as the test leaves it.
		const top = { schedule: "0 0 0 1 1 *" };
		const config = writeConfig({ url: wechat.url, accounts, top });
		const args = ["run", "--simulate", "--config", config.file];
		const real = await startDaemon(config.file);
		const token = readTokenFile(config.tokenFile("wx1"));
		const refused = await runProgram(args);
		expect(refused.code).toBe(78);
		expect(refused.stderr).toMatch(
			/directory: is \S+, where a live token of wx1 lies; expected another one/,
		);
		expect(readTokenFile(config.tokenFile("wx1"))).toEqual(token);
		rmSync(config.tokenFile("wx1"));
		const again = await runProgram(args);
		expect(again.code).toBe(78);
		expect(again.stderr).toContain("where a daemon answers");
		expect(readdirSync(config.directory)).not.toContain(".simulated");
		await real.stop();
		const daemon = startProgram(args);
		await daemon.event("daemon.ready");
		noteToken(readTokenFile(config.tokenFile("wx1")).value);
	});

	test.each([
		["run", /"event":"simulation.removed"/],
		["once", /removed the tokens of a simulation/],
		["check --online", /removed the tokens of a simulation/],
	])(
		"%s does not take the tokens of a killed simulation for WeChat's, and says so",
		async (command, says) => {
			const accounts = newAccounts(1);
			const wechat = await startWeChat({ accounts });
			const config = writeConfig({ url: wechat.url, accounts });
			const flags = ["--config", config.file];
			const daemon = startProgram(["run", "--simulate", ...flags]);
			await daemon.event("daemon.ready");
			const path = config.tokenFile("wx1");
			const { value } = readTokenFile(path);
			noteToken(value);
			const beside = await runProgram(["once", ...flags]);
			expect(beside.code).toBe(78);
			expect(beside.stderr).toContain("where a simulation runs");
			daemon.kill("SIGKILL");
			await daemon.exited;
			expect(readTokenFile(path).value).toBe(value);

			const real = startProgram([...command.split(" "), ...flags]);
			const renewed = await tokenOtherThan(value, path);
			noteToken(renewed.value);
			expect(fetchesOf(wechat, "wx1")).toBe(1);
			await real.output(says);
			expect(real.stderr().match(new RegExp(says, "g"))?.length).toBe(1);
			expect(readdirSync(config.directory)).not.toContain(".simulated");
		},
	);

	test("a new simulation starts over in the directory of a killed one", async () => {
		const config = writeConfig({ url: "https://192.0.2.1" });
		const args = ["run", "--simulate", "--config", config.file];
		const killed = startProgram(args);
		await killed.event("daemon.ready");
		const { value } = readTokenFile(config.tokenFile("wx1"));
		noteToken(value);
		killed.kill("SIGKILL");
		await killed.exited;
		const next = startProgram(args);
		await next.event("daemon.ready");
		const renewed = readTokenFile(config.tokenFile("wx1"));
		expect(noteToken(renewed.value)).not.toBe(value);
	});
});

/** The errcode of a business API. */
async function use(url: string | undefined, token: string): Promise<number> {
	const answer = await fetch(`${url}/sim/use?access_token=${token}`);
	const { errcode } = (await answer.json()) as { errcode: number };
	return errcode;
}

import { existsSync, readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { noteToken } from "./support/leaks.ts";
import { startProgram } from "./support/program.ts";
import { readTokenFile, tokenOtherThan } from "./support/token-file.ts";

describe("run --simulate", () => {
	test("needs nothing at all: it makes up an account, and tidies up behind itself", async () => {
		const temporary = newDirectory();
		const daemon = startProgram(["run", "--simulate"], {
			env: { TMPDIR: temporary },
		});
		const [, url, directory] = await daemon.output(
			/simulating WeChat at (http:\S+); tokens in (\S+)\n/,
		);
		await daemon.event("daemon.ready");
		const path = `${directory}/wx_access_token_wx0123456789abcdef`;
		const { value } = readTokenFile(path);
		expect(await use(url, noteToken(value))).toBe(0);
		daemon.kill("SIGHUP");
		const renewed = await tokenOtherThan(value, path);
		expect(await use(url, noteToken(renewed.value))).toBe(0);
		expect(await use(url, value), "the old one lives on").toBe(0);
		expect((await daemon.stop()).code).toBe(0);
		expect(readdirSync(temporary)).toEqual([]);
	});

	test("knows the accounts of a configuration, calls nobody else, and leaves its directory", async () => {
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
		expect(existsSync(config.tokenFile("wx2"))).toBe(true);
	});
});

/** The errcode of a business API. */
async function use(url: string | undefined, token: string): Promise<number> {
	const answer = await fetch(`${url}/sim/use?access_token=${token}`);
	const { errcode } = (await answer.json()) as { errcode: number };
	return errcode;
}

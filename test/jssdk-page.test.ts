/** The example page in a real browser: it calls wx.config, and the simulator judges as a phone does. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { chromiumPath, startBrowser } from "./support/browser.ts";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { projectRoot, startDaemon } from "./support/program.ts";
import { callSocket, socketIn } from "./support/socket.ts";
import { startWeChat } from "./support/wechat.ts";

/** WeChat, the daemon with a ticket, and the example's server. */
async function startSite() {
	const accounts = newAccounts(1);
	const wechat = await startWeChat({
		accounts,
		knobs: { formerTicketSeconds: 0 },
	});
	const config = writeConfig({
		url: wechat.url,
		accounts: accounts.map((one) => ({ ...one, tickets: ["jsapi"] })),
		top: { schedule: "0 0 0 1 1 *" },
	});
	await startDaemon(config.file);
	const { PATH, HOME } = process.env;
	const server = spawn(
		process.execPath,
		[join(projectRoot, "examples/jssdk-page/server.mjs")],
		{
			env: {
				...{ PATH, HOME, PORT: "0", WECHAT_APPID: "wx1" },
				...{ WXTOKEND_DIRECTORY: config.directory },
				WECHAT_SIMULATOR: wechat.url,
			},
			stdio: ["ignore", "pipe", "pipe"],
		},
	);
	onTestFinished(() => void server.kill("SIGKILL"));
	const lines = createInterface({ input: server.stdout });
	const [url] = await once(lines, "line");
	return { wechat, config, url: String(url) };
}

/** What pages say in the end; in one browser for all. */
async function startPhone(): Promise<(url: string) => Promise<string>> {
	const browser = await startBrowser();
	onTestFinished(() => browser.close());
	const page = await browser.newPage();
	return async (url) => {
		await page.goto("about:blank");
		await page.goto(url);
		const state = page.locator("#state", { hasText: /^config:/ });
		return (await state.textContent()) ?? "";
	};
}

test("a browser is let in by wx.config at any address, not with a dead ticket, and again after the next fetch", async (context) => {
	context.skip(
		chromiumPath === undefined && process.env.CI === undefined,
		"needs chromium",
	);
	const { wechat, config, url } = await startSite();
	const stateAt = await startPhone();
	const addresses = [
		url,
		`${url}shop?id=7&q=%E5%BA%97#/top`,
		`${url}店/茶?名=绿茶&b=a b#x#y`,
	];
	for (const address of addresses)
		expect(await stateAt(address), address).toBe("config:ok");

	wechat.platform.putTicket("wx1", "jsapi", "t".repeat(86), wechat.now());
	expect(await stateAt(url)).toBe(
		"config:fail, invalid signature (dead-ticket)",
	);
	const refreshed = await callSocket(
		socketIn(config.directory),
		"/v1/credentials/wx_jsapi_ticket_wx1/refresh",
		{ method: "POST" },
	);
	expect(refreshed.status).toBe(200);
	expect(await stateAt(url)).toBe("config:ok");
});

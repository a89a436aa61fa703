/** The status page in a real browser: for everybody, with every means. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import {
	afterAll,
	beforeAll,
	describe,
	expect,
	onTestFinished,
	test,
} from "vitest";
import { chromiumPath, startBrowser } from "./support/browser.ts";
import { newDirectory } from "./support/directory.ts";
import { dayAccounts, unlisted, writeDay } from "./support/eventful-day.ts";
import { callHttp, httpOf } from "./support/http.ts";
import { type Shared, share } from "./support/lifetime.ts";
import { startDaemon } from "./support/program.ts";
import { refreshOver, socketIn } from "./support/socket.ts";
import { startAll } from "./support/start-all.ts";
import { startWeChat } from "./support/wechat.ts";

test.runIf(process.env.CI !== undefined)(
	"CI has a chromium, so that nothing here is left out",
	() => {
		expect(chromiumPath).toBeDefined();
	},
);

const axe = readFileSync(
	createRequire(import.meta.url).resolve("axe-core/axe.min.js"),
	"utf8",
);

/** What axe-core finds. Its script comes by the debugger, which no policy stops. */
async function violationsIn(page: Page): Promise<readonly string[]> {
	await page.evaluate(axe);
	return page.evaluate(async () => {
		// biome-ignore lint/suspicious/noExplicitAny: it is a global of the page.
		const { violations } = await (globalThis as any).axe.run();
		return violations.map(
			// biome-ignore lint/suspicious/noExplicitAny: as axe-core gives it.
			({ id, nodes }: any) => `${id}: ${nodes.map((one: any) => one.html)}`,
		);
	});
}

/** A daemon in the middle of an eventful day. */
async function startDay() {
	const wechat = await startWeChat({ accounts: dayAccounts });
	const http = { listen: "127.0.0.1:0" };
	const place = newDirectory();
	const config = await writeDay(place, wechat.url, http, Date.now());
	await wechat.addFault({ mode: "errcode", errcode: 40164, appid: unlisted });
	const daemon = await startDaemon(config);
	return { url: await httpOf(daemon), socket: socketIn(`${place}/tokens`) };
}

/** `problems`: what the page's console says, such as breaches of its policy. */
async function openPage(
	browser: Browser,
	url: string,
	options: BrowserContextOptions = {},
) {
	const page = await browser.newPage(options);
	onTestFinished(() => page.close());
	const problems: string[] = [];
	page.on("console", (message) => problems.push(message.text()));
	page.on("pageerror", (error) => problems.push(String(error)));
	await page.goto(url);
	return { page, problems };
}

describe.skipIf(chromiumPath === undefined)("with chromium", () => {
	let browser: Browser;
	let day: Shared<Awaited<ReturnType<typeof startDay>>>;

	beforeAll(async () => {
		browser = await startBrowser();
		day = await share(startDay);
	});

	afterAll(async () => {
		await browser?.close();
		await day?.end();
	});

	test("axe-core finds nothing in either language, light and dark, on a phone and on a wide screen, and nothing needs scrolling to the side", async () => {
		const { url } = day.shared;
		const { page, problems } = await openPage(browser, url);
		for (const lang of ["en", "zh"])
			for (const colorScheme of ["light", "dark"] as const)
				for (const width of [360, 1024, 1920]) {
					await page.setViewportSize({ width, height: 800 });
					await page.emulateMedia({ colorScheme });
					await page.goto(`${url}/?lang=${lang}`);
					const found = await violationsIn(page);
					expect([lang, colorScheme, width, found]).toEqual([
						lang,
						colorScheme,
						width,
						[],
					]);
					const wide = await page.evaluate(
						"document.documentElement.scrollWidth",
					);
					expect(wide).toBeLessThanOrEqual(width);
				}
		expect(problems).toEqual([]);
	}, 120_000);

	test("with many credentials, and one reason for most troubles, axe-core finds nothing either, and a link, the field and the pages lead to each of them", async () => {
		const { wechat, daemon, socket } = await startAll({
			count: 205,
			top: { http: { listen: "127.0.0.1:0" } },
			wechat: { cooldown: 0 },
		});
		for (const appid of ["wx101", "wx150", "wx204"]) {
			await wechat.addFault({ mode: "errcode", errcode: 40164, appid });
			await refreshOver(socket, appid);
		}
		const url = await httpOf(daemon);
		const { page, problems } = await openPage(browser, url);
		const names = () =>
			page.evaluate(
				"[...document.querySelectorAll('ol b')].map(one => one.firstChild.textContent)",
			);
		for (const [lang, colorScheme, width] of [
			["en", "light", 360],
			["zh", "dark", 360],
			["zh", "light", 1920],
			["en", "dark", 1920],
		] as const) {
			await page.setViewportSize({ width, height: 800 });
			await page.emulateMedia({ colorScheme });
			await page.goto(`${url}/?lang=${lang}`);
			const found = await violationsIn(page);
			expect([lang, colorScheme, width, found]).toEqual([
				...[lang, colorScheme, width, []],
			]);
			const wide = await page.evaluate("document.documentElement.scrollWidth");
			expect(wide).toBeLessThanOrEqual(width);
		}
		await page.goto(`${url}/?lang=en`);
		expect(await page.textContent("h2")).toContain("3 credentials:");
		expect(((await names()) as string[]).slice(0, 4)).toEqual([
			...["wx101", "wx150", "wx204", "wx1"],
		]);
		await page.click("#why0");
		await page.waitForSelector("#every");
		expect(await names()).toEqual(["wx101", "wx150", "wx204"]);
		expect(await violationsIn(page)).toEqual([]);
		await page.click("#every");
		await page.click("#last");
		await page.waitForSelector("#first");
		expect(await names()).toEqual([
			...["wx200", "wx201", "wx202", "wx203", "wx205"],
		]);
		// What is typed stays while the page refreshes itself.
		await page.fill("#q", "wx77");
		await refreshOver(socket, "wx203");
		await page.evaluate(
			"document.dispatchEvent(new Event('visibilitychange'))",
		);
		await page.waitForSelector('svg[aria-label*="1 forced"]', {
			state: "attached",
		});
		expect(await page.inputValue("#q")).toBe("wx77");
		await page.press("#q", "Enter");
		await page.waitForSelector("#every");
		expect(await names()).toEqual(["wx77"]);
		expect(problems).toEqual([]);
	}, 120_000);

	test("the keyboard alone reaches everything, and shows where it is", async () => {
		const { url } = day.shared;
		const { page } = await openPage(browser, url);
		const focused = () =>
			page.evaluate(
				"[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]",
			);
		await page.keyboard.press("Tab");
		expect(await focused()).toEqual(["hold", "solid"]);
		await page.keyboard.press("Space");
		expect(await page.getAttribute("#hold", "aria-pressed")).toBe("true");
		await page.keyboard.press("Tab");
		expect(await focused()).toEqual(["lang", "solid"]);
		await page.keyboard.press("Enter");
		await page.waitForSelector("html[lang=zh-CN]");
		expect(await page.textContent("#say")).toContain("没有有效值");
	});

	test("it refreshes itself, keeps the focus, and says when the daemon does not answer", async () => {
		const { url, socket } = day.shared;
		const { page, problems } = await openPage(browser, url);
		await page.focus("#lang");
		// What a page does when somebody comes back to its tab.
		const look = () =>
			page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
		const picture = (await callHttp(`${url}/`)).text.match(/\d+ forced/g);
		await refreshOver(socket, "wx3d9a71c0be4458f2");
		await refreshOver(socket, "wx8f2c4b1a90d3e756");
		await look();
		await page.waitForSelector('svg[aria-label*="1 forced"]', {
			state: "attached",
		});
		expect(picture).not.toContain("1 forced");
		expect(await page.evaluate("document.activeElement.id")).toBe("lang");
		expect(await page.isHidden("#old")).toBe(true);
		expect(problems).toEqual([]);
		await page.route("**/*", (route) => route.abort());
		await look();
		await page.waitForSelector("#old:not([hidden])");
		await page.unroute("**/*");
		await look();
		await page.waitForSelector("#old", { state: "hidden" });
	});

	test("without scripts the page loads itself anew", async () => {
		const { url } = day.shared;
		const { page } = await openPage(browser, url, { javaScriptEnabled: false });
		expect(await page.isHidden("#hold")).toBe(true);
		await page.waitForSelector("noscript meta", { state: "attached" });
	});
});

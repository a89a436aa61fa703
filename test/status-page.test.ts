import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { callHttp, httpOf } from "./support/http.ts";
import { startDaemon } from "./support/program.ts";
import { callSocket, refreshOver } from "./support/socket.ts";
import { startAll } from "./support/start-all.ts";
import { readTokenFile } from "./support/token-file.ts";

const http = { listen: "127.0.0.1:0" };
const page = (url: string, query = "", language = "en") =>
	callHttp(`${url}/${query}`, { headers: { "accept-language": language } });

test("the page is one document that forbids all else, and holds no token", async () => {
	const { config, daemon } = await startAll({ count: 2, top: { http } });
	const url = await httpOf(daemon);
	const { headers, text } = await page(url);
	expect(headers["content-type"]).toBe("text/html; charset=utf-8");
	const policy = String(headers["content-security-policy"]);
	expect(policy).toContain("default-src 'none'");
	expect(policy).not.toContain("unsafe");
	expect(text.match(/<script/g)).toHaveLength(1);
	expect(text).not.toMatch(
		/\b(src|href)="?(https?:)?\/\/|url\(|@import| style=/,
	);
	expect(text).toContain("All 2 credentials are valid");
	for (const { appid, secret } of config.accounts) {
		expect(text).toContain(`<b>${appid}<small>access token`);
		expect(text).not.toContain(secret);
		expect(text).not.toContain(readTokenFile(config.tokenFile(appid)).value);
	}
	expect((await callHttp(`${url}/`, { method: "POST" })).status).toBe(405);
});

test("it speaks the language that the browser prefers, and links to the other one", async () => {
	const { daemon } = await startAll({ top: { http } });
	const url = await httpOf(daemon);
	for (const [wanted, language] of [
		["zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"],
		["en;q=0.5, zh;q=0.6", "zh-CN"],
		["de, en;q=0.5", "en"],
		["zh;q=0, en", "en"],
		["", "en"],
		[";;q=,zh-,-,=", "zh-CN"],
	])
		expect((await page(url, "", wanted)).text).toContain(
			`<html lang=${language}>`,
		);
	const english = await page(url, "?lang=en&q=wx", "zh");
	expect(english.text).toContain('href="/?lang=zh&#38;q=wx"');
	expect((await page(url, "?lang=zh")).text).toContain("1 个凭据有效");
});

test("what is wrong stands first, with its error and what to do; children stay below their parent", async () => {
	const { wechat, config, daemon, socket } = await startAll({
		count: 3,
		top: { http },
		wechat: { cooldown: 0 },
	});
	const text = readFileSync(config.file, "utf8");
	const withTickets = text.replace(
		'appid = "wx2"',
		'appid = "wx2"\ntickets = ["jsapi", "sdk"]',
	);
	writeFileSync(config.file, withTickets);
	await callSocket(socket, "/v1/reload", { method: "POST" });
	const url = await httpOf(daemon);
	await daemon.event(
		"token.refreshed",
		({ credential }) => credential === "wx_sdk_ticket_wx2",
	);
	await wechat.addFault({ mode: "errcode", errcode: 40164, appid: "wx2" });
	await refreshOver(socket, "wx2");
	const seen = await eventually(
		async () => {
			const { text } = await page(url);
			return text.includes("40164") && text;
		},
		{ what: "the failure" },
	);
	const names = [...seen.matchAll(/<b>([^<]+)<small>([^<]+)/g)].map(
		([, name, kind]) => `${name} ${kind}`,
	);
	expect(names).toEqual([
		"wx2 access token",
		"wx2 jsapi ticket",
		"wx2 sdk ticket",
		"wx1 access token",
		"wx3 access token",
	]);
	expect(seen).toContain("1 of 5 could not be renewed: apps will fail from");
	expect(seen).toMatch(/<title>\(1\) /);
	expect(seen).toMatch(/whitelist/);
	expect(seen).toContain("refresh failed 1 ×");
	// The answer of a client is text, and no part of the page.
	const odd = await page(url, "?q=%3Cscript%3E%22'&page=-1e9");
	expect(odd.status).toBe(200);
	expect(odd.text).toContain("Nothing has that in its name or error code.");
	expect(odd.text.match(/<script/g)).toHaveLength(1);
});

test("the day survives a restart, also a file that is no history", async () => {
	const { config, daemon, socket } = await startAll({
		top: { http },
		wechat: { cooldown: 0 },
	});
	for (let i = 0; i < 3; i++) await refreshOver(socket, "wx1");
	const url = await httpOf(daemon);
	expect((await page(url)).text).toContain("4 values, 3 forced");
	const listed = (await callSocket(socket, "/v1/credentials?days")).json();
	const bare = (await callSocket(socket, "/v1/credentials")).json();
	expect(Object.keys(listed)).toEqual([...Object.keys(bare), "days"]);
	expect(listed.credentials).toMatchObject([
		{ credential: "wx_access_token_wx1", state: "valid" },
	]);
	expect(listed.days).toEqual({
		wx_access_token_wx1: `${".".repeat(47)}#`,
	});
	await daemon.stop();
	const again = await startDaemon(config.file);
	expect((await page(await httpOf(again))).text).toContain(
		"4 values, 3 forced",
	);
	await again.stop();
	const file = `${config.directory}/.wxtokend-history`;
	const kept = readFileSync(file, "utf8");
	expect(kept).not.toContain(readTokenFile(config.tokenFile("wx1")).value);
	writeFileSync(
		file,
		'x\n["wx_access_token_wx1",[[1,2],[{}],"x",null]]\n[[]]\nnull\n',
	);
	const third = await startDaemon(config.file);
	expect((await page(await httpOf(third))).text).toContain("1 value");
	await third.stop();
	// One that somebody has blown up is not read, whatever it says.
	writeFileSync(file, kept.padEnd(4_194_305));
	const fourth = await startDaemon(config.file);
	expect((await page(await httpOf(fourth))).text).toContain("1 value");
});

/** Tickets as users have them: the built program, its files, its commands and its socket. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
	chmodSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import type { SimulatedAccount } from "../src/simulator/accounts.ts";
import type { Simulator } from "../src/simulator/server.ts";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { noteToken } from "./support/leaks.ts";
import { runProgram, startDaemon, startProgram } from "./support/program.ts";
import { callSocket, socketIn } from "./support/socket.ts";
import { hasFile, readTokenFile } from "./support/token-file.ts";
import { fetchesOf, startWeChat } from "./support/wechat.ts";

const ticketFiles = [
	"wx_jsapi_ticket_wx1",
	"wx_card_ticket_wx1",
	"wx_sdk_ticket_wx1",
] as const;
const [jsapi] = ticketFiles;
/** Never, unless somebody asks for a tick: so nothing happens that the test did not cause. */
const resting = { schedule: "0 0 0 1 1 *" };

interface SceneOptions {
	readonly account?: Partial<SimulatedAccount>;
	readonly entry?: Readonly<Record<string, unknown>>;
	readonly top?: Readonly<Record<string, unknown>>;
	readonly wechat?: Readonly<Record<string, unknown>>;
}

async function newScene({ account, entry, top, wechat }: SceneOptions = {}) {
	const [given] = newAccounts(1);
	if (given === undefined) throw new Error("no account");
	const platform = await startWeChat({ accounts: [{ ...given, ...account }] });
	const kept = {
		...given,
		tickets: ["jsapi", "wx_card", "sdk"],
		formats: ["php"],
		...entry,
	};
	const config = writeConfig({
		url: platform.url,
		accounts: [kept],
		...(top && { top }),
		...(wechat && { wechat }),
	});
	return {
		wechat: platform,
		config,
		path: (file: string) => join(config.directory, file),
		flags: ["--config", config.file],
		socket: socketIn(config.directory),
	};
}

function ticketCalls({ requests }: Simulator): number {
	return requests.filter(({ endpoint }) => endpoint === "getticket").length;
}

/** What the sample of WeChat's JS-SDK reads. */
function phpCopy(path: string): Record<string, unknown> {
	const text = readFileSync(path, "utf8");
	expect(text.slice(0, 15)).toBe("<?php exit();?>");
	return JSON.parse(text.slice(15));
}

const modeOf = (path: string) => statSync(path).mode & 0o7777;

describe("a daemon with tickets", () => {
	test("publishes each beside its token, with a copy for PHP, and repairs copies without a call", async () => {
		const { wechat, config, path } = await newScene();
		const daemon = await startDaemon(config.file);
		const keys = {
			wx_access_token_wx1: "access_token",
			wx_jsapi_ticket_wx1: "jsapi_ticket",
			wx_card_ticket_wx1: "api_ticket",
			wx_sdk_ticket_wx1: "sdk_ticket",
		};
		for (const [file, key] of Object.entries(keys)) {
			const { value, expire } = readTokenFile(path(file));
			noteToken(value);
			expect(phpCopy(path(`${file}.php`))).toEqual({
				[key]: value,
				expire_time: expire,
			});
			expect([modeOf(path(file)), modeOf(path(`${file}.php`))]).toEqual([
				0o640, 0o640,
			]);
		}
		expect(ticketCalls(wechat)).toBe(3);
		const copy = path(`${jsapi}.php`);
		const text = readFileSync(copy, "utf8");
		for (const spoil of [
			() => rmSync(copy),
			() => writeFileSync(copy, ""),
			() => writeFileSync(copy, text.slice(0, 40)),
			() => chmodSync(copy, 0o666),
		]) {
			spoil();
			await eventually(
				() =>
					hasFile(copy) &&
					readFileSync(copy, "utf8") === text &&
					modeOf(copy) === 0o640,
				{ what: "the copy as it was" },
			);
		}
		const repaired = await daemon.event(
			"file.repaired",
			({ credential }) => credential === jsapi,
		);
		expect(repaired.msg).toContain("the ticket file did not hold");
		expect(ticketCalls(wechat)).toBe(3);
		const published = daemon
			.events()
			.filter(({ event }) => event === "token.refreshed")
			.map(({ appid, credential, msg }) => [appid, credential, msg]);
		expect(published[0]).toEqual(["wx1", undefined, "a new token is on disk"]);
		// In any order: they are asked for at the same time.
		expect(new Set(published.slice(1))).toEqual(
			new Set(
				ticketFiles.map((file) => ["wx1", file, "a new ticket is on disk"]),
			),
		);
		expect((await daemon.stop()).code).toBe(0);
		expect(
			readdirSync(config.directory).filter(
				(name) => name.endsWith(".tmp") || name.endsWith(".lock"),
			),
		).toEqual([]);
	});

	test("its commands and its socket take the names of files", async () => {
		const { wechat, config, path, flags, socket } = await newScene({
			top: resting,
			wechat: { cooldown: 0 },
		});
		await startDaemon(config.file);
		const { value } = readTokenFile(path(jsapi));
		noteToken(value);
		const got = await runProgram(["get", jsapi, ...flags]);
		expect(got).toMatchObject({ code: 0, stdout: `${value}\n` });

		const status = await runProgram(["status", "--json", ...flags]);
		const { credentials } = JSON.parse(status.stdout);
		expect(
			credentials.map((one: Record<string, unknown>) => [
				one.credential,
				one.kind,
				one.interface,
				one.guessed,
				one.overdue,
				one.waitsFor,
			]),
		).toEqual([
			["wx_access_token_wx1", "access_token", "classic", false, false, null],
			[ticketFiles[0], "jsapi_ticket", null, true, false, null],
			[ticketFiles[1], "wx_card_ticket", null, true, false, null],
			[ticketFiles[2], "sdk_ticket", null, true, false, null],
		]);

		const before = ticketCalls(wechat);
		const refreshed = await runProgram(["refresh", jsapi, ...flags]);
		expect(refreshed.code).toBe(0);
		expect(ticketCalls(wechat)).toBe(before + 1);
		expect(readTokenFile(path(jsapi)).value).toBe(value);

		const one = await callSocket(socket, `/v1/credentials/${jsapi}`);
		expect(one.json()).toMatchObject({ credential: jsapi, valid: true });
		const all = await callSocket(socket, "/v1/credentials");
		expect(all.json().credentials).toHaveLength(4);
		const health = await callSocket(socket, "/healthz");
		expect(health.json()).toEqual({ status: "ok", accounts: 1 });
		const token = await callSocket(socket, `/v1/credentials/${jsapi}/token`);
		expect(token.json()).toEqual(readTokenFile(path(jsapi)));
		const asked = await callSocket(socket, `/v1/credentials/${jsapi}/refresh`, {
			method: "POST",
		});
		expect([asked.status, asked.json().value]).toEqual([200, value]);
		const none = await callSocket(
			socket,
			"/v1/credentials/wx_jsapi_ticket_wx2",
		);
		expect([none.status, none.json().code]).toEqual([
			404,
			"unknown-credential",
		]);
	});

	test.each(["/v1/accounts/wx1/jssdk", `/v1/credentials/${jsapi}/jssdk`])(
		"POST %s signs a page as a phone accepts it",
		async (route) => {
			const { wechat, config, socket } = await newScene({ top: resting });
			await startDaemon(config.file);
			for (const url of [
				"https://shop.example/",
				"https://shop.example:8443/a?b=c%20d&e=中文",
				"https://shop.example/a?b#/route?x=1#y",
			]) {
				const answer = await callSocket(socket, route, {
					method: "POST",
					body: JSON.stringify({ url }),
				});
				const { appId, timestamp, nonceStr, signature } = answer.json();
				expect([answer.status, appId]).toEqual([200, "wx1"]);
				const verdict = await fetch(`${wechat.url}/sim/verify-signature`, {
					method: "POST",
					body: JSON.stringify({
						...{ url, signature, appid: "wx1" },
						noncestr: nonceStr,
						timestamp: String(timestamp),
					}),
				});
				expect(await verdict.json()).toMatchObject({ result: "alive" });
			}
			for (const body of ["", "{}", '{"url":7}', '{"url":"shop.example"}']) {
				const refused = await callSocket(socket, route, {
					method: "POST",
					body,
				});
				expect(refused.status).toBe(400);
			}
			expect(ticketCalls(wechat)).toBe(3);
		},
	);

	test("a signal renews the token, and asks for no ticket; a 小程序 is asked for its ticket once", async () => {
		const { wechat, config, path, socket } = await newScene({
			account: { kind: "mini" },
			entry: { tickets: ["jsapi"] },
			wechat: { cooldown: 0 },
		});
		const daemon = await startDaemon(config.file);
		const failed = await daemon.event("fetch.failed");
		expect(failed).toMatchObject({
			level: "error",
			credential: jsapi,
			code: "errcode 48001",
			hint: expect.stringContaining("take it out of `tickets`"),
		});
		const { value } = readTokenFile(path("wx_access_token_wx1"));
		daemon.kill("SIGHUP");
		await daemon.event("token.refreshed", ({ reason }) => reason === "forced");
		// The ticket was looked at after that, too: the tick that it brings has ended.
		const answer = await callSocket(socket, "/v1/reload", { method: "POST" });
		expect(answer.status).toBe(200);
		expect(readTokenFile(path("wx_access_token_wx1")).value).not.toBe(value);
		expect(ticketCalls(wechat)).toBe(1);
		expect(hasFile(path(jsapi))).toBe(false);
		const health = await callSocket(socket, "/healthz");
		expect(health.status).toBe(503);
		expect(health.json()).toMatchObject({
			code: "no-valid-token",
			message: "1 of 2 tokens and tickets have no valid value on disk",
			reasons: [{ appid: "wx1", credential: jsapi, state: "missing" }],
		});
	});

	test("a reload that adds or removes a ticket leaves the keeper of the token as it is", async () => {
		const { wechat, config, path, socket } = await newScene({
			entry: { tickets: ["wx_card"], formats: [] },
			wechat: { cooldown: 0 },
		});
		const daemon = await startDaemon(config.file);
		const withTickets = (list: string) => {
			const text = readFileSync(config.file, "utf8");
			writeFileSync(
				config.file,
				text.replace(/^tickets = .*$/m, `tickets = ${list}`),
			);
			return callSocket(socket, "/v1/reload", { method: "POST" });
		};
		expect((await withTickets('["wx_card", "jsapi"]')).status).toBe(200);
		await eventually(() => hasFile(path(jsapi)), { what: "the new ticket" });
		noteToken(readTokenFile(path(jsapi)).value);
		expect((await withTickets('["jsapi"]')).status).toBe(200);
		const listed = await callSocket(socket, "/v1/credentials");
		const names = (listed.json().credentials as { credential: string }[]).map(
			({ credential }) => credential,
		);
		expect(names).toEqual(["wx_access_token_wx1", jsapi]);
		// A new keeper would have taken them over from the disk.
		const events = daemon.events().map(({ event }) => event);
		expect(events).not.toContain("token.adopted");
		expect(ticketCalls(wechat)).toBe(2);
		// The first one, and one for each reload.
		expect(fetchesOf(wechat, "wx1")).toBe(3);
	});
});

test("two daemons on one directory ask for a ticket once, and leave each other's file as it is", async () => {
	const { wechat, config, path, socket } = await newScene({
		entry: { tickets: ["jsapi"] },
		wechat: { cooldown: 0 },
	});
	const other = writeConfig({
		url: wechat.url,
		accounts: config.accounts,
		directory: config.directory,
		top: { socket: "other.sock" },
		wechat: { cooldown: 0 },
	});
	const daemons = [
		await startDaemon(config.file),
		await startDaemon(other.file),
	];
	expect(ticketCalls(wechat)).toBe(1);
	// Asked for again, the ticket is the same, and what is known of it is newer.
	const next = noteToken("another-ticket".padEnd(86, "x"));
	wechat.platform.putTicket("wx1", "jsapi", next, wechat.now());
	const route = `/v1/credentials/${jsapi}/refresh`;
	for (const one of [socket, path("other.sock"), socket]) {
		const answer = await callSocket(one, route, { method: "POST" });
		expect([answer.status, answer.json().value]).toEqual([200, next]);
	}
	// Requests of the same instant to two daemons may be one call.
	const calls = ticketCalls(wechat);
	expect(calls).toBeLessThanOrEqual(4);
	// Two ticks of each: the second one has seen what the first one did.
	for (const one of [...daemons, ...daemons]) {
		const seen = one.events().length;
		one.kill("SIGHUP");
		await eventually(
			() =>
				one
					.events()
					.slice(seen)
					.some(({ event }) =>
						/^(token.refreshed|refresh.shared)$/.test(event),
					),
			{ what: "the token that the signal asked for" },
		);
	}
	const repairs = daemons.flatMap((one) =>
		one.events().filter(({ event }) => event === "file.repaired"),
	);
	expect(repairs).toEqual([]);
	expect(ticketCalls(wechat)).toBe(calls);
	expect(readTokenFile(path(jsapi)).value).toBe(next);
});

test("once and check --online keep tickets, too, and take the names of files", async () => {
	const { wechat, path, flags } = await newScene({ wechat: { cooldown: 0 } });
	const first = await runProgram(["once", jsapi, ...flags]);
	expect(first.code).toBe(0);
	expect(first.stdout).toMatch(/^wx1: a new token, valid until /);
	expect(first.stdout).toContain(`${jsapi}: a new ticket, valid until `);
	noteToken(readTokenFile(path(jsapi)).value);
	expect(hasFile(path(ticketFiles[1]))).toBe(false);
	expect(ticketCalls(wechat)).toBe(1);

	const all = await runProgram(["once", ...flags]);
	expect(all.code).toBe(0);
	expect(all.stdout.match(/a new ticket/g)).toHaveLength(2);
	for (const file of ticketFiles) noteToken(readTokenFile(path(file)).value);
	expect(ticketCalls(wechat)).toBe(3);
	expect((await runProgram(["once", ...flags])).stdout).toBe("");
	expect(ticketCalls(wechat)).toBe(3);

	const online = await runProgram(["check", "--online", ...flags]);
	expect(online.code).toBe(0);
	expect(online.stdout).toContain(
		"wx1: WeChat gave a token, and it is published",
	);
	for (const file of ticketFiles)
		expect(online.stdout).toContain(
			`${file}: WeChat gave a ticket, and it is published`,
		);
	const unknown = await runProgram(["once", "wx_jsapi_ticket_wx2", ...flags]);
	expect(unknown.code).toBe(64);
});

describe("a configuration", () => {
	test.each<[what: string, entries: readonly object[], says: RegExp]>([
		[
			"an unknown ticket is answered with the choices",
			[{ tickets: ["jsapi", "card"] }],
			/account\[0\]\.tickets.*"jsapi", "wx_card", "sdk"/,
		],
		[
			"an unknown format, too",
			[{ formats: ["json"] }],
			/account\[0\]\.formats.*"php"/,
		],
		[
			"a token in the file of another account's ticket",
			[{ tickets: ["jsapi"] }, { file: jsapi }],
			/account\[1\]\.file.*the file of a ticket of account\[0\]/,
		],
		[
			"a token in the file of its own ticket",
			[{ tickets: ["jsapi"], file: jsapi }],
			/account\[0\]\.file.*the file of a ticket of account\[0\]/,
		],
		[
			"a token in the copy of another account's ticket",
			[{ tickets: ["jsapi"], formats: ["php"] }, { file: `${jsapi}.php` }],
			/account\[1\]\.file.*a copy in another format of account\[0\]/,
		],
	])("%s", async (_, entries, says) => {
		const config = writeConfig({
			url: "http://127.0.0.1:9",
			accounts: newAccounts(entries.length).map((account, index) => ({
				...account,
				...entries[index],
			})),
		});
		const { code, stderr } = await runProgram([
			"check",
			...["--config", config.file],
		]);
		expect(code).toBe(78);
		expect(stderr).toMatch(says);
	});
});

test("the tickets and copies of a killed simulation do not stay for a real daemon", async () => {
	const { config, path, flags } = await newScene();
	const simulation = startProgram(["run", "--simulate", ...flags]);
	await simulation.event("daemon.ready");
	const names = ["wx_access_token_wx1", ...ticketFiles];
	const simulated = names.map((name) => readTokenFile(path(name)).value);
	for (const value of simulated) noteToken(value);
	simulation.kill("SIGKILL");
	await simulation.exited;
	// Its configuration no longer has them.
	const text = readFileSync(config.file, "utf8");
	writeFileSync(
		config.file,
		text.replace(/^tickets = .*$/m, "").replace(/^formats = .*$/m, ""),
	);
	expect((await runProgram(["once", ...flags])).code).toBe(0);
	noteToken(readTokenFile(path("wx_access_token_wx1")).value);
	expect(
		readdirSync(config.directory).filter((name) => /ticket|php/.test(name)),
	).toEqual([]);
});

const php = phpBinary();

test.skipIf(php === undefined)(
	"a PHP site with the reading rule of WeChat's sample never fetches, reads no torn file, and signs with each of 60 tickets (needs php)",
	async () => {
		const { wechat, config, path, socket } = await newScene({
			entry: { tickets: ["jsapi"], budget: 10_000 },
			wechat: { cooldown: 0 },
			top: resting,
		});
		await startDaemon(config.file);
		// As a site is told to do: its old names become links.
		const site = newDirectory();
		symlinkSync(path(`${jsapi}.php`), join(site, "jsapi_ticket.php"));
		symlinkSync(
			path("wx_access_token_wx1.php"),
			join(site, "access_token.php"),
		);
		const wanted = 60;
		const page = startPage([site, wechat.url, "wx1", String(wanted)]);
		for (let count = 1; count <= wanted; count += 1) {
			await page.line(`tickets: ${count}`);
			if (count === wanted) break;
			const next = `ticket-number-${count}`.padEnd(86, "x");
			wechat.platform.putTicket("wx1", "jsapi", noteToken(next), wechat.now());
			const asked = await callSocket(
				socket,
				`/v1/credentials/${jsapi}/refresh`,
				{ method: "POST" },
			);
			expect([asked.status, asked.json().value]).toEqual([200, next]);
		}
		const found = JSON.parse(await page.end());
		console.log(`PHP: ${JSON.stringify(found)}`);
		expect(found).toMatchObject({
			fetches: 0,
			torn: 0,
			verdicts: { alive: wanted },
		});
		expect(found.reads).toBeGreaterThanOrEqual(wanted);
	},
);

/** The interpreter itself; undefined: there is none. */
function phpBinary(): string | undefined {
	try {
		return execFileSync("php", ["-r", "echo PHP_BINARY;"], {
			encoding: "utf8",
		});
	} catch {
		return undefined;
	}
}

/** `test/readers/js_sdk_page.php`: its lines as they come, and the last one. */
function startPage(args: readonly string[]) {
	const script = fileURLToPath(
		new URL("readers/js_sdk_page.php", import.meta.url),
	);
	const child: ChildProcess = spawn(php ?? "", [script, ...args], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	onTestFinished(() => void child.kill("SIGKILL"));
	let output = "";
	let ended = false;
	const closed = new Promise<void>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", () => {
			ended = true;
			resolve();
		});
	});
	child.stdout?.setEncoding("utf8").on("data", (text) => {
		output += text;
	});
	return {
		line: (wanted: string) =>
			eventually(
				() => {
					if (output.includes(`${wanted}\n`)) return true;
					if (ended) throw new Error(`php ended without "${wanted}"`);
					return false;
				},
				{ what: wanted, everyMs: 2 },
			),
		end: async () => {
			await closed;
			return output.trimEnd().split("\n").at(-1) ?? "";
		},
	};
}

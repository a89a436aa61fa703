import { createHash } from "node:crypto";
import {
	chmodSync,
	mkdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { describe, expect, test } from "vitest";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { newToken, startIssuer } from "./support/issuer.ts";
import { startDaemon } from "./support/program.ts";
import {
	hasFile,
	readTokenFile,
	tokenOtherThan,
	writeTokenFile,
} from "./support/token-file.ts";

describe("run, against anything that speaks GET /cgi-bin/token", () => {
	test("one request publishes the file before any tick, with two keys and mode 0640", async () => {
		const issuer = await startIssuer({ lifetimeSeconds: 7200 });
		// A tick once a year: the first token must not wait for one.
		const config = writeConfig({ ...issuer, top: { schedule: "0 0 1 1 *" } });
		const startedAt = Date.now();
		await startDaemon(config.file);
		const path = config.tokenFile("wx1");
		const text = readFileSync(path, "utf8");
		const [value = ""] = issuer.issued.map((token) => token.value);
		const { expire } = readTokenFile(path);
		expect(text).toBe(`{"value":"${value}","expire":${expire}}\n`);
		expect(statSync(path).mode & 0o7777).toBe(0o640);
		// The lifetime counts from before the request was sent, so `expire` is never too late.
		const arrivedAt = issuer.requests[0]?.at ?? 0;
		expect(expire).toBeLessThanOrEqual(Math.floor(arrivedAt / 1000) + 7200);
		expect(expire).toBeGreaterThanOrEqual(Math.floor(startedAt / 1000) + 7200);
		expect(issuer.requests).toMatchObject([
			{
				method: "GET",
				path: "/cgi-bin/token",
				query: {
					grant_type: "client_credential",
					appid: "wx1",
					secret: config.accounts[0]?.secret,
				},
			},
		]);
	});

	test("the file has the configured mode, group and name from its first byte", async () => {
		// Only root may give a file to any group.
		const gid = process.getuid?.() === 0 ? 1234 : process.getgid?.();
		const issuer = await startIssuer();
		const accounts = newAccounts().map((one) => ({
			...one,
			file: "token.json",
		}));
		const config = writeConfig({
			...issuer,
			accounts,
			top: { mode: "0600", group: gid },
		});
		await startDaemon(config.file);
		const { mode, gid: found } = statSync(`${config.directory}/token.json`);
		expect([mode & 0o7777, found]).toEqual([0o600, gid]);
		expect(hasFile(config.tokenFile("wx1"))).toBe(false);
	});

	test("a token of 6 s is renewed when a third is left, with one request each time", async () => {
		const issuer = await startIssuer({ lifetimeSeconds: 6 });
		const config = writeConfig(issuer);
		const daemon = await startDaemon(config.file);
		await eventually(() => issuer.issued.length === 4, { what: "3 renewals" });
		await daemon.stop();
		expect(issuer.requests).toHaveLength(4);
		const refreshes = daemon
			.events()
			.filter(({ event }) => event === "token.refreshed");
		expect(refreshes.map(({ reason }) => reason)).toEqual([
			"first",
			"due",
			"due",
			"due",
		]);
		// By the daemon's own clock, so that a slow machine changes nothing: a token is
		// due when 2 of its 6 s are left, at most 2 % sooner, and not fetched before.
		for (const [index, { expiresAt, dueAt }] of refreshes.entries()) {
			const leftWhenDue = instantOf(expiresAt) - instantOf(dueAt);
			expect(leftWhenDue).toBeGreaterThanOrEqual(2_000);
			expect(leftWhenDue).toBeLessThanOrEqual(2_120);
			const next = refreshes[index + 1];
			if (next !== undefined)
				expect(instantOf(next.time)).toBeGreaterThan(instantOf(dueAt));
		}
	});

	test("a token of 7200 s is renewed when refresh_before is left, and no earlier", async () => {
		const issuer = await startIssuer({ lifetimeSeconds: 7200 });
		const accounts = newAccounts(2).map((account, index) => ({
			...account,
			refresh_before: index === 0 ? 2400 : 600,
		}));
		const config = writeConfig({ ...issuer, accounts });
		// Two thirds of the life of both tokens have passed, but for some seconds.
		const expire = Math.floor(Date.now() / 1000) + 2400 + 4;
		const value = promptToken();
		for (const { appid } of accounts)
			writeTokenFile(config.tokenFile(appid), { value, expire });
		await startDaemon(config.file);
		await tokenOtherThan(value, config.tokenFile("wx1"));
		expect(issuer.requests).toHaveLength(1);
		expect(issuer.requests[0]?.at).toBeGreaterThanOrEqual(
			(expire - 2400) * 1000 - 100,
		);
		expect(readTokenFile(config.tokenFile("wx2")).expire).toBe(expire);
	});

	test("one process keeps many accounts, and a bad one does not delay the others", async () => {
		const issuer = await startIssuer({
			twist: ({ query }, response, give) => {
				if (query.appid !== "wx2") give();
				else response.end('{"errcode":40125,"errmsg":"invalid appsecret"}');
			},
		});
		const config = writeConfig({ ...issuer, accounts: newAccounts(40) });
		const daemon = await startDaemon(config.file);
		for (const { appid } of config.accounts)
			expect(hasFile(config.tokenFile(appid))).toBe(appid !== "wx2");
		expect(issuer.requests).toHaveLength(40);
		const failed = await daemon.event("fetch.failed");
		expect(failed).toMatchObject({ appid: "wx2", code: "errcode 40125" });
	});
});

describe("a restart", () => {
	test.each(["SIGTERM", "SIGKILL"] as const)(
		"after %s makes no request, because the file holds a valid token",
		async (signal) => {
			const issuer = await startIssuer();
			const config = writeConfig({ ...issuer, accounts: newAccounts(3) });
			const first = await startDaemon(config.file);
			const before = readTokenFile(config.tokenFile("wx2"));
			first.kill(signal);
			await first.exited;
			const second = await startDaemon(config.file);
			await second.event("token.adopted", ({ appid }) => appid === "wx2");
			expect(readTokenFile(config.tokenFile("wx2"))).toEqual(before);
			expect(issuer.requests).toHaveLength(3);
		},
	);

	test("fetches if the file's token has ended meanwhile", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		writeTokenFile(config.tokenFile("wx1"), {
			value: newToken(),
			expire: Math.floor(Date.now() / 1000) - 1,
		});
		await startDaemon(config.file);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(
			issuer.issued[0]?.value,
		);
		expect(issuer.requests).toHaveLength(1);
	});

	test("fetches if the clock was set back, so that the token is from the future", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		writeTokenFile(config.tokenFile("wx1"), {
			value: newToken(),
			expire: Math.floor(Date.now() / 1000) + 20_000,
		});
		await startDaemon(config.file);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(
			issuer.issued[0]?.value,
		);
	});
});

describe("a damaged token file is published again without a request", () => {
	test.each([
		["deleted", (path: string) => rmSync(path)],
		["emptied", (path: string) => writeFileSync(path, "")],
		["torn", (path: string) => writeFileSync(path, '{"value":"abc')],
		[
			"given another token",
			(path: string) =>
				writeFileSync(path, `{"value":"${newToken()}","expire":9999999999}\n`),
		],
		[
			"given another expire",
			(path: string) =>
				writeFileSync(
					path,
					readFileSync(path, "utf8").replace(/"expire":1/, '"expire":2'),
				),
		],
		["opened to all", (path: string) => chmodSync(path, 0o666)],
		[
			"replaced by a directory",
			(path: string) => {
				rmSync(path);
				mkdirSync(path);
			},
		],
	])("%s", async (_what, spoil) => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const daemon = await startDaemon(config.file);
		const path = config.tokenFile("wx1");
		const good = readFileSync(path, "utf8");
		spoil(path);
		await daemon.event("file.repaired");
		expect(readFileSync(path, "utf8")).toBe(good);
		expect(statSync(path).mode & 0o7777).toBe(0o640);
		expect(issuer.requests).toHaveLength(1);
	});
});

/** Epoch ms of a time in the log. */
function instantOf(time: unknown): number {
	return Date.parse(String(time));
}

/**
 * Tokens are due up to 2 % of their life early, by their hash, so that not all are due
 * at once. This one is due within a tenth of a second of the latest.
 */
function promptToken(): string {
	for (;;) {
		const token = newToken();
		if (createHash("sha256").update(token).digest("hex").startsWith("000"))
			return token;
	}
}

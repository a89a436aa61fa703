/** What outsiders can make grow, of docs/bounds.md: the rows that no other test abuses. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../src/core/clock.ts";
import { StoreError } from "../src/core/errors.ts";
import type { KeeperEvent, Lease } from "../src/core/ports.ts";
import {
	alertMemoryPath,
	readAlertMemory,
} from "../src/daemon/alert-memory.ts";
import { createMetrics } from "../src/daemon/metrics.ts";
import { createKeeper } from "../src/keeper/keeper.ts";
import { CentralSilent, createCentralLink } from "../src/store/central-link.ts";
import { nameThisProcess } from "../src/store/process-name.ts";
import { accessToken, anAccount } from "./support/account.ts";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { startIssuer } from "./support/issuer.ts";
import { listenOnLoopback } from "./support/listen.ts";
import { logTo } from "./support/log-to.ts";
import { keepAsOneProcess } from "./support/managed.ts";
import { runProgram, startDaemon } from "./support/program.ts";
import { slotIn } from "./support/slot.ts";
import { callSocket, socketIn } from "./support/socket.ts";

test("/healthz gives reasons for a hundred credentials, and says how many there are", async () => {
	const wechat = await startIssuer({
		twist: (_, response) =>
			response.end('{"errcode":40013,"errmsg":"invalid appid"}'),
	});
	const config = writeConfig({ url: wechat.url, accounts: newAccounts(150) });
	await startDaemon(config.file);
	const { status, json } = await callSocket(
		socketIn(config.directory),
		"/healthz",
	);
	expect(status).toBe(503);
	const { message, reasons } = json() as unknown as {
		readonly message: string;
		readonly reasons: readonly unknown[];
	};
	expect(reasons).toHaveLength(100);
	expect(message).toContain("150 of 150");
});

test("a gateway that invents an error code for each answer makes no series of each", async () => {
	const { manage } = keepAsOneProcess({
		directory: newDirectory(),
		http: { send: () => Promise.reject(new Error("nobody asks")) },
		clock: systemClock,
		log: logTo(() => {}),
		onBug: (error) => expect(error).toBeUndefined(),
	});
	const one = manage(anAccount({ appid: "wx1", file: "token" }));
	const metrics = createMetrics({
		version: "1",
		directory: () => "/nowhere",
		clock: systemClock,
		managed: () => ({
			byFile: new Map([["token", one]]),
			byAppid: new Map([["wx1", one]]),
		}),
	});
	for (let code = 50_000; code < 60_000; code += 1)
		metrics.count(one.credential, {
			kind: "asked",
			outcome: `errcode ${code}`,
		});
	let text = "";
	for await (const piece of metrics.render()) text += piece;
	const lines = text.match(/^wxtokend_fetch_errors_total\{.*$/gm);
	expect(lines).toHaveLength(41);
	expect(lines?.at(-1)).toMatch(/code="other".* 9960$/);
});

test.each([
	["configuration", 17 * 1_048_576],
	["secret", 5_000],
	["robot", 5_000],
] as const)(
	"a %s of %i bytes is refused, not read to its end",
	async (what, bytes) => {
		const place = newDirectory();
		const [config, secret] = [join(place, "c.toml"), join(place, "secret")];
		const account =
			what === "robot"
				? `[alert]\nurl_file = "${secret}"\n[[account]]\nappid = "wx1"\nsecret = "s"\n`
				: `[[account]]\nappid = "wx1"\nsecret_file = "${secret}"\n`;
		const filler = `\n# ${"x".repeat(bytes)}`;
		const mode = 0o600;
		const isOfConfig = what === "configuration";
		writeFileSync(secret, isOfConfig ? "s" : filler, { mode });
		writeFileSync(config, isOfConfig ? account + filler : account, { mode });
		const { code, stderr } = await runProgram(["check", "--config", config]);
		expect(code).toBe(78);
		expect(stderr).toContain(isOfConfig ? config : secret);
		expect(stderr).toMatch(/large|longer|bytes/);
		expect(stderr.length).toBeLessThan(2_000);
	},
);

test("a request whose lock is lost again and again is answered after four attempts", async () => {
	const credential = accessToken();
	const slot = slotIn(newDirectory(), credential);
	const lost = async (): Promise<never> => {
		throw new StoreError("lost", "the lock is lost", "");
	};
	let acquired = 0;
	const lease: Lease = {
		id: "lost",
		write: lost,
		publish: lost,
		release: async () => {},
	};
	const events: KeeperEvent[] = [];
	let asked = 0;
	const keeper = createKeeper({
		credential,
		slot: {
			...slot,
			acquire: async () => {
				acquired += 1;
				return lease;
			},
		},
		issuer: {
			issue: async () => {
				asked += 1;
				return { value: "t", lifetimeMs: 1, requestedAt: 0 };
			},
			probe: async () => "unsure",
		},
		parents: () => new Map(),
		clock: systemClock,
		random: () => 0.5,
		self: nameThisProcess(),
		startedAt: 0,
		isDead: () => false,
		lockTimeoutMs: 0,
		wakeAt: () => {},
		emit: (event) => events.push(event),
		onBug: (error) => expect(error).toBeUndefined(),
	});
	const answer = await keeper.force();
	await keeper.whenIdle();
	expect(answer).toMatchObject({ outcome: "failed", error: { code: "lost" } });
	expect(acquired).toBe(4);
	expect(asked).toBe(0);
	expect(events.filter(({ kind }) => kind === "lock-lost")).toHaveLength(4);
});

test("an answer of the central server that has no end is not read to it, and the next one is", async () => {
	let isEndless = true;
	const server = createServer((_, response) => {
		if (!isEndless) return response.end('{"appid":"wx1"}');
		response.write("x".repeat(65_537));
		return undefined;
	});
	const port = await listenOnLoopback(server);
	const link = createCentralLink(
		{ url: `http://127.0.0.1:${port}`, bearer: "b", ca: undefined },
		() => performance.now(),
	);
	const ask = () => link.call("GET", "/", { timeoutMs: 60_000 });
	await expect(ask()).rejects.toThrow("64 KiB");
	isEndless = false;
	expect((await ask()).content).toEqual({ appid: "wx1" });
	link.close();
});

test("a call to a central server that does not answer ends, and the next one is made", async () => {
	let isSilent = true;
	const server = createServer((_, response) => {
		if (!isSilent) response.end("{}");
	});
	const port = await listenOnLoopback(server);
	const link = createCentralLink(
		{ url: `http://127.0.0.1:${port}`, bearer: "b", ca: undefined },
		() => performance.now(),
	);
	await expect(link.call("GET", "/", { timeoutMs: 100 })).rejects.toThrow(
		CentralSilent,
	);
	isSilent = false;
	const answer = await link.call("GET", "/", { timeoutMs: 60_000 });
	expect(answer.status).toBe(200);
	link.close();
});

test("a file of remembered alerts that somebody has blown up is not read", () => {
	const directory = newDirectory();
	const one = {
		credential: "wx1",
		phase: "told",
		trouble: {
			...{ code: "40125", kind: "refused", message: "m", hint: "h" },
			...{ since: 1, tellAt: 2, needsPerson: true },
		},
	};
	const kept = JSON.stringify([one]);
	writeFileSync(alertMemoryPath(directory), kept);
	const before = readAlertMemory(directory);
	writeFileSync(alertMemoryPath(directory), kept.padEnd(8_388_609));
	expect([before.length, readAlertMemory(directory).length]).toEqual([1, 0]);
});

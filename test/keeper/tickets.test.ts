/** Hundreds of tickets beside their tokens: all are evicted while they are idle. */
import fs from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { Account } from "../../src/config/entry.ts";
import type { Clock } from "../../src/core/clock.ts";
import { atOnce } from "../../src/core/steps.ts";
import { createEventLog } from "../../src/daemon/event-log.ts";
import { manageEntry } from "../../src/daemon/wiring.ts";
import { createIpGate } from "../../src/issuer/ip-gate.ts";
import { createLimiter } from "../../src/keeper/limiter.ts";
import type {
	ManagedCredential,
	SharedParts,
} from "../../src/keeper/managed-credential.ts";
import {
	createReconciler,
	livingParents,
} from "../../src/keeper/reconciler.ts";
import { createRoster } from "../../src/keeper/roster.ts";
import { createDirectoryStore } from "../../src/store/directory-store.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { newDirectoryInMemory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { type LogLine, logTo } from "../support/log-to.ts";
import { quietHeap } from "../support/quiet-heap.ts";

const minuteMs = 60_000;

/**
 * Accounts with a jsapi ticket each, wired as in the daemon; WeChat gives each the same
 * ticket for ever, but to those in `refused` it says that their tokens are dead, which
 * they are not.
 */
function newScene(count: number) {
	const refused = new Set<string>();
	/** What happens while WeChat is asked for a ticket. */
	let meanwhile = async () => {};
	const directory = join(newDirectoryInMemory(), "tokens");
	fs.mkdirSync(directory, 0o750);
	let now = Date.UTC(2026, 0, 5, 2);
	const clock: Clock = { now: () => now, monotonic: () => now };
	const events: LogLine[] = [];
	const logEvent = createEventLog(
		logTo((line) => events.push(line)),
		clock,
	);
	const bugs: unknown[] = [];
	const onBug = (error: unknown) => bugs.push(error);
	/** Appids, in the order of their calls of getticket; and of those for a token. */
	const asked: string[] = [];
	const fetched: string[] = [];
	const answer = (path: string): string => {
		const { pathname, searchParams } = new URL(path, "http://wechat");
		switch (pathname) {
			case "/cgi-bin/token": {
				const appid = searchParams.get("appid") ?? "";
				fetched.push(appid);
				const access_token = `${appid}-token-${fetched.length}`;
				return JSON.stringify({ access_token, expires_in: 7200 });
			}
			case "/cgi-bin/ticket/getticket": {
				const [appid = ""] = (searchParams.get("access_token") ?? "").split(
					"-",
				);
				asked.push(appid);
				return refused.has(appid)
					? '{"errcode":40001,"errmsg":"invalid credential"}'
					: `{"errcode":0,"errmsg":"ok","ticket":"ticket-of-${appid}","expires_in":7200}`;
			}
			default:
				return '{"ip_list":["127.0.0.1"]}';
		}
	};
	const byId = new Map<string, ManagedCredential>();
	const find = (id: string) => byId.get(id);
	const self = nameThisProcess();
	const limiter = createLimiter(48, 600_000);
	const stopping = new AbortController().signal;
	const shared: SharedParts = {
		...{ clock, self, limiter, onBug },
		random: () => 0.5,
		startedAt: now,
		isDead: () => false,
		wakeAt: () => {},
		emit: (credential, event) => {
			logEvent(credential, event);
			if (event.kind === "refreshed") reconciler.published(credential.id);
		},
		parentsOf: ({ needs }) => livingParents(needs, find, now),
		reportParents: (values) => {
			for (const [id, value] of values ?? [])
				void find(id)?.keeper.report(value).catch(onBug);
		},
		findParent: find,
	};
	const store = createDirectoryStore({
		directory: createOutputDirectory(directory),
		...{ mode: 0o640, gid: undefined, self, clock, stopping },
		random: () => 0.5,
	});
	const all = Array.from({ length: count }, (_, index): Account => {
		const appid = `wx${index}`;
		return {
			...{ appid, secret: "not a secret at all", interface: "classic" },
			file: `wx_access_token_${appid}`,
			...{ tickets: ["jsapi"], formats: ["php"] },
			...{ baseUrls: ["http://127.0.0.1:9"], timeoutMs: 10_000 },
			...{ refreshBeforeMs: 2_400_000, cooldownMs: 10_000, budget: 60 },
		};
	}).flatMap((account) =>
		manageEntry(account, store, shared, {
			http: {
				send: async ({ path }) => {
					const text = answer(path);
					if (path.includes("getticket")) await meanwhile();
					return { status: 200, text, serverTime: undefined };
				},
			},
			clock,
			monitor: { serverTime: () => {}, answered: () => {} },
			stopping,
			gate: createIpGate(clock),
		}),
	);
	for (const one of all) byId.set(one.credential.id, one);
	const reconciler = createReconciler({
		roster: atOnce(createRoster(all)),
		...{ watch: store.watch, clock, limiter, onBug },
		find: (file) => all.find(({ credential }) => credential.file === file),
		repairLimiter: createLimiter(48, 600_000),
		heap: quietHeap,
	});
	onTestFinished(() => {
		reconciler.stop();
		if (bugs.length > 0) throw bugs[0];
	});
	const isCalm = () =>
		all.every(
			({ isQueued, activeKeeper }) => !isQueued && !activeKeeper?.isBusy(),
		);
	return {
		reconciler,
		refused,
		asked,
		fetched,
		events,
		directory,
		find,
		meanwhile: (act: () => Promise<void>) => {
			meanwhile = act;
		},
		active: () =>
			all.flatMap(({ activeKeeper, credential }) =>
				activeKeeper === undefined ? [] : [credential.file],
			),
		/** A tick after so long, and all that it begins. */
		tickAfter: async (ms: number) => {
			now += ms;
			await reconciler.tick();
			while (!isCalm()) await new Promise(setImmediate);
		},
	};
}

test("idle tickets are evicted like idle tokens, and each is asked for when it is due", async () => {
	const { reconciler, asked, active, tickAfter } = newScene(150);
	await reconciler.first(0);
	expect(asked).toHaveLength(150);
	await tickAfter(0);
	expect(active()).toEqual([]);
	await tickAfter(minuteMs);
	expect(asked).toHaveLength(150);
	// Without a known end: five minutes after the first answer.
	await tickAfter(4 * minuteMs);
	expect(asked).toHaveLength(300);
	expect(new Set(asked.slice(150)).size).toBe(150);
	await tickAfter(0);
	expect(active()).toEqual([]);
});

test("the copy of an evicted ticket is restored without a call", async () => {
	const { reconciler, asked, active, tickAfter, directory, events } =
		newScene(150);
	await reconciler.first(0);
	await tickAfter(0);
	await tickAfter(0);
	expect(active()).toEqual([]);
	const copy = join(directory, "wx_jsapi_ticket_wx77.php");
	const text = fs.readFileSync(copy, "utf8");
	fs.rmSync(copy);
	await eventually(
		async () => {
			await tickAfter(0);
			return fs.existsSync(copy) && fs.readFileSync(copy, "utf8") === text;
		},
		{ what: "the copy as it was" },
	);
	expect(events.filter(({ event }) => event === "file.repaired")).toMatchObject(
		[{ credential: "wx_jsapi_ticket_wx77" }],
	);
	expect(asked).toHaveLength(150);
});

test("a ticket whose token WeChat refuses, and calls alive, is not asked for at each tick", async () => {
	const { reconciler, refused, asked, fetched, tickAfter, events } =
		newScene(150);
	await reconciler.first(0);
	await tickAfter(0);
	refused.add("wx7");
	await tickAfter(5 * minuteMs);
	for (let ticks = 0; ticks < 119; ticks += 1) await tickAfter(5_000);
	// The first one; then in ten minutes: at once, and after 1, 2 and 4 minutes more.
	expect(asked.filter((appid) => appid === "wx7")).toHaveLength(1 + 4);
	expect(fetched.filter((appid) => appid === "wx7")).toHaveLength(1);
	expect(events.filter(({ event }) => event === "fetch.failed")).toEqual([]);
});

test("a token that was renewed while its ticket was asked for is not taken for the refused one", async () => {
	const scene = newScene(1);
	const { reconciler, refused, asked, fetched, tickAfter, events } = scene;
	await reconciler.first(0);
	refused.add("wx0");
	scene.meanwhile(async () => {
		scene.meanwhile(async () => {});
		await scene.find("wx_access_token_wx0")?.keeper.force();
		refused.delete("wx0");
	});
	await tickAfter(5 * minuteMs);
	// Nobody has said that the new one is dead: with it the ticket is asked for at once.
	await tickAfter(0);
	expect(asked).toHaveLength(3);
	expect(fetched).toHaveLength(2);
	expect(events.filter(({ event }) => event === "token.probed")).toEqual([]);
});

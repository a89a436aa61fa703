/**
 * How often the shared record is read: once before the lock to decide, and once under
 * it, where alone it is sure to be the newest. A request that goes for the lock at
 * once does without the first look.
 */
import { expect, test } from "vitest";
import type { Slot, Store } from "../../src/core/ports.ts";
import { anAccount } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { logTo } from "../support/log-to.ts";
import { keepAsOneProcess } from "../support/managed.ts";

const hourMs = 3_600_000;
const account = anAccount({ appid: "wx1", file: "token", cooldownMs: 0 });

/** One keeper with a valid token, and the reads of its record since. */
async function newScene() {
	let now = Date.now();
	let isLocked = false;
	let isDead = true;
	let isRefusing = false;
	const reads: ("before the lock" | "under the lock")[] = [];
	const counting = (slot: Slot): Slot => ({
		...slot,
		record: () => {
			reads.push(isLocked ? "under the lock" : "before the lock");
			return slot.record();
		},
		acquire: async (timeoutMs) => {
			const lease = await slot.acquire(timeoutMs);
			if (lease === undefined) return undefined;
			isLocked = true;
			return {
				...lease,
				release: async () => {
					isLocked = false;
					await lease.release();
				},
			};
		},
	});
	let issued = 0;
	const { keeper } = keepAsOneProcess({
		directory: newDirectory(),
		clock: { now: () => now, monotonic: () => now },
		log: logTo(() => {}),
		onBug: (error) => {
			throw error;
		},
		storeOf: (store: Store) => ({
			...store,
			open: (of, remembered) => counting(store.open(of, remembered)),
		}),
		http: {
			send: async ({ path }) => {
				const isProbe = path.includes("get_api_domain_ip");
				if (!isProbe) issued += 1;
				if (isRefusing && !isProbe)
					return {
						status: 200,
						text: `{"errcode":40164}`,
						serverTime: undefined,
					};
				const text = isProbe
					? `{"errcode":${isDead ? 42001 : 0},"ip_list":[]}`
					: `{"access_token":"token-${issued}","expires_in":7200}`;
				return { status: 200, text, serverTime: undefined };
			},
		},
	}).manage(account);
	await keeper.reconcile();
	reads.length = 0;
	now += 60_000;
	return {
		keeper,
		reads,
		advance: (ms: number) => {
			now += ms;
		},
		accept: () => {
			isDead = false;
		},
		refuse: () => {
			isRefusing = true;
		},
	};
}

test("a report of a dead token: one before the lock, one under it", async () => {
	const { keeper, reads } = await newScene();
	expect(await keeper.report("token-1")).toMatchObject({
		outcome: "refreshed",
		token: { value: "token-2" },
	});
	await keeper.whenIdle();
	expect(reads).toEqual(["before the lock", "under the lock"]);
});

test("a report of a token that is alive: one, and no lock", async () => {
	const { keeper, reads, accept } = await newScene();
	accept();
	expect((await keeper.report("token-1")).outcome).toBe("alive");
	expect(reads).toEqual(["before the lock"]);
});

test("a report of an older token: one, and no lock", async () => {
	const { keeper, reads } = await newScene();
	expect((await keeper.report("token-0")).outcome).toBe("already-fresh");
	expect(reads).toEqual(["before the lock"]);
});

test("a forced refresh: one under the lock", async () => {
	const { keeper, reads } = await newScene();
	expect((await keeper.force()).outcome).toBe("refreshed");
	await keeper.whenIdle();
	expect(reads).toEqual(["under the lock"]);
});

test("a token that is due: one under the lock, if the caller has told that it is", async () => {
	const { keeper, reads, advance } = await newScene();
	advance(1.4 * hourMs);
	expect((await keeper.reconcile(0, true)).kind).toBe("refreshed");
	expect(reads).toEqual(["under the lock"]);
});

test("a token that is due: one more before the lock, if the caller has not", async () => {
	const { keeper, reads, advance } = await newScene();
	advance(1.4 * hourMs);
	expect((await keeper.reconcile()).kind).toBe("refreshed");
	expect(reads).toEqual(["before the lock", "under the lock"]);
});

test("an attempt that fails: one under the lock, and none for its glimpse", async () => {
	const { keeper, reads, refuse } = await newScene();
	refuse();
	expect((await keeper.force()).outcome).toBe("failed");
	await keeper.whenIdle();
	expect(keeper.glimpse()).toMatchObject({
		failure: { code: "errcode 40164" },
	});
	expect(reads).toEqual(["under the lock"]);
});

test("nothing to do: one, and no lock", async () => {
	const { keeper, reads } = await newScene();
	expect((await keeper.reconcile()).kind).toBe("idle");
	expect(reads).toEqual(["before the lock"]);
});

test("a glimpse after a look: none, until something was done", async () => {
	const { keeper, reads, advance } = await newScene();
	keeper.needs();
	reads.length = 0;
	expect(keeper.glimpse()?.failure).toBe(null);
	expect(reads).toEqual([]);
	await keeper.force();
	await keeper.whenIdle();
	expect(keeper.glimpse()).toBeUndefined();
	keeper.needs();
	advance(60_000);
	expect(keeper.glimpse()?.failure).toBe(null);
	advance(61_000);
	expect(keeper.glimpse()).toBeUndefined();
});

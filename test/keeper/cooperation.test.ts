/** Keepers of one credential in several processes, which share its files. */
import { rmSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { emptyRecord } from "../../src/core/record.ts";
import { tokenId } from "../../src/core/token.ts";
import { withPublication } from "../../src/core/transition.ts";
import { newScene } from "../faults/keepers.ts";
import { newDirectory } from "../support/directory.ts";
import { newToken } from "../support/issuer.ts";
import { readTokenFile } from "../support/token-file.ts";

/**
 * A clock in which no two events have the same millisecond: a token that was fetched in
 * the millisecond of a request would satisfy it.
 */
function everyMillisecondOnce() {
	let now = Date.now();
	const next = () => {
		now += 1;
		return now;
	};
	return { now: next, monotonic: next };
}

test("a token that is forced after the record file was deleted stays the newest, also for a process that knows an older one", async () => {
	const scene = newScene({ clock: everyMillisecondOnce() });
	const [one, other] = [scene.start(), scene.start()];
	await one.keeper.reconcile();
	await one.keeper.force();
	await other.keeper.reconcile();

	rmSync(scene.statePath);
	await one.keeper.force();
	await other.keeper.reconcile();

	expect(readTokenFile(scene.path).value).toBe(scene.issued.at(-1));
	expect(other.keeper.current()?.value).toBe(scene.issued.at(-1));
	expect(scene.issued.length).toBe(3);
});

test("a new process that finds the record file garbled publishes tokens that older processes take for the newest", async () => {
	const scene = newScene({ clock: everyMillisecondOnce() });
	const old = scene.start();
	await old.keeper.reconcile();
	for (let time = 0; time < 3; time++) await old.keeper.force();

	writeFileSync(scene.statePath, "{");
	const recent = scene.start();
	await recent.keeper.force();
	await recent.keeper.force();
	await old.keeper.reconcile();

	expect(readTokenFile(scene.path).value).toBe(scene.issued.at(-1));
	expect(old.keeper.current()?.value).toBe(scene.issued.at(-1));
	expect(scene.issued.length).toBe(6);
});

test("a signal that is satisfied by the refresh of another process logs refresh.shared, and a later signal fetches a token of its own", async () => {
	let now = Date.now();
	const scene = newScene({ clock: { now: () => now, monotonic: () => now } });
	const [one, other] = [scene.start(), scene.start()];
	await one.keeper.reconcile();
	now += 60_000;
	await one.keeper.force();
	await other.keeper.reconcile();
	const shared = () =>
		other.events.filter(({ event }) => event === "refresh.shared").length;

	now += 1_000;
	await other.keeper.force();
	expect([scene.issued.length, shared()]).toEqual([2, 1]);
	now += 2_000;
	await other.keeper.force();
	expect([scene.issued.length, shared()]).toEqual([3, 1]);
});

test("who waits for the lock until the end of its time takes what the others left meanwhile", async () => {
	const scene = newScene();
	const [holder, waiting] = [scene.start(), scene.start()];
	const lock = await holder.slot.acquire(0);
	const look = waiting.keeper.reconcile(100);
	const [fetchedAt, lifetimeMs] = [Math.floor(Date.now() / 1000) * 1000, 7.2e6];
	const token = { value: newToken(), expiresAt: fetchedAt + lifetimeMs };
	const known = {
		...{ token, id: tokenId(token.value), generation: 1 },
		...{ fetchedAt, lifetimeMs, reason: "first" },
	};
	await lock?.publish(token, withPublication(known, emptyRecord));
	expect(await look).toEqual({ kind: "idle", token });
	await lock?.release();
});

test("two processes whose clocks differ by 12 s fetch one token of 40 s for each renewal between them", async () => {
	let passed = 0;
	const lifetimeMs = 40_000;
	const directory = newDirectory();
	const clockAhead = (ms: number) => {
		const start = Date.UTC(2026, 0, 5, 2) + ms;
		const now = () => start + passed;
		return { now, monotonic: () => passed };
	};
	const scenes = [0, 12_000].map((ms) =>
		newScene({ directory, lifetimeMs, clock: clockAhead(ms) }),
	);
	const keepers = scenes.map((scene) => scene.start().keeper);
	const fetches = () => scenes.flatMap(({ issued }) => issued).length;
	const lives: number[] = [];
	for (let fetchedAt = 0; passed < 400_000; passed += 1_000) {
		const before = fetches();
		for (const keeper of keepers)
			if (keeper.needs()?.adopt) keeper.adopt();
			else if (keeper.needs() !== undefined) await keeper.reconcile();
		if (fetches() === before) continue;
		lives.push(passed - fetchedAt);
		expect(fetches() - before).toBe(1);
		fetchedAt = passed;
	}
	// The one that is ahead renews its own tokens, after two thirds of their life.
	expect(lives.length).toBeLessThanOrEqual(17);
	expect(Math.min(...lives.slice(3))).toBeGreaterThanOrEqual(25_000);
});

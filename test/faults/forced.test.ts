/**
 * A forced refresh is always answered, whatever happens to the lock. In these tests no
 * tick comes, as with a schedule of once an hour.
 */
import { readFileSync, utimesSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { decodeToken } from "../../src/core/token.ts";
import { heldRequests } from "./held-requests.ts";
import { newScene } from "./keepers.ts";

test("a forced refresh that finds the lock of a dead holder with a lost request is answered by the token that replaces the lost one", async () => {
	const requests = heldRequests();
	const scene = newScene({ onRequest: requests.arrive });
	const before = scene.start();
	requests.resume();
	await before.keeper.reconcile();
	const died = scene.start({ cooldownMs: 10_000 });
	requests.hold();
	void died.keeper.force();
	await requests.arrived();

	requests.resume({ exceptHeld: true });
	// The cooldown of the dead process still lasts, so only the renewal may fetch.
	const { keeper } = scene.start({ cooldownMs: 10_000 });
	const answer = await keeper.force();
	expect(answer).toMatchObject({
		outcome: "refreshed",
		token: { value: scene.issued.at(-1) },
	});
	expect(tokenIn(scene.path)).toBe(scene.issued.at(-1));
	expect(scene.issued).toHaveLength(2);
});

test("a forced refresh that loses the lock while WeChat is asked is answered by the token that is fetched afterwards", async () => {
	const requests = heldRequests();
	const scene = newScene({ onRequest: requests.arrive });
	requests.resume();
	const slow = scene.start();
	await slow.keeper.reconcile();
	requests.hold();
	const answer = slow.keeper.force();
	await requests.arrived();
	// By its name the slow process is dead, so the other one takes the lock over.
	requests.resume({ exceptHeld: true });
	const other = scene.start();
	await other.keeper.force();
	requests.resume();
	expect(await answer).toMatchObject({
		outcome: "refreshed",
		token: { value: scene.issued.at(-1) },
	});
	expect(slow.events.map(({ event }) => event)).toContain("lock.lost");
	// The first token, that of the other process, the lost one, and one more that certainly lives.
	expect(scene.issued).toHaveLength(4);
	expect(tokenIn(scene.path)).toBe(scene.issued.at(-1));
});

test("a forced refresh fails if a living process keeps the lock, but the next token is still fetched for it", async () => {
	const scene = newScene({ lockTimeoutMs: 200 });
	const { slot } = scene.start();
	const waiting = scene.start();
	await waiting.keeper.reconcile();
	const lock = await slot.acquire(0);
	expect(await waiting.keeper.force()).toMatchObject({
		outcome: "failed",
		error: { code: "locked", hint: expect.stringContaining("other wxtokend") },
	});
	await lock?.release();
	expect(await waiting.keeper.reconcile()).toMatchObject({
		kind: "refreshed",
		reason: "forced",
	});
});

test("a forced refresh whose lock is taken for a moment at the wake-up waits for the lock, and not for the next tick", async () => {
	let ahead = 0;
	const clock = {
		now: () => Date.now() + ahead,
		monotonic: () => performance.now(),
	};
	const scene = newScene({ clock });
	const { keeper, wakes } = scene.start({ cooldownMs: 60_000 });
	await keeper.reconcile();
	await keeper.force();
	const answer = keeper.force();
	await keeper.whenIdle();
	expect(wakes).toHaveLength(1);
	const holder = scene.start();
	const lock = await holder.slot.acquire(0);
	ahead = 61_000;
	const alive = new Date(clock.now());
	utimesSync(`${scene.path}.lock`, alive, alive);
	// This is what the tick at the wake-up does.
	const look = keeper.reconcile();
	// If it did not wait for the lock, it would end long before these 100 ms.
	await Promise.race([look, pause(100)]);
	await lock?.release();
	expect(await look).toMatchObject({ kind: "refreshed", reason: "forced" });
	expect(await answer).toMatchObject({ outcome: "refreshed" });
});

function tokenIn(path: string): string | undefined {
	return decodeToken(readFileSync(path, "utf8"))?.value;
}

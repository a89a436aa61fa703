/**
 * A forced refresh is always answered, whatever befalls the lock: here no tick
 * comes, as with a schedule of once an hour.
 */
import { readFileSync, utimesSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { decodeToken } from "../../src/core/token.ts";
import { heldRequests } from "./held-requests.ts";
import { newScene } from "./keepers.ts";

test("its lock was that of a holder who died in its request: the token that replaces the lost one is the answer", async () => {
	const requests = heldRequests();
	const scene = newScene({ onRequest: requests.arrive });
	const before = scene.start();
	requests.letGo();
	await before.keeper.look();
	const died = scene.start({ cooldownMs: 10_000 });
	requests.hold();
	void died.keeper.force();
	await requests.arrived();

	requests.letGo({ butThoseHeld: true });
	// Within the cooldown of the one who died: only the renewal may fetch.
	const { keeper } = scene.start({ cooldownMs: 10_000 });
	const answer = await keeper.force();
	expect(answer).toMatchObject({
		outcome: "refreshed",
		token: { value: scene.issued.at(-1) },
	});
	expect(tokenIn(scene.path)).toBe(scene.issued.at(-1));
	expect(scene.issued).toHaveLength(2);
});

test("the lock was lost while WeChat was asked: the answer is the token that was asked for afterwards", async () => {
	const requests = heldRequests();
	const scene = newScene({ onRequest: requests.arrive });
	requests.letGo();
	const slow = scene.start();
	await slow.keeper.look();
	requests.hold();
	const answer = slow.keeper.force();
	await requests.arrived();
	// Its name says that it is gone, so the other one takes the lock over.
	requests.letGo({ butThoseHeld: true });
	const other = scene.start();
	await other.keeper.force();
	requests.letGo();
	expect(await answer).toMatchObject({
		outcome: "refreshed",
		token: { value: scene.issued.at(-1) },
	});
	expect(slow.events.map(({ event }) => event)).toContain("lock.lost");
	// First token, the other one's, the lost one, the third that settles it.
	expect(scene.issued).toHaveLength(4);
	expect(tokenIn(scene.path)).toBe(scene.issued.at(-1));
});

test("a living process holds the lock and keeps it: the answer says so, and the next token counts for it", async () => {
	const scene = newScene({ patienceMs: 200 });
	const { store } = scene.start();
	const waiting = scene.start();
	await waiting.keeper.look();
	const lock = await store.acquire(0);
	expect(await waiting.keeper.force()).toMatchObject({
		outcome: "failed",
		error: { code: "locked", hint: expect.stringContaining("other wxtokend") },
	});
	await lock?.release();
	expect(await waiting.keeper.look()).toMatchObject({
		kind: "refreshed",
		reason: "forced",
	});
});

test("another process took the lock for a moment right at the wake-up: the request waits for it, and not for the next tick", async () => {
	let ahead = 0;
	const clock = {
		now: () => Date.now() + ahead,
		monotonic: () => performance.now(),
	};
	const scene = newScene({ clock });
	const { keeper, wakes } = scene.start({ cooldownMs: 60_000 });
	await keeper.look();
	await keeper.force();
	const answer = keeper.force();
	await keeper.idle();
	expect(wakes).toHaveLength(1);
	const holder = scene.start();
	const lock = await holder.store.acquire(0);
	ahead = 61_000;
	const alive = new Date(clock.now());
	utimesSync(`${scene.path}.lock`, alive, alive);
	// As the tick does that the wake-up brings.
	const look = keeper.look();
	// A look that does not wait for the lock has ended long before that.
	await Promise.race([look, pause(100)]);
	await lock?.release();
	expect(await look).toMatchObject({ kind: "refreshed", reason: "forced" });
	expect(await answer).toMatchObject({ outcome: "refreshed" });
});

function tokenIn(path: string): string | undefined {
	return decodeToken(readFileSync(path, "utf8"))?.value;
}

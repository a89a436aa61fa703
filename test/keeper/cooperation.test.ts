import { rmSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { newScene } from "../faults/keepers.ts";
import { readTokenFile } from "../support/token-file.ts";

/** No two events in the same millisecond: a wish is content with a token of its own one. */
function ticking() {
	let now = Date.now();
	const next = () => {
		now += 1;
		return now;
	};
	return { now: next, monotonic: next };
}

test("a forced refresh after the state was deleted stays the newest, whatever an older process remembers", async () => {
	const scene = newScene({ clock: ticking() });
	const [one, other] = [scene.start(), scene.start()];
	await one.keeper.look();
	await one.keeper.force();
	await other.keeper.look();

	rmSync(scene.statePath);
	await one.keeper.force();
	await other.keeper.look();

	expect(readTokenFile(scene.path).value).toBe(scene.issued.at(-1));
	expect(other.keeper.current()?.value).toBe(scene.issued.at(-1));
	expect(scene.issued.length).toBe(3);
});

test("a new process that finds the state garbled publishes what older ones take for the newest", async () => {
	const scene = newScene({ clock: ticking() });
	const old = scene.start();
	await old.keeper.look();
	for (let time = 0; time < 3; time++) await old.keeper.force();

	writeFileSync(scene.statePath, "{");
	const young = scene.start();
	await young.keeper.force();
	await young.keeper.force();
	await old.keeper.look();

	expect(readTokenFile(scene.path).value).toBe(scene.issued.at(-1));
	expect(old.keeper.current()?.value).toBe(scene.issued.at(-1));
	expect(scene.issued.length).toBe(6);
});

test("a signal that another process's refresh of the same moment answers leaves a line in the log, and one that comes later does not", async () => {
	let now = Date.now();
	const scene = newScene({ clock: { now: () => now, monotonic: () => now } });
	const [one, other] = [scene.start(), scene.start()];
	await one.keeper.look();
	now += 60_000;
	await one.keeper.force();
	await other.keeper.look();
	const shared = () =>
		other.events.filter(({ event }) => event === "refresh.shared").length;

	now += 1_000;
	await other.keeper.force();
	expect([scene.issued.length, shared()]).toEqual([2, 1]);
	now += 2_000;
	await other.keeper.force();
	expect([scene.issued.length, shared()]).toEqual([3, 1]);
});

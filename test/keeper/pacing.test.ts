/** The pace of renewals of a hundred thousand members, in virtual time. */
import { describe, expect, test } from "vitest";
import { createPacing } from "../../src/keeper/pacing.ts";

const start = Date.UTC(2026, 0, 5, 2);
const minuteMs = 60_000;

function scene(members: number) {
	let now = start;
	const begun: { readonly name: number; readonly at: number }[] = [];
	const wakes: number[] = [];
	const pacing = createPacing({
		clock: { now: () => now, monotonic: () => now - start },
		limiter: { enqueue: (task) => void task() },
		members: () => members,
		wakeAt: (at) => wakes.push(at),
	});
	return {
		...{ pacing, begun, wakes },
		enqueue: (name: number, endsAt: number) =>
			pacing.enqueue(endsAt, async () => {
				begun.push({ name, at: now });
			}),
		/** Ticks each second. */
		pass: (seconds: number) => {
			for (let second = 0; second < seconds; second += 1) {
				pacing.release();
				now += 1_000;
			}
		},
	};
}

/** The most in any minute, wherever it begins. */
function mostInAMinute(begun: readonly { readonly at: number }[]): number {
	let first = 0;
	let most = 0;
	for (const [last, { at }] of begun.entries()) {
		while ((begun[first]?.at ?? at) <= at - minuteMs) first += 1;
		most = Math.max(most, last - first + 1);
	}
	return most;
}

describe("a hundred thousand that are due at once", () => {
	const members = 100_000;
	const { pacing, enqueue, pass, begun, wakes } = scene(members);
	for (let name = 0; name < members; name += 1)
		enqueue(name, start + (name % 120) * minuteMs);
	pass(2_100);

	test("all have their turn, and no minute has twice the mean", () => {
		expect(begun).toHaveLength(members);
		expect(pacing.load()).toBe(0);
		// Each is renewed once an hour on average.
		expect(mostInAMinute(begun)).toBeLessThan((2 * members) / 60);
	});

	test("those whose values end first come first", () => {
		const minutes = begun.map(({ name }) => name % 120);
		expect(minutes).toEqual([...minutes].sort((a, b) => a - b));
	});

	test("a tick is ordered for each second while some wait, and none after that", () => {
		const last = begun.at(-1)?.at ?? 0;
		expect(wakes[0]).toBe(start + 1_000);
		expect(wakes.at(-1)).toBe(last);
	});
});

test("a few have their turn at once", () => {
	const { enqueue, pass, begun } = scene(300);
	for (let name = 0; name < 300; name += 1) enqueue(name, start);
	pass(1);
	expect(begun).toHaveLength(300);
});

test("a rest brings no more than one burst", () => {
	const { enqueue, pass, begun } = scene(1_000);
	pass(86_400);
	for (let name = 0; name < 1_000; name += 1) enqueue(name, start);
	pass(1);
	expect(begun).toHaveLength(300);
	pass(2);
	expect(begun).toHaveLength(400);
});

test("at the end all of them begin", () => {
	const { pacing, enqueue, begun } = scene(1_000);
	for (let name = 0; name < 1_000; name += 1) enqueue(name, start);
	pacing.end();
	expect(begun).toHaveLength(1_000);
	expect(pacing.load()).toBe(0);
});

import { expect, test } from "vitest";
import { createSkewWatch } from "../../src/core/clock-skew.ts";

const hour = 3_600_000;

function newWatch() {
	let wall = Date.UTC(2026, 0, 1);
	let monotonic = 0;
	const watch = createSkewWatch({
		now: () => wall,
		monotonic: () => monotonic,
	});
	return {
		/** WeChat answers; this server is that far ahead. */
		seen: (aheadMs: number) => watch.seen(wall - aheadMs),
		ahead: () => watch.current()?.aheadSeconds,
		message: () => watch.current()?.message,
		/** Somebody sets the clock. */
		set: (byMs: number) => {
			wall += byMs;
		},
		pass: (ms: number) => {
			wall += ms;
			monotonic += ms;
		},
	};
}

test("without an answer nothing is known", () => {
	expect(newWatch().ahead()).toBeUndefined();
});

test.for([
	[60_000, undefined],
	[-60_000, undefined],
	[75_400, "the clock of this server is 75 s ahead of WeChat's"],
	[-hour, "the clock of this server is 3600 s behind WeChat's"],
] as const)("%d ms ahead: %s", ([aheadMs, message]) => {
	const watch = newWatch();
	watch.seen(aheadMs);
	expect(watch.message()).toBe(message);
});

test("once somebody sets the clock right, it is right without another answer", () => {
	const watch = newWatch();
	watch.seen(10 * 60_000);
	watch.pass(hour);
	expect(watch.ahead()).toBe(600);
	watch.set(-9 * 60_000 - 30_000);
	expect(watch.ahead()).toBeUndefined();
});

test("what is corrected in part is told as it is now", () => {
	const watch = newWatch();
	watch.seen(-hour);
	watch.set(hour / 2);
	expect(watch.ahead()).toBe(-1_800);
});

test("a machine that was suspended does not look like one with a wrong clock", () => {
	const watch = newWatch();
	watch.seen(1_000);
	// The monotonic clock stood still.
	watch.set(8 * hour);
	expect(watch.ahead()).toBeUndefined();
	watch.seen(70_000);
	watch.set(8 * hour);
	expect(watch.ahead()).toBe(70);
});

test("the next answer counts", () => {
	const watch = newWatch();
	watch.seen(hour);
	watch.seen(0);
	expect(watch.ahead()).toBeUndefined();
});

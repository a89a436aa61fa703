/** When memory is given back: after a burst, and after a few refreshes. */
import { expect, test } from "vitest";
import { createSpareMemory } from "../../src/keeper/spare-memory.ts";

/** `isWasteful`: each collection leaves far more than is used. */
function newScene(isLarge: boolean, isWasteful = false) {
	let now = 0;
	let collections = 0;
	const memory = createSpareMemory(
		{
			grow: () => {},
			keep: () => {},
			collect: () => {
				collections += 1;
				return isWasteful;
			},
		},
		{ now: () => now, monotonic: () => now },
		isLarge,
	);
	return {
		memory,
		/** Ticks of five seconds without a burst; returns how often memory was collected. */
		ticks: (count: number) => {
			const before = collections;
			for (let index = 0; index < count; index += 1) {
				now += 5_000;
				memory.giveBack(false);
			}
			return collections - before;
		},
	};
}

test("of a few credentials nothing is given back at the start, and once after something was refreshed", () => {
	const { memory, ticks } = newScene(false);
	expect(ticks(100)).toBe(0);
	memory.expectSome();
	memory.expectSome();
	expect(ticks(100)).toBe(1);
});

test("a large start and a burst are followed by collections until one is enough, four at most", () => {
	expect(newScene(true).ticks(100)).toBe(1);
	const { memory, ticks } = newScene(true, true);
	expect(ticks(100)).toBe(4);
	memory.expectMore();
	memory.giveBack(true);
	expect(ticks(100)).toBe(4);
});

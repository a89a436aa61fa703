/** When memory is given back: after a burst, and after a few refreshes. */
import { expect, test } from "vitest";
import { createSpareMemory } from "../../src/keeper/spare-memory.ts";

/** `isWasteful`: each collection leaves far more than is used. `used`: MB. */
function newScene(isLarge: boolean, isWasteful = false, used = 5) {
	let now = 0;
	let collections = 0;
	const memory = createSpareMemory(
		{
			grow: () => {},
			keep: () => {},
			collect: () => {
				collections += 1;
			},
			size: () => ({ held: isWasteful ? 3 * used : used, used }),
		},
		{ now: () => now, monotonic: () => now },
		isLarge,
	);
	return {
		memory,
		/** Ticks of five seconds without a burst; returns how often memory was collected. */
		ticks: (count: number, before = () => {}) => {
			const already = collections;
			for (let index = 0; index < count; index += 1) {
				now += 5_000;
				before();
				memory.giveBack(false);
			}
			return collections - already;
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

test.each([
	[5, 720],
	[200, 36],
])(
	"where something is refreshed at each tick of an hour, a heap of %s MB is collected at most %s times, and once after it",
	(used, most) => {
		const { memory, ticks } = newScene(false, false, used);
		const times = ticks(720, memory.expectSome);
		expect(times).toBeGreaterThan(most / 2 - 1);
		expect(times).toBeLessThanOrEqual(most);
		expect(ticks(1_000)).toBeLessThanOrEqual(1);
	},
);

test("after a burst memory is given back soon, however lately it was", () => {
	const { memory, ticks } = newScene(false, false, 1_000);
	memory.expectSome();
	expect(ticks(2)).toBe(1);
	memory.expectMore();
	expect(ticks(2)).toBe(1);
});

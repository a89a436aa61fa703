/** News that were counted and not heard: lost ones are made up for, late ones are waited for. */
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { createFleetClock } from "../../src/core/fleet-clock.ts";
import { createMembers } from "../../src/store/fleet-member.ts";
import { createNews, type NewsParts } from "../../src/store/fleet-news.ts";

function newScene() {
	let comparisons = 0;
	let hearAll = () => {};
	const unused = () => {
		throw new Error("nobody asks for that");
	};
	const records = new Proxy({}, { get: () => unused }) as NewsParts["records"];
	const news = createNews({
		records,
		members: createMembers(),
		clock: createFleetClock(systemClock),
		monotonic: systemClock.monotonic,
		random: () => 0.5,
		stopping: new AbortController().signal,
		leaseMs: 10_000,
		instance: "one",
		withoutRedis: "auto",
		problem: () => undefined,
		count: unused,
		onPublished: unused,
		tell: unused,
		facts: {
			hear: unused,
			compare: async () => {
				comparisons += 1;
			},
		},
		heardAll: () =>
			new Promise((resolve) => {
				hearAll = resolve;
			}),
		onFollowed: unused,
		onWish: unused,
		onTrouble: unused,
		onBug: (error) => {
			throw error;
		},
	});
	return {
		news,
		comparisons: () => comparisons,
		/** All that was told up to now was heard. */
		heardAll: async () => {
			hearAll();
			await turnOfTheLoop();
		},
	};
}

test("news that were counted before they are heard are no reason to compare everything", async () => {
	const { news, comparisons, heardAll } = newScene();
	news.counted(7);
	for (let total = 8; total < 12; total += 1) {
		news.counted(total);
		news.hear("wx1 1");
		await heardAll();
	}
	expect(comparisons()).toBe(0);
});

test("one that was counted and never heard is made up for, once", async () => {
	const { news, comparisons, heardAll } = newScene();
	news.counted(7);
	news.counted(8);
	await heardAll();
	expect(comparisons()).toBe(1);
	news.counted(8);
	await heardAll();
	expect(comparisons()).toBe(1);
});

test("a server that counts less than before was emptied: everything is compared", async () => {
	const { news, comparisons } = newScene();
	news.counted(7);
	news.counted(2);
	await turnOfTheLoop();
	expect(comparisons()).toBe(1);
});

test("one comparison at a time: of those that are asked for meanwhile the next one does for all", async () => {
	const { news, comparisons } = newScene();
	const [, second, third] = [news.compare(), news.compare(), news.compare()];
	await Promise.all([second, third]);
	expect(comparisons()).toBe(2);
});

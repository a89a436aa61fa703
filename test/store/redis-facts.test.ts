/** What is pushed to platforms, as several hosts share it by a real Redis. */
import { expect, onTestFinished, test } from "vitest";
import { atOnce } from "../../src/core/steps.ts";
import {
	openPlatformState,
	suiteNames,
} from "../../src/store/platform-state.ts";
import { newDirectory } from "../support/directory.ts";
import { newFleetOf } from "../support/fleet.ts";
import { noRedis, startRedis } from "../support/redis.ts";

const withRedis = test.skipIf(noRedis !== undefined);

const dayMs = 86_400_000;

/** A host with a suite whose facts get stamps of that time. */
async function newHost(port: number, stampNow: () => number) {
	const state = atOnce(openPlatformState(newDirectory(), suiteNames, stampNow));
	onTestFinished(() => state.close());
	const fleet = newFleetOf(port);
	onTestFinished(() => fleet.close());
	await fleet.connected(10_000);
	const shared = fleet.share("suite/s1", state.facts);
	if (shared === undefined) throw new Error("a fleet that shares no facts");
	return { state, shared };
}

withRedis(
	"a used code is told to the other hosts for a day; then Redis drops it, and no host brings it back",
	async () => {
		const redis = await startRedis();
		const news = async () => Number(await redis.cli("GET", "wxtokend:seq"));
		const known = () => redis.cli("ZCARD", "wxtokend:{@suite/s1}:stamps");
		let now = Date.now();
		const a = await newHost(redis.port, () => now);
		const b = await newHost(redis.port, () => now);
		await a.state.putCode({ code: "fresh", arrivedAt: now });
		await a.shared.compare();
		await b.shared.compare();
		expect(b.state.codes()).toHaveLength(1);
		await a.state.dropCode("fresh");
		await a.shared.compare();
		await b.shared.compare();
		expect(b.state.codes()).toEqual([]);

		now -= 2 * dayMs;
		// More than are told one by one: all hosts would compare everything, again and again.
		for (let count = 0; count < 60; count += 1)
			await a.state.dropCode(`old${count}`);
		const before = await news();
		for (const { shared } of [a, b, a, b]) await shared.compare();
		expect(await known()).toBe("1");
		expect(await news()).toBe(before);
	},
);

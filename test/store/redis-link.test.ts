/** The way to a Redis that is slow, but does answer. */
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { openRedisLink } from "../../src/store/redis-link.ts";
import { eventually } from "../support/eventually.ts";
import { targetAt } from "../support/fleet.ts";
import { noRedis, type Redis, startRedis } from "../support/redis.ts";

const withRedis = test.skipIf(noRedis !== undefined);

/** A link that is up. */
async function newLink({ port }: Redis) {
	const problems: string[] = [];
	const heard: string[] = [];
	const link = openRedisLink({
		target: targetAt(port),
		channel: "news",
		monotonic: systemClock.monotonic,
		random: () => 0,
		onMessage: (message) => heard.push(message),
		onUp: () => {},
		onDown: ({ message }) => problems.push(message),
		onPoll: async () => {},
		onBug: (error) => {
			throw error;
		},
	});
	onTestFinished(() => link.close());
	await eventually(link.isUp, { what: "the link" });
	return { link, problems, heard };
}

withRedis(
	"of many calls at once the last one may wait for long: each answer shows that the server works",
	async () => {
		const redis = await startRedis();
		const { link, problems } = await newLink(redis);
		const calls = Array.from({ length: 30 }, () =>
			link.call(["BLPOP", "empty", "0.1"]),
		);
		expect(await Promise.all(calls)).toEqual(Array(30).fill(null));
		expect(problems).toEqual([]);
	},
);

withRedis(
	"a server that answers nothing more ends all calls that wait",
	async () => {
		const redis = await startRedis();
		const { link, problems } = await newLink(redis);
		onTestFinished(() => redis.signal("SIGCONT"));
		redis.signal("SIGSTOP");
		const calls = ["one", "two"].map((key) => link.call(["GET", key]));
		const ends = await Promise.allSettled(calls);
		expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
		expect(problems[0]).toContain("did not answer");
	},
);

withRedis("what was told before the question was heard, too", async () => {
	const redis = await startRedis();
	const { link, heard } = await newLink(redis);
	const told = Array.from({ length: 500 }, (_, index) => `wx1 ${index}`);
	await Promise.all(told.map((line) => link.call(["PUBLISH", "news", line])));
	await link.heardAll();
	expect(heard).toEqual(told);
});

/** Whether a Redis is fit for a fleet: what `check` tries and tells. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import {
	LinkError,
	type LinkProblem,
	openRedisLink,
	type RedisLink,
	type RedisTarget,
} from "./redis-link.ts";
import { claim, release } from "./redis-scripts.ts";

/** What was found. */
export interface RedisCheck {
	/** It cannot be used as it is. */
	readonly problem: LinkProblem | undefined;
	/** It can, but should not stay so: sentences for the operator. */
	readonly warnings: readonly string[];
	/** "host:port"; "" with a problem. */
	readonly server: string;
	/** How far its time is ahead of this host's clock, ms. */
	readonly offsetMs: number;
}

const connectTimeoutMs = 5_000;
const doubtfulOffsetMs = 60_000;

/** Connects, claims a probe key and frees it. Never rejects. */
export async function checkRedis(
	target: RedisTarget,
	{ prefix, replicas }: { readonly prefix: string; readonly replicas: number },
	clock: Clock,
	random: () => number,
): Promise<RedisCheck> {
	let known: LinkProblem | undefined;
	let settle: () => void = () => {};
	const settled = new Promise<void>((resolve) => {
		settle = resolve;
	});
	const link = openRedisLink({
		...{ target, channel: `${prefix}news`, monotonic: clock.monotonic },
		random,
		onMessage: () => {},
		onUp: settle,
		onDown: (problem) => {
			known = problem;
			settle();
		},
		onPoll: async () => {},
		onBug: settle,
	});
	try {
		await Promise.race([
			settled,
			sleep(connectTimeoutMs, undefined, { ref: false }),
		]);
		if (!link.isUp()) return failed(known ?? link.problem() ?? silent);
		const offsetMs = await probe(link, prefix, clock);
		const warnings = [
			...skewWarnings(offsetMs),
			...(await serverWarnings(link, replicas)),
			...(await aloneWarnings(link, prefix)),
		];
		return { problem: undefined, warnings, server: link.address(), offsetMs };
	} catch (error) {
		if (!(error instanceof LinkError)) throw error;
		return failed({ message: error.message, hint: error.hint });
	} finally {
		await link.close();
	}
}

const silent: LinkProblem = {
	message: "Redis did not answer in 5 s",
	hint: "look whether this host reaches it: redis-cli PING",
};

function failed(problem: LinkProblem): RedisCheck {
	return { problem, warnings: [], server: "", offsetMs: 0 };
}

/** All that a refresh needs, on a key that nobody uses. */
async function probe(
	link: RedisLink,
	prefix: string,
	clock: Clock,
): Promise<number> {
	const instance = randomBytes(8).toString("hex");
	const key = `${prefix}{check-${instance}}`;
	const keys = [key, `${key}:lease`];
	const sentAt = clock.now();
	const granted = await link.run(claim, keys, [instance, "3000", "3000"]);
	const [, fence, time] = Array.isArray(granted) ? granted : [];
	const offsetMs = Number(time) - (sentAt + clock.now()) / 2;
	await link.run(release, keys, [`${fence}:${instance}`]);
	await link.call(["DEL", key]);
	// Of a cluster each node has some keys only: among so many one is elsewhere.
	for (let count = 0; count < 32; count += 1)
		await link.call(["EXISTS", `${prefix}{check-${instance}-${count}}`]);
	await link.call(["PUBLISH", `${prefix}news`, "check"]);
	return Math.round(offsetMs);
}

function skewWarnings(offsetMs: number): readonly string[] {
	return Math.abs(offsetMs) < doubtfulOffsetMs
		? []
		: [
				`the clock of this host differs from that of Redis by ${Math.round(Math.abs(offsetMs) / 1_000)} s: set it (timedatectl, chronyc sources); the fleet goes by Redis`,
			];
}

/** Undefined: this user may not ask, or the server does not tell. */
async function setting(
	link: RedisLink,
	name: string,
): Promise<string | undefined> {
	try {
		const answer = await link.call(["CONFIG", "GET", name]);
		return Array.isArray(answer) ? String(answer[1]) : undefined;
	} catch (error) {
		if (error instanceof LinkError) return undefined;
		throw error;
	}
}

async function serverWarnings(
	link: RedisLink,
	replicas: number,
): Promise<readonly string[]> {
	const warnings: string[] = [];
	const policy = await setting(link, "maxmemory-policy");
	const limit = await setting(link, "maxmemory");
	if (policy?.startsWith("allkeys") && limit !== "0")
		warnings.push(
			`maxmemory-policy of Redis is ${policy}: it may drop what the fleet shares, at the cost of a fetch; noeviction or volatile-… with room is better`,
		);
	const confirming = await setting(link, "min-replicas-to-write");
	if (replicas > 0 && confirming === "0")
		warnings.push(
			"min-replicas-to-write of Redis is 0: a primary that was cut off goes on taking writes; set it to 1",
		);
	return warnings;
}

async function aloneWarnings(
	link: RedisLink,
	prefix: string,
): Promise<readonly string[]> {
	const answer = await link.call(["HGETALL", `${prefix}hosts`]);
	const texts = (Array.isArray(answer) ? answer : [])
		.map(String)
		.filter((text) => text.includes('"withoutRedis":"alone"'));
	return texts.length < 2
		? []
		: [
				`${texts.length} hosts have without_redis = "alone", and one may: while Redis is away they end each other's tokens`,
			];
}

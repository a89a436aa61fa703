/** Hosts that want the same lease at the same time, and what they take over from its holder. */
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { emptyRecord } from "../../src/core/record.ts";
import { tokenId } from "../../src/core/token.ts";
import { accessToken } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { newFleetOf } from "../support/fleet.ts";
import { noRedis, startRedis } from "../support/redis.ts";
import { storeIn } from "../support/slot.ts";

const withRedis = test.skipIf(noRedis !== undefined);

const credential = accessToken();

async function newHost(port: number) {
	const fleet = newFleetOf(port);
	onTestFinished(() => fleet.close());
	await fleet.connected(10_000);
	const local = storeIn(newDirectory());
	fleet.keep(local, [credential]);
	const slot = fleet.storeOver(local).open(credential);
	const hasNone = () => slot.read().kind !== "token";
	return {
		...{ fleet, slot },
		acquire: (timeoutMs: number, isWanted = hasNone) =>
			slot.acquire(timeoutMs, { kind: "refresh", isWanted }),
	};
}

withRedis(
	"hosts that wait for the lease take over what its holder publishes, and want it no more: it is granted once",
	async () => {
		const redis = await startRedis();
		const granted = async () => {
			const stats = await redis.cli("INFO", "commandstats");
			return Number(/cmdstat_set:calls=(\d+)/.exec(stats)?.[1]);
		};
		const [holder, ...others] = await Promise.all(
			Array.from({ length: 5 }, () => newHost(redis.port)),
		);
		if (holder === undefined) throw new Error("no host");
		const lease = await holder.acquire(10_000);
		const waiting = others.map((other) => other.acquire(600_000));
		await eventually(
			() => others.every(({ fleet }) => fleet.counts().leaseWaits > 0),
			{ what: "all others wait" },
		);
		const expiresAt = Math.ceil(systemClock.now() / 1_000) * 1_000 + 7_200_000;
		const token = { value: "one-token", expiresAt };
		await lease?.publish(token, {
			...emptyRecord,
			source: credential.source,
			generation: 1,
			published: {
				id: tokenId(token.value),
				expiresAt,
				lifetimeMs: 7_200_000,
				fetchedAt: systemClock.now(),
				reason: "first",
			},
		});
		// It still has the lease.
		expect(await Promise.all(waiting)).toEqual(others.map(() => undefined));
		expect(others.map(({ slot }) => slot.read())).toEqual(
			others.map(() => expect.objectContaining({ token })),
		);
		await lease?.release();
		expect(await granted()).toBe(1);
	},
);

withRedis(
	"a renewal that another host has made meanwhile is not begun: Redis is asked for nothing",
	async () => {
		const redis = await startRedis();
		const host = await newHost(redis.port);
		const claims = async () => {
			const stats = await redis.cli("INFO", "commandstats");
			return Number(/cmdstat_exists:calls=(\d+)/.exec(stats)?.[1] ?? 0);
		};
		expect(await host.acquire(0, () => false)).toBeUndefined();
		expect(await claims()).toBe(0);
		const lease = await host.acquire(0, () => true);
		expect(lease).toBeDefined();
		await lease?.release();
		expect(await claims()).toBe(1);
	},
);

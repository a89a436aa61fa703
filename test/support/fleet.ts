/** A fleet of this process at a Redis on loopback. */
import { randomBytes } from "node:crypto";
import { systemClock } from "../../src/core/clock.ts";
import type { Fleet } from "../../src/core/ports.ts";
import type { RedisTarget } from "../../src/store/redis-link.ts";
import {
	openRedisFleet,
	type RedisFleetOptions,
} from "../../src/store/redis-store.ts";

/** A server on loopback, without a password. */
export function targetAt(port: number): RedisTarget {
	return {
		nodes: [{ host: "127.0.0.1", port }],
		sentinelName: undefined,
		database: 0,
		username: undefined,
		password: undefined,
		sentinelPassword: undefined,
		isTls: false,
		ca: undefined,
	};
}

export function newFleetOf(
	port: number,
	options: Partial<RedisFleetOptions> = {},
): Fleet {
	const instance = randomBytes(8).toString("hex");
	return openRedisFleet({
		target: targetAt(port),
		prefix: "wxtokend:",
		role: "keeper",
		withoutRedis: "auto",
		replicas: 0,
		leaseMs: 10_000,
		publishAs: [],
		instance,
		host: `host-${instance.slice(0, 6)}`,
		version: "test",
		hostClock: systemClock,
		random: Math.random,
		stopping: new AbortController().signal,
		onFollowed: () => {},
		onWish: () => {},
		onTrouble: () => {},
		onPlatformTrouble: () => {},
		onUp: () => {},
		onDown: () => {},
		onBug: (error) => {
			throw error;
		},
		...options,
	});
}

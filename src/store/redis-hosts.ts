/** The hosts of a fleet: each says in Redis that it is there, and asks who else is. */
import type { FleetHost, FleetStatus } from "../core/ports.ts";
import type { Members } from "./fleet-member.ts";
import type { RedisLink } from "./redis-link.ts";
import type { RedisRecords } from "./redis-records.ts";

/** This host, as the others see it. */
export interface RedisHostParts {
	readonly link: RedisLink;
	readonly prefix: string;
	readonly host: string;
	readonly role: FleetHost["role"] & FleetStatus["role"];
	readonly version: string;
	readonly withoutRedis: string;
	readonly clock: { now(): number; offsetMs(): number };
	readonly members: Pick<Members, "all">;
	readonly records: Pick<RedisRecords, "read">;
}

export interface RedisHosts {
	/** Rejects with `LinkError`. */
	announce(): Promise<void>;
	/** What is known of all of them. Never rejects. */
	status(): Promise<FleetStatus>;
	/** Never rejects: who does not say that it leaves is forgotten after a minute. */
	leave(): Promise<void>;
}

/** A host that was not seen for so long is gone. */
const hostTtlMs = 60_000;

export function createRedisHosts(parts: RedisHostParts): RedisHosts {
	const { link, clock, members } = parts;
	const { host: name, role, version, withoutRedis } = parts;
	const key = `${parts.prefix}hosts`;
	const self = (): FleetHost => ({
		...{ name, role, version, withoutRedis },
		offsetMs: clock.offsetMs(),
		credentials: [...members.all()].length,
		seenAt: Math.round(clock.now()),
	});
	return {
		announce: async () => {
			await link.call(["HSET", key, name, JSON.stringify(self())]);
			await link.call(["PEXPIRE", key, `${hostTtlMs}`]);
		},
		status: async () => {
			const basic = {
				...{ self: name, role, offsetMs: clock.offsetMs() },
				connected: link.isUp(),
				server: link.address(),
				problem: link.problem() ?? null,
			};
			try {
				const hosts = hostsIn(await link.call(["HGETALL", key]));
				return { ...basic, hosts, publishedBy: await publishersOf(parts) };
			} catch {
				// What failed is in `problem`, or will be in a moment.
				return { ...basic, hosts: [], publishedBy: {} };
			}
		},
		leave: async () => {
			if (link.isUp()) await link.call(["HDEL", key, name]).catch(() => {});
		},
	};
}

/** Those that were seen a short while ago, by the newest sight of them all. */
function hostsIn(answer: unknown): readonly FleetHost[] {
	const fields = Array.isArray(answer) ? answer.map(String) : [];
	const hosts = fields
		.filter((_, index) => index % 2 === 1)
		.flatMap((text): FleetHost[] => {
			try {
				return [JSON.parse(text)];
			} catch {
				return [];
			}
		});
	const newest = Math.max(...hosts.map(({ seenAt }) => seenAt));
	return hosts
		.filter(({ seenAt }) => newest - seenAt < hostTtlMs)
		.sort((one, other) => one.name.localeCompare(other.name));
}

async function publishersOf({
	members,
	records,
}: RedisHostParts): Promise<Readonly<Record<string, string>>> {
	const all = [...members.all()].map(({ credential }) => credential);
	const found = await records.read(all);
	return Object.fromEntries(
		all.map(({ id }, index) => [id, found[index]?.record.host ?? ""]),
	);
}

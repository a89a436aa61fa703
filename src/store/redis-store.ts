/**
 * The store of several hosts that share a Redis or Valkey: each keeps its own directory,
 * whose files are the durable copy, and Redis is where they meet. It composes the
 * directory store of each host; the contract is that of `Slot` in core/ports.ts.
 */
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import type { StoreError } from "../core/errors.ts";
import { createFleetClock } from "../core/fleet-clock.ts";
import type { Wish } from "../core/fleet-record.ts";
import type {
	Fleet,
	FleetCounts,
	FleetHost,
	FleetStatus,
} from "../core/ports.ts";
import type { SdkName } from "../core/sdk-keys.ts";
import { createMembers, type Member } from "./fleet-member.ts";
import { createNews, isUnreachable, turnOf } from "./fleet-news.ts";
import { inFleetTime } from "./fleet-slot.ts";
import { heldIn } from "./fleet-takeover.ts";
import {
	type LinkProblem,
	openRedisLink,
	type RedisLink,
	type RedisTarget,
} from "./redis-link.ts";
import { createRedisRecords } from "./redis-records.ts";
import { type FleetParts, openFleetSlot } from "./redis-slot.ts";
import { createSdkCopies } from "./sdk-copies.ts";

/** What a fleet is made of, and whom it tells. */
export interface RedisFleetOptions {
	readonly target: RedisTarget;
	readonly prefix: string;
	readonly role: "keeper" | "follower";
	readonly withoutRedis: "auto" | "wait" | "alone";
	readonly replicas: number;
	readonly leaseMs: number;
	readonly publishAs: readonly SdkName[];
	/** Of this process, new in each one. */
	readonly instance: string;
	/** The name of this host, for people; unique in the fleet. */
	readonly host: string;
	readonly version: string;
	readonly hostClock: Clock;
	/** 0 to 1. */
	readonly random: () => number;
	readonly stopping: AbortSignal;
	readonly onFollowed: (of: Credential) => void;
	readonly onWish: (of: Credential, wish: Wish) => void;
	readonly onTrouble: (of: Credential, error: StoreError) => void;
	/** `offsetMs`: as in `FleetStatus`. */
	readonly onUp: (address: string, offsetMs: number) => void;
	readonly onDown: (problem: LinkProblem) => void;
	readonly onBug: (error: unknown) => void;
}

/** Everything is compared also if no news was missed, as a host may die before it tells. */
const compareEveryPolls = 30;
const announceEveryPolls = 15;
/** A host that was not seen for so long is gone. */
const hostTtlMs = 60_000;

/** Connects at once, and goes on until it is closed. */
export function openRedisFleet(options: RedisFleetOptions): Fleet {
	const { prefix, hostClock, random, stopping, onBug } = options;
	const clock = createFleetClock(hostClock);
	const members = createMembers();
	const counts = emptyCounts();
	const connected = milestone();
	const agreed = milestone();
	let isKeeping = false;
	let polls = 0;
	/** That this session is up was told. */
	let isAnnounced = false;

	const link = measured(
		openRedisLink({
			target: options.target,
			channel: `${prefix}news`,
			monotonic: hostClock.monotonic,
			random,
			onBug,
			onMessage: (message) => news.hear(message),
			onUp: () => {
				polls = 0;
				isAnnounced = false;
			},
			onDown: (problem) => {
				clock.unsync();
				options.onDown(problem);
			},
			onPoll: () => poll(),
		}),
		hostClock.monotonic,
		counts,
	);
	const records = createRedisRecords({
		link,
		prefix,
		instance: options.instance,
		host: options.host,
		leaseMs: options.leaseMs,
		replicas: options.replicas,
		now: clock.now,
	});
	const copies = createSdkCopies(link, prefix, options.publishAs);
	const parts: FleetParts = {
		records,
		clock,
		monotonic: hostClock.monotonic,
		random,
		stopping,
		leaseMs: options.leaseMs,
		withoutRedis: options.withoutRedis,
		problem: () => (link.isUp() ? undefined : (link.problem() ?? notYet)),
		count: (what) => {
			counts[what] += 1;
		},
		onPublished: (credential, published) => {
			// The next check writes them, should this fail.
			void copies.write({ credential, ...published }).catch(() => {});
		},
		tell: (of, what) => {
			// The next comparison tells it, should this fail.
			void records.tell(of, what).catch(() => {});
		},
	};
	const news = createNews({
		...parts,
		members,
		instance: options.instance,
		onFollowed: (of) => {
			counts.followed += 1;
			options.onFollowed(of);
		},
		onWish: options.onWish,
		onTrouble: options.onTrouble,
		onBug,
	});

	const poll = async () => {
		const askedAt = hostClock.monotonic();
		const [time, seq] = await Promise.all([
			link.call(["TIME"]),
			link.call(["GET", `${prefix}seq`]),
		]);
		clock.sync(msOf(time), hostClock.monotonic() - askedAt);
		news.counted(Number(seq ?? 0));
		connected.reach();
		const turn = polls;
		polls += 1;
		if (turn % compareEveryPolls === 0) await compare();
		else news.retry();
		await copies.check([...members.all()].map(heldBy));
		if (turn % announceEveryPolls === 0)
			await announce(link, options, hostOf(options, clock, members));
		// Now it has also been written to: a replica lets us read, and would be told as reached
		// and as lost at each opening.
		if (!isAnnounced) options.onUp(link.address(), clock.offsetMs());
		isAnnounced = true;
	};

	const heldBy =
		({ credential, local }: Member) =>
		() => {
			const slot = inFleetTime(local.open(credential), clock);
			const held = heldIn(slot, clock.now());
			return held && !held.isUnnumbered ? { credential, ...held } : undefined;
		};

	/** A session that broke meanwhile is followed by another one, and that by a comparison. */
	const compare = async () => {
		try {
			await news.compare();
			if (isKeeping) agreed.reach();
		} catch (error) {
			if (!isUnreachable(error)) throw error;
		}
	};

	return {
		clock,
		storeOver: (local) => ({
			...local,
			open: (credential, remembered) => {
				const member = members.of(credential);
				const shiftMs = clock.shiftMs();
				const inner = local.open(
					credential,
					remembered && {
						snapshot: remembered.snapshot,
						token: {
							value: remembered.token.value,
							expiresAt: remembered.token.expiresAt - shiftMs,
						},
					},
				);
				return member === undefined
					? inFleetTime(inner, clock)
					: openFleetSlot(parts, member, inner);
			},
		}),
		shared: (credential) => ({
			...credential,
			isFollowed: options.role === "follower",
			limits: {
				...credential.limits,
				turn: turnOf(options.host, credential),
			},
		}),
		keep: (local, credentials) => {
			members.replace(local, credentials);
			isKeeping = true;
			if (link.isUp()) void compare().catch(onBug);
		},
		connected: (timeoutMs) => within(timeoutMs, connected.reached),
		agreed: async (timeoutMs) => {
			if (link.isUp()) await within(timeoutMs, agreed.reached);
		},
		status: () => statusOf(options, link, clock.offsetMs(), members),
		counts: () => ({ ...counts }),
		close: async () => {
			if (link.isUp())
				await link
					.call(["HDEL", hostsKey(options), options.host])
					.catch(() => {});
			await link.close();
		},
	};
}

const notYet: LinkProblem = {
	message: "Redis was not reached yet",
	hint: "wait a moment; wxtokend status --fleet says more",
};

/** A promise of something that happens once. */
function milestone() {
	let reach: () => void = () => {};
	const reached = new Promise<void>((resolve) => {
		reach = resolve;
	});
	return { reached, reach: () => reach() };
}

type Counts = { -readonly [Key in keyof FleetCounts]: number };

function emptyCounts(): Counts {
	return {
		...{ leaseWaits: 0, offers: 0, followed: 0, lostLeases: 0 },
		...{ calls: 0, callsMs: 0 },
	};
}

function measured(
	link: RedisLink,
	monotonic: () => number,
	counts: Counts,
): RedisLink {
	const measure = async <T>(act: () => Promise<T>): Promise<T> => {
		const beganAt = monotonic();
		try {
			return await act();
		} finally {
			counts.calls += 1;
			counts.callsMs += monotonic() - beganAt;
		}
	};
	return {
		...link,
		call: (args) => measure(() => link.call(args)),
		run: (script, keys, args) => measure(() => link.run(script, keys, args)),
	};
}

function msOf(time: unknown): number {
	const [seconds, micros] = Array.isArray(time) ? time.map(Number) : [];
	return (seconds ?? 0) * 1_000 + (micros ?? 0) / 1_000;
}

function hostsKey({ prefix }: Pick<RedisFleetOptions, "prefix">): string {
	return `${prefix}hosts`;
}

function hostOf(
	options: RedisFleetOptions,
	clock: { now(): number; offsetMs(): number },
	members: { all(): Iterable<unknown> },
): FleetHost {
	const { host: name, role, version, withoutRedis } = options;
	return {
		...{ name, role, version, withoutRedis },
		offsetMs: clock.offsetMs(),
		credentials: [...members.all()].length,
		seenAt: Math.round(clock.now()),
	};
}

async function announce(
	link: Pick<RedisLink, "call">,
	options: RedisFleetOptions,
	host: FleetHost,
): Promise<void> {
	const key = hostsKey(options);
	await link.call(["HSET", key, host.name, JSON.stringify(host)]);
	await link.call(["PEXPIRE", key, `${hostTtlMs}`]);
}

async function statusOf(
	options: RedisFleetOptions,
	link: RedisLink,
	offsetMs: number,
	members: ReturnType<typeof createMembers>,
): Promise<FleetStatus> {
	const basic = {
		...{ self: options.host, role: options.role, offsetMs },
		connected: link.isUp(),
		server: link.address(),
		problem: link.problem() ?? null,
	};
	try {
		return {
			...basic,
			hosts: hostsIn(await link.call(["HGETALL", hostsKey(options)])),
			publishedBy: await publishersOf(options, link, members),
		};
	} catch {
		// What failed is in `problem`, or will be in a moment.
		return { ...basic, hosts: [], publishedBy: {} };
	}
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

async function publishersOf(
	{ prefix }: RedisFleetOptions,
	link: RedisLink,
	members: ReturnType<typeof createMembers>,
): Promise<Readonly<Record<string, string>>> {
	const records = createRedisRecords({
		...{ link, prefix, instance: "", host: "", leaseMs: 0, replicas: 0 },
		now: () => 0,
	});
	const all = [...members.all()].map(({ credential }) => credential);
	const found = await records.read(all);
	return Object.fromEntries(
		all.map(({ id }, index) => [id, found[index]?.record.host ?? ""]),
	);
}

async function within(timeoutMs: number, done: Promise<void>): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, timeoutMs);
	});
	await Promise.race([done, late]);
	clearTimeout(timer);
}

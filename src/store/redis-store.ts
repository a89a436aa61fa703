/**
 * The store of several hosts that share a Redis or Valkey: each keeps its own directory,
 * whose files are the durable copy, and Redis is where they meet. It composes the
 * directory store of each host; the contract is that of `Slot` in core/ports.ts.
 */
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import { isUnreachable, type StoreError } from "../core/errors.ts";
import { createFleetClock, type FleetClock } from "../core/fleet-clock.ts";
import { numberOf, type Wish } from "../core/fleet-record.ts";
import type { Fleet, FleetCounts } from "../core/ports.ts";
import type { SdkName } from "../core/sdk-keys.ts";
import { createMembers, type Members, turnOf } from "./fleet-member.ts";
import { createNews } from "./fleet-news.ts";
import { openInFleetTime } from "./fleet-slot.ts";
import { heldIn } from "./fleet-takeover.ts";
import { createRedisFacts } from "./redis-facts.ts";
import { createRedisHosts } from "./redis-hosts.ts";
import {
	type LinkProblem,
	openRedisLink,
	type RedisLink,
	type RedisTarget,
} from "./redis-link.ts";
import { asStoreError, createRedisRecords } from "./redis-records.ts";
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
	/** The same of what is pushed to a platform. */
	readonly onPlatformTrouble: (platform: string, error: StoreError) => void;
	/** `offsetMs`: as in `FleetStatus`. */
	readonly onUp: (address: string, offsetMs: number) => void;
	readonly onDown: (problem: LinkProblem) => void;
	readonly onBug: (error: unknown) => void;
}

/** Everything is compared also if no news was missed, as a host may die before it tells. */
const compareEveryPolls = 30;
const announceEveryPolls = 15;

/** Connects at once, and goes on until it is closed. */
export function openRedisFleet(options: RedisFleetOptions): Fleet {
	const { prefix, hostClock, random, stopping, onBug } = options;
	const clock = createFleetClock(hostClock);
	const members = createMembers();
	const counts = emptyCounts();
	const connected = milestone();
	const agreed = milestone();
	let isKeeping = false;

	const link = measured(
		openRedisLink({
			target: options.target,
			channel: `${prefix}news`,
			monotonic: hostClock.monotonic,
			random,
			onBug,
			onMessage: (message) => news.hear(message),
			onUp: () => {
				news.begin();
				poll.begin();
			},
			onDown: (problem) => {
				clock.unsync();
				options.onDown(problem);
			},
			onPoll: () => poll.turn(),
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
	const facts = createRedisFacts({ ...options, link, now: clock.now });
	const hosts = createRedisHosts({ ...options, link, clock, members, records });
	const copies = createSdkCopies(link, prefix, options.publishAs);
	const parts: FleetParts = {
		records,
		clock,
		monotonic: hostClock.monotonic,
		random,
		stopping,
		leaseMs: options.leaseMs,
		instance: options.instance,
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
		...{ ...parts, members, facts },
		heardAll: () => asStoreError(link.heardAll()),
		onFollowed: (of) => {
			counts.followed += 1;
			options.onFollowed(of);
		},
		onWish: options.onWish,
		onTrouble: options.onTrouble,
		onBug,
	});

	/** A session that broke meanwhile is followed by another one, and that by a comparison. */
	const compare = async () => {
		// One that began before says nothing of what is kept now.
		const wasKeeping = isKeeping;
		try {
			await news.compare();
			if (wasKeeping) agreed.reach();
		} catch (error) {
			if (!isUnreachable(error)) throw error;
		}
	};
	const poll = createPoll({
		...{ link, prefix, clock, monotonic: hostClock.monotonic },
		onCounted: (total) => {
			news.counted(total);
			connected.reach();
		},
		steps: [
			{ every: compareEveryPolls, act: compare, otherwise: news.retry },
			...(options.publishAs.length === 0
				? []
				: [{ every: 1, act: () => copies.check(allHeld(members, clock)) }]),
			{ every: announceEveryPolls, act: hosts.announce },
		],
		onUp: () => options.onUp(link.address(), clock.offsetMs()),
	});

	return {
		clock,
		storeOver: (local) => ({
			...local,
			open: (credential, remembered) => {
				const slot = openInFleetTime(local, credential, clock, remembered);
				const member = members.of(credential);
				return member === undefined ? slot : openFleetSlot(parts, member, slot);
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
		add: (local, credentials) => {
			const added = members.add(local, credentials);
			if (link.isUp()) news.look(added);
		},
		drop: members.drop,
		share: (platform, own) => {
			const shared = facts.share(platform, own);
			if (link.isUp()) void compare().catch(onBug);
			return shared;
		},
		connected: (timeoutMs) => within(timeoutMs, connected.reached),
		agreed: async (timeoutMs) => {
			if (link.isUp()) await within(timeoutMs, agreed.reached);
		},
		status: hosts.status,
		counts: () => ({ ...counts }),
		close: async () => {
			await hosts.leave();
			await link.close();
		},
	};
}

/** What is done each so many polls of a session, from its first one on. */
interface PollStep {
	readonly every: number;
	readonly act: () => Promise<void>;
	/** At the other polls. */
	readonly otherwise?: () => void;
}

interface PollParts {
	readonly link: Pick<RedisLink, "call">;
	readonly prefix: string;
	readonly clock: FleetClock;
	readonly monotonic: () => number;
	/** So many news were told so far. */
	readonly onCounted: (total: number) => void;
	readonly steps: readonly PollStep[];
	/** Once in a session. */
	readonly onUp: () => void;
}

/** What is asked of the server each second. */
function createPoll({ link, prefix, clock, monotonic, ...parts }: PollParts) {
	let polls = 0;
	return {
		/** A session begins. */
		begin: () => {
			polls = 0;
		},
		/** Rejects with `LinkError`. */
		turn: async () => {
			const askedAt = monotonic();
			const [time, seq] = await Promise.all([
				link.call(["TIME"]),
				link.call(["GET", `${prefix}seq`]),
			]);
			clock.sync(msOf(time), monotonic() - askedAt);
			parts.onCounted(Number(seq ?? 0));
			const turn = polls;
			polls += 1;
			for (const { every, act, otherwise } of parts.steps)
				if (turn % every === 0) await act();
				else otherwise?.();
			// Now it has also been written to: a replica lets us read, and would be told as
			// reached and as lost at each opening.
			if (turn === 0) parts.onUp();
		},
	};
}

/** What this host holds of each; it is looked at when its turn comes. */
function allHeld(members: Members, clock: FleetClock) {
	return [...members.all()].map(({ credential, local }) => () => {
		const slot = openInFleetTime(local, credential, clock);
		const number = numberOf(slot.record());
		const held = number > 0 ? heldIn(slot, clock.now()) : undefined;
		return held && { credential, ...held, number };
	});
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

async function within(timeoutMs: number, done: Promise<void>): Promise<void> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, timeoutMs);
	});
	await Promise.race([done, late]);
	clearTimeout(timer);
}

/**
 * What the hosts of a fleet tell each other: news of a publication or a wish, a number
 * that counts the news, and a comparison of everything when one was missed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Credential } from "../core/credential.ts";
import { isUnreachable, StoreError } from "../core/errors.ts";
import {
	type FleetRecord,
	numberAgainst,
	type Wish,
} from "../core/fleet-record.ts";
import type { Slot } from "../core/ports.ts";
import type { SharedRecord } from "../core/record.ts";
import { type Member, type Members, turnOf, wake } from "./fleet-member.ts";
import { openInFleetTime } from "./fleet-slot.ts";
import { holds, takeOver } from "./fleet-takeover.ts";
import type { RedisFacts } from "./redis-facts.ts";
import type { RedisRecords } from "./redis-records.ts";
import { type FleetParts, settleDebt } from "./redis-slot.ts";
import { probed } from "./redis-verdict.ts";

export interface News {
	/** A message of the channel. */
	hear(message: string): void;
	/** A session begins: what was told before is not counted any more. */
	begin(): void;
	/** The server has counted so many news; asked each second. */
	counted(total: number): void;
	/**
	 * Compares everything with what the fleet knows, as of now or later. One comparison at
	 * a time. Rejects with `StoreError`.
	 */
	compare(): Promise<void>;
	/** Tries again what could not be taken over. */
	retry(): void;
	/** Looks at these, in the background. */
	look(members: readonly Member[]): void;
}

export interface NewsParts extends FleetParts {
	readonly members: Members;
	/** What is about no credential. Both reject with `StoreError`. */
	readonly facts: Pick<RedisFacts, "hear" | "compare">;
	/** Resolves when all that was told up to now was heard. Rejects with `StoreError`. */
	readonly heardAll: () => Promise<void>;
	/** The file of this host holds another value now. */
	readonly onFollowed: (of: Credential) => void;
	/** A host that does not fetch wants another value. */
	readonly onWish: (of: Credential, wish: Wish) => void;
	/** Something could not be taken over: the disk of this host fails. */
	readonly onTrouble: (of: Credential, error: StoreError) => void;
	readonly onBug: (error: unknown) => void;
}

/** So many are read in one go. */
const chunkSize = 500;
/** So many are taken over at a time. */
const maxFollowing = 64;
/** How long a host waits before it offers, or serves a wish: the first one does for all. */
const maxTurnMs = 200;
/** How long another process of this host may hold the lock. */
const lockTimeoutMs = 2_000;

export function createNews(parts: NewsParts): News {
	const { members, records } = parts;
	const following = new Map<Member, Promise<void>>();
	const again = new Set<Member>();
	let comparing: Promise<void> | undefined;
	let comparingNext: Promise<void> | undefined;

	const followOnce = (member: Member): Promise<void> => {
		const under = following.get(member);
		if (under !== undefined) {
			again.add(member);
			return under;
		}
		const begun = follow(parts, member).finally(() => {
			following.delete(member);
			if (again.delete(member)) inBackground(followOnce(member));
		});
		following.set(member, begun);
		return begun;
	};

	const inBackground = (work: Promise<void>) => {
		void work.catch((error) => {
			// The next session begins with a comparison.
			if (!isUnreachable(error)) parts.onBug(error);
		});
	};

	const compareNow = async () => {
		await parts.facts.compare();
		const all = [...members.all()];
		const different: Member[] = [];
		for (let start = 0; start < all.length; start += chunkSize) {
			const chunk = all.slice(start, start + chunkSize);
			const found = await records.numbers(
				chunk.map(({ credential }) => credential),
			);
			for (const [index, member] of chunk.entries()) {
				const theirs = found[index] ?? { number: 0, wish: undefined };
				if (differs(parts, member, theirs)) different.push(member);
			}
		}
		await inTurns(different, maxFollowing, followOnce);
	};

	const begin = (): Promise<void> => {
		comparingNext = undefined;
		comparing = compareNow().finally(() => {
			comparing = undefined;
		});
		return comparing;
	};

	/** One that is under way says nothing of what has come since it began. */
	const compare = (): Promise<void> => {
		if (comparing === undefined) return begin();
		comparingNext ??= comparing.then(begin, begin);
		return comparingNext;
	};

	const count = createCount(parts.heardAll, () => inBackground(compare()));

	return {
		compare,
		begin: count.begin,
		hear: (message) => {
			count.heard();
			const [name = "", what = ""] = message.split(" ");
			if (name.startsWith("@")) inBackground(parts.facts.hear(name, what));
			const member = members.named(name);
			if (member === undefined) return;
			if (member.isHeld || what === probed) wake(member);
			else if (what === "wish" || !isKnown(member, Number(what), parts))
				inBackground(followOnce(member));
		},
		counted: (total) => inBackground(count.counted(total)),
		look: (some) => inBackground(inTurns(some, maxFollowing, followOnce)),
		retry: () => {
			for (const member of members.all())
				if (member.isStale) inBackground(followOnce(member));
		},
	};
}

/**
 * How many news this host has heard, against what the server has counted. The two come by
 * different connections, and while many are told some are always on their way.
 */
function createCount(heardAll: NewsParts["heardAll"], onMissed: () => void) {
	/** Undefined: nothing was counted yet. */
	let expected: number | undefined;
	/** The same at the last look. */
	let before: number | undefined;
	const missed = (total: number) => {
		expected = total;
		before = undefined;
		onMissed();
	};
	const lookAgain = async (total: number) => {
		await heardAll();
		if (expected !== undefined && expected < total) missed(total);
	};
	return {
		begin: () => {
			expected = undefined;
			before = undefined;
		},
		heard: () => {
			if (expected !== undefined) expected += 1;
		},
		counted: async (total: number) => {
			if (expected === undefined) expected = total;
			// The server counts anew: it was emptied.
			if (before !== undefined && total < before) return missed(total);
			before = expected;
			if (expected < total) await lookAgain(total);
		},
	};
}

/** Whether this host and the fleet may have something to tell each other. */
function differs(
	parts: NewsParts,
	member: Member,
	{ number, wish }: Awaited<ReturnType<RedisRecords["numbers"]>>[number],
): boolean {
	const { credential, local } = member;
	const slot = local.open(credential);
	const record = slot.record();
	const own = numberAgainst(record, number, parts.clock.now());
	const isOffered = own === 0 && record.published !== undefined;
	if (number !== own || isOffered || isNewWish(wish, member, parts))
		return true;
	// Who fetches looks there by itself, before it does.
	return credential.isFollowed === true && slot.read().kind !== "token";
}

function isKnown(
	{ local, credential }: Member,
	number: number,
	{ clock }: NewsParts,
): boolean {
	const record = local.open(credential).record();
	return number <= numberAgainst(record, number, clock.now());
}

/** Takes over what the fleet knows, or offers what it does not. */
async function follow(parts: NewsParts, member: Member): Promise<void> {
	const { credential } = member;
	try {
		const [found] = await parts.records.read([credential]);
		if (found === undefined || member.isHeld) return;
		const { record, wish } = found;
		const slot = openInFleetTime(member.local, credential, parts.clock);
		const known = slot.record();
		const own = numberAgainst(known, record.number, parts.clock.now());
		member.isStale = false;
		if (isNews(record, own, slot))
			await withLease(parts, member, slot, async (lease) => {
				const place = { credential, slot, lease };
				const taken = await takeOver(place, record, parts.clock.now());
				if (taken === "followed") parts.onFollowed(credential);
				if (taken === "owed")
					await settleDebt(parts, member, slot, lease, record);
			});
		else if (own > record.number || isOwed(own, known, record))
			await offerInTurn(parts, member, slot);
		passOnInTurn(parts, member, wish, slot.record());
	} catch (error) {
		if (!(error instanceof StoreError) || isUnreachable(error)) throw error;
		member.isStale = true;
		parts.onTrouble(credential, error);
	} finally {
		wake(member);
	}
}

/** Newer, or not in the file. */
function isNews(
	{ number, published }: FleetRecord,
	own: number,
	slot: Slot,
): boolean {
	if (published === undefined) return false;
	const isSame = own > 0 && number === own;
	return number > own || (isSame && !holds(slot.read(), published.token));
}

/** What no fleet has numbered; or what stands there under its number and cannot be read. */
function isOwed(
	own: number,
	{ published }: SharedRecord,
	theirs: FleetRecord,
): boolean {
	if (published === undefined) return false;
	return own === 0 || (own === theirs.number && theirs.published === undefined);
}

/** The first host that offers it does so for all. */
async function offerInTurn(
	parts: NewsParts,
	member: Member,
	slot: Slot,
): Promise<void> {
	await sleep(turnOf(parts.instance, member.credential) * maxTurnMs);
	await withLease(parts, member, slot, async (lease) => {
		const { credential } = member;
		const [found] = await parts.records.read([credential]);
		if (found === undefined) return;
		const place = { credential, slot, lease };
		const taken = await takeOver(place, found.record, parts.clock.now());
		if (taken === "followed") parts.onFollowed(credential);
		if (taken === "owed")
			await settleDebt(parts, member, slot, lease, found.record);
	});
}

/** With this host's lock for it; if another process has it, it is tried again. */
async function withLease(
	{ stopping }: NewsParts,
	member: Member,
	slot: Slot,
	act: (
		lease: NonNullable<Awaited<ReturnType<Slot["acquire"]>>>,
	) => Promise<void>,
): Promise<void> {
	const lease = await slot.acquire(lockTimeoutMs, { kind: "repair" });
	if (lease === undefined) {
		member.isStale = !stopping.aborted;
		return;
	}
	try {
		await act(lease);
	} finally {
		await lease.release();
	}
}

/** One that nobody has served yet, as far as this host knows. */
function isNewWish(
	wish: Wish | undefined,
	{ credential, wishedAt }: Member,
	{ clock }: NewsParts,
): wish is Wish {
	return (
		wish !== undefined &&
		!credential.isFollowed &&
		wish.at > wishedAt &&
		clock.now() - wish.at < maxWishAgeMs
	);
}

/** Who made an older one has given up. */
const maxWishAgeMs = 30_000;

/** Hands a wish on, unless another host of the fleet has granted it by then. */
function passOnInTurn(
	parts: NewsParts,
	member: Member,
	wish: Wish | undefined,
	{ published }: SharedRecord,
): void {
	if (!isNewWish(wish, member, parts)) return;
	member.wishedAt = wish.at;
	if (published !== undefined && published.fetchedAt >= wish.at) return;
	const { credential } = member;
	const waitMs = turnOf(parts.instance, credential) * maxTurnMs;
	void sleep(waitMs).then(() => {
		const { published: now } = member.local.open(credential).record();
		if (now === undefined || now.fetchedAt < wish.at)
			parts.onWish(credential, wish);
	}, parts.onBug);
}

async function inTurns<T>(
	items: readonly T[],
	limit: number,
	act: (item: T) => Promise<void>,
): Promise<void> {
	const queue = items.values();
	const worker = async () => {
		for (const item of queue) await act(item);
	};
	await Promise.all(
		Array.from({ length: Math.min(limit, items.length) }, worker),
	);
}

/**
 * One credential of a fleet on this host. Its file and record are those of the directory
 * store, and so readers never depend on Redis. Only a refresh asks for the lease of all
 * hosts, and takes over what they published before.
 */
import { type Credential, traitsOf } from "../core/credential.ts";
import { isUnreachable, StoreError } from "../core/errors.ts";
import type { FleetClock } from "../core/fleet-clock.ts";
import {
	type FleetRecord,
	numberOf,
	withNumber,
} from "../core/fleet-record.ts";
import type { Lease, Purpose, Slot } from "../core/ports.ts";
import type { Token } from "../core/token.ts";
import { type Member, nextNews, turnOf } from "./fleet-member.ts";
import { withoutFetching } from "./fleet-slot.ts";
import { heldIn, takeOver } from "./fleet-takeover.ts";
import { openRedisLease } from "./redis-lease.ts";
import type { LinkProblem } from "./redis-link.ts";
import { type RedisRecords, redisUnreachable } from "./redis-records.ts";
import { judgeForAll } from "./redis-verdict.ts";

/** What all slots of a fleet share. */
export interface FleetParts {
	readonly records: RedisRecords;
	readonly clock: FleetClock;
	/** Milliseconds from an arbitrary start, which no clock step moves. */
	readonly monotonic: () => number;
	/** 0 to 1. */
	readonly random: () => number;
	readonly stopping: AbortSignal;
	readonly leaseMs: number;
	/** Of this process: it spreads what all hosts would do at once. */
	readonly instance: string;
	readonly withoutRedis: "auto" | "wait" | "alone";
	/** Why Redis cannot be asked; undefined: it can. */
	readonly problem: () => LinkProblem | undefined;
	readonly count: (what: "leaseWaits" | "offers" | "lostLeases") => void;
	/** A token was published under that number: what reads it in Redis gets it, too. */
	readonly onPublished: (
		of: Credential,
		published: { readonly token: Token; readonly number: number },
	) => void;
	/** Tells the hosts of a publication, or of a wish, in the background. */
	readonly tell: (of: Credential, news: string) => void;
}

type RefreshPurpose = Extract<Purpose, { kind: "refresh" }>;

/** How long a renewal lets others begin: a fetch and its news take less, mostly. */
const turnsMs = 200;

/** `slot`: that of the directory store, in the fleet's time. */
export function openFleetSlot(
	parts: FleetParts,
	member: Member,
	slot: Slot,
): Slot {
	const { credential } = member;
	const wish = async (stale: string | undefined) => {
		try {
			// It is not for this host itself.
			member.wishedAt = await parts.records.wish(credential, stale);
			parts.tell(credential, "wish");
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			// Those who asked are told of the failure in any case.
		}
	};
	return {
		...slot,
		wish: (stale) => void wish(stale),
		judge: (id, ask) => judgeForAll(parts, member, id, ask),
		acquire: (timeoutMs, purpose = { kind: "refresh" }) => {
			if (purpose.kind === "repair") return slot.acquire(timeoutMs, purpose);
			return credential.isFollowed
				? askKeepers(parts, member, slot, timeoutMs, purpose)
				: acquireForAll(parts, member, slot, timeoutMs, purpose);
		},
	};
}

async function acquireForAll(
	parts: FleetParts,
	member: Member,
	slot: Slot,
	timeoutMs: number,
	purpose: RefreshPurpose,
): Promise<Lease | undefined> {
	const { alone = false } = purpose;
	const { problem, monotonic } = parts;
	const giveUpAt = monotonic() + timeoutMs;
	const mayBeAlone = alone || isAloneAllowed(parts, member.credential, slot);
	const before = problem();
	if (before !== undefined && !mayBeAlone) throw mustWait(before);
	if (timeoutMs === 0 && !(await isStillWantedInTurn(parts, member, purpose)))
		return undefined;
	const local = await slot.acquire(timeoutMs, purpose);
	if (local === undefined) return undefined;
	member.isHeld = true;
	const giveUp = async () => {
		member.isHeld = false;
		await local.release();
	};
	try {
		const lease =
			before === undefined
				? await claimUntil(giveUpAt, parts, { member, slot, local, purpose })
				: aloneWith(local, slot, parts, member);
		if (lease === undefined) await giveUp();
		return lease;
	} catch (error) {
		if (isUnreachable(error) && mayBeAlone)
			return aloneWith(local, slot, parts, member);
		await giveUp();
		throw error;
	}
}

/** What a person may do about it where a fetch would end the value of the others. */
function mustWait({ message, hint }: LinkProblem): StoreError {
	return redisUnreachable({
		message,
		hint: `${hint}; if Redis stays away: wxtokend refresh --alone, on one host`,
	});
}

/**
 * Whether this host may refresh while it cannot ask the others. Where WeChat gives the
 * same value to all who ask, that harms nobody. Where each call takes the value from the
 * others, only one host may, and only once the value has ended.
 */
function isAloneAllowed(
	{ withoutRedis, clock }: FleetParts,
	credential: Credential,
	slot: Slot,
): boolean {
	if (withoutRedis === "wait") return false;
	if (traitsOf(credential).reissue === "same-until-end") return true;
	const reading = slot.read();
	const isLiving =
		reading.kind === "token" && reading.token.expiresAt > clock.now();
	return withoutRedis === "alone" && !isLiving;
}

/** What it publishes is owed to the others: they get it at the next contact. */
function aloneWith(
	local: Lease,
	slot: Slot,
	{ clock }: FleetParts,
	member: Member,
): Lease {
	return {
		...local,
		isAlone: true,
		publish: (token, record) => {
			const last = numberOf(slot.record());
			const number = Math.max(last + 1, Math.floor(clock.now()));
			return local.publish(token, record && withNumber(record, number));
		},
		release: async () => {
			member.isHeld = false;
			await local.release();
		},
	};
}

/**
 * Who renews in no hurry lets the hosts before it begin: mostly it hears in time that one
 * of them has. Then it is asked whether there is anything left to do.
 */
async function isStillWantedInTurn(
	{ stopping, instance }: FleetParts,
	member: Member,
	{ isWanted = always }: RefreshPurpose,
): Promise<boolean> {
	// Of many that are due at once others have fetched some by now.
	if (!isWanted()) return false;
	const turnMs = turnOf(instance, member.credential) * turnsMs;
	const news = await nextNews(member, turnMs, stopping);
	return news === "end" || isWanted();
}

const always = () => true;

/** What is claimed, and why. */
interface Claiming {
	readonly member: Member;
	readonly slot: Slot;
	readonly local: Lease;
	readonly purpose: RefreshPurpose;
}

async function claimUntil(
	giveUpAt: number,
	parts: FleetParts,
	claiming: Claiming,
): Promise<Lease | undefined> {
	const { records, monotonic, clock, stopping, random } = parts;
	const { member, slot, local } = claiming;
	const { isWanted = always } = claiming.purpose;
	const { credential } = member;
	const place = { credential, slot, lease: local };
	for (let waits = 0; ; waits += 1) {
		// From before the claim: what is told while it is under way counts as well.
		let heard = false;
		const listen = () => {
			heard = true;
		};
		member.waiting.add(listen);
		const claimedAt = monotonic();
		const claimed = await records
			.claim(credential)
			.finally(() => member.waiting.delete(listen));
		const taken = await takeOver(place, claimed.record, clock.now());
		if (claimed.kind === "granted") {
			const { fence } = claimed;
			if (taken === "owed")
				await settleDebt(parts, member, slot, local, claimed.record);
			return leaseOf(parts, member, slot, local, { fence, claimedAt });
		}
		const leftMs = giveUpAt - monotonic();
		if (leftMs <= 0 || stopping.aborted || !isWanted()) return undefined;
		parts.count("leaseWaits");
		const pauseMs = Math.min(leftMs, claimed.leftMs + 5, pollMs(waits, random));
		const news = heard ? "news" : await nextNews(member, pauseMs, stopping);
		if (news === "end") continue;
		// Fifty hosts may wait for one publication. It is enough for most of them, and the
		// lease is left to those for whom it is not.
		const [found] = await records.read([credential]);
		if (found !== undefined) await takeOver(place, found.record, clock.now());
		if (!isWanted()) return undefined;
	}
}

function leaseOf(
	parts: FleetParts,
	member: Member,
	slot: Slot,
	local: Lease,
	claim: { readonly fence: number; readonly claimedAt: number },
): Lease {
	const { credential } = member;
	return openRedisLease({
		credential,
		local,
		...claim,
		numbered: () => slot.record().numbered,
		records: parts.records,
		leaseMs: parts.leaseMs,
		monotonic: parts.monotonic,
		stopping: parts.stopping,
		onLost: () => parts.count("lostLeases"),
		tell: (token, number) => {
			parts.tell(credential, String(number));
			parts.onPublished(credential, { token, number });
		},
		onReleased: () => {
			member.isHeld = false;
		},
	});
}

/** The news wakes those who wait; the rest is for what is not told. */
function pollMs(waits: number, random: () => number): number {
	return Math.min(1_000, 100 * 3 ** waits) * (0.5 + random());
}

/** The fleet gets what this host holds, and the others do not know. */
export async function settleDebt(
	{ records, clock, count, tell }: FleetParts,
	{ credential }: Pick<Member, "credential">,
	slot: Slot,
	lease: Lease,
	{ number, published }: FleetRecord,
): Promise<void> {
	const held = heldIn(slot, clock.now());
	if (held === undefined) return;
	const { isUnnumbered, ...offered } = held;
	const isUnreadable = number > 0 && published === undefined;
	const numbered = isUnreadable ? "mending" : "numbered";
	const how = isUnnumbered ? "unnumbered" : numbered;
	if (!(await records.offer(credential, offered, how))) return;
	count("offers");
	tell(credential, String(offered.number));
	if (isUnnumbered)
		await lease.write(withNumber(offered.record, offered.number), {
			durable: false,
		});
}

/** A follower never fetches: it says what it wants, and waits for what the others publish. */
async function askKeepers(
	parts: FleetParts,
	member: Member,
	slot: Slot,
	timeoutMs: number,
	{ stale, isWanted = always }: RefreshPurpose,
): Promise<Lease | undefined> {
	if (timeoutMs === 0 || !isWanted()) return undefined;
	const { problem, monotonic, records, tell, stopping } = parts;
	const { credential } = member;
	const before = problem();
	if (before !== undefined) throw redisUnreachable(before);
	const giveUpAt = monotonic() + timeoutMs;
	const known = numberOf(slot.record());
	await records.wish(credential, stale);
	tell(credential, "wish");
	while (numberOf(slot.record()) === known) {
		const leftMs = giveUpAt - monotonic();
		if (leftMs <= 0 || stopping.aborted)
			throw new StoreError(
				"unreachable",
				`could not refresh ${credential.file}: no keeper of the fleet has published another value in ${Math.round(timeoutMs / 1_000)} s`,
				"look at the hosts with the role keeper: wxtokend status --fleet lists them",
				"no-keeper",
			);
		await nextNews(member, Math.min(leftMs, 1_000), stopping);
	}
	const lease = await slot.acquire(Math.max(0, giveUpAt - monotonic()));
	return lease && withoutFetching(lease, credential.file);
}

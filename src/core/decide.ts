/**
 * What to do for one credential, as a pure function of what is known and the time.
 *
 * All instants are wall clock and compared anew at each look, never slept until:
 * so a suspend, a clock step or NTP changes at most when the next look acts. A past
 * instant that lies in the future can only come from a clock that was set back; it
 * is not waited for.
 */
import {
	type Credential,
	type KnownToken,
	knownFrom,
	type Reading,
} from "./credential.ts";
import {
	budgetFreeAt,
	cooldownOf,
	lastForceAt,
	refreshAt,
	shareOf,
	until,
	windowOf,
} from "./limits.ts";
import type { SharedRecord } from "./record.ts";
import { isForced, type Reason, type RefreshRequest } from "./request.ts";
import { tokenId } from "./token.ts";

/** All that a decision depends on. */
export interface Situation {
	readonly now: number;
	/** As `KnownToken.clockOffset`, of now. */
	readonly clockOffset: number;
	/** This process, see `ProcessName.instance`. */
	readonly instance: string;
	/** When this process started, epoch ms. */
	readonly startedAt: number;
	readonly credential: Credential;
	/** `missing`: one of the credentials that it needs has no living value. */
	readonly parents: "alive" | "missing";
	/** The token that this process knew last. */
	readonly memory: KnownToken | undefined;
	readonly disk: Reading;
	readonly record: SharedRecord;
	readonly request: RefreshRequest | undefined;
	/**
	 * Since then nobody can say which of two tokens lives on: the lock was lost while
	 * a request was under way. Undefined: no doubt.
	 */
	readonly doubtedSince: number | undefined;
	/** The first look of a process: a person may have mended what a pause waits for. */
	readonly ignorePauses: boolean;
	/** The process of the last forced refresh is gone, as far as can be told. */
	readonly isForcerDead: boolean;
}

/** What is to be done. */
export interface Plan {
	/** The newest token that is known, live or not. */
	readonly current: KnownToken | undefined;
	/** It lives, but the file does not hold it: publish it, without a call. */
	readonly publish: boolean;
	/** Ask WeChat, now. */
	readonly fetch: Reason | undefined;
	/** What would be fetched, and why not now. */
	readonly deferred: Deferral | undefined;
	/** `current` is the answer to the request. */
	readonly satisfied: boolean;
}

/** Why a fetch is not made now. */
export interface Deferral {
	/**
	 * `parent`: a credential that this one needs has no living value; `other-host`: this
	 * host does not fetch, and the one that does has published nothing.
	 */
	readonly by: "pause" | "cooldown" | "budget" | "parent" | "other-host";
	/** Epoch ms; for `parent` and `other-host`: now, as a publication brings the next look. */
	readonly until: number;
	/** Why it would be fetched. */
	readonly reason: Reason;
}

/**
 * A forced refresh of another living process this long before our own request
 * answers it: one signal sent to many daemons reaches them one after the other. A
 * process that is gone was sent another signal, and so was one from before our start.
 */
const sameInstantMs = 2_000;

/** A token may be dated this much ahead of its lifetime before the clock is blamed. */
const clockSlackMs = 1_000;

/** Never throws; the same situation gives the same plan. */
export function decide(situation: Situation): Plan {
	const { now, request, parents } = situation;
	const current = newest(situation);
	const satisfied =
		request !== undefined && satisfies(current, request, situation);
	const publish = mustPublish(current, situation);
	// Field by field: a second spread in one literal takes V8 longer than all the rest
	// of a look, of which there is one at each tick.
	const planTo = ({ fetch, deferred }: Passage): Plan => {
		return { current, publish, fetch, deferred, satisfied };
	};
	const renewal = renewalOf(current, situation);
	if (request === undefined || satisfied) return planTo(renewal);
	const reason = request.reason;
	// A missing parent is told at once: the end of the cooldown would not help.
	const coolAt =
		isForced(reason) && parents === "alive"
			? until(
					lastForceAt(situation.record),
					cooldownOf(situation.credential),
					now,
				)
			: undefined;
	const answer =
		coolAt === undefined
			? passage(reason, urgencyOf(request), current, situation)
			: deferred("cooldown", coolAt, reason);
	// A request that has to wait does not hold up the renewal.
	const isHeldUp = answer.fetch === undefined && renewal.fetch !== undefined;
	return planTo(isHeldUp ? renewal : answer);
}

/** What is to be done without a request for another token. */
function renewalOf(
	current: KnownToken | undefined,
	situation: Situation,
): Passage {
	const needed = whyNeeded(current, situation);
	if (needed === undefined) return nothing;
	const { credential, now } = situation;
	if (!credential.isFollowed)
		return passage(needed, "patient", current, situation);
	const isLiving = current !== undefined && current.token.expiresAt > now;
	return isLiving ? nothing : deferred("other-host", now, needed);
}

/** Nothing to do, and nothing that waits. */
export function isIdle({ publish, fetch, deferred }: Plan): boolean {
	return !publish && fetch === undefined && deferred === undefined;
}

type Passage = Pick<Plan, "fetch" | "deferred">;

const nothing: Passage = { fetch: undefined, deferred: undefined };

function deferred(
	by: Deferral["by"],
	untilAt: number,
	reason: Reason,
): Passage {
	return { fetch: undefined, deferred: { by, until: untilAt, reason } };
}

/**
 * The newest token that is known: of two that were both published, the one of
 * the higher generation. A token on disk that no record is about counts only if
 * this process knows none: the file may have been altered.
 */
function newest({
	memory,
	disk,
	record,
	now,
}: Situation): KnownToken | undefined {
	if (disk.kind !== "token") return memory;
	const { published, generation } = record;
	// Most looks find what is in memory: hashing is for the others.
	const id =
		disk.token.value === memory?.token.value
			? memory.id
			: tokenId(disk.token.value);
	const isRecorded = published?.id === id;
	if (memory !== undefined) {
		if (memory.id === id) {
			if (!isRecorded || generation <= memory.generation) return memory;
			const { sighting, expiresAt } = published;
			if (sighting === undefined) return { ...memory, generation };
			// Another keeper was given it again: what it saw is newer.
			const token = { value: memory.token.value, expiresAt };
			const seen = { ...memory, generation, token, sighting };
			return withClockOf(seen, sighting.seenAt, now);
		}
		if (!isRecorded || memory.generation > generation) return memory;
	}
	if (!isRecorded) return knownFrom(disk.token, generation, undefined);
	// The file's `expire` might have been altered beside a true value.
	const token = { value: disk.token.value, expiresAt: published.expiresAt };
	const known = knownFrom(token, generation, published);
	return memory === undefined
		? known
		: withClockOf(known, published.fetchedAt, now);
}

/**
 * The same, if another process published it just now, `at` by its own clock. If that
 * instant is still to come by our clock, its clock is ahead: ours was not set back.
 */
function withClockOf(known: KnownToken, at: number, now: number): KnownToken {
	const { aheadMs: _, ...rest } = known;
	return at > now + clockSlackMs ? { ...rest, aheadMs: at - now } : rest;
}

function mustPublish(
	current: KnownToken | undefined,
	{ now, disk, record }: Situation,
): boolean {
	if (current === undefined || current.token.expiresAt <= now) return false;
	if (isFromFuture(current, now) || isSuperseded(current, record)) return false;
	return !(
		disk.kind === "token" &&
		disk.exact &&
		disk.token.value === current.token.value &&
		disk.token.expiresAt === current.token.expiresAt
	);
}

/** Why the current token does not do, without a request for another. */
function whyNeeded(
	current: KnownToken | undefined,
	situation: Situation,
): Reason | undefined {
	const { now, credential, record, doubtedSince = 0 } = situation;
	if (current === undefined) return "first";
	if (isFromFuture(current, now) || wasSetBack(current, situation))
		return "clock";
	if (isSuperseded(current, record)) return "cut-off";
	if (current.fetchedAt < doubtedSince) return "cut-off";
	if (record.inFlight?.replaces === current.id) return "cut-off";
	return now >= refreshAt(current, credential) ? "due" : undefined;
}

/** Another keeper went on without us, and what it published is not on disk. */
function isSuperseded(
	{ generation }: KnownToken,
	record: SharedRecord,
): boolean {
	return record.generation > generation;
}

function isFromFuture(known: KnownToken, now: number): boolean {
	const { token, lifetimeMs, sighting, aheadMs = 0 } = known;
	const byWriter = now + aheadMs;
	return (
		token.expiresAt - byWriter > lifetimeMs + slackOf(known) ||
		(sighting !== undefined && sighting.seenAt > byWriter + clockSlackMs)
	);
}

/**
 * Whether the clock was set back since the end of the token was learned: it ends
 * earlier than its `expire` says by this clock. A suspend looks like a clock that is
 * set ahead, and says nothing.
 */
function wasSetBack(known: KnownToken, { clockOffset }: Situation): boolean {
	return (known.clockOffset ?? clockOffset) - clockOffset > slackOf(known);
}

/** So much is left to clocks that are corrected gently. */
function slackOf({ lifetimeMs }: KnownToken): number {
	return lifetimeMs * 0.01 + clockSlackMs;
}

function satisfies(
	current: KnownToken | undefined,
	request: RefreshRequest,
	situation: Situation,
): boolean {
	if (current === undefined) return false;
	const { record, instance, doubtedSince = 0 } = situation;
	if (current.fetchedAt < doubtedSince) return false;
	if (request.reason === "reported") return current.id !== request.stale;
	const fetchedAt = current.fetchedAt - (current.aheadMs ?? 0);
	if (fetchedAt >= request.requestedAt) return true;
	const { forced, published } = record;
	return (
		request.reason === "forced" &&
		forced !== undefined &&
		forced.by !== instance &&
		!situation.isForcerDead &&
		forced.at >= situation.startedAt &&
		published !== undefined &&
		published.id === current.id &&
		published.fetchedAt >= forced.at &&
		forced.at >= request.requestedAt - sameInstantMs
	);
}

type Urgency =
	/** Keeps every pause. */
	| "patient"
	/** Only after a failure: a thousand reports must not become a thousand calls to a broken upstream. */
	| "after-failures"
	/** A person asked. */
	| "now";

function urgencyOf({ reason, tried }: RefreshRequest): Urgency {
	if (tried) return "patient";
	return reason === "reported" ? "after-failures" : "now";
}

/** Fetch, or what defers it. */
function passage(
	reason: Reason,
	urgency: Urgency,
	current: KnownToken | undefined,
	situation: Situation,
): Passage {
	const { now, record, ignorePauses, parents } = situation;
	if (parents === "missing") return deferred("parent", now, reason);
	const { pause } = record;
	const counts =
		urgency === "patient" ||
		(urgency === "after-failures" && pause?.failure !== undefined);
	const pausedUntil =
		counts && !ignorePauses
			? until(pause?.at, pause?.waitMs ?? 0, now)
			: undefined;
	if (pausedUntil !== undefined) return deferred("pause", pausedUntil, reason);
	const free = freeAt(reason, current, situation);
	if (free !== undefined) return deferred("budget", free, reason);
	return { fetch: reason, deferred: undefined };
}

/** When the budget allows a call for that reason; undefined: now. */
function freeAt(
	reason: Reason,
	current: KnownToken | undefined,
	{ now, credential, record, request }: Situation,
): number | undefined {
	const lifetimeMs = windowOf(current);
	// While nobody can tell, an outage must not use up what a suspicion may ask for.
	const isSuspicion =
		reason === "reported" &&
		request?.isProved !== true &&
		record.pause?.failure === undefined;
	const share = shareOf(isSuspicion ? "suspicion" : reason, credential.limits);
	const free = budgetFreeAt(record, share, lifetimeMs, now);
	if (free === undefined || current === undefined || !isForced(reason))
		return free;
	// Beyond its share a request does not take the renewal's turn, which is near.
	const dueAt = refreshAt(current, credential);
	return now < dueAt && now >= dueAt - lifetimeMs / 12 ? dueAt : free;
}

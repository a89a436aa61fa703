/**
 * What follows a step of a refresh: from what came back to what is known, what is
 * written down for all keepers, and when the next attempt may be made. Pure.
 */
import type { KnownToken, Sighting, Traits } from "./credential.ts";
import { IssuerError, isStoreErrorKind, type StoreError } from "./errors.ts";
import {
	countCall,
	countEarlyDeath,
	countForce,
	spreadOf,
	windowOf,
} from "./limits.ts";
import { ownerOfPause } from "./own-view.ts";
import type { Grant } from "./ports.ts";
import type {
	Failure,
	Intent,
	Pause,
	ProcessName,
	SharedRecord,
} from "./record.ts";
import { isForced, type Reason } from "./request.ts";
import { bySetBackClock, firstSight, seenAgain, toldEnd } from "./sighting.ts";
import { tokenId } from "./token.ts";
import {
	firstTokenSight,
	tokenSeenAgain,
	toldTokenEnd,
} from "./token-sighting.ts";

/** What is known as a request is about to leave. */
export interface FetchBegin {
	readonly record: SharedRecord;
	readonly current: KnownToken | undefined;
	readonly reason: Reason;
	readonly by: Intent["by"];
	/** Which hold of the lock. */
	readonly lock: string;
	/** WeChat called the current token dead long before its end. */
	readonly diedEarly: boolean;
}

/** The record with the intent to ask, to be written before the request leaves. */
export function beginFetch(
	{ record, current, reason, by, lock, diedEarly }: FetchBegin,
	now: number,
): SharedRecord {
	return {
		...record,
		inFlight: { replaces: current?.id ?? "", at: now, by, lock },
		calls: countCall(record.calls, now, windowOf(current)),
		...(isForced(reason) ? { forced: { at: now, by: by.instance } } : {}),
		...(diedEarly ? { diedEarly: countEarlyDeath(record.diedEarly, now) } : {}),
	};
}

/** The same once more, for a call with force in the midst of the attempt. */
export function beginForce(
	record: SharedRecord,
	current: KnownToken,
	now: number,
): SharedRecord {
	return {
		...record,
		calls: countCall(record.calls, now, windowOf(current)),
		forceCalls: countForce(record.forceCalls, now),
	};
}

/**
 * Calls beyond the one that the intent counted: to the next base URL, or again on a new
 * connection. They count if a person or an app asked, so that a loop is bounded. An
 * attempt of a renewal counts once: else an outage would use up the budget that the
 * end of the outage needs.
 */
export function withMoreCalls(
	calls: readonly number[],
	more: number,
	now: number,
): readonly number[] {
	return more <= 0
		? calls
		: [...calls, ...Array.from({ length: more }, () => now)];
}

/** What is known once WeChat gave a token. */
export interface AfterGrant {
	readonly known: KnownToken;
	/** With the publication, to be written right before it. */
	readonly record: SharedRecord;
	/** WeChat gave the token again that was known before. */
	readonly isSame: boolean;
}

/** What WeChat was asked for. */
export interface Asked {
	readonly traits: Pick<Traits, "reissue" | "life">;
	readonly reason: Reason;
	/** The token that the answer may replace. */
	readonly before: KnownToken | undefined;
	/** As `KnownToken.clockOffset`. */
	readonly clockOffset: number;
}

/** `record`: with the intent. */
export function afterGrant(
	record: SharedRecord,
	grant: Grant,
	asked: Asked,
	now: number,
): AfterGrant {
	const { before } = asked;
	const generation = generationAfter(record, before, now);
	const known = withSighting(
		knownFromGrant(grant, generation, asked),
		grant,
		asked,
		now,
	);
	const isSame = known.id === before?.id;
	const {
		pause: _,
		foreign: ___,
		...answered
	} = withPublication(known, record);
	if (!isSame) {
		// A new token makes the intent void once it is on disk, and not before.
		return { known, record: answered, isSame };
	}
	const { inFlight: __, ...settled } = answered;
	// The sighting says when WeChat is asked next.
	if (known.sighting !== undefined) return { known, record: settled, isSame };
	const pause = afterSameToken(known.token.expiresAt, now);
	return { known, record: { ...settled, pause }, isSame };
}

/** What follows a refusal, or a request that got no answer. */
export interface AfterRefusal {
	readonly record: SharedRecord;
	readonly pause: Pause;
}

/** What is known of a failed request. */
export interface Refusal {
	readonly error: IssuerError;
	/** As it was before the intent. */
	readonly before: SharedRecord;
	/** As it was written last, with the intent. */
	readonly written: SharedRecord;
	/** When the request left. */
	readonly startedAt: number;
	/** As in `withMoreCalls`. */
	readonly uncounted: number;
	/** The process that asked. */
	readonly self: ProcessName;
}

/** `random`: 0 to 1, spreads the next attempts. */
export function afterRefusal(
	{ error, before, written, startedAt, uncounted, self }: Refusal,
	now: number,
	random: () => number,
): AfterRefusal {
	// A silence of ten seconds was a pause already.
	const at = error.waitMs === undefined ? startedAt : now;
	const of = ownerOfPause(error.kind, self);
	const pause = {
		...pauseAfter(error, before.pause, at, random),
		...(of === undefined ? {} : { of }),
	};
	// After a refusal in words only the intent of an earlier request still stands.
	const { inFlight: intent, ...rest } = written;
	const inFlight = error.mayHaveIssued ? intent : before.inFlight;
	return {
		pause,
		record: {
			...rest,
			...(inFlight === undefined ? {} : { inFlight }),
			calls: error.sent
				? withMoreCalls(written.calls, uncounted, now)
				: before.calls,
			pause,
		},
	};
}

/** Another try at the disk costs WeChat nothing; what WeChat asked for goes on. */
export function afterStoreError(
	error: StoreError,
	standing: Pause | undefined,
	now: number,
	random: () => number,
): Pause {
	return {
		...pauseAfter(error, standing, now, random),
		waitMs: leftOf(standing, now),
	};
}

/** Whether the pause is about the disk of this process, and says nothing of WeChat. */
export function isOfDisk(pause: Pause | undefined): boolean {
	const { failure } = pause ?? {};
	return failure !== undefined && isStoreErrorKind(failure.kind);
}

/** What a pause has left, in ms. */
function leftOf(pause: Pause | undefined, now: number): number {
	if (pause === undefined) return 0;
	const leftMs = pause.at + pause.waitMs - now;
	return leftMs > 0 && leftMs <= pause.waitMs ? leftMs : 0;
}

function pauseAfter(
	error: IssuerError | StoreError,
	before: Pause | undefined,
	at: number,
	random: () => number,
): Pause {
	const { kind, code, message, hint } = error;
	const { waitMs, rid } = error instanceof IssuerError ? error : {};
	return afterFailure(
		{ kind, code, message, hint, waitMs, ...(rid ? { rid } : {}) },
		before,
		at,
		random,
	);
}

/**
 * The pause from `at` on: what the failure's kind asks for, else 1 s doubling to
 * 60 s. Chance and the next tick stay within that minute: at most a minute after
 * a fault there is a token. This holds for some fifty minutes of requests without an
 * answer; then the default budget is used up, which leaves one call in ten minutes.
 */
export function afterFailure(
	failure: Omit<Failure, "attempts" | "since"> & {
		readonly waitMs: number | undefined;
	},
	before: Pause | undefined,
	at: number,
	random: () => number,
): Pause {
	const { waitMs: fixed, ...rest } = failure;
	const attempts = (before?.failure?.attempts ?? 0) + 1;
	const backoff =
		Math.min(60_000, 1_000 * 2 ** Math.min(attempts - 1, 6)) *
		(0.8 + 0.1 * random());
	return {
		at,
		waitMs:
			fixed === undefined
				? backoff
				: fixed + Math.min(0.05 * fixed, 60_000) * random(),
		failure: { ...rest, attempts, since: before?.failure?.since ?? at },
	};
}

/**
 * The pause after WeChat answered with the token that is held already: an eighth of
 * what is left of it, so that the last 300 s see some ten calls at most.
 */
export function afterSameToken(expiresAt: number, now: number): Pause {
	return { at: now, waitMs: Math.max(1_000, (expiresAt - now) / 8) };
}

/** Where the answer does not tell the end, it follows from what was seen before. */
function withSighting(
	known: KnownToken,
	grant: Grant,
	asked: Asked,
	now: number,
): KnownToken {
	const { life } = asked.traits;
	if (life === "as-told") return known;
	const former = formerSighting(asked, now);
	const isSame = known.id === asked.before?.id;
	const same = isSame ? former : undefined;
	const told = (sighting: Sighting, expiresAt: number) => ({
		...{ ...known, sighting },
		token: { ...known.token, expiresAt },
	});
	switch (life) {
		case "from-last-sight-of-former": {
			const sighting =
				same === undefined
					? firstSight(former, now, grant.lifetimeMs)
					: seenAgain(same, now);
			return told(sighting, toldEnd(sighting, spreadOf(known.id)));
		}
		case "left-or-constant": {
			const sighting =
				same === undefined
					? firstTokenSight(former, grant)
					: tokenSeenAgain(same, grant);
			return told(sighting, toldTokenEnd(sighting));
		}
		default:
			return life satisfies never;
	}
}

/** What was seen of the value before, by the clock of now. */
function formerSighting(
	{ before, clockOffset }: Asked,
	now: number,
): Sighting | undefined {
	if (before?.sighting === undefined) return undefined;
	const setBackMs = (before.clockOffset ?? clockOffset) - clockOffset;
	// Small differences are those of two readings of the clocks.
	const ms = setBackMs > 1_000 ? Math.round(setBackMs) : 0;
	return bySetBackClock(before.sighting, ms, now);
}

/** Above all that is known; and above what is forgotten, should the record be lost. */
export function generationAfter(
	record: SharedRecord,
	before: KnownToken | undefined,
	now: number,
): number {
	return Math.max(record.generation, before?.generation ?? 0, now - 1) + 1;
}

/** The record with `known` as the published token. */
export function withPublication(
	known: KnownToken,
	record: SharedRecord,
): SharedRecord {
	const { id, token, lifetimeMs, fetchedAt, generation, reason } = known;
	const { expiresAt } = token;
	const published = {
		...{ id, expiresAt, lifetimeMs, fetchedAt, reason },
		...(known.sighting && { sighting: known.sighting }),
	};
	return { ...record, generation, published };
}

/** What the token of a grant is known by. */
export function knownFromGrant(
	{ value, lifetimeMs, requestedAt }: Grant,
	generation: number,
	{ traits, reason, before, clockOffset }: Asked,
): KnownToken {
	const id = tokenId(value);
	const expiresAt = Math.floor(requestedAt / 1000) * 1000 + lifetimeMs;
	const fresh = { value, expiresAt };
	if (id !== before?.id)
		return {
			token: fresh,
			id,
			generation,
			lifetimeMs,
			fetchedAt: requestedAt,
			reason,
			clockOffset,
		};
	// WeChat gave the same one: what is left of it comes in whole seconds, so the end
	// that was known already is the better one.
	const isUnchanged = Math.abs(before.token.expiresAt - expiresAt) <= 2_000;
	// Where each call issues another one, an answer with the same token is an old answer
	// that a cache on the way has kept: the token ends no later for it.
	const isStale =
		traits.reissue === "new-each-time" && expiresAt > before.token.expiresAt;
	return {
		...before,
		token: isUnchanged || isStale ? before.token : fresh,
		generation,
		lifetimeMs: Math.max(lifetimeMs, before.lifetimeMs),
		clockOffset,
	};
}

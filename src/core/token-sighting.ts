/**
 * The end of a token of 企业微信, and when it is asked for. What a repeated call gives is
 * not documented any more: the same token until its end, with a constant `expires_in` or
 * with what is left; the same one with a later end; or a new one each time. These rules
 * are right for each of these:
 *
 * - The end counts from the last sight of the former token, and the same token again
 *   never moves it, unless it is seen past that end.
 * - Once early, where a new one may be had without a gap; then each 5 s from 10 s before
 *   the end until a minute after it, where no overlap can be had.
 *
 * Sum of the calls in a life: 5 in the plain case; 24 if the end is not known; 50 if the
 * token does not end at all.
 */
import { type Sighting, usualLifetimeMs } from "./credential.ts";

const secondMs = 1_000;
const minuteMs = 60_000;

/**
 * Around the end, in ascending order: each 5 s, the first one after it a second after it,
 * as the clocks may differ a little.
 */
const aroundEndMs = [
	...[-10, -5],
	...Array.from({ length: 12 }, (_, step) => 1 + 5 * step),
].map((seconds) => seconds * secondMs);
const [firstAroundMs = 0] = aroundEndMs;

/** So long before its end a token is asked for again and again, though nothing is wrong. */
export const aroundEndFromMs = -firstAroundMs;

/** Without a known end, and long after it. */
const guessingMs = 5 * minuteMs;
/** Past its end: each minute for so long. */
const overdueSoonMs = 10 * minuteMs;
/** The former token must have been seen so shortly before, or the end is a guess. */
const maxGapMs = 10 * minuteMs;
/** What is left comes in whole seconds, and the answer took its time. */
const slackMs = 2 * secondMs;

/** What an answer says. */
export interface TokenAnswer {
	/** When its request was sent, epoch ms. */
	readonly requestedAt: number;
	/** From `expires_in`. */
	readonly lifetimeMs: number;
}

/** What the first answer with a token shows; `former`: of the token that was known before it. */
export function firstTokenSight(
	former: Sighting | undefined,
	{ requestedAt, lifetimeMs }: TokenAnswer,
): Sighting {
	const told = requestedAt + lifetimeMs;
	const exact = { seenAt: requestedAt, endsAt: told, endsBy: told };
	// Less than a whole life is what is left of it.
	if (lifetimeMs < usualLifetimeMs) return { ...exact, isGuessed: false };
	if (former === undefined) return { ...exact, isGuessed: true };
	// Before the end of the former one only our own call can have brought it about.
	const isEarly = !former.isGuessed && requestedAt < former.endsAt;
	if (isEarly) return { ...exact, isGuessed: false };
	return {
		...exact,
		endsAt: former.seenAt + lifetimeMs,
		isGuessed: requestedAt - former.seenAt > maxGapMs,
	};
}

/** The same token again: its end stays, unless the answer tells what is left. */
export function tokenSeenAgain(
	known: Sighting,
	{ requestedAt, lifetimeMs }: TokenAnswer,
): Sighting {
	const told = requestedAt + lifetimeMs;
	const isLeft = lifetimeMs < usualLifetimeMs && told <= known.endsBy + slackMs;
	if (!isLeft) return { ...known, seenAt: requestedAt };
	const end = Math.min(told, known.endsBy);
	return { seenAt: requestedAt, endsAt: end, endsBy: end, isGuessed: false };
}

/**
 * When 企业微信 is asked next, epoch ms. `marginMs`: how long before its end a token is
 * due where a new one can be had early.
 */
export function nextTokenAskAt(sighting: Sighting, marginMs: number): number {
	const { seenAt, endsAt, endsBy, isGuessed } = sighting;
	const early = endsAt + Math.min(firstAroundMs, -marginMs);
	const atEnd = nextAround(endsAt, seenAt);
	const isWaiting = isGuessed && seenAt < endsAt;
	const candidates = [
		early,
		atEnd,
		// If our own call brought it about, it ends only then, which may be minutes later.
		nextAround(endsBy, seenAt),
		atEnd === undefined || isWaiting ? seenAt + backoffOf(sighting) : undefined,
	];
	return Math.min(
		...candidates.filter((at) => at !== undefined).filter((at) => at > seenAt),
	);
}

/** What readers are told as the end, in whole seconds, as the file has it. */
export function toldTokenEnd(sighting: Sighting): number {
	const { seenAt, endsAt, endsBy } = sighting;
	if (seenAt < endsAt) return inWholeSeconds(endsAt);
	// It was not issued as early as it may have been.
	if (seenAt < endsBy) return inWholeSeconds(endsBy);
	// It lives past its end: it is good until a little after the next answer.
	const isSoon = seenAt < endsBy + overdueSoonMs;
	const nextAt = nextTokenAskAt(sighting, 0);
	return inWholeSeconds(nextAt + (isSoon ? minuteMs : guessingMs));
}

/** The next instant of those around an end; undefined: none is left. */
function nextAround(endsAt: number, seenAt: number): number | undefined {
	return aroundEndMs.map((ms) => endsAt + ms).find((at) => at > seenAt);
}

function backoffOf({ seenAt, endsAt, endsBy }: Sighting): number {
	const isSoonAfter = (end: number) =>
		seenAt >= end && seenAt < end + overdueSoonMs;
	return isSoonAfter(endsAt) || isSoonAfter(endsBy) ? minuteMs : guessingMs;
}

function inWholeSeconds(at: number): number {
	return Math.floor(at / secondMs) * secondMs;
}

/**
 * The end of a value whose answers do not tell it (tickets): what an answer shows, when
 * WeChat is asked next, and what readers are told meanwhile.
 *
 * Sum of the calls: about 150 a day, and at most 300 if no end is ever known.
 */
import type { Sighting } from "./credential.ts";

const secondMs = 1_000;
const minuteMs = 60_000;

/** Long before the end: between 30 and 60 minutes apart, by `spread`. */
const routineMs = 30 * minuteMs;
/** In the last five minutes, and in the first ten after the end: each minute. */
const closeMs = 5 * minuteMs;
const overdueSoonMs = 10 * minuteMs;
/** At the end itself, as there may be no overlap; in ascending order. */
const atTheEndMs = [1, 3, 6].map((seconds) => seconds * secondMs);
/** Without a known end. */
const guessingMs = 5 * minuteMs;
/** The former value must have been seen so shortly before, or the end is a guess. */
const maxGapMs = 10 * minuteMs;

/** What the first answer with a value shows; `former`: of the value that was known before it. */
export function firstSight(
	former: Sighting | undefined,
	now: number,
	lifetimeMs: number,
): Sighting {
	return {
		seenAt: now,
		endsAt: (former?.seenAt ?? now) + lifetimeMs,
		endsBy: now + lifetimeMs,
		isGuessed: former === undefined || now - former.seenAt > maxGapMs,
	};
}

/** The same value again: its end does not move. */
export function seenAgain(known: Sighting, now: number): Sighting {
	return { ...known, seenAt: now };
}

/**
 * The same by a clock that was set back by `ms` since. Undefined if it is still later
 * than `now`: by which clock it was written is not known, so it tells nothing.
 */
export function bySetBackClock(
	{ seenAt, endsAt, endsBy, isGuessed }: Sighting,
	ms: number,
	now: number,
): Sighting | undefined {
	if (seenAt - ms > now + secondMs) return undefined;
	return {
		seenAt: seenAt - ms,
		endsAt: endsAt - ms,
		endsBy: endsBy - ms,
		isGuessed,
	};
}

/** When WeChat is asked next, epoch ms. `spread`: 0 to 1, different for each value. */
export function nextAskAt(
	{ seenAt, endsAt, endsBy, isGuessed }: Sighting,
	spread: number,
): number {
	const atTheEnd = atTheEndMs.map((ms) => endsAt + ms);
	// If our own call made WeChat issue it, it ends only then, which may be minutes later.
	const latest = Math.max(endsBy + secondMs, ...atTheEnd);
	const nextAtEnd = [...atTheEnd, latest].find((at) => at > seenAt);
	const soon = (ms: number) =>
		Math.min(seenAt + ms, nextAtEnd ?? Number.POSITIVE_INFINITY);
	if (seenAt >= endsAt + overdueSoonMs) return soon(guessingMs);
	// Each minute up to a guessed end would be a call in vain, most likely.
	if (isGuessed && seenAt < endsAt) return soon(guessingMs);
	if (seenAt >= endsAt - closeMs) return soon(minuteMs);
	return Math.min(seenAt + routineMs * (1 + spread), endsAt - closeMs);
}

/** The value is past its end, and WeChat still gives it. */
export function isOverdue({ seenAt, endsAt }: Sighting): boolean {
	return seenAt >= endsAt;
}

/**
 * What readers are told as the end, in whole seconds, as the file has it. Once WeChat is
 * asked next in the last minute or later, with the value still the present one, it is
 * good until a little after that answer: else readers would take it for dead at the very
 * instant at which WeChat is asked.
 */
export function toldEnd(sighting: Sighting, spread: number): number {
	const { seenAt, endsAt } = sighting;
	const nextAt = nextAskAt(sighting, spread);
	if (nextAt <= endsAt - minuteMs) return inWholeSeconds(endsAt);
	// An answer that fails once is not the end.
	return inWholeSeconds(
		nextAt + (seenAt >= endsAt + overdueSoonMs ? guessingMs : minuteMs),
	);
}

function inWholeSeconds(at: number): number {
	return Math.floor(at / secondMs) * secondMs;
}

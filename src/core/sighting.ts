/**
 * The end of a value whose answers do not tell it (tickets): what an answer shows, when
 * WeChat is asked next, and what readers are told meanwhile.
 *
 * Sum of the calls: about 90 a day, and at most 300 if no end is ever known.
 */
import type { Sighting } from "./credential.ts";

const secondMs = 1_000;
const minuteMs = 60_000;

/** Long before the end: between 30 and 60 minutes apart, by `spread`. */
const routineMs = 30 * minuteMs;
/** In the last five minutes, and in the first ten after the end: each minute. */
const closeMs = 5 * minuteMs;
const overdueSoonMs = 10 * minuteMs;
/** At the end itself, as there may be no overlap. */
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
		isGuessed: former === undefined || now - former.seenAt > maxGapMs,
	};
}

/** The same value again: its end does not move. */
export function seenAgain(known: Sighting, now: number): Sighting {
	return { ...known, seenAt: now };
}

/** When WeChat is asked next, epoch ms. `spread`: 0 to 1, different for each value. */
export function nextAskAt(
	{ seenAt, endsAt, isGuessed }: Sighting,
	spread: number,
): number {
	if (seenAt >= endsAt + overdueSoonMs) return seenAt + guessingMs;
	const atTheEnd = atTheEndMs.map((ms) => endsAt + ms);
	const nextAtEnd = atTheEnd.find((at) => at > seenAt);
	if (nextAtEnd === undefined) return seenAt + minuteMs;
	if (seenAt >= endsAt - closeMs) return Math.min(seenAt + minuteMs, nextAtEnd);
	const usual = isGuessed ? guessingMs : routineMs * (1 + spread);
	return Math.min(seenAt + usual, endsAt - closeMs);
}

/** The value is past its end, and WeChat still gives it. */
export function isOverdue({ seenAt, endsAt }: Sighting): boolean {
	return seenAt >= endsAt;
}

/**
 * What readers are told as the end. From the last minute on, with the value still the
 * present one, it is good until a little after the next answer: else readers would
 * take it for dead at the very instant at which WeChat is asked.
 */
export function toldEnd(sighting: Sighting, spread: number): number {
	const { seenAt, endsAt } = sighting;
	if (seenAt < endsAt - minuteMs) return endsAt;
	// An answer that fails once is not the end.
	return (
		nextAskAt(sighting, spread) +
		(seenAt >= endsAt + overdueSoonMs ? guessingMs : minuteMs)
	);
}

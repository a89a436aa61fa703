/** The platform's time. Tests need days to pass in milliseconds. */
import { type Clock, systemClock } from "../core/clock.ts";

/** Real time, multiplied by a factor, plus the time that was skipped. */
export interface VirtualClock {
	/** Virtual epoch ms. */
	now(): number;
	/** @throws RangeError for a negative number of seconds */
	advance(seconds: number): void;
	/** The real ms that a timer needs for this number of virtual seconds. */
	realMs(seconds: number): number;
}

/** Node fires a timer with a longer delay at once. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * @param startAtMs virtual epoch ms at the start; undefined: the real time
 * @param scale virtual seconds per real second; 0: only `advance` moves the clock
 */
export function createVirtualClock(
	startAtMs: number | undefined,
	scale: number,
	real: Clock = systemClock,
): VirtualClock {
	const begin = real.monotonic();
	const origin = startAtMs ?? real.now();
	let skippedMs = 0;
	return {
		now: () =>
			Math.floor(origin + skippedMs + (real.monotonic() - begin) * scale),
		// With a scale of 0 the quotient is Infinity, and the longest timer is used.
		realMs: (seconds) => Math.min((seconds * 1000) / scale, maxTimerMs),
		advance(seconds) {
			if (!(seconds >= 0)) throw new RangeError("time only goes forward");
			skippedMs += seconds * 1000;
		},
	};
}

import { type Clock, systemClock } from "../core/clock.ts";

/** The platform's time: real time, times a factor, plus what was skipped. */
export interface VirtualClock {
	/** Epoch ms. */
	now(): number;
	advance(seconds: number): void;
	/** How many real ms a timer has to wait for so many virtual seconds. */
	realMs(seconds: number): number;
}

const longestTimerMs = 2 ** 31 - 1;

/** Begins at `startAtMs`, else now; `scale` is virtual seconds per real second, and 0 stands still. */
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
		// A clock that stands still never gets there, and a longer timer fires at once.
		realMs: (seconds) => Math.min((seconds * 1000) / scale, longestTimerMs),
		advance(seconds) {
			if (!(seconds >= 0)) throw new RangeError("time only goes forward");
			skippedMs += seconds * 1000;
		},
	};
}

import { type Clock, systemClock } from "../clock.ts";

/** The platform's time: real time, times a factor, plus what was skipped. */
export interface VirtualClock {
	/** Epoch ms. */
	now(): number;
	advance(seconds: number): void;
	/** Virtual seconds per real second. */
	readonly scale: number;
}

export function createVirtualClock(
	startAtMs: number | undefined,
	scale: number,
	real: Clock = systemClock,
): VirtualClock {
	const begin = real.monotonic();
	const origin = startAtMs ?? real.now();
	let skippedMs = 0;
	return {
		scale,
		now: () =>
			Math.floor(origin + skippedMs + (real.monotonic() - begin) * scale),
		advance(seconds) {
			if (!(seconds >= 0)) throw new RangeError("time only goes forward");
			skippedMs += seconds * 1000;
		},
	};
}

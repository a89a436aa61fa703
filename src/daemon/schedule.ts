/**
 * The tick: one timer, which looks at the wall clock.
 *
 * node-cron says when the next slot is, and keeps no timer here: its own would
 * stay silent after the clock was set back, and would walk through every missed
 * slot after it was set ahead (a minute per year).
 */

import { cronSlots } from "../config/cron.ts";
import type { Clock } from "../core/clock.ts";

export interface Schedule {
	/** Ticks also at that instant (epoch ms), once. */
	wakeAt(at: number): void;
	stop(): void;
}

/** Somebody who wants to hear that the timer still runs. */
export interface Pulse {
	beat(): void;
	/** At least so often; Infinity: it does not matter. */
	readonly everyMs: number;
}

/** The timer never sleeps longer, so that a clock step is noticed soon. */
const longestSleepMs = 5_000;

/** Calls `tick` at each slot of the expression, and at once after a clock step. */
export function startSchedule(
	expression: string,
	tick: () => void,
	clock: Clock,
	pulse: Pulse = { beat: () => {}, everyMs: Number.POSITIVE_INFINITY },
): Schedule {
	const mostMs = Math.min(longestSleepMs, pulse.everyMs);
	const slotAfterNow = cronSlots(expression);
	let slot = slotAfterNow();
	let wakes: readonly number[] = [];
	let lookedAt = clock.now();
	let timer: NodeJS.Timeout;

	const arm = () => {
		clearTimeout(timer);
		const sleepMs = Math.min(slot, ...wakes) - clock.now();
		timer = setTimeout(look, Math.max(1, Math.min(sleepMs, mostMs)));
	};

	const look = () => {
		const now = clock.now();
		const setBack = now < lookedAt;
		const due = now >= slot || wakes.some((at) => now >= at) || setBack;
		lookedAt = now;
		if (due) {
			slot = slotAfterNow();
			// After a step back the old instants say nothing: all is looked at now.
			wakes = setBack ? [] : wakes.filter((at) => at > now);
			tick();
		}
		pulse.beat();
		arm();
	};

	arm();
	return {
		wakeAt: (at) => {
			// Ten thousand cooldowns that end together are one look.
			const rounded = Math.ceil(at / 50) * 50;
			if (wakes.includes(rounded)) return;
			wakes = [...wakes, rounded];
			arm();
		},
		stop: () => clearTimeout(timer),
	};
}

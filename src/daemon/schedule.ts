/**
 * When to tick: one timer, which looks at the wall clock.
 *
 * node-cron only says when the next slot is. Its own timer would stay silent after
 * the clock was set back, and would go through every missed slot after the clock was
 * set ahead (a minute for each year).
 */
import { cronSlots } from "../config/cron.ts";
import type { Clock } from "../core/clock.ts";

/** A schedule that runs. */
export interface Schedule {
	/** Ticks also at that instant (epoch ms), once. */
	wakeAt(at: number): void;
	/** No tick follows. */
	stop(): void;
}

/** Called between ticks, to show that the timer still runs. */
export interface Pulse {
	beat(): void;
	/** The longest time between two beats; Infinity: any. */
	readonly everyMs: number;
}

/** The timer never sleeps longer than this, so that a clock step is noticed soon. */
const longestSleepMs = 5_000;

/**
 * Calls `tick` at each slot of the cron expression, and at once after the clock was
 * set back. The expression must be valid.
 */
export function startSchedule(
	expression: string,
	tick: () => void,
	clock: Clock,
	pulse: Pulse = { beat: () => {}, everyMs: Number.POSITIVE_INFINITY },
): Schedule {
	const maxSleepMs = Math.min(longestSleepMs, pulse.everyMs);
	const slotAfterNow = cronSlots(expression);
	/** Epoch ms: the next slot, and instants that were asked for. */
	const next = { slot: slotAfterNow(), wakes: [] as readonly number[] };
	let lookedAt = clock.now();
	let timer: NodeJS.Timeout;

	const arm = () => {
		clearTimeout(timer);
		const sleepMs = Math.min(next.slot, ...next.wakes) - clock.now();
		timer = setTimeout(look, Math.max(1, Math.min(sleepMs, maxSleepMs)));
	};

	const look = () => {
		const now = clock.now();
		const setBack = now < lookedAt;
		const due =
			now >= next.slot || next.wakes.some((at) => now >= at) || setBack;
		lookedAt = now;
		if (due) {
			next.slot = slotAfterNow();
			// The instants were meant by the old clock. This tick looks at everything, and
			// keepers that still wait for a cooldown ask for a tick again.
			next.wakes = setBack ? [] : next.wakes.filter((at) => at > now);
			tick();
		}
		pulse.beat();
		arm();
	};

	arm();
	return {
		wakeAt: (at) => {
			// Ten thousand cooldowns that end together shall be one tick.
			const rounded = Math.ceil(at / 50) * 50;
			if (next.wakes.includes(rounded)) return;
			next.wakes = [...next.wakes, rounded];
			arm();
		},
		stop: () => clearTimeout(timer),
	};
}

/**
 * When to tick: one timer, which looks at the wall clock.
 *
 * node-cron only says whether a second is a slot. Its own timer would stay silent after
 * the clock was set back, and would go through every missed slot after the clock was
 * set ahead (a minute for each year). No slot is reckoned further ahead than to the
 * next look: local time may jump meanwhile, and node-cron says of the hour that comes
 * twice in autumn that the next slot is after it.
 */
import { firstTick, localCalendar } from "../config/cron.ts";
import type { Clock } from "../core/clock.ts";

/** A schedule that runs. */
export interface Schedule {
	/** Ticks also at that instant (epoch ms), once. */
	wakeAt(at: number): void;
	/** No tick follows. Returns the instants that were asked for and have not come. */
	stop(): readonly number[];
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
 * After so long without a look (the machine slept, the clock was set ahead) there is a
 * tick, whatever the schedule says.
 */
const longestLookBackMs = 600_000;

/**
 * Calls `tick` at each slot of the cron expression and at each change of local time, and
 * at once after the clock was set back. The expression must be valid.
 */
export function startSchedule(
	expression: string,
	tick: () => void,
	clock: Clock,
	pulse: Pulse = { beat: () => {}, everyMs: Number.POSITIVE_INFINITY },
): Schedule {
	const maxSleepMs = Math.min(longestSleepMs, pulse.everyMs);
	const calendar = localCalendar(expression);
	/** Instants that were asked for, epoch ms. */
	let wakes: readonly number[] = [];
	let lookedAt = clock.now();
	let sleepsUntil = lookedAt;
	let timer: NodeJS.Timeout;

	const arm = () => {
		clearTimeout(timer);
		const now = clock.now();
		const latest = now + maxSleepMs;
		const isLate = latest - lookedAt > longestLookBackMs;
		const slot = isLate ? now : firstTick(calendar, lookedAt, latest);
		sleepsUntil = Math.min(slot ?? latest, latest, ...wakes);
		timer = setTimeout(look, Math.max(1, sleepsUntil - now));
	};

	const look = () => {
		const now = clock.now();
		const setBack = now < lookedAt;
		const due =
			setBack ||
			now - lookedAt > longestLookBackMs ||
			wakes.some((at) => now >= at) ||
			firstTick(calendar, lookedAt, now) !== undefined;
		lookedAt = now;
		if (due) {
			// The instants were meant by the old clock. This tick looks at everything, and
			// keepers that still wait for a cooldown ask for a tick again.
			wakes = setBack ? [] : wakes.filter((at) => at > now);
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
			if (wakes.includes(rounded)) return;
			wakes = [...wakes, rounded];
			if (rounded < sleepsUntil) arm();
		},
		stop: () => {
			clearTimeout(timer);
			return wakes;
		},
	};
}

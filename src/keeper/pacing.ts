/**
 * Calls for the members of a platform, evenly over time. Each member is due at another
 * moment, but after an outage all that became due in it are due at once: these wait here
 * for their turn, those whose values end first before the others. What has no value yet
 * does not wait, nor does what a person or an app asks for.
 */
import type { Clock } from "../core/clock.ts";
import { usualLifetimeMs } from "../core/credential.ts";
import type { Limiter } from "./limiter.ts";

export interface Pacing {
	/** Its turn comes; `endsAt`: of its value, epoch ms. A waiting task costs next to nothing. */
	enqueue(endsAt: number, task: () => Promise<void>): void;
	/** Begins what may begin by now. Cheap, for each tick. */
	release(): void;
	/** How many wait. */
	load(): number;
	/** Begins all of them: they shall find that nothing is to be done any more. */
	end(): void;
}

export interface PacingParts {
	readonly clock: Pick<Clock, "now" | "monotonic">;
	/** Where those go whose turn has come. */
	readonly limiter: Pick<Limiter, "enqueue">;
	/** How many are paced, at most. */
	readonly members: () => number;
	/** Orders a tick, epoch ms. */
	readonly wakeAt: (at: number) => void;
}

/** So many begin at once after a rest. */
const burst = 300;
/** However few there are, so many begin in a second: no WeChat minds them. */
const leastPerSecond = 50;
/**
 * A value is renewed after half of its life on average, so this many times the mean may
 * begin: with the burst, of a hundred thousand less than twice the mean in any minute.
 */
const timesTheMean = 1.7;

const secondMs = 1_000;
const minuteMs = 60_000;

export function createPacing(parts: PacingParts): Pacing {
	const { clock, limiter, wakeAt } = parts;
	/** By the minute in which their values end. */
	const waiting = new Map<number, (() => Promise<void>)[]>();
	let load = 0;
	let allowed = burst;
	let filledAt = clock.monotonic();

	const fill = () => {
		const now = clock.monotonic();
		const mean = (parts.members() * secondMs) / (usualLifetimeMs / 2);
		const perSecond = Math.max(leastPerSecond, timesTheMean * mean);
		const more = ((now - filledAt) / secondMs) * perSecond;
		allowed = Math.min(burst, allowed + more);
		filledAt = now;
	};

	const takeFirst = (): (() => Promise<void>) | undefined => {
		let first = Number.POSITIVE_INFINITY;
		for (const minute of waiting.keys()) first = Math.min(first, minute);
		const tasks = waiting.get(first);
		const task = tasks?.pop();
		if (tasks?.length === 0) waiting.delete(first);
		return task;
	};

	return {
		load: () => load,
		end: () => {
			for (const tasks of waiting.values())
				for (const task of tasks) limiter.enqueue(task);
			waiting.clear();
			load = 0;
		},
		enqueue: (endsAt, task) => {
			const minute = Math.floor(endsAt / minuteMs);
			const tasks = waiting.get(minute);
			if (tasks === undefined) waiting.set(minute, [task]);
			else tasks.push(task);
			load += 1;
		},
		release: () => {
			fill();
			while (allowed >= 1 && load > 0) {
				const task = takeFirst();
				if (task === undefined) break;
				load -= 1;
				allowed -= 1;
				limiter.enqueue(task);
			}
			if (load > 0) wakeAt(clock.now() + secondMs);
		},
	};
}

/** Bounds on what a process does at a time. */
import { setImmediate as afterEvents } from "node:timers/promises";
import { systemClock } from "../core/clock.ts";

/**
 * Lets a limited number of tasks run at a time, so that ten thousand credentials that
 * are due at once do not open ten thousand connections. What is urgent does not go
 * through it.
 *
 * A task that takes longer than a second waits for something else, such as an issuer
 * that does not answer: it shall not hold up the others, and counts no longer, unless
 * there are hundreds of them.
 */
export interface Limiter {
	/** Its turn comes; the task tells of its failures itself. A waiting task costs next to nothing. */
	enqueue(task: () => Promise<void>): void;
	/** The same, with an answer. */
	pass<T>(task: () => Promise<T>): Promise<T>;
	/** How many tasks run, but for the slow ones, or wait for their turn. */
	load(): number;
}

/** Credentials that are refreshed at a time. */
export const maxRefreshing = 60;

/** So many of them run beside the others. */
const maxSlow = 464;

/** The beginnings of tasks give way to sockets and timers after so long. */
const sliceMs = 10;

/** `slowMs`: a task that takes longer counts no longer. */
export function createLimiter(limit: number, slowMs = 1_000): Limiter {
	let running = 0;
	let slow = 0;
	const queue = createQueue<() => Promise<void>>();
	let isPumping = false;

	const run = async (task: () => Promise<void>) => {
		running += 1;
		let isSlow = false;
		const timer = setTimeout(() => {
			if (slow >= maxSlow) return;
			isSlow = true;
			slow += 1;
			running -= 1;
			next();
		}, slowMs);
		try {
			await task();
		} finally {
			clearTimeout(timer);
			if (isSlow) slow -= 1;
			else running -= 1;
			next();
		}
	};

	const pump = () => {
		isPumping = false;
		// Many at once, and not one per turn of the event loop: what they do is the
		// same, and each turn would find the processor's caches full of other things.
		const giveWayAt = systemClock.monotonic() + sliceMs;
		while (running < limit && systemClock.monotonic() < giveWayAt) {
			const task = queue.take();
			if (task === undefined) return;
			void run(task);
		}
		next();
	};

	const next = () => {
		if (isPumping || queue.length() === 0 || running >= limit) return;
		isPumping = true;
		setImmediate(pump);
	};

	const enqueue = (task: () => Promise<void>) => {
		queue.add(task);
		next();
	};

	return {
		enqueue,
		pass: <T>(task: () => Promise<T>) =>
			new Promise<T>((resolve, reject) => {
				enqueue(() => task().then(resolve, reject));
			}),
		load: () => running + queue.length(),
	};
}

/** First in, first out. `Array.shift` would move all that wait at each take. */
function createQueue<T>() {
	let waiting: T[] = [];
	let head = 0;
	return {
		add: (one: T) => {
			waiting.push(one);
		},
		/** Undefined: it is empty. */
		take: (): T | undefined => {
			const one = waiting[head];
			if (one === undefined) return undefined;
			head += 1;
			if (head * 2 > waiting.length) {
				waiting = waiting.slice(head);
				head = 0;
			}
			return one;
		},
		length: () => waiting.length - head,
	};
}

/** Resolves when all that has happened outside by now was told to those who listen to it. */
export function nextTurn(): Promise<void> {
	return afterEvents();
}

/** Long work that gives way, in between, to sockets and timers. */
export interface Yielding {
	/** Gives way if this slice has lasted long enough. Undefined: it has not. */
	yieldIfLong(): Promise<void> | undefined;
}

/** Beginning now. */
export function createYielding(sliceMs: number): Yielding {
	let since = systemClock.monotonic();
	const giveWay = async () => {
		await nextTurn();
		since = systemClock.monotonic();
	};
	return {
		yieldIfLong: () =>
			systemClock.monotonic() - since >= sliceMs ? giveWay() : undefined,
	};
}

/**
 * Takes the steps of long work, and gives way in between, each time after `onSlice`. What
 * is short is done in the same turn. Rejects with what the work throws.
 */
export async function inSlices<T>(
	steps: Iterator<undefined, T>,
	sliceMs: number,
	onSlice: () => void,
): Promise<T> {
	const yielding = createYielding(sliceMs);
	for (;;) {
		const step = steps.next();
		if (step.done) return step.value;
		const pause = yielding.yieldIfLong();
		if (pause === undefined) continue;
		onSlice();
		await pause;
	}
}

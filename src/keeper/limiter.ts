/**
 * Lets a limited number of tasks run at a time, so that ten thousand accounts
 * due at once do not open ten thousand connections. What is urgent goes past it.
 *
 * Who takes longer than a second waits for somebody else, for an issuer that does
 * not answer, say: that shall hold up nobody, and counts no longer, unless there
 * are hundreds of them.
 */
export interface Gate {
	/** Its turn comes; the task tells of its failures itself. Who waits costs next to nothing. */
	enqueue(task: () => Promise<void>): void;
	/** The same, with an answer. */
	pass<T>(task: () => Promise<T>): Promise<T>;
	/** How many tasks run, but for the slow ones, or wait for their turn. */
	load(): number;
}

/** Accounts at work at a time. */
export const mostAtWork = 48;

/** Who takes longer is slow. */
const usualSlowMs = 1_000;

/** So many of them run beside the others. */
const mostSlow = 464;

/** `slowMs`: of real time; at most 2^31 − 1. */
export function createGate(limit: number, slowMs = usualSlowMs): Gate {
	let running = 0;
	let slow = 0;
	let queue: (() => Promise<void>)[] = [];
	let head = 0;
	let isPumping = false;

	const run = async (task: () => Promise<void>) => {
		running += 1;
		let isSlow = false;
		const timer = setTimeout(() => {
			if (slow >= mostSlow) return;
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
		// All at once, and not one per turn of the event loop: what they do is the
		// same, and each turn would find the processor's caches full of other things.
		for (; running < limit && head < queue.length; head += 1) {
			const task = queue[head];
			if (task !== undefined) void run(task);
		}
		if (head * 2 > queue.length) {
			queue = queue.slice(head);
			head = 0;
		}
	};

	const next = () => {
		if (isPumping || head >= queue.length || running >= limit) return;
		isPumping = true;
		setImmediate(pump);
	};

	const enqueue = (task: () => Promise<void>) => {
		queue.push(task);
		next();
	};

	return {
		enqueue,
		pass: <T>(task: () => Promise<T>) =>
			new Promise<T>((resolve, reject) => {
				enqueue(() => task().then(resolve, reject));
			}),
		load: () => running + queue.length - head,
	};
}

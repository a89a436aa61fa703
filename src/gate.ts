/**
 * Lets a limited number of tasks run at a time, so that ten thousand accounts
 * due at once do not open ten thousand connections. What is urgent goes past it.
 *
 * Who takes longer than a second waits for somebody else, for an issuer that does
 * not answer, say: that shall hold up nobody, and counts no longer, unless there
 * are hundreds of them.
 */
export interface Gate {
	pass<T>(task: () => Promise<T>): Promise<T>;
	/** How many tasks run, but for the slow ones, or wait for their turn. */
	load(): number;
}

/** Accounts at work at a time. */
export const mostAtWork = 48;

/** Who takes longer is slow. */
const slowMs = 1_000;

/** So many of them run beside the others. */
const mostSlow = 464;

export function createGate(limit: number): Gate {
	let running = 0;
	let slow = 0;
	let queue: (() => void)[] = [];
	let head = 0;
	let isPumping = false;

	const pump = () => {
		isPumping = false;
		// All at once, and not one per turn of the event loop: what they do is the
		// same, and each turn would find the processor's caches full of other things.
		for (; running < limit && head < queue.length; head += 1) {
			running += 1;
			queue[head]?.();
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

	return {
		load: () => running + queue.length - head,
		pass: async (task) => {
			await new Promise<void>((start) => {
				queue.push(start);
				next();
			});
			let isSlow = false;
			const timer = setTimeout(() => {
				if (slow >= mostSlow) return;
				isSlow = true;
				slow += 1;
				running -= 1;
				next();
			}, slowMs);
			try {
				return await task();
			} finally {
				clearTimeout(timer);
				if (isSlow) slow -= 1;
				else running -= 1;
				next();
			}
		},
	};
}

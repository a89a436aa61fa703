/**
 * Lets a limited number of tasks run at a time, so that ten thousand accounts
 * due at once do not open ten thousand connections. What is urgent goes past it.
 */
export interface Gate {
	pass<T>(task: () => Promise<T>): Promise<T>;
	/** How many tasks run, or wait. */
	load(): number;
}

/**
 * So many tasks are begun per turn of the event loop. Under /run a whole refresh
 * takes no turn but for its answer, and fifty in a row would hold up a socket's
 * client; one by one they would take a third longer, as each turn finds the
 * processor's caches full of other things.
 */
const perTurn = 16;

export function createGate(limit: number): Gate {
	let running = 0;
	let queue: (() => void)[] = [];
	let head = 0;
	let isPumping = false;

	const pump = () => {
		isPumping = false;
		for (let begun = 0; begun < perTurn && running < limit; begun += 1) {
			const start = queue[head];
			if (start === undefined) return;
			head += 1;
			running += 1;
			start();
		}
		if (head > 1024 && head * 2 > queue.length) {
			queue = queue.slice(head);
			head = 0;
		}
		next();
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
			try {
				return await task();
			} finally {
				running -= 1;
				next();
			}
		},
	};
}

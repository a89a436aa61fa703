/**
 * Lets a limited number of tasks run at a time, so that ten thousand accounts
 * due at once do not open ten thousand connections. An urgent task never waits.
 */
export type Gate = <T>(
	task: () => Promise<T>,
	options: { readonly urgent: boolean },
) => Promise<T>;

export function createGate(limit: number): Gate {
	let running = 0;
	const queue: (() => void)[] = [];
	let head = 0;

	const next = () => {
		const start = queue[head];
		if (start === undefined) return;
		head += 1;
		if (head > 1024 && head * 2 > queue.length) {
			queue.splice(0, head);
			head = 0;
		}
		start();
	};

	return async (task, { urgent }) => {
		if (urgent) return task();
		if (running >= limit) await new Promise<void>((start) => queue.push(start));
		running += 1;
		try {
			return await task();
		} finally {
			running -= 1;
			next();
		}
	};
}

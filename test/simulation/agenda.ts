/** Virtual time (epoch ms), which jumps from each event to the next one. */
export interface Agenda {
	now(): number;
	/** Runs `run` at that instant, or now if that is in the past. */
	at(instant: number, run: () => void): void;
	/** To be called by an event that settles a promise: what follows from it happens first. */
	awaitPromises(): void;
	/** Runs all events up to `endAt`. */
	run(endAt: number): Promise<void>;
}

/** A binary heap of events; those of the same instant run in the order of their creation. */
export function createAgenda(start: number): Agenda {
	let now = start;
	let made = 0;
	let mustAwait = false;
	const heap: { at: number; order: number; run: () => void }[] = [];
	const before = (one: number, other: number) => {
		const a = heap[one];
		const b = heap[other];
		if (a === undefined || b === undefined) return false;
		return a.at < b.at || (a.at === b.at && a.order < b.order);
	};
	const swap = (one: number, other: number) => {
		const a = heap[one];
		const b = heap[other];
		if (a === undefined || b === undefined) return;
		heap[one] = b;
		heap[other] = a;
	};
	const pop = () => {
		swap(0, heap.length - 1);
		const first = heap.pop();
		for (let at = 0; ; ) {
			const child = before(2 * at + 2, 2 * at + 1) ? 2 * at + 2 : 2 * at + 1;
			if (!before(child, at)) break;
			swap(child, at);
			at = child;
		}
		return first;
	};
	return {
		now: () => now,
		awaitPromises: () => {
			mustAwait = true;
		},
		at: (instant, run) => {
			made += 1;
			heap.push({ at: Math.max(instant, now), order: made, run });
			for (let at = heap.length - 1; at > 0; ) {
				const parent = (at - 1) >> 1;
				if (!before(at, parent)) break;
				swap(at, parent);
				at = parent;
			}
		},
		run: async (endAt) => {
			for (
				let next = pop();
				next !== undefined && next.at <= endAt;
				next = pop()
			) {
				now = next.at;
				mustAwait = false;
				next.run();
				// Everything that follows from it, promise by promise, happens now: what
				// nextTick calls runs when no promise is left to be continued. A turn of the
				// event loop would do as well, and takes longer.
				if (mustAwait) await new Promise<void>(process.nextTick);
			}
		},
	};
}

/** Resolves after so many virtual milliseconds. */
export function pauseOf(agenda: Agenda, ms: number): Promise<void> {
	return new Promise((resolve) => {
		agenda.at(agenda.now() + ms, () => {
			agenda.awaitPromises();
			resolve();
		});
	});
}

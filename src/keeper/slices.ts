import { setImmediate as breathe } from "node:timers/promises";

/** Long work that gives way, in between, to sockets and timers. */
export interface Slices {
	/** Whether this one has lasted long enough: then `next` is to be awaited. */
	isOver(): boolean;
	next(): Promise<void>;
}

/** Beginning now. */
export function createSlices(sliceMs: number): Slices {
	let since = performance.now();
	return {
		isOver: () => performance.now() - since >= sliceMs,
		next: async () => {
			await breathe();
			since = performance.now();
		},
	};
}

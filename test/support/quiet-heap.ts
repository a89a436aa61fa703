import type { Heap } from "../../src/keeper/spare-memory.ts";

/** A heap with nothing to give back. */
export const quietHeap: Heap = {
	grow: () => {},
	keep: () => {},
	collect: () => {},
	size: () => ({ held: 10, used: 10 }),
};

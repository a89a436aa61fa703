import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Keeps the part of the heap where objects begin as small as it is at the start.
 * V8 would let it grow to 16 MiB with the first burst of work; among ten
 * thousand refreshes most of that is in use, and each collection of it stops the
 * program for tens of milliseconds.
 */
export function keepCollectionsShort(): void {
	setFlagsFromString("--semi-space-growth-factor=1");
}

/**
 * Gives back what a burst of work has left of the heap. By itself V8 would keep
 * it for as long as little happens: a hundred megabytes for a daemon at rest.
 * Takes some tens of milliseconds. True if V8 still keeps far more than it uses:
 * it frees at once, and gives back at some later collection.
 */
export function returnMemory(): boolean {
	// The only way to ask for it from within.
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc") as () => void;
	setFlagsFromString("--no-expose-gc");
	collect();
	const heap = getHeapStatistics();
	return heap.total_heap_size > 1.5 * heap.used_heap_size;
}

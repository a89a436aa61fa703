import {
	getHeapSpaceStatistics,
	getHeapStatistics,
	setFlagsFromString,
} from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Keeps V8's new space, where objects begin, as small as it is. With a burst of
 * work it would grow to twice 16 MiB; among ten thousand refreshes most of that
 * is in use, and a collection of it stops the program for tens of milliseconds.
 */
export function freezeNewSpace(): void {
	setFlagsFromString("--semi-space-growth-factor=1");
}

/**
 * Twice 8 MiB: with twice 4 a burst takes a tenth more of a processor, and with
 * twice 16 a collection takes five milliseconds for nothing.
 */
const mostNewSpaceBytes = 16 * 1024 * 1024;

/** Lets it grow, if it is small; to be called again soon, or frozen. */
export function thawNewSpace(): void {
	const found = getHeapSpaceStatistics().find(
		({ space_name }) => space_name === "new_space",
	);
	if ((found?.space_size ?? mostNewSpaceBytes) >= mostNewSpaceBytes)
		freezeNewSpace();
	else setFlagsFromString("--semi-space-growth-factor=2");
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

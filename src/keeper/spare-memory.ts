/** When the heap may grow for a burst of work, and when it is given back. */
import type { Clock } from "../core/clock.ts";

/** The switches of the JavaScript engine; whoever makes a reconciler hands them in. */
export interface Heap {
	/** New objects may get more room, up to what a burst needs. To be called again soon, or kept. */
	grow(): void;
	/** They get no more than they have. */
	keep(): void;
	/** Frees what is not used. True if far more is still held than is used. */
	collect(): boolean;
}

/** After a burst, and between two collections. */
const calmMs = 4_000;

/** After a burst; two of them mostly do. */
const maxCollections = 4;

/** In a burst the heap may grow; after so many turns it is seen how far it has. */
const growTurns = 32;

export interface SpareMemory {
	grow(): void;
	keep(): void;
	/** One more credential had its turn in a burst. */
	useMore(): void;
	/** A burst goes on: there will be something to give back. */
	expectMore(): void;
	/** A few were refreshed: one collection gives back what that took. */
	expectSome(): void;
	/** Collects once it has been calm for a while. */
	giveBack(isBurst: boolean): void;
}

/** `isLarge`: there are so many credentials that to read them all at the start is a burst. */
export function createSpareMemory(
	heap: Heap,
	clock: Clock,
	isLarge: boolean,
): SpareMemory {
	let turns = 0;
	let collections = isLarge ? maxCollections : 0;
	let collectAt = clock.monotonic() + calmMs;
	return {
		grow: heap.grow,
		keep: heap.keep,
		useMore: () => {
			turns += 1;
			if (turns % growTurns === 0) heap.grow();
		},
		expectMore: () => {
			collections = maxCollections;
		},
		expectSome: () => {
			collections = Math.max(collections, 1);
		},
		giveBack: (isBurst) => {
			if (isBurst || collections === 0) collectAt = clock.monotonic() + calmMs;
			if (clock.monotonic() < collectAt) return;
			collections = heap.collect() ? collections - 1 : 0;
			collectAt = clock.monotonic() + calmMs;
		},
	};
}

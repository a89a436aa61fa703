/** When the heap may grow for a burst of work, and when it is given back. */
import type { Clock } from "../core/clock.ts";

/** The switches of the JavaScript engine; whoever makes a reconciler hands them in. */
export interface Heap {
	/** New objects may get more room, up to what a burst needs. To be called again soon, or kept. */
	grow(): void;
	/** They get no more than they have. */
	keep(): void;
	/** Frees what is not used: a large heap bit by bit, while the program goes on. */
	collect(): void;
	/** What it holds, and what of that is in use or not freed yet, MB. */
	size(): { readonly held: number; readonly used: number };
}

/** After a burst, and between two collections. */
const calmMs = 4_000;

/**
 * From a collection to the next one that a few refreshes are a reason for, for each MB. To
 * look through one MB takes some 4 ms of a processor: where something is refreshed at each
 * moment, that is not to be the main work.
 */
const restMsPerMb = 500;

/** Far more is held than is used. */
const wastefulRatio = 1.5;

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
	/** Collections that are still to come. */
	let planned = isLarge ? maxCollections : 0;
	/** None of them was made yet. Those after it must be worth it. */
	let isFirst = true;
	let calmUntil = clock.monotonic() + calmMs;
	let restsUntil = 0;
	/** For the next collection. */
	let earliest = 0;
	return {
		grow: heap.grow,
		keep: heap.keep,
		useMore: () => {
			turns += 1;
			if (turns % growTurns === 0) heap.grow();
		},
		expectMore: () => {
			planned = maxCollections;
			isFirst = true;
			earliest = 0;
		},
		expectSome: () => {
			if (planned > 0) return;
			planned = 1;
			isFirst = true;
			earliest = restsUntil;
		},
		giveBack: (isBurst) => {
			const now = clock.monotonic();
			if (isBurst || planned === 0) calmUntil = now + calmMs;
			if (now < calmUntil || now < earliest) return;
			calmUntil = now + calmMs;
			const { held, used } = heap.size();
			if (!isFirst && held <= wastefulRatio * used) {
				planned = 0;
				return;
			}
			heap.collect();
			isFirst = false;
			planned -= 1;
			restsUntil = now + used * restMsPerMb;
		},
	};
}

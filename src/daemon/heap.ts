/** V8's memory: how large it may grow in a burst of work, and giving it back afterwards. */
import {
	getHeapSpaceStatistics,
	getHeapStatistics,
	setFlagsFromString,
} from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Keeps V8's new space, where objects begin, as small as it is. In a burst of work
 * it would grow to twice 16 MiB; with ten thousand refreshes most of that is in use,
 * and collecting it stops the program for tens of milliseconds.
 */
export function keepNewSpace(): void {
	setFlagsFromString("--semi-space-growth-factor=1");
}

/**
 * Twice 8 MiB. With twice 4 MiB a burst takes a tenth more of a processor; with
 * twice 16 MiB a collection takes five milliseconds and gains nothing.
 */
const maxNewSpaceBytes = 16 * 1024 * 1024;

/**
 * Lets the new space grow, unless it is large enough. V8 would go on doubling it, so
 * call this again soon, or `keepNewSpace`.
 */
export function growNewSpace(): void {
	const found = getHeapSpaceStatistics().find(
		({ space_name }) => space_name === "new_space",
	);
	if ((found?.space_size ?? maxNewSpaceBytes) >= maxNewSpaceBytes)
		keepNewSpace();
	else setFlagsFromString("--semi-space-growth-factor=2");
}

/**
 * Stops V8 from optimizing WebAssembly. undici's parser is WebAssembly, and fast
 * enough as it is compiled at first; the optimizing compiler would take 10 MB for
 * it, which are never given back. Call it before the first request.
 */
export function keepWasmSmall(): void {
	setFlagsFromString("--liftoff-only");
	// V8 from Node.js 24 on draws these two conclusions only at its start.
	setFlagsFromString("--no-wasm-tier-up");
	setFlagsFromString("--no-wasm-dynamic-tiering");
}

/**
 * Whether V8 optimizes what runs often. With a few accounts hardly anything does: a
 * search for the next minute of the schedule, late in the hour. The compiler that is
 * mapped for that takes 3 MB, which stay. With many accounts a burst of renewals would
 * take half as long again without it.
 */
export function optimizeCode(isWorthIt: boolean): void {
	setFlagsFromString(isWorthIt ? "--opt" : "--no-opt");
}

/** A heap up to that is collected in one go; a larger one would take 20 ms and more. */
const smallHeapMb = 16;

/** So much memory outside of the heap, all at once, makes V8 look for what is not used. */
const outsideBytes = 100 * 1024 * 1024;

/**
 * Gives back what a burst of work has left of the heap. By itself V8 keeps it as
 * long as little happens: a hundred megabytes for an idle daemon. In a large heap V8 begins
 * now and goes on in small steps: in one go it takes a third of a second for a hundred
 * thousand credentials.
 */
export function collectGarbage(): void {
	if (heapSize().used > smallHeapMb && collectInSteps()) return;
	// A program can ask for a collection only by this flag, which is set for a moment.
	setFlagsFromString("--expose-gc");
	const collect = runInNewContext("gc") as () => void;
	setFlagsFromString("--no-expose-gc");
	collect();
}

/** The heap of V8, MB: what it holds, and what of that is in use or not freed yet. */
export function heapSize(): { readonly held: number; readonly used: number } {
	const { total_heap_size: held, used_heap_size: used } = getHeapStatistics();
	return { held: held / 2 ** 20, used: used / 2 ** 20 };
}

/**
 * There is no call for it. But V8 begins by itself when much memory outside of the heap
 * hangs on its objects. This one is never written to, so it is only a range of addresses.
 * False: there is no room for that.
 */
function collectInSteps(): boolean {
	try {
		return new ArrayBuffer(outsideBytes).byteLength > 0;
	} catch {
		return false;
	}
}

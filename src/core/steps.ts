/**
 * Long work in steps: a configuration of a hundred thousand accounts takes seconds to be
 * read, and a daemon has other things to do in between. Commands take all steps at once.
 */

/** Work whose owner may do something else at each step. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** So many items take less than a millisecond or two. */
const itemsInStep = 64;

/** Takes all steps. Throws what the work throws. */
export function atOnce<T>(steps: Steps<T>): T {
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
	}
}

/** As `items.map(made)`. */
export function* mapInSteps<Item, Made>(
	items: readonly Item[],
	made: (item: Item, index: number) => Made,
): Steps<Made[]> {
	const all: Made[] = [];
	yield* eachInSteps(items, (item, index) => all.push(made(item, index)));
	return all;
}

/** As `items.forEach(act)`. Of a `Map` also those that come meanwhile. */
export function* eachInSteps<Item>(
	items: Iterable<Item>,
	act: (item: Item, index: number) => void,
): Steps<void> {
	let index = 0;
	for (const item of items) {
		act(item, index);
		index += 1;
		if (index % itemsInStep === 0) yield;
	}
}

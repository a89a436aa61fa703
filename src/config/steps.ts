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

/** As `items.forEach(act)`. */
export function* eachInSteps<Item>(
	items: readonly Item[],
	act: (item: Item, index: number) => void,
): Steps<void> {
	for (const [index, item] of items.entries()) {
		act(item, index);
		if (index % itemsInStep === itemsInStep - 1) yield;
	}
}

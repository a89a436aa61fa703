/** A value that somebody changed, where the change acts only later. */
export interface Delayed<Value> {
	value: Value;
	changes: readonly Change<Value>[];
}

interface Change<Value> {
	readonly at: number;
	readonly value: Value;
}

/** A value that nobody has changed yet. */
export function delayed<Value>(value: Value): Delayed<Value> {
	return { value, changes: [] };
}

/** Orders a change for the instant `at`, after those that were ordered before. */
export function change<Value>(
	slot: Delayed<Value>,
	value: Value,
	at: number,
): void {
	slot.changes = [...slot.changes, { at, value }];
}

/** Lets every change act that is due; each is told with its own instant. */
export function settle<Value>(
	slot: Delayed<Value>,
	nowMs: number,
	acted?: (value: Value, at: number) => void,
): void {
	for (;;) {
		const [next, ...later] = slot.changes;
		if (next === undefined || next.at > nowMs) return;
		slot.value = next.value;
		slot.changes = later;
		acted?.(next.value, next.at);
	}
}

/** Lines of the log that wait to be written, and what every way of writing them promises. */

/** Takes the lines of the log. Nothing here throws. */
export interface LogOutput {
	/** A whole line, or several, with the line feed at the end. */
	write(text: string): void;
	/** Tries to write what is queued, and waits up to half a second for the reader. Only for the end. */
	flush(): void;
	/**
	 * Waits up to half a second for what is queued. Resolves with whether a thread still
	 * waits for the file, and would hold up the end of the process.
	 */
	end(): Promise<boolean>;
}

/** How long a process that ends waits until its lines are taken, ms. */
export const maxFlushMs = 500;
/** So long it waits between two looks, ms. */
export const stepMs = 20;

/** Waits for one step, and lets nothing else happen in this thread. */
export function waitOneStep(): void {
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stepMs);
}

/**
 * Lines that wait, the oldest of which are dropped if there are more than `maxQueued`
 * characters. `noteOf`: the line that says that so many were dropped; "" for none.
 */
export function createLineQueue(
	maxQueued: number,
	noteOf: (dropped: number) => string,
) {
	const waiting: string[] = [];
	/** Characters in `waiting`. */
	let size = 0;
	/** Lines that no note has told of yet. */
	let dropped = 0;
	const shift = (): string | undefined => {
		const text = waiting.shift();
		size -= text?.length ?? 0;
		return text;
	};
	return {
		add: (text: string) => {
			waiting.push(text);
			size += text.length;
			while (size > maxQueued && waiting.length > 1) {
				shift();
				dropped += 1;
			}
		},
		/**
		 * The oldest line, behind the note of those that were dropped before it. `lines`:
		 * how many are lost if it is. Undefined: none waits.
		 */
		take: () => {
			const text = shift();
			if (text === undefined) return undefined;
			const note = dropped > 0 ? noteOf(dropped) : "";
			const lines = dropped + 1;
			dropped = 0;
			return { text: note + text, lines };
		},
		/** So many lines that were taken are lost. */
		drop: (lines: number) => {
			dropped += lines;
		},
	};
}

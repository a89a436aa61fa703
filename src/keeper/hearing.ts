/** Whether every change of a file is heard of: then what was read once need not be read again. */

export interface Hearing {
	/**
	 * Names the time since when every change is heard of. Undefined: a change may be
	 * missed now. What was read under the same name is as it was.
	 */
	now(): number | undefined;
	/** Every change is heard of from now on, if it was not so before. */
	begin(): void;
	/** Changes may have been missed. */
	lose(): void;
}

/** Nothing is heard of yet. */
export function createHearing(): Hearing {
	let times = 0;
	let isOn = false;
	return {
		now: () => (isOn ? times : undefined),
		begin: () => {
			if (!isOn) times += 1;
			isOn = true;
		},
		lose: () => {
			isOn = false;
		},
	};
}

/** Answers that wait for a word: requests are on their way for as long as a test needs. */
export interface Hold {
	/** Gives the answer now, or once it is released. */
	pass(give: () => void): void;
	/** From now on answers wait. */
	hold(): void;
	/** How many wait; undefined: none has to. */
	held(): number | undefined;
	release(): void;
}

export function createHold(): Hold {
	let waiting: (() => void)[] | undefined;
	return {
		pass: (give) => {
			if (waiting === undefined) give();
			else waiting.push(give);
		},
		hold: () => {
			waiting = [];
		},
		held: () => waiting?.length,
		release: () => {
			for (const give of waiting ?? []) give();
			waiting = undefined;
		},
	};
}

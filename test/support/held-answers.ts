/** Answers that wait while a test holds them. */
export interface HeldAnswers {
	/** Now, or with the release. */
	give(answer: () => void): void;
	hold(): void;
	/** How many wait. */
	held(): number;
	/** In the order in which they were given. */
	release(): void;
}

export function holdAnswers(): HeldAnswers {
	let isHolding = false;
	let waiting: (() => void)[] = [];
	return {
		give: (answer) => {
			if (isHolding) waiting.push(answer);
			else answer();
		},
		hold: () => {
			isHolding = true;
		},
		held: () => waiting.length,
		release: () => {
			isHolding = false;
			for (const answer of waiting) answer();
			waiting = [];
		},
	};
}

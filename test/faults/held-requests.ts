/** Requests to an issuer in this process that can be held by the test. */
export interface HeldRequests {
	/** To be given as `SceneOptions.onRequest`. */
	readonly arrive: () => Promise<void>;
	/** From now on requests wait. */
	hold(): void;
	/** Resolves once a request waits. */
	arrived(): Promise<void>;
	/** From now on requests pass. Those that wait go on too, unless `exceptHeld`. */
	resume(options?: { readonly exceptHeld: boolean }): void;
}

export function heldRequests(): HeldRequests {
	let isHolding = false;
	let held: (() => void)[] = [];
	let tellArrived: () => void = () => {};
	return {
		arrive: async () => {
			if (!isHolding) return;
			await new Promise<void>((go) => {
				held.push(go);
				tellArrived();
			});
		},
		hold: () => {
			isHolding = true;
		},
		arrived: async () => {
			if (held.length > 0) return;
			await new Promise<void>((resolve) => {
				tellArrived = resolve;
			});
		},
		resume: ({ exceptHeld } = { exceptHeld: false }) => {
			isHolding = false;
			if (exceptHeld) return;
			for (const go of held) go();
			held = [];
		},
	};
}

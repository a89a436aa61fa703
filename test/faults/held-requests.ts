/** Requests of an issuer within this process that wait until a test lets them go. */
export interface HeldRequests {
	/** As `SceneWishes.onRequest`. */
	readonly arrive: () => Promise<void>;
	/** From now on requests wait. */
	hold(): void;
	/** Resolves once a request waits. */
	arrived(): Promise<void>;
	/** From now on requests pass; those that wait go on, or with `butThoseHeld` stay. */
	letGo(options?: { readonly butThoseHeld: boolean }): void;
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
		letGo: ({ butThoseHeld } = { butThoseHeld: false }) => {
			isHolding = false;
			if (butThoseHeld) return;
			for (const go of held) go();
			held = [];
		},
	};
}

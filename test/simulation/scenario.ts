/** What befalls a simulated machine, and when. */

export interface Scenario {
	readonly seed: number;
	readonly interface: "classic" | "stable";
	readonly daemons: number;
	/** Calls per lifetime; default 60. */
	readonly budget?: number;
	/** Times the token's lifetime. */
	readonly lifetimes: number;
	readonly events: readonly SimulatedEvent[];
}

/** `at`: share of the scenario's length, 0 to 1; `who`: index of a daemon. */
export type SimulatedEvent = { readonly at: number; readonly who: number } & (
	| { readonly kind: "kill" | "hup" | "hup-all" | "foreign-fetch" }
	| { readonly kind: "hup-storm"; readonly seconds: number }
	/** A forced refresh whose answer is lost, and death some seconds later. */
	| { readonly kind: "hup-lost-kill"; readonly seconds: number }
	/** A forced refresh in the middle of a token's life, cut off at its n-th effect. */
	| {
			readonly kind: "hup-and-die";
			readonly effect: number;
			readonly acted: boolean;
	  }
	/** Dies at its n-th effect from now on, before or after the effect acts. */
	| {
			readonly kind: "die-at";
			readonly effect: number;
			readonly acted: boolean;
	  }
	| { readonly kind: "suspend"; readonly seconds: number }
	| {
			readonly kind: "suspend-at";
			readonly effect: number;
			readonly seconds: number;
	  }
	| { readonly kind: "clock-step"; readonly seconds: number }
	| {
			readonly kind: "fault";
			readonly mode: FaultMode;
			readonly seconds: number;
	  }
	| {
			readonly kind: "tamper";
			readonly how: "delete" | "empty" | "garble" | "forge";
	  }
	| { readonly kind: "disk-full"; readonly seconds: number }
);

/** `lost`: the platform does the work, and the answer never arrives. */
export type FaultMode = "refused" | "lost" | "unsent" | "busy" | "gateway";

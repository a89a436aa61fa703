/** The faults of a simulated machine, and when they happen. */

/** One run of the simulation; the same scenario gives the same history. */
export interface Scenario {
	readonly seed: number;
	readonly interface: "classic" | "stable";
	readonly daemons: number;
	/** Calls per lifetime; default 60. */
	readonly budget?: number;
	/** The length of the scenario, in lifetimes of a token. */
	readonly lifetimes: number;
	readonly events: readonly SimulatedEvent[];
}

/** `at`: share of the scenario's length, 0 to 1; `daemon`: its index. */
export type SimulatedEvent = {
	readonly at: number;
	readonly daemon: number;
} & (
	| { readonly kind: "kill" | "hup" | "hup-all" | "foreign-fetch" }
	| { readonly kind: "hup-burst"; readonly seconds: number }
	/** A forced refresh whose answer is lost, and a kill some seconds later. */
	| { readonly kind: "hup-lost-kill"; readonly seconds: number }
	/** A forced refresh, and the death of the process at the n-th effect of it. */
	| {
			readonly kind: "hup-and-die";
			readonly effect: number;
			readonly acted: boolean;
	  }
	/** The process dies at its n-th effect from now on: after it if `acted`, else before it. */
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

/** `lost`: the platform processes the request, but the answer never arrives. */
export type FaultMode = "refused" | "lost" | "unsent" | "busy" | "gateway";

/**
 * Generated scenarios of faults, in virtual time, checked against the laws of machine.ts.
 * A failure prints its seed and path. To run it again, set SIMULATION_SEED and
 * SIMULATION_PATH, and SIMULATION_TRACE=1 to see what happened. SIMULATION_RUNS=200000
 * runs more scenarios (npm run test:simulation).
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { play } from "./simulation/machine.ts";
import type { Scenario, SimulatedEvent } from "./simulation/scenario.ts";

const runs = Number(process.env.SIMULATION_RUNS ?? 10_000);
const { SIMULATION_SEED: seed, SIMULATION_PATH: path } = process.env;
const replay = {
	...(seed === undefined ? {} : { seed: Number(seed) }),
	...(path === undefined ? {} : { path }),
};

const where = {
	at: fc.double({ min: 0, max: 0.8, noNaN: true }),
	daemon: fc.nat(4),
};
const kind = <const K extends string>(name: K) => fc.constant(name);
const event: fc.Arbitrary<SimulatedEvent> = fc.oneof(
	fc.record({
		...where,
		kind: fc.constantFrom("kill", "hup", "hup-all", "foreign-fetch"),
	}),
	fc.record({
		...where,
		kind: kind("die-at"),
		effect: fc.integer({ min: 1, max: 30 }),
		acted: fc.boolean(),
	}),
	fc.record({
		...where,
		kind: kind("hup-and-die"),
		effect: fc.integer({ min: 1, max: 14 }),
		acted: fc.boolean(),
	}),
	fc.record({
		...where,
		kind: kind("hup-lost-kill"),
		seconds: fc.integer({ min: 5, max: 40 }),
	}),
	fc.record({
		...where,
		kind: kind("hup-burst"),
		seconds: fc.integer({ min: 1, max: 1500 }),
	}),
	fc.record({
		...where,
		kind: kind("suspend"),
		seconds: fc.integer({ min: 1, max: 600 }),
	}),
	fc.record({
		...where,
		kind: kind("suspend-at"),
		effect: fc.integer({ min: 1, max: 30 }),
		seconds: fc.integer({ min: 1, max: 600 }),
	}),
	fc.record({
		...where,
		kind: kind("clock-step"),
		seconds: fc.constantFrom(7200, -7200, 30, -30, 315_360_000, -315_360_000),
	}),
	fc.record({
		...where,
		kind: kind("fault"),
		mode: fc.constantFrom("refused", "lost", "unsent", "busy", "gateway"),
		seconds: fc.integer({ min: 1, max: 900 }),
	}),
	fc.record({
		...where,
		kind: kind("tamper"),
		how: fc.constantFrom("delete", "empty", "garble", "forge"),
	}),
	fc.record({
		...where,
		kind: kind("disk-full"),
		seconds: fc.integer({ min: 1, max: 300 }),
	}),
);
const scenario: fc.Arbitrary<Scenario> = fc.record({
	seed: fc.nat(),
	interface: fc.constantFrom("classic", "stable"),
	daemons: fc.integer({ min: 1, max: 3 }),
	budget: fc.constantFrom(60, 20),
	lifetimes: fc.constant(2),
	events: fc.array(event, { maxLength: 6 }),
});

test("no scenario breaks a law", {
	timeout: 3_600_000,
	// Another try would play other scenarios, and hide the failure of this one.
	retry: 0,
}, async () => {
	let fetches = 0;
	await fc.assert(
		fc.asyncProperty(scenario, async (given) => {
			const history = await play(given);
			fetches += history.fetches;
			expect(history.violations).toEqual([]);
		}),
		{ numRuns: runs, ...replay },
	);
	console.log(`${runs} scenarios, ${fetches} fetches`);
});

/** Scenarios that broke a law in earlier versions. */
const fixed: readonly (readonly [
	string,
	Scenario["events"],
	Pick<Scenario, "daemons"> & Partial<Scenario>,
])[] = [
	[
		"a lost lock under an older request, which the token of the other process would have satisfied",
		[
			{ at: 0.000002277272542317709, daemon: 0, kind: "hup" },
			{ at: 0, daemon: 0, kind: "suspend-at", effect: 5, seconds: 26 },
		],
		{ daemons: 2 },
	],
	[
		"a dead token whose probes, none of which had left, used up the share of reports",
		[
			{ at: 0, daemon: 0, kind: "fault", mode: "refused", seconds: 291 },
			{ at: 0, daemon: 0, kind: "tamper", how: "forge" },
			{ at: 0, daemon: 0, kind: "disk-full", seconds: 296 },
		],
		{ daemons: 1 },
	],
	[
		"a dead token reported during a whole outage, whose probes used up the share of reports",
		[
			{ at: 0, daemon: 0, kind: "tamper", how: "forge" },
			{ at: 0, daemon: 0, kind: "fault", mode: "busy", seconds: 371 },
		],
		{ daemons: 2, interface: "stable", seed: 3650 },
	],
	[
		"a clock that was set forward, so that the next force_refresh came too early",
		[
			{
				at: 0.012944793039957683,
				daemon: 0,
				kind: "clock-step",
				seconds: 7200,
			},
			{ at: 0, daemon: 0, kind: "hup-burst", seconds: 32 },
		],
		{ daemons: 1, interface: "stable" },
	],
	[
		"a dead token reported during a whole outage, which used up the share of unproved reports",
		[
			{ at: 0, daemon: 0, kind: "tamper", how: "forge" },
			{ at: 0, daemon: 0, kind: "fault", mode: "busy", seconds: 150 },
		],
		{ daemons: 1, budget: 14 },
	],
];

test.each(fixed)(
	"a law that was broken once is kept: %s",
	async (_what, events, machine) => {
		const history = await play({
			seed: 0,
			interface: "classic",
			lifetimes: 2,
			events,
			...machine,
		});
		expect(history.violations).toEqual([]);
	},
);

test("without faults all daemons together fetch once per renewal, and no reader ever holds a dead token", async () => {
	for (const wire of ["classic", "stable"] as const) {
		for (const daemons of [1, 5, 20]) {
			const history = await play({
				seed: daemons,
				interface: wire,
				daemons,
				lifetimes: 10,
				events: [],
			});
			expect(history.violations).toEqual([]);
			// Tokens live 1200 s. Classic ones are due 400 s before their end, or earlier by
			// at most 2 % and a tick. The stable interface gives a new one in the last 300 s.
			const [min, max] = wire === "classic" ? [15, 16] : [13, 14];
			expect(history.fetches).toBeGreaterThanOrEqual(min);
			expect(history.fetches).toBeLessThanOrEqual(max);
			expect(history.publications).toBe(history.fetches);
			expect(history.forces).toBe(0);
		}
	}
});

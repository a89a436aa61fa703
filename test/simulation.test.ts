/** Histories that once broke a law, and a history of peace. */
import { expect, test } from "vitest";
import { play } from "./simulation/compiled.ts";
import type { Scenario } from "./simulation/scenario.ts";

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

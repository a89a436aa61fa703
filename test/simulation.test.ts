/** Histories that once broke a law, and a history of peace. */
import { expect, test } from "vitest";
import { play } from "./simulation/machine.ts";
import type { Scenario } from "./simulation/scenario.ts";

const broken: readonly (readonly [
	string,
	Scenario["events"],
	Pick<Scenario, "daemons"> & Partial<Scenario>,
])[] = [
	[
		"a lost lock under an older wish, which the token of the other process would have granted",
		[
			{ at: 0.000002277272542317709, who: 0, kind: "hup" },
			{ at: 0, who: 0, kind: "suspend-at", effect: 5, seconds: 26 },
		],
		{ daemons: 2 },
	],
	[
		"a dead token whose probes, none of which had left, had used up the reports' share",
		[
			{ at: 0, who: 0, kind: "fault", mode: "refused", seconds: 291 },
			{ at: 0, who: 0, kind: "tamper", how: "forge" },
			{ at: 0, who: 0, kind: "disk-full", seconds: 296 },
		],
		{ daemons: 1 },
	],
	[
		"a dead token reported all through an outage, whose probes had used up the reports' share",
		[
			{ at: 0, who: 0, kind: "tamper", how: "forge" },
			{ at: 0, who: 0, kind: "fault", mode: "busy", seconds: 371 },
		],
		{ daemons: 2, interface: "stable", seed: 3650 },
	],
	[
		"a clock that was set forward, which brought the next force_refresh near",
		[
			{
				at: 0.012944793039957683,
				who: 0,
				kind: "clock-step",
				seconds: 7200,
			},
			{ at: 0, who: 0, kind: "hup-storm", seconds: 32 },
		],
		{ daemons: 1, interface: "stable" },
	],
	[
		"a dead token reported all through an outage, which had used up what a suspicion may ask for",
		[
			{ at: 0, who: 0, kind: "tamper", how: "forge" },
			{ at: 0, who: 0, kind: "fault", mode: "busy", seconds: 150 },
		],
		{ daemons: 1, budget: 14 },
	],
];

test.each(broken)("no more: %s", async (_what, events, machine) => {
	const history = await play({
		seed: 0,
		interface: "classic",
		lifetimes: 2,
		events,
		...machine,
	});
	expect(history.violations).toEqual([]);
});

test("in peace, all daemons together fetch once per renewal, and no token ever dies in a reader's hand", async () => {
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
			// 1200 s live tokens; classic: due 400 s before their end, at most 2 % and a
			// tick earlier; stable: the platform gives a new one in the last 300 s.
			const [fewest, most] = wire === "classic" ? [15, 16] : [13, 14];
			expect(history.fetches).toBeGreaterThanOrEqual(fewest);
			expect(history.fetches).toBeLessThanOrEqual(most);
			expect(history.publications).toBe(history.fetches);
			expect(history.forces).toBe(0);
		}
	}
});

/**
 * Weeks of bad luck in seconds: generated scenarios, checked against the laws.
 * A failure prints its seed and path; run it again with SIMULATION_SEED and
 * SIMULATION_PATH, and SIMULATION_TRACE=1 for what happened. More of them:
 * SIMULATION_RUNS=200000 (npm run test:simulation).
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { play } from "./compiled.ts";
import type { Scenario, SimulatedEvent } from "./scenario.ts";

const runs = Number(process.env.SIMULATION_RUNS ?? 10_000);
const { SIMULATION_SEED: seed, SIMULATION_PATH: path } = process.env;

/** In so many test files, each of which can have a core of its own. */
export const parts = 2;

/**
 * Plays this part's share of the runs. `part`: from 0; another part plays other
 * histories of the same seed, but a path is one history, and leads to it anywhere.
 */
export function testRandomHistories(part: number): void {
	const replay = {
		...(seed === undefined
			? {}
			: { seed: Number(seed) + (path === undefined ? part : 0) }),
		...(path === undefined ? {} : { path }),
	};
	const numRuns = Math.ceil(runs / parts);
	test(`whatever befalls them, no law is broken (${part + 1} of ${parts})`, {
		timeout: 3_600_000,
	}, async () => {
		let fetches = 0;
		await fc.assert(
			fc.asyncProperty(scenario, async (given) => {
				const history = await play(given);
				fetches += history.fetches;
				expect(history.violations).toEqual([]);
			}),
			{ numRuns, ...replay },
		);
		console.log(`${numRuns} scenarios, ${fetches} fetches`);
	});
}

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

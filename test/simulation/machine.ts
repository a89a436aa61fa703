/**
 * A machine in virtual time: some daemons with one account and one store, the platform,
 * an app that reads the file, and the faults of a scenario. Keepers, rules and issuer are
 * the real ones. Disk, lock, clock and network are models of what their contracts promise.
 * The same scenario always gives the same history.
 */
import { read } from "./app.ts";
import { start } from "./daemons.ts";
import { apply } from "./events.ts";
import {
	createMachine,
	lifetimeMs,
	type Machine,
	startAt,
} from "./machine-state.ts";
import type { Scenario } from "./scenario.ts";

/** What happened in a scenario. */
export interface History {
	/** The laws that were broken, in words. */
	readonly violations: readonly string[];
	readonly fetches: number;
	readonly forces: number;
	readonly publications: number;
}

/** Plays a scenario to its end. Never rejects for a broken law: see `History.violations`. */
export async function play(scenario: Scenario): Promise<History> {
	const machine = createMachine(scenario, start);
	const { agenda, endAt, random } = machine;
	for (let index = 0; index < scenario.daemons; index += 1) {
		const staggerMs = index * 2_000 * random();
		agenda.at(startAt + staggerMs, () => start(machine, index));
	}
	agenda.at(startAt + 10_000, () => read(machine));
	for (const event of scenario.events)
		agenda.at(startAt + event.at * (endAt - startAt), () =>
			apply(machine, event),
		);
	await agenda.run(endAt);
	checkBudget(machine);
	const { violations, trace, calls, forces, publications } = machine;
	if (violations.length > 0 && process.env.SIMULATION_TRACE)
		console.log(trace.join("\n"));
	return {
		violations,
		fetches: calls.length,
		forces: forces.length,
		publications,
	};
}

/** The law of the budget: calls within one lifetime. */
function checkBudget(machine: Machine): void {
	const { budget } = machine.credential.limits;
	for (const [index, at] of machine.calls.entries()) {
		const inWindow = machine.calls
			.slice(index)
			.filter((other) => other < at + lifetimeMs).length;
		const steps = machine.scenario.events.filter(
			({ kind }) => kind === "clock-step",
		).length;
		// When the budget is used up, one attempt is allowed per twelfth of a lifetime. It
		// may consist of a normal call and one with force.
		const beyond = machine.scenario.interface === "stable" ? 26 : 13;
		// After a step of the clock earlier calls do not count. A process that dies during
		// a call has counted it before.
		if (inWindow > (budget + beyond) * (steps + 1))
			machine.violate(`${inWindow} calls within one lifetime`);
	}
}

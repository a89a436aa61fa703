/** The events of a scenario: faults of processes, clock, network and disk, and signals. */
import { encodeToken } from "../../src/core/token.ts";
import {
	appid,
	canRun,
	die,
	lifetimeMs,
	type Machine,
	suspend,
} from "./machine-state.ts";
import type { SimulatedEvent } from "./scenario.ts";

/** Lets an event happen now. */
export function apply(machine: Machine, event: SimulatedEvent): void {
	machine.agenda.awaitPromises();
	const daemon = machine.processes[event.daemon % machine.scenario.daemons];
	if (daemon === undefined) return;
	machine.note(`event ${JSON.stringify(event)}`);
	if (!event.kind.startsWith("hup")) machine.disturb(machine.agenda.now());
	switch (event.kind) {
		case "kill":
			if (daemon.alive) die(machine, daemon, "a signal");
			break;
		case "die-at":
			daemon.doom = {
				effects: event.effect,
				acted: event.acted,
				suspendMs: 0,
			};
			break;
		case "suspend-at":
			daemon.doom = {
				effects: event.effect,
				acted: false,
				suspendMs: event.seconds * 1000,
			};
			break;
		case "suspend":
			if (canRun(machine, daemon))
				suspend(machine, daemon, event.seconds * 1000);
			break;
		case "hup":
			if (!canRun(machine, daemon)) break;
			void daemon.keeper.force();
			machine.hupAt = machine.agenda.now();
			machine.replacedByHup = machine.disk.readToken()?.value;
			break;
		case "hup-and-die":
			if (!canRun(machine, daemon)) break;
			daemon.doom = {
				effects: event.effect,
				acted: event.acted,
				suspendMs: 0,
			};
			void daemon.keeper.force();
			break;
		case "hup-lost-kill": {
			if (!canRun(machine, daemon)) break;
			machine.fault = { mode: "lost", until: machine.agenda.now() + 5_000 };
			void daemon.keeper.force();
			const kill = () => {
				if (daemon.alive) die(machine, daemon, "a signal");
			};
			machine.agenda.at(machine.agenda.now() + event.seconds * 1000, kill);
			break;
		}
		case "hup-burst": {
			const until = machine.agenda.now() + event.seconds * 1000;
			const again = () => {
				if (machine.agenda.now() > until || !canRun(machine, daemon)) return;
				machine.agenda.awaitPromises();
				void daemon.keeper.force();
				machine.agenda.at(machine.agenda.now() + 2_000, again);
			};
			again();
			break;
		}
		case "hup-all":
			for (const one of machine.processes)
				if (canRun(machine, one)) void one.keeper.force();
			break;
		case "foreign-fetch":
			// Our token dies at the end of the overlap of 300 s, unless we fetch before.
			machine.disturb(machine.agenda.now() + 300_000);
			machine.issuedAt.push(machine.agenda.now());
			machine.issued.push(
				machine.platform.foreignFetch(
					appid,
					machine.scenario.interface,
					machine.agenda.now(),
				),
			);
			break;
		case "clock-step":
			machine.wallOffset += event.seconds * 1000;
			break;
		case "fault":
			machine.fault = {
				mode: event.mode,
				until: machine.agenda.now() + event.seconds * 1000,
			};
			machine.disturb(machine.fault.until);
			break;
		case "disk-full":
			machine.disk.fullUntil = machine.agenda.now() + event.seconds * 1000;
			machine.disturb(machine.disk.fullUntil);
			break;
		case "tamper":
			if (event.how === "delete") machine.disk.token = undefined;
			else if (event.how === "empty") machine.disk.token = "";
			else if (event.how === "garble") machine.disk.token = '{"value":"x';
			else
				machine.disk.token = encodeToken({
					value: "forged",
					expiresAt: machine.wall() + lifetimeMs,
				});
			break;
		default:
			event satisfies never;
	}
}

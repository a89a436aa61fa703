/** The daemons of a simulated machine: the real keeper and issuer, and a tick each 10 s. */
import type { ProcessName } from "../../src/core/record.ts";
import { createAccessTokenIssuer } from "../../src/issuer/access-token.ts";
import { createKeeper } from "../../src/keeper/keeper.ts";
import { staleMs } from "./disk.ts";
import {
	appid,
	canRun,
	type Machine,
	type Process,
	secret,
	tickMs,
} from "./machine-state.ts";
import { send } from "./network.ts";

/** Starts the daemon of that index, in place of the one that died. */
export function start(machine: Machine, index: number): void {
	if (machine.agenda.now() >= machine.endAt) return;
	const clock = { now: machine.wall, monotonic: machine.agenda.now };
	const startedAt = machine.wall();
	const isDead = ({ instance }: ProcessName) =>
		!machine.processes.some(
			({ alive, name }) => alive && name.instance === instance,
		);
	const daemon: Process = {
		index,
		name: {
			instance: `${index}-${machine.agenda.now()}`,
			pid: index,
			startTicks: "",
			// All of them run on one machine, and share what they learn of its link.
			realm: "machine",
		},
		alive: true,
		suspendedUntil: 0,
		doom: undefined,
		requests: 0,
		tainted: false,
		keeper: undefined as never,
		build: undefined as never,
	};
	const slot = machine.disk.slotOf(daemon);
	daemon.build = (known) =>
		createKeeper({
			known,
			credential: machine.credential,
			slot,
			parents: () => noParents,
			issuer: createAccessTokenIssuer({
				appid,
				secret,
				interface: machine.scenario.interface,
				baseUrls: ["http://platform"],
				timeoutMs: 10_000,
				http: { send: (request) => send(machine, daemon, request) },
				clock,
				monitor: silentMonitor,
				stopping: neverStopping,
			}),
			clock,
			random: machine.random,
			self: daemon.name,
			startedAt,
			isDead,
			lockTimeoutMs: staleMs,
			wakeAt: (at) =>
				machine.agenda.at(at - machine.wallOffset, () => tick(machine, daemon)),
			emit: () => {},
			onBug: (error) => machine.violate(`a bug: ${String(error)}`),
		});
	daemon.keeper = daemon.build(undefined);
	const before = machine.processes[index];
	if (before?.requests) machine.inFlight -= before.requests;
	machine.processes = [
		...machine.processes.slice(0, index),
		daemon,
		...machine.processes.slice(index + 1),
	];
	machine.note(`${index} starts`);
	machine.agenda.awaitPromises();
	void daemon.keeper
		.reconcile(10_000)
		.catch((error) => machine.violate(`a bug: ${String(error)}`));
	const beat = () => {
		if (!daemon.alive || machine.agenda.now() >= machine.endAt) return;
		tick(machine, daemon);
		machine.agenda.at(machine.agenda.now() + tickMs, beat);
	};
	machine.agenda.at(machine.agenda.now() + tickMs * machine.random(), beat);
}

function tick(machine: Machine, daemon: Process): void {
	if (!canRun(machine, daemon)) return;
	const onBug = (error: unknown) => machine.violate(`a bug: ${String(error)}`);
	if (daemon.keeper.isBusy()) {
		void daemon.keeper.repair().catch(onBug);
		return;
	}
	const need = daemon.keeper.needs();
	if (need === undefined) {
		// As with thousands of accounts: an idle keeper is evicted, and made again.
		const idle = daemon.keeper.idle();
		if (idle !== undefined && daemon.index % 2 === 0)
			daemon.keeper = daemon.build(idle.known);
		return;
	}
	machine.agenda.awaitPromises();
	const { keeper } = daemon;
	const act = async () => {
		if (need.publish) await keeper.repair();
		if (need.more || need.adopt) await keeper.reconcile();
	};
	void act().catch(onBug);
}

const neverStopping = new AbortController().signal;
const silentMonitor = { serverTime() {}, answered() {} };
/** Shared by all keepers. */
const noParents = new Map();

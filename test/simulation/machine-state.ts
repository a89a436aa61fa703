/** The state of a simulated machine, and what happens to its processes. */
import type { Credential, KnownToken } from "../../src/core/credential.ts";
import type { ProcessName } from "../../src/core/record.ts";
import type { Keeper } from "../../src/keeper/keeper.ts";
import { createPlatform, type Platform } from "../../src/simulator/platform.ts";
import { createRandom } from "../../src/simulator/random.ts";
import { accessToken } from "../support/account.ts";
import { type Agenda, createAgenda } from "./agenda.ts";
import { createDisk, type Disk, staleMs } from "./disk.ts";
import type { FaultMode, Scenario } from "./scenario.ts";

export const appid = "wx0123456789abcdef";
export const secret = "0123456789abcdef0123456789abcdef";
export const lifetimeMs = 1_200_000;
export const tickMs = 10_000;
export const startAt = Date.UTC(2026, 10, 23);
/** After the last fault a keeper may need a backoff, a stale lock, a cooldown and a twelfth of the budget's window. */
const recoveryMs = 60_000 + staleMs + 30_000 + lifetimeMs / 12 + 4 * tickMs;
/** A burst of signals, or a long fault, uses up the budget. Its window is 7200 s until an answer gives a lifetime. */
const recoveryWithoutBudgetMs = recoveryMs + 7_200_000 / 12;

/** One run of a daemon. */
export interface Process {
	readonly index: number;
	readonly name: ProcessName;
	alive: boolean;
	suspendedUntil: number;
	/** It dies, or is suspended, at that effect from now on. */
	doom: { effects: number; acted: boolean; suspendMs: number } | undefined;
	keeper: Keeper;
	build: (known: KnownToken | undefined) => Keeper;
	requests: number;
	/** It was suspended after it took the lock. */
	tainted: boolean;
}

/** All that the parts of a simulated machine share. */
export interface Machine {
	readonly scenario: Scenario;
	readonly agenda: Agenda;
	readonly platform: Platform;
	/** 0 to 1, from the scenario's seed. */
	readonly random: () => number;
	readonly credential: Credential;
	readonly disk: Disk<Process>;
	readonly endAt: number;
	/** So long after the last fault a dead token, or none, breaks a law. */
	readonly allowedRecoveryMs: number;
	/** By index; a process that died is replaced. */
	processes: Process[];
	/** How far the wall clock was set, in milliseconds. */
	wallOffset: number;
	/** Of the network. */
	fault: { readonly mode: FaultMode; readonly until: number } | undefined;
	/** When the last fault ended, or will end. */
	disturbedAt: number;
	everPublished: boolean;
	/** When a signal was sent that must lead to a newer token. */
	hupAt: number | undefined;
	/** The token on disk at that time. */
	replacedByHup: string | undefined;
	/** Requests for a token that are under way. */
	inFlight: number;
	publications: number;
	/** When force_refresh arrived. */
	forces: readonly number[];
	/** Values in the order of issue, and when each was issued. */
	readonly issued: string[];
	readonly issuedAt: number[];
	/** When a token was asked for. */
	readonly calls: number[];
	/** The first laws that were broken, in words. */
	readonly violations: string[];
	/** What happened, for a person. */
	readonly trace: string[];
	/** The wall clock, epoch ms. */
	wall(): number;
	/** A law was broken. */
	violate(law: string): void;
	/** A fault lasts until then. */
	disturb(until: number): void;
	note(what: string): void;
	/** Starts the daemon of that index. */
	restart(index: number): void;
}

/** A machine without daemons. `startDaemon`: what `restart` calls. */
export function createMachine(
	scenario: Scenario,
	startDaemon: (machine: Machine, index: number) => void,
): Machine {
	const { next: random } = createRandom(scenario.seed);
	const platform = createPlatform({
		accounts: [{ appid, secret }],
		seed: scenario.seed + 1,
		knobs: { tokenLifetimeSeconds: lifetimeMs / 1000 },
	});
	const credential: Credential = {
		...accessToken({
			refreshBeforeMs: 400_000,
			cooldownMs: 10_000,
			budget: scenario.budget ?? 60,
		}),
		kind:
			scenario.interface === "stable" ? "stable_access_token" : "access_token",
		appid,
	};
	const { budget } = credential.limits;
	const endAt = startAt + scenario.lifetimes * lifetimeMs;
	const hasBurst = scenario.events.some(({ kind }) => kind === "hup-burst");
	const allowedRecoveryMs =
		hasBurst || budget < 60 ? recoveryWithoutBudgetMs : recoveryMs;
	const agenda = createAgenda(startAt);
	const seconds = () => (agenda.now() - startAt) / 1000;
	const machine: Machine = {
		scenario,
		agenda,
		platform,
		random,
		credential,
		disk: createDisk<Process>({
			agenda,
			effect: (daemon, name, act, latencyMs) =>
				effect(machine, daemon, name, act, latencyMs),
			canRun: (daemon) => canRun(machine, daemon),
			onPublication: (daemon, token, before) => {
				machine.publications += 1;
				machine.everPublished = true;
				machine.note(
					`${daemon.index} publishes ${machine.issued.indexOf(token.value)}`,
				);
				const isOlder =
					before !== undefined &&
					machine.issued.indexOf(token.value) <
						machine.issued.indexOf(before.value);
				if (isOlder && !daemon.tainted)
					machine.violate("an older token replaced a newer one");
			},
		}),
		endAt,
		allowedRecoveryMs,
		processes: [],
		wallOffset: 0,
		fault: undefined,
		disturbedAt: startAt,
		everPublished: false,
		hupAt: undefined,
		replacedByHup: undefined,
		inFlight: 0,
		publications: 0,
		forces: [],
		issued: [],
		issuedAt: [],
		calls: [],
		violations: [],
		trace: [],
		wall: () => agenda.now() + machine.wallOffset,
		violate: (law) => {
			if (machine.violations.length < 5)
				machine.violations.push(`${seconds()} s: ${law}`);
		},
		disturb: (until) => {
			machine.disturbedAt = Math.max(machine.disturbedAt, until);
		},
		note: (what) => {
			if (machine.trace.length < 2_000)
				machine.trace.push(`${seconds()} ${what}`);
		},
		restart: (index) => startDaemon(machine, index),
	};
	return machine;
}

/** Does something outside of a process, after some milliseconds, unless the process dies before. */
export function effect<T>(
	machine: Machine,
	daemon: Process,
	name: string,
	act: () => T,
	latencyMs = 1 + 20 * machine.random(),
): Promise<T> {
	return new Promise<T>((resolve, reject) => {
		const run = () => {
			if (!daemon.alive) return;
			if (daemon.suspendedUntil > machine.agenda.now()) {
				machine.agenda.at(daemon.suspendedUntil, run);
				return;
			}
			const doom = takeDoom(daemon);
			if (doom !== undefined && doom.suspendMs > 0) {
				daemon.doom = undefined;
				suspend(machine, daemon, doom.suspendMs);
				machine.agenda.at(daemon.suspendedUntil, run);
				return;
			}
			if (doom !== undefined && !doom.acted) return die(machine, daemon, name);
			try {
				const result = act();
				if (doom !== undefined) return die(machine, daemon, name);
				machine.agenda.awaitPromises();
				resolve(result);
			} catch (error) {
				if (doom !== undefined) return die(machine, daemon, name);
				machine.agenda.awaitPromises();
				reject(error);
			}
		};
		machine.agenda.at(machine.agenda.now() + latencyMs, run);
	});
}

/** Counts one effect. Returns what is to happen at this one, if anything. */
function takeDoom(daemon: Process) {
	if (daemon.doom === undefined) return undefined;
	daemon.doom.effects -= 1;
	return daemon.doom.effects <= 0 ? daemon.doom : undefined;
}

/** The process is gone; another one starts in its place some seconds later. */
export function die(machine: Machine, daemon: Process, where: string): void {
	machine.note(`${daemon.index} dies at ${where}`);
	daemon.alive = false;
	machine.hupAt = undefined;
	machine.disturb(machine.agenda.now());
	machine.agenda.at(
		machine.agenda.now() + 1_000 + 10_000 * machine.random(),
		() => machine.restart(daemon.index),
	);
}

/** Stops the process for so long. */
export function suspend(machine: Machine, daemon: Process, ms: number): void {
	daemon.suspendedUntil = machine.agenda.now() + ms;
	daemon.tainted = true;
	machine.disturb(daemon.suspendedUntil);
	machine.note(`${daemon.index} suspended for ${ms / 1000}`);
}

/** Neither dead nor suspended. */
export function canRun(machine: Machine, daemon: Process): boolean {
	return daemon.alive && daemon.suspendedUntil <= machine.agenda.now();
}

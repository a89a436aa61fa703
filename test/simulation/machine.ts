/**
 * A machine in virtual time: some daemons with one account and one store, the platform,
 * an app that reads the file, and the faults of a scenario. Keepers, rules and issuer are
 * the real ones. Disk, lock, clock and network are models of what their contracts promise.
 * The same scenario always gives the same history.
 */
import type { Credential, KnownToken } from "../../src/core/credential.ts";
import type { ProcessName } from "../../src/core/record.ts";
import { encodeToken } from "../../src/core/token.ts";
import { createAccessTokenIssuer } from "../../src/issuer/access-token.ts";
import type { HttpRequest } from "../../src/issuer/http.ts";
import { LinkError } from "../../src/issuer/link-error.ts";
import { createKeeper, type Keeper } from "../../src/keeper/keeper.ts";
import { createPlatform } from "../../src/simulator/platform.ts";
import { createRandom } from "../../src/simulator/random.ts";
import { createAgenda } from "./agenda.ts";
import { ask, isProbe } from "./ask.ts";
import { createDisk, staleMs } from "./disk.ts";
import type { FaultMode, Scenario, SimulatedEvent } from "./scenario.ts";

/** What happened in a scenario. */
export interface History {
	/** The laws that were broken, in words. */
	readonly violations: readonly string[];
	readonly fetches: number;
	readonly forces: number;
	readonly publications: number;
}

const appid = "wx0123456789abcdef";
const secret = "0123456789abcdef0123456789abcdef";
const lifetimeMs = 1_200_000;
const tickMs = 10_000;
const startAt = Date.UTC(2026, 10, 23);
/** After the last fault a keeper may need a backoff, a stale lock, a cooldown and a twelfth of the budget's window. */
const recoveryMs = 60_000 + staleMs + 30_000 + lifetimeMs / 12 + 4 * tickMs;
/** A burst of signals, or a long fault, uses up the budget. Its window is 7200 s until an answer gives a lifetime. */
const recoveryWithoutBudgetMs = recoveryMs + 7_200_000 / 12;

interface Process {
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

/** Plays a scenario to its end. Never rejects for a broken law: see `History.violations`. */
export async function play(scenario: Scenario): Promise<History> {
	const { next: random } = createRandom(scenario.seed);
	const platform = createPlatform({
		accounts: [{ appid, secret }],
		seed: scenario.seed + 1,
		knobs: { tokenLifetimeSeconds: lifetimeMs / 1000 },
	});
	const credential: Credential = {
		id: "token",
		kind:
			scenario.interface === "stable" ? "stable_access_token" : "access_token",
		appid,
		file: "token",
		needs: [],
		limits: {
			refreshBeforeMs: 400_000,
			cooldownMs: 10_000,
			budget: scenario.budget ?? 60,
			timeoutMs: 10_000,
		},
	};
	const { budget } = credential.limits;
	const endAt = startAt + scenario.lifetimes * lifetimeMs;
	const hasBurst = scenario.events.some(({ kind }) => kind === "hup-burst");
	const allowedRecoveryMs =
		hasBurst || budget < 60 ? recoveryWithoutBudgetMs : recoveryMs;
	const violations: string[] = [];
	const agenda = createAgenda(startAt);
	let processes: Process[] = [];
	let wallOffset = 0;
	let fault: { mode: FaultMode; until: number } | undefined;
	let disturbedAt = startAt;
	let everPublished = false;
	/** When a signal was sent that must lead to a newer token. */
	let hupAt: number | undefined;
	/** The token on disk at that time. */
	let replacedByHup: string | undefined;
	const issuedAt: number[] = [];
	let inFlight = 0;
	let publications = 0;
	let forces: readonly number[] = [];
	const issued: string[] = [];
	const calls: number[] = [];
	const trace: string[] = [];

	const wall = () => agenda.now() + wallOffset;
	const violate = (law: string) => {
		if (violations.length < 5)
			violations.push(`${(agenda.now() - startAt) / 1000} s: ${law}`);
	};
	const disturb = (until: number) => {
		disturbedAt = Math.max(disturbedAt, until);
	};
	const note = (what: string) => {
		if (trace.length < 2_000)
			trace.push(`${(agenda.now() - startAt) / 1000} ${what}`);
	};

	/** Does something outside of a process, after some milliseconds, unless the process dies before. */
	const effect = <T>(
		daemon: Process,
		name: string,
		act: () => T,
		latencyMs = 1 + 20 * random(),
	): Promise<T> =>
		new Promise<T>((resolve, reject) => {
			const run = () => {
				if (!daemon.alive) return;
				if (daemon.suspendedUntil > agenda.now()) {
					agenda.at(daemon.suspendedUntil, run);
					return;
				}
				const doom = takeDoom(daemon);
				if (doom !== undefined && doom.suspendMs > 0) {
					daemon.doom = undefined;
					suspend(daemon, doom.suspendMs);
					agenda.at(daemon.suspendedUntil, run);
					return;
				}
				if (doom !== undefined && !doom.acted) return die(daemon, name);
				try {
					const result = act();
					if (doom !== undefined) return die(daemon, name);
					agenda.awaitPromises();
					resolve(result);
				} catch (error) {
					if (doom !== undefined) return die(daemon, name);
					agenda.awaitPromises();
					reject(error);
				}
			};
			agenda.at(agenda.now() + latencyMs, run);
		});

	const takeDoom = (daemon: Process) => {
		if (daemon.doom === undefined) return undefined;
		daemon.doom.effects -= 1;
		return daemon.doom.effects <= 0 ? daemon.doom : undefined;
	};

	const die = (daemon: Process, where: string) => {
		note(`${daemon.index} dies at ${where}`);
		daemon.alive = false;
		hupAt = undefined;
		disturb(agenda.now());
		agenda.at(agenda.now() + 1_000 + 10_000 * random(), () =>
			start(daemon.index),
		);
	};

	const suspend = (daemon: Process, ms: number) => {
		daemon.suspendedUntil = agenda.now() + ms;
		daemon.tainted = true;
		disturb(daemon.suspendedUntil);
		note(`${daemon.index} suspended for ${ms / 1000}`);
	};

	const canRun = (daemon: Process) =>
		daemon.alive && daemon.suspendedUntil <= agenda.now();

	const disk = createDisk<Process>({
		agenda,
		effect,
		canRun,
		onPublication: (daemon, token, before) => {
			publications += 1;
			everPublished = true;
			note(`${daemon.index} publishes ${issued.indexOf(token.value)}`);
			const isOlder =
				before !== undefined &&
				issued.indexOf(token.value) < issued.indexOf(before.value);
			if (isOlder && !daemon.tainted)
				violate("an older token replaced a newer one");
		},
	});

	// --- The network: requests of the real issuer to the simulated platform. ---

	const send = async (daemon: Process, request: HttpRequest) => {
		const mode =
			fault !== undefined && fault.until > agenda.now()
				? fault.mode
				: undefined;
		if (mode !== undefined) disturb(agenda.now());
		if (mode === "unsent") {
			await effect(daemon, "connect", () => {});
			throw new LinkError("unreachable", "ECONNREFUSED", false);
		}
		const asksForToken = !isProbe(request);
		if (asksForToken) {
			if (
				inFlight > 0 &&
				processes.some((p) => p.requests > 0 && canRun(p) && !p.tainted)
			)
				violate("two requests for one account in flight");
			inFlight += 1;
			daemon.requests += 1;
			calls.push(agenda.now());
		}
		try {
			const answer = await effect(daemon, "request arrives", () => {
				if (mode === "refused" || mode === "gateway") return undefined;
				const forced = request.body?.includes('"force_refresh":true');
				if (forced) {
					const last = forces.at(-1);
					if (last !== undefined && agenda.now() - last < 30_000)
						violate("force_refresh twice within 30 s");
					forces = [...forces, agenda.now()];
				}
				if (mode === "busy")
					return {
						status: 200,
						body: '{"errcode":-1,"errmsg":"system error"}',
					};
				const answered = ask(platform, request, agenda.now());
				const value = /"access_token":"([^"]+)"/.exec(answered.body)?.[1];
				if (value !== undefined && !issued.includes(value)) {
					issuedAt.push(agenda.now());
					issued.push(value);
				}
				note(
					`${daemon.index} ${answered.endpoint} ${answered.outcome} ${value === undefined ? "" : issued.indexOf(value)}`,
				);
				return answered;
			});
			return await effect(
				daemon,
				"answer arrives",
				() => {
					if (mode === "lost")
						throw new LinkError("timeout", "UND_ERR_HEADERS_TIMEOUT", true);
					if (answer === undefined && mode === "gateway")
						throw new LinkError("server-error", "http 502", true);
					if (answer === undefined)
						throw new LinkError("interrupted", "ECONNRESET", true);
					return {
						status: answer.status,
						text: answer.body,
						serverTime: undefined,
					};
				},
				mode === "lost" ? 10_000 : undefined,
			);
		} finally {
			if (asksForToken) {
				inFlight -= 1;
				daemon.requests -= 1;
			}
		}
	};

	// --- The daemons. ---

	const start = (index: number) => {
		if (agenda.now() >= endAt) return;
		const clock = { now: wall, monotonic: agenda.now };
		const startedAt = wall();
		const isDead = ({ instance }: ProcessName) =>
			!processes.some(({ alive, name }) => alive && name.instance === instance);
		const daemon: Process = {
			index,
			name: {
				instance: `${index}-${agenda.now()}`,
				pid: index,
				startTicks: "",
				realm: "",
			},
			alive: true,
			suspendedUntil: 0,
			doom: undefined,
			requests: 0,
			tainted: false,
			keeper: undefined as never,
			build: undefined as never,
		};
		const slot = disk.slotOf(daemon);
		daemon.build = (known) =>
			createKeeper({
				known,
				credential,
				slot,
				parents: () => noParents,
				issuer: createAccessTokenIssuer({
					appid,
					secret,
					interface: scenario.interface,
					baseUrls: ["http://platform"],
					timeoutMs: 10_000,
					http: { send: (request) => send(daemon, request) },
					clock,
					monitor: silentMonitor,
					stopping: neverStopping,
				}),
				clock,
				random,
				self: daemon.name,
				startedAt,
				isDead,
				lockTimeoutMs: staleMs,
				wakeAt: (at) => agenda.at(at - wallOffset, () => tick(daemon)),
				emit: () => {},
				onBug: (error) => violate(`a bug: ${String(error)}`),
			});
		daemon.keeper = daemon.build(undefined);
		const before = processes[index];
		if (before?.requests) inFlight -= before.requests;
		processes = [
			...processes.slice(0, index),
			daemon,
			...processes.slice(index + 1),
		];
		note(`${index} starts`);
		agenda.awaitPromises();
		void daemon.keeper
			.reconcile(10_000)
			.catch((error) => violate(`a bug: ${String(error)}`));
		const beat = () => {
			if (!daemon.alive || agenda.now() >= endAt) return;
			tick(daemon);
			agenda.at(agenda.now() + tickMs, beat);
		};
		agenda.at(agenda.now() + tickMs * random(), beat);
	};

	const tick = (daemon: Process) => {
		if (!canRun(daemon)) return;
		const onBug = (error: unknown) => violate(`a bug: ${String(error)}`);
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
		agenda.awaitPromises();
		const { keeper } = daemon;
		const act = async () => {
			if (need.publish) await keeper.repair();
			if (need.more || need.adopt) await keeper.reconcile();
		};
		void act().catch(onBug);
	};

	// --- The app: it reads the token every 5 s, and reports it if it is dead. ---

	const read = () => {
		if (agenda.now() >= endAt) return;
		agenda.at(agenda.now() + 5_000, read);
		const token = disk.readToken();
		const isCalm = agenda.now() - disturbedAt > allowedRecoveryMs;
		if (token === undefined) {
			if (
				isCalm ||
				(everPublished && disk.token === undefined && disturbedAt === startAt)
			)
				violate("no readable token");
			return;
		}
		const age = issuedAt[issued.indexOf(token.value)] ?? 0;
		if (
			isCalm &&
			hupAt !== undefined &&
			agenda.now() - hupAt > allowedRecoveryMs
		) {
			// A signal to another daemon just before may satisfy this one as well. And the
			// stable interface may give a token that is older, but new to us.
			if (age < hupAt - 2_000 && token.value === replacedByHup)
				violate("a SIGHUP led to no new token");
			hupAt = undefined;
		}
		const good = platform.isAlive(appid, token.value, agenda.now());
		if (!good || token.expiresAt <= wall()) {
			// After force_refresh the old token is dead before the new one is on disk.
			const isOnItsWay = agenda.now() - (forces.at(-1) ?? startAt) < 1_000;
			if (isCalm && !isOnItsWay)
				violate(`a dead token (${good ? "by its date" : "at the platform"})`);
			const running = processes.filter(canRun);
			const reader = running[Math.floor(random() * running.length)];
			agenda.awaitPromises();
			void reader?.keeper
				.report(token.value)
				.catch((error) => violate(`a bug: ${String(error)}`));
		}
	};

	const apply = (event: SimulatedEvent) => {
		agenda.awaitPromises();
		const daemon = processes[event.daemon % scenario.daemons];
		if (daemon === undefined) return;
		note(`event ${JSON.stringify(event)}`);
		if (!event.kind.startsWith("hup")) disturb(agenda.now());
		switch (event.kind) {
			case "kill":
				if (daemon.alive) die(daemon, "a signal");
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
				if (canRun(daemon)) suspend(daemon, event.seconds * 1000);
				break;
			case "hup":
				if (!canRun(daemon)) break;
				void daemon.keeper.force();
				hupAt = agenda.now();
				replacedByHup = disk.readToken()?.value;
				break;
			case "hup-and-die":
				if (!canRun(daemon)) break;
				daemon.doom = {
					effects: event.effect,
					acted: event.acted,
					suspendMs: 0,
				};
				void daemon.keeper.force();
				break;
			case "hup-lost-kill": {
				if (!canRun(daemon)) break;
				fault = { mode: "lost", until: agenda.now() + 5_000 };
				void daemon.keeper.force();
				const kill = () => {
					if (daemon.alive) die(daemon, "a signal");
				};
				agenda.at(agenda.now() + event.seconds * 1000, kill);
				break;
			}
			case "hup-burst": {
				const until = agenda.now() + event.seconds * 1000;
				const again = () => {
					if (agenda.now() > until || !canRun(daemon)) return;
					agenda.awaitPromises();
					void daemon.keeper.force();
					agenda.at(agenda.now() + 2_000, again);
				};
				again();
				break;
			}
			case "hup-all":
				for (const one of processes) if (canRun(one)) void one.keeper.force();
				break;
			case "foreign-fetch":
				// Our token dies at the end of the overlap of 300 s, unless we fetch before.
				disturb(agenda.now() + 300_000);
				issuedAt.push(agenda.now());
				issued.push(
					platform.foreignFetch(appid, scenario.interface, agenda.now()),
				);
				break;
			case "clock-step":
				wallOffset += event.seconds * 1000;
				break;
			case "fault":
				fault = {
					mode: event.mode,
					until: agenda.now() + event.seconds * 1000,
				};
				disturb(fault.until);
				break;
			case "disk-full":
				disk.fullUntil = agenda.now() + event.seconds * 1000;
				disturb(disk.fullUntil);
				break;
			case "tamper":
				if (event.how === "delete") disk.token = undefined;
				else if (event.how === "empty") disk.token = "";
				else if (event.how === "garble") disk.token = '{"value":"x';
				else
					disk.token = encodeToken({
						value: "forged",
						expiresAt: wall() + lifetimeMs,
					});
				break;
			default:
				event satisfies never;
		}
	};

	for (let index = 0; index < scenario.daemons; index += 1) {
		const staggerMs = index * 2_000 * random();
		agenda.at(startAt + staggerMs, () => start(index));
	}
	agenda.at(startAt + 10_000, read);
	for (const event of scenario.events)
		agenda.at(startAt + event.at * (endAt - startAt), () => apply(event));
	await agenda.run(endAt);

	for (const [index, at] of calls.entries()) {
		const inWindow = calls
			.slice(index)
			.filter((other) => other < at + lifetimeMs).length;
		const steps = scenario.events.filter(
			({ kind }) => kind === "clock-step",
		).length;
		// When the budget is used up, one attempt is allowed per twelfth of a lifetime. It
		// may consist of a normal call and one with force.
		const beyond = scenario.interface === "stable" ? 26 : 13;
		// After a step of the clock earlier calls do not count. A process that dies during
		// a call has counted it before.
		if (inWindow > (budget + beyond) * (steps + 1))
			violate(`${inWindow} calls within one lifetime`);
	}
	if (violations.length > 0 && process.env.SIMULATION_TRACE)
		console.log(trace.join("\n"));
	return {
		violations,
		fetches: calls.length,
		forces: forces.length,
		publications,
	};
}

const neverStopping = new AbortController().signal;
const silentMonitor = { serverTime() {}, answered() {} };
/** Shared by all keepers. */
const noParents = new Map();

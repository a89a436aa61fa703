/**
 * A machine in virtual time: some daemons with one account and one store, the
 * platform, apps that read the file, and whatever befalls them. Keepers, policy
 * and issuer are the real ones; the disk, the lock, the clock and the network
 * are models of what their contracts promise. One seed, one history.
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

export interface History {
	/** What broke a law, in words; empty: all is well. */
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
/** After the last trouble a keeper may need a backoff, a stale lock, a cooldown and a budget's twelfth. */
const recoveryMs = 60_000 + staleMs + 30_000 + lifetimeMs / 12 + 4 * tickMs;
/** A storm of signals, or a long trouble, uses up a budget, whose window is 7200 s until an answer tells. */
const recoveryWithoutBudgetMs = recoveryMs + 7_200_000 / 12;

interface Process {
	readonly index: number;
	readonly name: ProcessName;
	alive: boolean;
	suspendedUntil: number;
	/** Dies, or is suspended, at that effect from now on. */
	doom: { effects: number; acted: boolean; suspendMs: number } | undefined;
	keeper: Keeper;
	build: (known: KnownToken | undefined) => Keeper;
	requests: number;
	/** The attempt under way has been suspended. */
	tainted: boolean;
}

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
		source: "wx1 from WeChat",
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
	const isStormy = scenario.events.some(({ kind }) => kind === "hup-storm");
	const patienceMs =
		isStormy || budget < 60 ? recoveryWithoutBudgetMs : recoveryMs;
	const violations: string[] = [];
	const agenda = createAgenda(startAt);
	let processes: Process[] = [];
	let wallOffset = 0;
	let fault: { mode: FaultMode; until: number } | undefined;
	let troubleAt = startAt;
	let everPublished = false;
	/** A signal that must have led to a younger token in the end. */
	let hupAt: number | undefined;
	/** What stood on disk then. */
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
	const trouble = (until: number) => {
		troubleAt = Math.max(troubleAt, until);
	};
	const note = (what: string) => {
		if (trace.length < 2_000)
			trace.push(`${(agenda.now() - startAt) / 1000} ${what}`);
	};

	/** Something outside happens for a process, after a while, unless it dies first. */
	const effect = <T>(
		who: Process,
		name: string,
		act: () => T,
		latencyMs = 1 + 20 * random(),
	): Promise<T> =>
		new Promise<T>((resolve, reject) => {
			const run = () => {
				if (!who.alive) return;
				if (who.suspendedUntil > agenda.now()) {
					agenda.at(who.suspendedUntil, run);
					return;
				}
				const doomed = isDoomed(who);
				if (doomed !== undefined && doomed.suspendMs > 0) {
					who.doom = undefined;
					suspend(who, doomed.suspendMs);
					agenda.at(who.suspendedUntil, run);
					return;
				}
				if (doomed !== undefined && !doomed.acted) return die(who, name);
				try {
					const result = act();
					if (doomed !== undefined) return die(who, name);
					agenda.stir();
					resolve(result);
				} catch (error) {
					if (doomed !== undefined) return die(who, name);
					agenda.stir();
					reject(error);
				}
			};
			agenda.at(agenda.now() + latencyMs, run);
		});

	const isDoomed = (who: Process) => {
		if (who.doom === undefined) return undefined;
		who.doom.effects -= 1;
		return who.doom.effects <= 0 ? who.doom : undefined;
	};

	const die = (who: Process, where: string) => {
		note(`${who.index} dies at ${where}`);
		who.alive = false;
		hupAt = undefined;
		trouble(agenda.now());
		agenda.at(agenda.now() + 1_000 + 10_000 * random(), () => start(who.index));
	};

	const suspend = (who: Process, ms: number) => {
		who.suspendedUntil = agenda.now() + ms;
		who.tainted = true;
		trouble(who.suspendedUntil);
		note(`${who.index} suspended for ${ms / 1000}`);
	};

	const canRun = (who: Process) =>
		who.alive && who.suspendedUntil <= agenda.now();

	const disk = createDisk<Process>({
		agenda,
		effect,
		canRun,
		onPublication: (who, token, before) => {
			publications += 1;
			everPublished = true;
			note(`${who.index} publishes ${issued.indexOf(token.value)}`);
			const isOlder =
				before !== undefined &&
				issued.indexOf(token.value) < issued.indexOf(before.value);
			if (isOlder && !who.tainted)
				violate("an older token was put over a newer one");
		},
	});

	// --- The network: the real issuer on the platform's state machine. ---

	const send = async (who: Process, request: HttpRequest) => {
		const mode =
			fault !== undefined && fault.until > agenda.now()
				? fault.mode
				: undefined;
		if (mode !== undefined) trouble(agenda.now());
		if (mode === "unsent") {
			await effect(who, "connect", () => {});
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
			who.requests += 1;
			calls.push(agenda.now());
		}
		try {
			const answer = await effect(who, "request arrives", () => {
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
				const said = ask(platform, request, agenda.now());
				const value = /"access_token":"([^"]+)"/.exec(said.body)?.[1];
				if (value !== undefined && !issued.includes(value)) {
					issuedAt.push(agenda.now());
					issued.push(value);
				}
				note(
					`${who.index} ${said.endpoint} ${said.outcome} ${value === undefined ? "" : issued.indexOf(value)}`,
				);
				return said;
			});
			return await effect(
				who,
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
				who.requests -= 1;
			}
		}
	};

	// --- The daemons. ---

	const start = (index: number) => {
		if (agenda.now() >= endAt) return;
		const clock = { now: wall, monotonic: agenda.now };
		const startedAt = wall();
		const isGone = ({ instance }: ProcessName) =>
			!processes.some(({ alive, name }) => alive && name.instance === instance);
		const who: Process = {
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
		const slot = disk.slotOf(who);
		who.build = (known) =>
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
					http: { send: (request) => send(who, request) },
					clock,
					monitor: deaf,
					stopping: neverStopping,
				}),
				clock,
				random,
				self: who.name,
				startedAt,
				isDead: isGone,
				lockTimeoutMs: staleMs,
				wakeAt: (at) => agenda.at(at - wallOffset, () => tick(who)),
				emit: () => {},
				onBug: (error) => violate(`a bug: ${String(error)}`),
			});
		who.keeper = who.build(undefined);
		const before = processes[index];
		if (before?.requests) inFlight -= before.requests;
		processes = [
			...processes.slice(0, index),
			who,
			...processes.slice(index + 1),
		];
		note(`${index} starts`);
		agenda.stir();
		void who.keeper
			.reconcile(10_000)
			.catch((error) => violate(`a bug: ${String(error)}`));
		const beat = () => {
			if (!who.alive || agenda.now() >= endAt) return;
			tick(who);
			agenda.at(agenda.now() + tickMs, beat);
		};
		agenda.at(agenda.now() + tickMs * random(), beat);
	};

	const tick = (who: Process) => {
		if (!canRun(who)) return;
		const onBug = (error: unknown) => violate(`a bug: ${String(error)}`);
		if (who.keeper.isBusy()) {
			void who.keeper.repair().catch(onBug);
			return;
		}
		const need = who.keeper.needs();
		if (need === undefined) {
			// As with thousands of accounts: it is let go, and made again with the next need.
			const rest = who.keeper.idle();
			if (rest !== undefined && who.index % 2 === 0)
				who.keeper = who.build(rest.known);
			return;
		}
		agenda.stir();
		const { keeper } = who;
		const tend = async () => {
			if (need.publish) await keeper.repair();
			if (need.more || need.adopt) await keeper.reconcile();
		};
		void tend().catch(onBug);
	};

	// --- The apps: one reads every few seconds, uses the token, and reports a dead one. ---

	const read = () => {
		if (agenda.now() >= endAt) return;
		agenda.at(agenda.now() + 5_000, read);
		const token = disk.readToken();
		const calm = agenda.now() - troubleAt > patienceMs;
		if (token === undefined) {
			if (
				calm ||
				(everPublished && disk.token === undefined && troubleAt === startAt)
			)
				violate("no readable token");
			return;
		}
		const age = issuedAt[issued.indexOf(token.value)] ?? 0;
		if (calm && hupAt !== undefined && agenda.now() - hupAt > patienceMs) {
			// A signal to another daemon just before answers this one, too; and the
			// stable interface may give one that is older, but new to us.
			if (age < hupAt - 2_000 && token.value === replacedByHup)
				violate("a SIGHUP led to no new token");
			hupAt = undefined;
		}
		const good = platform.isAlive(appid, token.value, agenda.now());
		if (!good || token.expiresAt <= wall()) {
			// force_refresh ends the old token while the new one is on its way to disk.
			const isOnItsWay = agenda.now() - (forces.at(-1) ?? startAt) < 1_000;
			if (calm && !isOnItsWay)
				violate(`a dead token (${good ? "by its date" : "at the platform"})`);
			const able = processes.filter(canRun);
			const helper = able[Math.floor(random() * able.length)];
			agenda.stir();
			void helper?.keeper
				.report(token.value)
				.catch((error) => violate(`a bug: ${String(error)}`));
		}
	};

	const befall = (event: SimulatedEvent) => {
		agenda.stir();
		const who = processes[event.who % scenario.daemons];
		if (who === undefined) return;
		note(`event ${JSON.stringify(event)}`);
		if (!event.kind.startsWith("hup")) trouble(agenda.now());
		switch (event.kind) {
			case "kill":
				if (who.alive) die(who, "a signal");
				break;
			case "die-at":
				who.doom = { effects: event.effect, acted: event.acted, suspendMs: 0 };
				break;
			case "suspend-at":
				who.doom = {
					effects: event.effect,
					acted: false,
					suspendMs: event.seconds * 1000,
				};
				break;
			case "suspend":
				if (canRun(who)) suspend(who, event.seconds * 1000);
				break;
			case "hup":
				if (!canRun(who)) break;
				void who.keeper.force();
				hupAt = agenda.now();
				replacedByHup = disk.readToken()?.value;
				break;
			case "hup-and-die":
				if (!canRun(who)) break;
				who.doom = {
					effects: event.effect,
					acted: event.acted,
					suspendMs: 0,
				};
				void who.keeper.force();
				break;
			case "hup-lost-kill": {
				if (!canRun(who)) break;
				fault = { mode: "lost", until: agenda.now() + 5_000 };
				void who.keeper.force();
				const kill = () => {
					if (who.alive) die(who, "a signal");
				};
				agenda.at(agenda.now() + event.seconds * 1000, kill);
				break;
			}
			case "hup-storm": {
				const until = agenda.now() + event.seconds * 1000;
				const again = () => {
					if (agenda.now() > until || !canRun(who)) return;
					agenda.stir();
					void who.keeper.force();
					agenda.at(agenda.now() + 2_000, again);
				};
				again();
				break;
			}
			case "hup-all":
				for (const one of processes) if (canRun(one)) void one.keeper.force();
				break;
			case "foreign-fetch":
				// Our token dies at the end of the overlap, unless we fetch before.
				trouble(agenda.now() + 300_000);
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
				trouble(fault.until);
				break;
			case "disk-full":
				disk.fullUntil = agenda.now() + event.seconds * 1000;
				trouble(disk.fullUntil);
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
		agenda.at(startAt + event.at * (endAt - startAt), () => befall(event));
	await agenda.run(endAt);

	for (const [index, at] of calls.entries()) {
		const inWindow = calls
			.slice(index)
			.filter((other) => other < at + lifetimeMs).length;
		const steps = scenario.events.filter(
			({ kind }) => kind === "clock-step",
		).length;
		// Beyond the budget there is one attempt per twelfth of a lifetime, which may
		// be a normal call and one with force.
		const beyond = scenario.interface === "stable" ? 26 : 13;
		// A step of the clock makes the past calls unknowable; who dies with a call
		// under way has counted it before.
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
const deaf = { serverTime() {}, answered() {} };
/** One for all keepers. */
const noParents = new Map();

/**
 * One daemon with one account, for days of virtual time: the real keeper and issuer, the
 * platform of the simulator, and a link to each host name. An app reads the file before
 * each of its calls, and reports a token that is refused.
 */
import type {
	Credential,
	KnownToken,
	Limits,
} from "../../src/core/credential.ts";
import type { ProcessName, SharedRecord } from "../../src/core/record.ts";
import { createEventLog } from "../../src/daemon/event-log.ts";
import { createAccessTokenIssuer } from "../../src/issuer/access-token.ts";
import { createKeeper, type Keeper } from "../../src/keeper/keeper.ts";
import type { SimulatedAccount } from "../../src/simulator/accounts.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import { createPlatform, type Platform } from "../../src/simulator/platform.ts";
import { createRandom } from "../../src/simulator/random.ts";
import { accessToken } from "../support/account.ts";
import { type LogLine, logTo } from "../support/log-to.ts";
import { createAgenda } from "./agenda.ts";
import { createWeekDisk } from "./week-disk.ts";
import {
	type BrokenLink,
	type Call,
	createWeekNetwork,
} from "./week-network.ts";

/** What is played. */
export interface Plan {
	readonly interface: "classic" | "stable";
	readonly days: number;
	readonly seed?: number;
	readonly knobs?: Partial<Knobs>;
	readonly account?: Partial<SimulatedAccount>;
	readonly rules?: Partial<Limits>;
	/** How often the daemon looks; default 5 s. */
	readonly tickSeconds?: number;
	/** How often the app calls; default 30 s. */
	readonly callEverySeconds?: number;
	readonly baseUrls?: readonly string[];
	/** Faults, and what people do. */
	readonly events?: readonly Incident[];
}

/** Something that happens in between. */
export interface Incident {
	/** Seconds from the start. */
	readonly at: number;
	readonly act: (world: World) => void;
	/** For so many seconds from `at + deadFrom` on a dead token is no violation. */
	readonly deadFor?: number;
	readonly deadFrom?: number;
}

/** What an incident can change or read. */
export interface World {
	readonly platform: Platform;
	readonly account: { readonly appid: string; secret: string };
	now(): number;
	/** Breaks the link to a host; `undefined` restores it. */
	link(host: string, state: BrokenLink | undefined): void;
	/** A new process, or a reload after `account.secret` was changed. */
	restart(): void;
	/** A SIGHUP. */
	force(): void;
	/** An app reports that this token was refused. */
	report(value: string): void;
	/** Runs `act` in so many seconds. */
	later(seconds: number, act: () => void): void;
	/** The value that a reader finds now. */
	value(): string | undefined;
}

/** What happened. */
export interface Story {
	readonly calls: readonly Call[];
	/** When a token was asked for (seconds); one for all base URLs of an attempt. */
	readonly attempts: readonly number[];
	/** When a new token was published (seconds). */
	readonly publications: readonly number[];
	/** From when to when (seconds) the file held a token that WeChat refuses. */
	readonly deadSpans: readonly (readonly [number, number])[];
	/** Those of them that no incident excuses. */
	readonly violations: readonly (readonly [number, number])[];
	/** The app's calls, and how many of them were refused for a dead token. */
	readonly appCalls: number;
	readonly refusedCalls: number;
	/** `at`: in seconds. */
	readonly log: readonly (LogLine & { readonly at: number })[];
	readonly state: SharedRecord;
}

const startAt = Date.UTC(2026, 0, 4, 16); // Midnight in Beijing.
/** A token may be dead at WeChat for some milliseconds before its successor is on disk. */
const publishingMs = 1_000;

/** Plays it, and returns what happened. Throws what the keeper throws: a bug. */
export async function live(plan: Plan): Promise<Story> {
	const { next: random } = createRandom(plan.seed ?? 1);
	const agenda = createAgenda(startAt);
	const account = { appid: "wx1", secret: "a-secret-of-the-week" };
	const platform = createPlatform({
		accounts: [{ ...account, ...plan.account }],
		seed: 7,
		knobs: plan.knobs ?? {},
	});
	const endAt = startAt + plan.days * 86_400_000;
	const tickMs = (plan.tickSeconds ?? 5) * 1000;
	const attempts: number[] = [];
	const log: Story["log"][number][] = [];
	let appCalls = 0;
	let refusedCalls = 0;
	let keeper: Keeper;
	let bug: unknown;

	const onBug = (error: unknown) => {
		bug ??= error;
	};
	const disk = createWeekDisk(agenda, ({ value, expiresAt }) => {
		const now = agenda.now();
		return platform.isAlive(account.appid, value, now) && expiresAt > now;
	});
	const network = createWeekNetwork({
		agenda,
		platform,
		random,
		noteLife: disk.noteLife,
	});

	// A keeper is made at nearly every tick. What all of them share is made once, or a
	// week would take twice as long.
	const clock = { now: agenda.now, monotonic: agenda.now };
	const http = { send: network.send };
	const monitor = { serverTime: () => {}, answered: () => {} };
	const stopping = new AbortController().signal;
	const baseUrls = plan.baseUrls ?? ["https://api.weixin.qq.com"];
	const credential: Credential = {
		...accessToken({ cooldownMs: 10_000, ...plan.rules }),
		kind: plan.interface === "stable" ? "stable_access_token" : "access_token",
		appid: account.appid,
	};
	const noParents = new Map();
	const logEvent = createEventLog(
		logTo((line) => log.push({ ...line, at: secondsAt(agenda.now()) })),
		clock,
	);
	let instances = 0;
	let self: ProcessName;
	let startedAt = 0;
	const restart = (known?: KnownToken) => {
		if (known === undefined) {
			instances += 1;
			startedAt = agenda.now();
			self = {
				instance: `i${instances}`,
				pid: instances,
				startTicks: "",
				realm: "",
			};
		}
		const issuer = createAccessTokenIssuer({
			appid: account.appid,
			secret: account.secret,
			interface: plan.interface,
			baseUrls,
			timeoutMs: 10_000,
			http,
			clock,
			monitor,
			stopping,
		});
		keeper = createKeeper({
			known,
			credential,
			slot: disk.slot,
			parents: () => noParents,
			issuer: {
				probe: issuer.probe,
				issue: (ask) => {
					attempts.push(agenda.now());
					return issuer.issue(ask);
				},
			},
			clock,
			random,
			self,
			startedAt,
			isDead: ({ instance }) => instance !== self.instance,
			lockTimeoutMs: 0,
			wakeAt: (at) => agenda.at(at, look),
			emit: (event) => logEvent(credential, event),
			onBug,
		});
	};

	const look = () => {
		if (!keeper.needs()) {
			const idle = keeper.idle();
			// As with thousands of accounts: an idle keeper is evicted, and made again.
			if (idle !== undefined) restart(idle.known);
			return;
		}
		agenda.awaitPromises();
		void keeper.reconcile().catch(onBug);
	};
	const tick = () => {
		disk.noteLife();
		look();
		if (agenda.now() < endAt) agenda.at(agenda.now() + tickMs, tick);
	};
	const call = () => {
		if (agenda.now() < endAt)
			agenda.at(agenda.now() + (plan.callEverySeconds ?? 30) * 1000, call);
		const token = disk.token();
		if (token === undefined) return;
		appCalls += 1;
		const { body } = platform.use(token.value, agenda.now());
		const { errcode } = JSON.parse(body);
		if (![40001, 40014, 42001].includes(errcode)) return;
		if (!platform.isAlive(account.appid, token.value, agenda.now()))
			refusedCalls += 1;
		agenda.awaitPromises();
		void keeper.report(token.value).catch(onBug);
	};
	const world: World = {
		platform,
		account,
		now: agenda.now,
		link: (host, state) => {
			if (state === undefined) network.links.delete(host);
			else network.links.set(host, state);
		},
		restart: () => restart(),
		force: () => void keeper.force().catch(onBug),
		report: (value) => void keeper.report(value).catch(onBug),
		later: (seconds, act) =>
			agenda.at(agenda.now() + seconds * 1000, () => {
				agenda.awaitPromises();
				act();
				disk.noteLife();
			}),
		value: () => disk.token()?.value,
	};

	restart();
	agenda.at(startAt, tick);
	agenda.at(startAt + 60_000, call);
	for (const { at, act } of plan.events ?? [])
		world.later(at, () => act(world));
	await agenda.run(endAt);
	if (bug !== undefined) throw bug;
	const deadSpans = disk
		.deadSpansUntil(endAt)
		.filter(([from, to]) => to - from > publishingMs)
		.map(([from, to]) => [secondsAt(from), secondsAt(to)] as const);
	return {
		calls: network.calls,
		attempts: attempts.map(secondsAt),
		publications: disk.publications.map(secondsAt),
		deadSpans,
		violations: deadSpans.filter((span) => !isExcused(span, plan)),
		appCalls,
		refusedCalls,
		log,
		state: disk.slot.record(),
	};
}

function isExcused(
	[from, to]: readonly [number, number],
	{ events = [] }: Plan,
): boolean {
	return events.some(({ at, deadFrom = 0, deadFor = 0 }) => {
		const excusedFrom = at + deadFrom;
		return from >= excusedFrom && to <= excusedFrom + deadFor;
	});
}

function secondsAt(at: number): number {
	return (at - startAt) / 1000;
}

/**
 * One daemon with an account and its jsapi ticket, for days of virtual time: the real
 * keepers and issuers, and the platform of the simulator. No phone is needed to see a
 * dead ticket: the platform says to the millisecond when the published one dies.
 */
import type { Account } from "../../src/config/entry.ts";
import type { SharedRecord } from "../../src/core/record.ts";
import type { Token } from "../../src/core/token.ts";
import { credentialOf, ticketOf } from "../../src/daemon/credential-of.ts";
import { createEventLog } from "../../src/daemon/event-log.ts";
import { createAccessTokenIssuer } from "../../src/issuer/access-token.ts";
import type { HttpRequest } from "../../src/issuer/http.ts";
import { createTicketIssuer } from "../../src/issuer/ticket.ts";
import { createKeeper, type Keeper } from "../../src/keeper/keeper.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import { createPlatform, type Platform } from "../../src/simulator/platform.ts";
import { createRandom } from "../../src/simulator/random.ts";
import { ticketsOf } from "../../src/simulator/tickets.ts";
import { type LogLine, logTo } from "../support/log-to.ts";
import { createAgenda } from "./agenda.ts";
import { createWeekDisk } from "./week-disk.ts";
import { type BrokenLink, createWeekNetwork } from "./week-network.ts";

/** What is played. */
export interface TicketPlan {
	readonly days: number;
	readonly knobs?: Partial<Knobs>;
	readonly seed?: number;
	/** Another program asks for a ticket at the first instant at which there is a new one. */
	readonly isForeignFirst?: boolean;
	readonly events?: readonly TicketIncident[];
}

export interface TicketIncident {
	/** Seconds from the start. */
	readonly at: number;
	readonly act: (world: TicketWorld) => void;
}

/** What an incident can change or read. */
export interface TicketWorld {
	readonly platform: Platform;
	readonly appid: string;
	now(): number;
	/** `undefined` restores it. */
	link(state: BrokenLink | undefined): void;
	/** A new process, which finds what is left of the files. */
	restart(lost: "nothing" | "records" | "all"): void;
	/** The wall clock of the daemon's machine jumps; WeChat's does not. */
	stepClock(seconds: number): void;
	later(seconds: number, act: () => void): void;
	ticket(): Token | undefined;
}

/** What happened. All times are seconds from the start. */
export interface TicketStory {
	/** Calls of getticket that WeChat answered. */
	readonly asks: readonly number[];
	/** Calls for another access token, and probes. */
	readonly tokenFetches: readonly number[];
	readonly probes: readonly number[];
	/** When another ticket was published. */
	readonly publications: readonly number[];
	/** From when to when the file held a ticket that signs nothing. */
	readonly deadSpans: readonly (readonly [number, number])[];
	/** When the file's `expire` passed while it was the file's: the reader fetches by itself. */
	readonly lapses: readonly number[];
	readonly log: readonly (LogLine & { readonly at: number })[];
	readonly record: SharedRecord;
	/** Values that the file had, in their order. */
	readonly values: readonly string[];
}

const startAt = Date.UTC(2026, 0, 4, 16); // Midnight in Beijing.
/** A ticket may be dead for some milliseconds before its successor is on disk. */
const publishingMs = 1_000;
/** Exact instants come from wake-ups; more ticks would only take more time. */
const tickMs = 15_000;
const host = "api.weixin.qq.com";

/** Plays it, and returns what happened. Throws what a keeper throws: a bug. */
export async function liveWithTicket(plan: TicketPlan): Promise<TicketStory> {
	const { next: random } = createRandom(plan.seed ?? 1);
	const agenda = createAgenda(startAt);
	const endAt = startAt + plan.days * 86_400_000;
	const appid = "wx1";
	const secret = "a-secret-of-the-week";
	const platform = createPlatform({
		accounts: [{ appid, secret }],
		seed: plan.seed ?? 7,
		knobs: plan.knobs ?? {},
	});
	const asks: number[] = [];
	const tokenFetches: number[] = [];
	const probes: number[] = [];
	const lapses: number[] = [];
	const values: string[] = [];
	const log: TicketStory["log"][number][] = [];
	let bug: unknown;
	const onBug = (error: unknown) => {
		bug ??= error;
	};

	/** How far the daemon's clock is ahead of the true time. */
	let aheadMs = 0;
	const tickets = () =>
		ticketsOf(platform.account(appid, agenda.now())?.tickets.get("jsapi"));
	const tokenDisk = createWeekDisk(agenda, () => true);
	const ticketDisk = createWeekDisk(agenda, ({ value }) =>
		platform.isTicketAlive(appid, "jsapi", value, agenda.now()),
	);

	/** After each call and publication: the next instants at which something ends. */
	let watched = "";
	const watchEnds = () => {
		ticketDisk.noteLife();
		const token = ticketDisk.token();
		const held = tickets().find(({ value }) => value === token?.value);
		const key = `${token?.value} ${token?.expiresAt} ${held?.endsAt}`;
		if (token === undefined || key === watched) return;
		watched = key;
		if (values.at(-1) !== token.value) values.push(token.value);
		if (held !== undefined && Number.isFinite(held.endsAt))
			agenda.at(held.endsAt, ticketDisk.noteLife);
		// The reader of the PHP sample uses it in the second of its end, and not after.
		const stepped = aheadMs;
		agenda.at(token.expiresAt + 1_000 - stepped, () => {
			const isHeld = ticketDisk.token()?.expiresAt === token.expiresAt;
			if (isHeld && aheadMs === stepped) lapses.push(secondsAt(agenda.now()));
		});
	};
	let foreignAt = 0;
	const watchForeign = () => {
		const [current] = tickets();
		if (!plan.isForeignFirst || current === undefined) return;
		if (current.renewsAt === foreignAt) return;
		foreignAt = current.renewsAt;
		agenda.at(foreignAt, () => {
			platform.foreignTicket(appid, "jsapi", agenda.now());
			changed();
		});
	};
	const changed = () => {
		watchEnds();
		watchForeign();
	};
	const network = createWeekNetwork({
		agenda,
		platform,
		random,
		noteLife: changed,
	});
	const http = {
		send: async (request: HttpRequest) => {
			const now = secondsAt(agenda.now());
			const answer = await network.send(request);
			if (request.path.startsWith("/cgi-bin/ticket/")) asks.push(now);
			else if (request.path.startsWith("/cgi-bin/token"))
				tokenFetches.push(now);
			else probes.push(now);
			return answer;
		},
	};

	const clock = {
		now: () => agenda.now() + aheadMs,
		monotonic: agenda.now,
	};
	const stopping = new AbortController().signal;
	const calling = {
		baseUrls: [`https://${host}`],
		timeoutMs: 10_000,
		http,
		clock,
		monitor: { serverTime: () => {}, answered: () => {} },
		stopping,
	};
	const account: Account = {
		...{ appid, secret, interface: "classic", file: "token" },
		...{ tickets: ["jsapi"], formats: [], baseUrls: calling.baseUrls },
		...{ timeoutMs: 10_000, refreshBeforeMs: 2_400_000 },
		...{ cooldownMs: 10_000, budget: 60 },
	};
	const token = credentialOf(account);
	const ticket = ticketOf(account, "jsapi");
	const logEvent = createEventLog(
		logTo((line) => log.push({ ...line, at: secondsAt(agenda.now()) })),
		clock,
	);
	let instances = 0;
	let tokenKeeper: Keeper;
	let ticketKeeper: Keeper;
	const restart: TicketWorld["restart"] = (lost) => {
		if (lost !== "nothing")
			for (const disk of [tokenDisk, ticketDisk])
				disk.lose(lost === "all" ? "all" : "record");
		instances += 1;
		const name = `i${instances}`;
		const self = { instance: name, pid: instances, startTicks: "", realm: "" };
		const shared = {
			clock,
			random,
			self,
			startedAt: clock.now(),
			isDead: () => true,
			lockTimeoutMs: 0,
			wakeAt: (at: number) => agenda.at(at - aheadMs, look),
			onBug,
		};
		tokenKeeper = createKeeper({
			...shared,
			credential: token,
			slot: tokenDisk.slot,
			parents: () => new Map(),
			issuer: createAccessTokenIssuer({
				...calling,
				...{ appid, secret, interface: "classic" },
			}),
			emit: (event) => {
				logEvent(token, event);
				if (event.kind === "refreshed" || event.kind === "adopted")
					agenda.at(agenda.now(), look);
			},
		});
		ticketKeeper = createKeeper({
			...shared,
			credential: ticket,
			slot: ticketDisk.slot,
			parents: () => {
				const living = tokenKeeper.current();
				return living && new Map([[token.id, living.value]]);
			},
			reportParents: (refused) => {
				for (const value of refused?.values() ?? [])
					void tokenKeeper.report(value).catch(onBug);
			},
			issuer: createTicketIssuer({
				...calling,
				...{ appid, type: "jsapi", parent: token.id },
			}),
			emit: (event) => {
				logEvent(ticket, event);
				if (event.kind === "refreshed") changed();
			},
		});
	};

	const look = () => {
		for (const keeper of [tokenKeeper, ticketKeeper]) {
			const need = keeper.needs();
			if (need?.adopt) keeper.adopt();
			if (!need?.publish && !need?.more) continue;
			agenda.awaitPromises();
			void keeper.reconcile().catch(onBug);
		}
	};
	const tick = () => {
		look();
		if (agenda.now() < endAt) agenda.at(agenda.now() + tickMs, tick);
	};
	const world: TicketWorld = {
		platform,
		appid,
		now: agenda.now,
		link: (state) => {
			if (state === undefined) network.links.delete(host);
			else network.links.set(host, state);
		},
		restart,
		stepClock: (seconds) => {
			aheadMs += seconds * 1000;
		},
		later: (seconds, act) =>
			agenda.at(agenda.now() + seconds * 1000, () => {
				agenda.awaitPromises();
				act();
				changed();
			}),
		ticket: () => ticketDisk.token(),
	};

	restart("nothing");
	agenda.at(startAt, tick);
	for (const { at, act } of plan.events ?? [])
		world.later(at, () => act(world));
	await agenda.run(endAt);
	if (bug !== undefined) throw bug;
	return {
		asks,
		tokenFetches,
		probes,
		publications: ticketDisk.publications.map(secondsAt),
		deadSpans: ticketDisk
			.deadSpansUntil(endAt)
			.filter(([from, to]) => to - from > publishingMs)
			.map(([from, to]) => [secondsAt(from), secondsAt(to)] as const),
		lapses,
		log,
		record: ticketDisk.slot.record(),
		values,
	};
}

function secondsAt(at: number): number {
	return (at - startAt) / 1000;
}

/**
 * One daemon with an app of 企业微信, for days of virtual time: the real keeper and
 * issuer, and the platform of the simulator, which says to the millisecond when the
 * published token dies.
 */
import type { WecomApp } from "../../src/config/entry.ts";
import type { Token } from "../../src/core/token.ts";
import { credentialOf } from "../../src/daemon/credential-of.ts";
import { createEventLog } from "../../src/daemon/event-log.ts";
import type { HttpRequest } from "../../src/issuer/http.ts";
import { createIpGate } from "../../src/issuer/ip-gate.ts";
import { createAppTokenIssuer } from "../../src/issuer/wecom.ts";
import { createKeeper, type Keeper } from "../../src/keeper/keeper.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import { createPlatform, type Platform } from "../../src/simulator/platform.ts";
import { createRandom } from "../../src/simulator/random.ts";
import { isWecomTokenAlive } from "../../src/simulator/wecom.ts";
import { type LogLine, logTo } from "../support/log-to.ts";
import { createAgenda } from "./agenda.ts";
import { createWeekDisk } from "./week-disk.ts";
import { type BrokenLink, createWeekNetwork } from "./week-network.ts";

/** What is played. */
export interface WecomPlan {
	readonly days: number;
	readonly knobs?: Partial<Knobs>;
	readonly seed?: number;
	/** Another program has fetched the token so many seconds before. */
	readonly ageAtStart?: number;
	readonly events?: readonly {
		/** Seconds from the start. */
		readonly at: number;
		readonly act: (world: WecomWorld) => void;
	}[];
}

/** What an event can change or read. */
export interface WecomWorld {
	readonly platform: Platform;
	now(): number;
	/** `undefined` restores it. */
	link(state: BrokenLink | undefined): void;
	/** A new process, which finds what is left of the files. */
	restart(lost: "nothing" | "records" | "all"): void;
	later(seconds: number, act: () => void): void;
	token(): Token | undefined;
	keeper(): Keeper;
}

/** What happened. All times are seconds from the start. */
export interface WecomStory {
	/** Calls of gettoken that arrived. */
	readonly asks: readonly number[];
	/** When another token was published. */
	readonly publications: readonly number[];
	/** From when to when the file held a token that 企业微信 refuses. */
	readonly deadSpans: readonly (readonly [number, number])[];
	/** When `expire` of the file was later than the true end of its token. */
	readonly lateEnds: readonly number[];
	readonly log: readonly (LogLine & { readonly at: number })[];
}

const startAt = Date.UTC(2026, 0, 4, 16); // Midnight in Beijing.
const tickMs = 5_000;
const host = "qyapi.weixin.qq.com";
const corpid = "ww0123456789abcdef";
const secret = "a-secret-of-the-week";

/** Plays it, and returns what happened. Throws what a keeper throws: a bug. */
export async function liveWithWecom(plan: WecomPlan): Promise<WecomStory> {
	const { next: random } = createRandom(plan.seed ?? 1);
	const agenda = createAgenda(startAt);
	const endAt = startAt + plan.days * 86_400_000;
	const platform = createPlatform({
		accounts: [],
		wecom: [{ corpid, secret }],
		seed: plan.seed ?? 7,
		knobs: plan.knobs ?? {},
	});
	const asks: number[] = [];
	const lateEnds: number[] = [];
	const log: WecomStory["log"][number][] = [];
	let bug: unknown;
	const onBug = (error: unknown) => {
		bug ??= error;
	};
	const tokenAt = (value: string) => platform.state.wecom.tokens.get(value);
	const disk = createWeekDisk(agenda, ({ value }) => {
		const token = tokenAt(value);
		return token !== undefined && isWecomTokenAlive(token, agenda.now());
	});
	/** After each call and publication: the next instant at which something ends. */
	let watched = "";
	const changed = () => {
		disk.noteLife();
		const token = disk.token();
		const held = token && tokenAt(token.value);
		if (token === undefined || held === undefined) return;
		const key = `${token.value} ${token.expiresAt} ${held.endsAt}`;
		if (key === watched) return;
		watched = key;
		// What is left comes in whole seconds.
		if (token.expiresAt > held.endsAt + 1_000)
			lateEnds.push(secondsAt(agenda.now()));
		agenda.at(held.endsAt, disk.noteLife);
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
			if (request.path.startsWith("/cgi-bin/gettoken")) asks.push(now);
			return answer;
		},
	};
	const clock = { now: agenda.now, monotonic: agenda.now };
	const app: WecomApp = {
		...{ corpid, name: "app", secret, interface: "wecom", file: "token" },
		...{ tickets: [], formats: [], baseUrls: [`https://${host}`] },
		...{ timeoutMs: 10_000, refreshBeforeMs: 2_400_000 },
		...{ cooldownMs: 10_000, budget: 60 },
	};
	const credential = credentialOf(app);
	const logEvent = createEventLog(
		logTo((line) => log.push({ ...line, at: secondsAt(agenda.now()) })),
		clock,
	);
	let instances = 0;
	let keeper: Keeper;
	const restart: WecomWorld["restart"] = (lost) => {
		if (lost !== "nothing") disk.lose(lost === "all" ? "all" : "record");
		instances += 1;
		keeper = createKeeper({
			clock,
			random,
			self: {
				...{ instance: `i${instances}`, pid: instances },
				...{ startTicks: "", realm: "" },
			},
			startedAt: agenda.now(),
			isDead: () => true,
			lockTimeoutMs: 0,
			wakeAt: (at) => agenda.at(at, look),
			onBug,
			credential,
			slot: disk.slot,
			parents: () => new Map(),
			issuer: createAppTokenIssuer({
				...app,
				http,
				clock,
				monitor: { serverTime: () => {}, answered: () => {} },
				stopping: new AbortController().signal,
				gate: createIpGate(clock),
			}),
			emit: (event) => {
				logEvent(credential, event);
				if (event.kind === "refreshed") changed();
			},
		});
	};
	const look = () => {
		const need = keeper.needs();
		if (need?.adopt) keeper.adopt();
		if (!need?.publish && !need?.more) return;
		agenda.awaitPromises();
		void keeper.reconcile().catch(onBug);
	};
	const tick = () => {
		look();
		if (agenda.now() < endAt) agenda.at(agenda.now() + tickMs, tick);
	};
	const world: WecomWorld = {
		platform,
		now: agenda.now,
		link: (state) => {
			if (state === undefined) network.links.delete(host);
			else network.links.set(host, state);
		},
		restart,
		later: (seconds, act) =>
			agenda.at(agenda.now() + seconds * 1000, () => {
				agenda.awaitPromises();
				act();
				changed();
			}),
		token: () => disk.token(),
		keeper: () => keeper,
	};

	if (plan.ageAtStart !== undefined)
		platform.answer(
			{
				...{ method: "GET", host, secure: true, path: "/cgi-bin/gettoken" },
				query: { corpid, corpsecret: secret },
			},
			startAt - plan.ageAtStart * 1000,
		);
	restart("nothing");
	agenda.at(startAt, tick);
	for (const { at, act } of plan.events ?? [])
		world.later(at, () => act(world));
	await agenda.run(endAt);
	if (bug !== undefined) throw bug;
	return {
		asks,
		publications: disk.publications.map(secondsAt),
		deadSpans: disk
			.deadSpansUntil(endAt)
			.map(([from, to]) => [secondsAt(from), secondsAt(to)] as const),
		lateEnds,
		log,
	};
}

function secondsAt(at: number): number {
	return (at - startAt) / 1000;
}

/**
 * 企业微信: corps with their apps, the tokens and tickets of these, and the ban of an IP
 * that used several wrong secrets.
 */
import { type Knobs, lifetimeMsOf } from "./knobs.ts";
import type { Random } from "./random.ts";
import { fetchTicket, type TicketLine } from "./tickets.ts";

/** An app to add to the platform, or a 服务商. */
export interface SimulatedWecomApp {
	readonly corpid: string;
	readonly secret: string;
	/** It is a 服务商, which has get_provider_token only. Default false. */
	readonly isProvider?: boolean;
}

/** Whose token it is: an app's, a 服务商's, or a suite's. */
export type WecomKind = "app" | "provider" | "suite";

/** An app as the platform stores it. */
export interface WecomApp {
	/** Of a suite: its suite_id. */
	readonly corpid: string;
	readonly kind: WecomKind;
	readonly agentId: number;
	secret: string;
	isDisabled: boolean;
	/** 企业可信IP; undefined: none is required. */
	trustedIps: readonly string[] | undefined;
	current: WecomToken | undefined;
	agentTicket: TicketLine | undefined;
	/** Its own line of corp tickets, where these differ from app to app. */
	jsapiTicket: TicketLine | undefined;
	readonly ticketCalls: HourlyCalls;
}

/** A token as the platform stores it. Instants are epoch ms. */
export interface WecomToken {
	readonly value: string;
	readonly app: WecomApp;
	readonly issuedAt: number;
	/** From this instant on a call gets a new one, if not before. */
	renewsAt: number;
	/** The end by age. */
	endsAt: number;
	/** Ended before its time, by the operator or by another token. */
	isInvalid: boolean;
}

/** What the apps of a corp share. */
interface Corp {
	readonly corpid: string;
	jsapiTicket: TicketLine | undefined;
	readonly ticketCalls: HourlyCalls;
}

/** Calls of an hour, and the block that follows too many. Epoch ms. */
interface HourlyCalls {
	times: number[];
	blockedUntil: number;
}

/** All that the platform knows of 企业微信. */
export interface WecomState {
	readonly apps: WecomApp[];
	/** By corpid. */
	readonly corps: Map<string, Corp>;
	/** By value. */
	readonly tokens: Map<string, WecomToken>;
	/** By the caller's address: when it used wrong secrets, and until when it is banned. */
	readonly callers: Map<string, HourlyCalls>;
}

/** What of the platform decides an answer. */
interface PlatformParts {
	readonly random: Random;
	readonly knobs: Knobs;
	readonly wecom: WecomState;
}

const hourMs = 3_600_000;

/** Documented: tickets in an hour, for an app and for a corp. */
const ticketsPerApp = 100;
const ticketsPerCorp = 400;

/** A platform without corps. */
export function emptyWecomState(): WecomState {
	return {
		apps: [],
		corps: new Map(),
		tokens: new Map(),
		callers: new Map(),
	};
}

/** Adds an app; a corp may have many. */
export function addWecomApp(
	wecom: WecomState,
	{ isProvider = false, ...given }: SimulatedWecomApp,
): WecomApp {
	const kind = isProvider ? "provider" : "app";
	const app = createWecomApp(wecom, { ...given, kind });
	wecom.apps.push(app);
	addCorp(wecom, given.corpid);
	return app;
}

/** An app that gettoken does not know. */
export function createWecomApp(
	{ apps }: WecomState,
	given: Pick<WecomApp, "corpid" | "secret" | "kind">,
): WecomApp {
	return {
		...given,
		agentId: 1_000_001 + apps.length,
		isDisabled: false,
		trustedIps: undefined,
		current: undefined,
		agentTicket: undefined,
		jsapiTicket: undefined,
		ticketCalls: noCalls(),
	};
}

/** Adds a corp, unless it is there. */
export function addCorp({ corps }: WecomState, corpid: string): void {
	if (!corps.has(corpid))
		corps.set(corpid, {
			corpid,
			jsapiTicket: undefined,
			ticketCalls: noCalls(),
		});
}

function noCalls(): HourlyCalls {
	return { times: [], blockedUntil: Number.NEGATIVE_INFINITY };
}

/** The answer with the token that a call gets, below that name. */
export function answerWithToken(
	parts: PlatformParts,
	app: WecomApp,
	field: string,
	nowMs: number,
): Decision {
	const { token, isNew } = fetchWecomToken(parts, app, nowMs);
	return {
		content: {
			[field]: token.value,
			expires_in: expiresIn(token, parts.knobs, nowMs),
		},
		outcome: isNew ? "issued" : "same",
	};
}

/** U7: the token that a call gets, and whether it is a new one. */
function fetchWecomToken(
	{ random, knobs, wecom }: PlatformParts,
	app: WecomApp,
	nowMs: number,
): { readonly token: WecomToken; readonly isNew: boolean } {
	const { current } = app;
	const lifetimeMs = lifetimeMsOf(knobs);
	const isSame =
		current !== undefined &&
		!current.isInvalid &&
		nowMs < current.renewsAt &&
		!knobs.wecomRepeat.startsWith("new");
	if (isSame) {
		if (knobs.wecomRepeat === "same-extended") {
			current.renewsAt = nowMs + lifetimeMs;
			current.endsAt = current.renewsAt;
		}
		return { token: current, isNew: false };
	}
	if (current !== undefined && knobs.wecomRepeat === "new-former-dead")
		current.isInvalid = true;
	const renewsAt = nowMs + lifetimeMs;
	const token: WecomToken = {
		value: random.text(knobs.tokenLength),
		app,
		issuedAt: nowMs,
		renewsAt,
		endsAt:
			knobs.wecomRepeat === "same-outlives" ? renewsAt + lifetimeMs : renewsAt,
		isInvalid: false,
	};
	app.current = token;
	wecom.tokens.set(token.value, token);
	forgetOld(wecom.tokens, nowMs);
	return { token, isNew: true };
}

/** U17: what `expires_in` says of a token. */
function expiresIn(
	{ renewsAt }: WecomToken,
	{ wecomExpiresIn, tokenLifetimeSeconds }: Knobs,
	nowMs: number,
): number {
	return wecomExpiresIn === "remaining"
		? Math.ceil((renewsAt - nowMs) / 1000)
		: tokenLifetimeSeconds;
}

/** Bounds the memory of a long run: a token that ended a day ago is garbage. */
function forgetOld(tokens: Map<string, WecomToken>, nowMs: number): void {
	for (const [value, { endsAt }] of tokens) {
		if (endsAt > nowMs - 24 * hourMs) return;
		tokens.delete(value);
	}
}

/** Whether APIs accept the token. */
export function isWecomTokenAlive(
	{ endsAt, isInvalid }: WecomToken,
	nowMs: number,
): boolean {
	return !isInvalid && nowMs < endsAt;
}

/** The ticket that a call gets. U36: whether the apps of a corp share the corp's. */
export function fetchWecomTicket(
	{ random, knobs, wecom }: PlatformParts,
	app: WecomApp,
	type: "jsapi" | "agent_config",
	nowMs: number,
): string {
	if (type === "agent_config") {
		app.agentTicket = fetchTicket(app.agentTicket, random, knobs, nowMs);
		return app.agentTicket.current.value;
	}
	const corp = wecom.corps.get(app.corpid);
	const holder =
		knobs.wecomCorpTicket === "same" && corp !== undefined ? corp : app;
	holder.jsapiTicket = fetchTicket(holder.jsapiTicket, random, knobs, nowMs);
	return holder.jsapiTicket.current.value;
}

/** Every line of tickets of a corp or of its apps that signs pages. */
export function wecomTicketLines(
	{ apps, corps }: WecomState,
	corpid: string,
	type: "jsapi" | "agent_config",
): readonly TicketLine[] {
	const own = apps.filter((app) => app.corpid === corpid);
	const lines =
		type === "agent_config"
			? own.map(({ agentTicket }) => agentTicket)
			: [
					corps.get(corpid)?.jsapiTicket,
					...own.map(({ jsapiTicket }) => jsapiTicket),
				];
	return lines.filter((line) => line !== undefined);
}

/** Counts a call for a ticket; false: there were too many in this hour. */
export function mayFetchTicket(
	{ corps }: WecomState,
	app: WecomApp,
	nowMs: number,
): boolean {
	const corp = corps.get(app.corpid);
	const isWithin = (calls: HourlyCalls | undefined, limit: number) =>
		calls === undefined || countWithin(calls, limit, nowMs);
	// Both count, also if one of them refuses.
	const byApp = isWithin(app.ticketCalls, ticketsPerApp);
	const byCorp = isWithin(corp?.ticketCalls, ticketsPerCorp);
	return byApp && byCorp;
}

function countWithin(
	calls: HourlyCalls,
	limit: number,
	nowMs: number,
): boolean {
	if (nowMs < calls.blockedUntil) return false;
	calls.times = [...calls.times.filter((at) => at > nowMs - hourMs), nowMs];
	if (calls.times.length <= limit) return true;
	calls.blockedUntil = nowMs + hourMs;
	return false;
}

/** Whether that address may call for it. */
export function isTrusted({ trustedIps }: WecomApp, ip: string): boolean {
	return trustedIps === undefined || trustedIps.includes(ip);
}

/** What an endpoint decided. An error keeps the default fields of a good answer. */
export type Decision =
	| {
			readonly content: Readonly<Record<string, unknown>>;
			readonly outcome: string;
	  }
	| { readonly errcode: number };

/** Whether every call of that address is refused. */
export function isBanned(
	{ callers }: WecomState,
	ip: string,
	nowMs: number,
): boolean {
	return nowMs < (callers.get(ip)?.blockedUntil ?? 0);
}

/** U38: a wrong secret counts; several within an hour ban the address for an hour. */
export function countWrongSecret(
	{ knobs, wecom }: PlatformParts,
	ip: string,
	errcode: number,
	nowMs: number,
): void {
	if (knobs.wecomBanCounts === "40001" && errcode !== 40001) return;
	const calls = wecom.callers.get(ip) ?? noCalls();
	wecom.callers.set(ip, calls);
	calls.times = [...calls.times.filter((at) => at > nowMs - hourMs), nowMs];
	if (calls.times.length < knobs.wecomBanAfter) return;
	calls.blockedUntil = nowMs + hourMs;
	calls.times = [];
}

/**
 * The decisions of a keeper, as pure functions of what is known and the time.
 *
 * All instants are wall clock and compared anew at each look, never slept
 * until: so a suspend, a clock step or NTP changes at most when the next look
 * acts. A past instant that lies in the future can only come from a clock that
 * was set back; it is not waited for.
 */
import type { AccountState, Failure, Pause, Publication } from "./record.ts";
import { type Token, tokenId } from "./token.ts";

/** How one account wants to be kept; all from the configuration. */
export interface Rules {
	readonly interface: "classic" | "stable";
	readonly refreshBeforeMs: number;
	readonly cooldownMs: number;
	/** Calls to WeChat per token lifetime. */
	readonly budget: number;
}

/** A token and what is known of it. */
export interface KnownToken {
	readonly token: Token;
	readonly id: string;
	/** `AccountState.generation` at its publication. */
	readonly generation: number;
	readonly lifetimeMs: number;
	/** When its request was sent; 0 if nobody remembers. */
	readonly fetchedAt: number;
	/** Why it was fetched; "found" if nobody remembers. */
	readonly reason: string;
}

/** What stands at the token file's path. */
export type Reading =
	/** `exact`: byte for byte what we publish, a plain file of the right mode and group. */
	| { readonly kind: "token"; readonly token: Token; readonly exact: boolean }
	| { readonly kind: "absent" }
	/** A folder, a link, garbage, unreadable: `problem` says what. */
	| { readonly kind: "unusable"; readonly problem: string };

/** Why WeChat is asked for a token. */
export type Reason =
	/** There is none. */
	| "first"
	/** It nears its end. */
	| "due"
	/** SIGHUP, or a request without a token. */
	| "forced"
	/** An app reported it dead. */
	| "reported"
	/** A request was cut off: WeChat may have issued another one already. */
	| "cut-off"
	/** `wxtokend check --online`. */
	| "checked"
	/** It claims to live longer than tokens do: the clock was set back. */
	| "clock";

/** Somebody wants another token than the present one. */
export interface Wish {
	readonly reason: "forced" | "reported" | "checked";
	readonly requestedAt: number;
	/** `tokenId` of the token that was found dead; only with `reported`. */
	readonly stale?: string | undefined;
	/** WeChat itself has called that token dead. */
	readonly isProved?: boolean;
	/** An attempt for it has failed already: from then on pauses are kept. */
	readonly tried: boolean;
}

export interface Situation {
	readonly now: number;
	/** This process, see `ProcessName.instance`. */
	readonly instance: string;
	readonly rules: Rules;
	readonly memory: KnownToken | undefined;
	readonly disk: Reading;
	readonly state: AccountState;
	readonly wish: Wish | undefined;
	/**
	 * Since then nobody can say which of two tokens lives on: the lock was lost while
	 * a request was under way. Undefined: no doubt.
	 */
	readonly doubtedSince?: number | undefined;
	/** The first look of a process: a person may have mended what a pause waits for. */
	readonly eager: boolean;
	/** When this process started, epoch ms. */
	readonly startedAt: number;
	/** The process of the last forced refresh is gone, as far as anybody can tell. */
	readonly isForcerDead: boolean;
}

export interface Plan {
	/** The newest token that anybody knows, live or not. */
	readonly current: KnownToken | undefined;
	/** It lives, but the file does not hold it: publish it, without a call. */
	readonly publish: boolean;
	/** Ask WeChat, now. */
	readonly fetch: Reason | undefined;
	/** What would be fetched, and why not before `until`. */
	readonly heldBack:
		| {
				readonly by: "pause" | "cooldown" | "budget";
				readonly until: number;
				/** Why it would be fetched. */
				readonly reason: Reason;
		  }
		| undefined;
	/** The wish, if any, is fulfilled by `current`. */
	readonly granted: boolean;
}

/** What tokens live until an answer tells: the only value ever documented. */
export const usualLifetimeMs = 7_200_000;

/** The stable interface gives a new token only in the last 300 s of the old one. */
const stableWindowMs = 285_000;

/** The platform ignores a second `force_refresh` within 30 s; one more for the way there. */
export const stableForceGapMs = 31_000;
/** … and the 21st of a day. */
const stableForcesPerDay = 20;
const dayMs = 86_400_000;

/**
 * A forced refresh of another living process this long before our own wish answers
 * it: one signal sent to many daemons reaches them one after the other. A process
 * that is gone was sent another signal, and so was one from before our start.
 */
const sameInstantMs = 2_000;

/** A token may be dated this much ahead of its lifetime before the clock is blamed. */
const clockSlackMs = 1_000;

export function decide(situation: Situation): Plan {
	const { now, wish } = situation;
	const current = newest(situation);
	const alive = current !== undefined && current.token.expiresAt > now;
	const publish =
		alive &&
		!isFromFuture(current, now) &&
		!isSuperseded(current, situation) &&
		!(
			situation.disk.kind === "token" &&
			situation.disk.exact &&
			situation.disk.token.value === current.token.value &&
			situation.disk.token.expiresAt === current.token.expiresAt
		);
	const granted = wish !== undefined && isGranted(wish, situation, current);
	const plan = { current, publish, granted };
	const needed = whyNeeded(current, situation);

	const renewal =
		needed === undefined
			? nothing
			: gate(needed, "patient", current, situation);
	if (wish === undefined || granted) return { ...plan, ...renewal };
	const answer = gateForWish(wish, current, situation);
	// A wish that has to wait does not hold up the renewal.
	const isHeldUp = answer.fetch === undefined && renewal.fetch !== undefined;
	return { ...plan, ...(isHeldUp ? renewal : answer) };
}

type Passage = Pick<Plan, "fetch" | "heldBack">;

const nothing: Passage = { fetch: undefined, heldBack: undefined };

function heldBack(
	by: NonNullable<Plan["heldBack"]>["by"],
	until: number,
	reason: Reason,
): Passage {
	return { fetch: undefined, heldBack: { by, until, reason } };
}

function gateForWish(
	wish: Wish,
	current: KnownToken | undefined,
	situation: Situation,
): Passage {
	const { now, rules, state } = situation;
	const { reason } = wish;
	const coolAt = isForced(reason)
		? until(lastForceAt(state), cooldownOf(rules), now)
		: undefined;
	if (coolAt === undefined)
		return gate(reason, urgencyOf(wish), current, situation);
	return heldBack("cooldown", coolAt, reason);
}

/** The later of the last forced refresh, and the call with force in the midst of it. */
function lastForceAt({ forced, forceCalls }: AccountState): number | undefined {
	const times = [forced?.at, forceCalls.at(-1)].filter(
		(at) => at !== undefined,
	);
	return times.length === 0 ? undefined : Math.max(...times);
}

/** Whether a refresh for that reason counts as a forced one, with its cooldown. */
export function isForced(reason: Reason): boolean {
	return reason === "forced" || reason === "reported";
}

/** When a token becomes due: while at least a third of its life is left. */
export function refreshAt(known: KnownToken, rules: Rules): number {
	const { id, lifetimeMs, token } = known;
	// Tokens fetched in the same second shall not be due in the same second.
	const spread = Number.parseInt(id.slice(0, 6), 16) / 0x1000000;
	const margin = Math.min(rules.refreshBeforeMs, lifetimeMs / 3);
	switch (rules.interface) {
		case "classic":
			return token.expiresAt - margin - spread * lifetimeMs * 0.02;
		case "stable":
			return (
				token.expiresAt - Math.min(margin, stableWindowMs - spread * 15_000)
			);
		default:
			return rules.interface satisfies never;
	}
}

/**
 * The pause from `at` on: what the failure's kind asks for, else 1 s doubling to
 * 60 s. Chance and the next tick stay within that minute: at most a minute after
 * a fault there is a token, and an hour of faults does not use up the budget.
 */
export function afterFailure(
	failure: Omit<Failure, "attempts" | "since"> & {
		readonly waitMs: number | undefined;
	},
	before: Pause | undefined,
	at: number,
	random: () => number,
): Pause {
	const { waitMs: fixed, ...rest } = failure;
	const attempts = (before?.failure?.attempts ?? 0) + 1;
	const backoff =
		Math.min(60_000, 1_000 * 2 ** Math.min(attempts - 1, 6)) *
		(0.8 + 0.1 * random());
	return {
		at,
		waitMs:
			fixed === undefined
				? backoff
				: fixed + Math.min(0.05 * fixed, 60_000) * random(),
		failure: { ...rest, attempts, since: before?.failure?.since ?? at },
	};
}

/**
 * The pause after the stable interface answered with the token that we hold: an
 * eighth of what is left of it, so that the last 300 s see some ten calls at most.
 */
export function afterSameToken(expiresAt: number, now: number): Pause {
	return { at: now, waitMs: Math.max(1_000, (expiresAt - now) / 8) };
}

/**
 * Whether tokens of this account die before their time, again and again: then
 * somebody else fetches with its AppSecret.
 */
export function hasForeignFetcher(state: AccountState, now: number): boolean {
	return (
		state.diedEarly.filter((at) => at > now - dayMs && at <= now).length > 1
	);
}

/** `diedEarly` with one more. */
export function countEarlyDeath(
	deaths: readonly number[],
	now: number,
): readonly number[] {
	return countCall(deaths, now, dayMs).slice(-10);
}

/** Whether `force_refresh` may be sent, by the platform's own limits. */
export function mayForceStable(state: AccountState, now: number): boolean {
	const today = state.forceCalls.filter((at) => at > now - dayMs && at <= now);
	const last = today.at(-1);
	return (
		today.length < stableForcesPerDay &&
		(last === undefined || now - last >= stableForceGapMs)
	);
}

/** `calls` with one more, and without those that no rule asks for any more. */
export function countCall(
	calls: readonly number[],
	now: number,
	windowMs: number,
): readonly number[] {
	return [...calls.filter((at) => at > now - windowMs && at <= now), now];
}

/** `forceCalls` with one more. */
export function countForce(
	calls: readonly number[],
	now: number,
): readonly number[] {
	return countCall(calls, now, dayMs);
}

/** For how long calls count against the budget. */
export function windowOf(known: KnownToken | undefined): number {
	return known?.lifetimeMs ?? usualLifetimeMs;
}

/** When the budget allows the next call; undefined: now. */
export function budgetFreeAt(
	state: AccountState,
	budget: number,
	lifetimeMs: number,
	now: number,
): number | undefined {
	const calls = state.calls.filter((at) => at > now - lifetimeMs && at <= now);
	if (calls.length < budget) return undefined;
	return until(calls.at(-1), lifetimeMs / 12, now);
}

export function cooldownOf(rules: Rules): number {
	return rules.interface === "stable"
		? Math.max(rules.cooldownMs, stableForceGapMs)
		: rules.cooldownMs;
}

/** What a published token is known by. */
export function knownFrom(
	token: Token,
	generation: number,
	published: Publication | undefined,
): KnownToken {
	return {
		token,
		id: published?.id ?? tokenId(token.value),
		generation,
		lifetimeMs: published?.lifetimeMs ?? usualLifetimeMs,
		fetchedAt: published?.fetchedAt ?? 0,
		reason: published?.reason ?? "found",
	};
}

/**
 * The newest token that is known: of two that were both published, the one of
 * the higher generation. A token on disk that no keeper vouches for counts only
 * if this process knows none: somebody may have altered the file.
 */
function newest({ memory, disk, state }: Situation): KnownToken | undefined {
	if (disk.kind !== "token") return memory;
	const { published, generation } = state;
	// Most looks find what is in memory: hashing is for the others.
	const id =
		disk.token.value === memory?.token.value
			? memory.id
			: tokenId(disk.token.value);
	const vouched = published?.id === id;
	if (memory !== undefined) {
		if (memory.id === id) {
			return vouched && generation > memory.generation
				? { ...memory, generation }
				: memory;
		}
		if (!vouched || memory.generation > generation) return memory;
	}
	if (!vouched) return knownFrom(disk.token, generation, undefined);
	// The file's `expire` might have been altered beside a true value.
	const token = { value: disk.token.value, expiresAt: published.expiresAt };
	return knownFrom(token, generation, published);
}

/** Why the current token does not do, without anybody wishing for another. */
function whyNeeded(
	current: KnownToken | undefined,
	{ now, rules, state, doubtedSince = 0 }: Situation,
): Reason | undefined {
	if (current === undefined) return "first";
	if (isFromFuture(current, now)) return "clock";
	if (isSuperseded(current, { state })) return "cut-off";
	if (current.fetchedAt < doubtedSince) return "cut-off";
	if (state.inFlight?.replaces === current.id) return "cut-off";
	return now >= refreshAt(current, rules) ? "due" : undefined;
}

/** Another keeper went on without us, and what it published is not on disk. */
function isSuperseded(
	{ generation }: KnownToken,
	{ state }: Pick<Situation, "state">,
): boolean {
	return state.generation > generation;
}

function isFromFuture(known: KnownToken, now: number): boolean {
	return known.token.expiresAt - now > known.lifetimeMs * 1.01 + clockSlackMs;
}

function isGranted(
	wish: Wish,
	situation: Situation,
	current: KnownToken | undefined,
): boolean {
	if (current === undefined) return false;
	const { state, instance, doubtedSince = 0 } = situation;
	if (current.fetchedAt < doubtedSince) return false;
	if (wish.reason === "reported") return current.id !== wish.stale;
	if (current.fetchedAt >= wish.requestedAt) return true;
	return (
		wish.reason === "forced" &&
		state.forced !== undefined &&
		state.forced.by !== instance &&
		!situation.isForcerDead &&
		state.forced.at >= situation.startedAt &&
		state.published !== undefined &&
		state.published.id === current.id &&
		state.published.fetchedAt >= state.forced.at &&
		state.forced.at >= wish.requestedAt - sameInstantMs
	);
}

type Urgency =
	/** Keeps every pause. */
	| "patient"
	/** Only after a failure: a thousand reports must not become a thousand calls to a broken upstream. */
	| "after-failures"
	/** A person asked. */
	| "now";

function urgencyOf({ reason, tried }: Wish): Urgency {
	if (tried) return "patient";
	return reason === "reported" ? "after-failures" : "now";
}

/** Fetch, or what holds it back. */
function gate(
	reason: Reason,
	urgency: Urgency,
	current: KnownToken | undefined,
	situation: Situation,
): Passage {
	const { now, state, eager } = situation;
	const { pause } = state;
	const counts =
		urgency === "patient" ||
		(urgency === "after-failures" && pause?.failure !== undefined);
	const paused =
		counts && !eager ? until(pause?.at, pause?.waitMs ?? 0, now) : undefined;
	if (paused !== undefined) return heldBack("pause", paused, reason);
	const free = freeAt(reason, current, situation);
	if (free !== undefined) return heldBack("budget", free, reason);
	return { fetch: reason, heldBack: undefined };
}

/** When the budget allows a call for that reason; undefined: now. */
function freeAt(
	reason: Reason,
	current: KnownToken | undefined,
	{ now, rules, state, wish }: Situation,
): number | undefined {
	const lifetimeMs = windowOf(current);
	// While nobody can tell, an outage must not use up what a suspicion may ask for.
	const isSuspicion =
		reason === "reported" &&
		wish?.isProved !== true &&
		state.pause?.failure === undefined;
	const share = shareOf(isSuspicion ? "suspicion" : reason, rules.budget);
	const free = budgetFreeAt(state, share, lifetimeMs, now);
	if (free === undefined || current === undefined || !isForced(reason))
		return free;
	// Beyond its share a wish does not take the renewal's turn, which is near.
	const dueAt = refreshAt(current, rules);
	return now < dueAt && now >= dueAt - lifetimeMs / 12 ? dueAt : free;
}

/** What people and apps ask for leaves something for the renewals. */
export function shareOf(reason: Reason | "suspicion", budget: number): number {
	switch (reason) {
		case "suspicion":
			return Math.ceil(budget / 2);
		case "reported":
		case "forced":
			return budget - Math.floor(budget / 12);
		default:
			return budget;
	}
}

/** `at + waitMs` if `now` lies in between; a clock that was set back ends the wait. */
function until(
	at: number | undefined,
	waitMs: number,
	now: number,
): number | undefined {
	if (at === undefined || now < at || now >= at + waitMs) return undefined;
	return at + waitMs;
}

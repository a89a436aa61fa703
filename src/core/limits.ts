/** The arithmetic of the rules: when a token is due, and how often WeChat may be asked. */
import {
	type Credential,
	type KnownToken,
	type Limits,
	traitsOf,
	usualLifetimeMs,
} from "./credential.ts";
import type { SharedRecord } from "./record.ts";
import type { Reason } from "./request.ts";
import { nextAskAt } from "./sighting.ts";
import { nextTokenAskAt } from "./token-sighting.ts";

const dayMs = 86_400_000;

/** The code of a forced refresh that the platform's limits forbid. */
export const forceLimit = "force-limit";

/**
 * `at + waitMs` if `now` lies in between, else undefined. An instant in the future
 * can only come from a clock that was set back since: it is not waited for.
 */
export function until(
	at: number | undefined,
	waitMs: number,
	now: number,
): number | undefined {
	if (at === undefined || now < at || now >= at + waitMs) return undefined;
	return at + waitMs;
}

/**
 * When a token becomes due (epoch ms): at the earliest when a third of its life is left,
 * or with `refreshEarly` after a tenth of it.
 */
export function refreshAt(known: KnownToken, credential: Credential): number {
	const { turn = 0 } = credential.limits;
	const turnMs = Math.min(maxTurnMs, known.lifetimeMs / 240) * turn;
	return refreshAtOfWriter(known, credential) - (known.aheadMs ?? 0) + turnMs;
}

/** The hosts of a fleet do not all ask for their turn in one instant. */
const maxTurnMs = 30_000;

/** The same by the clock of the process that published it. */
function refreshAtOfWriter(known: KnownToken, credential: Credential): number {
	const { token, lifetimeMs, sighting } = known;
	const { life } = traitsOf(credential);
	if (life === "as-told") return dueByEnd(known, credential);
	// Nothing is known of when it was seen: it may end at any moment.
	if (sighting === undefined) return token.expiresAt - lifetimeMs;
	const spread = spreadOf(known.id);
	switch (life) {
		case "from-last-sight-of-former":
			return nextAskAt(sighting, spread);
		case "left-or-constant": {
			const spreadMs = spread * lifetimeMs * 0.02;
			const marginMs = marginOf(known, credential) + spreadMs;
			return nextTokenAskAt(sighting, marginMs);
		}
		default:
			return life satisfies never;
	}
}

/** Where the answer tells the end. */
function dueByEnd(known: KnownToken, credential: Credential): number {
	const { id, lifetimeMs, token } = known;
	const spread = spreadOf(id);
	const margin = marginOf(known, credential);
	const { renewWindowMs } = traitsOf(credential);
	const { isSpread = false } = credential.limits;
	const widthMs = lifetimeMs * (isSpread ? 1 / 3 : 0.02);
	return renewWindowMs === undefined
		? token.expiresAt - margin - spread * widthMs
		: token.expiresAt - Math.min(margin, renewWindowMs - spread * 15_000);
}

/** How long before its end a token is due, if another one can be had by then. */
function marginOf({ lifetimeMs }: KnownToken, credential: Credential): number {
	const { refreshBeforeMs, refreshEarly = false } = credential.limits;
	// Nine tenths of a life that is shorter than WeChat's own would be nearly all of it.
	const isEarly = refreshEarly && lifetimeMs >= usualLifetimeMs;
	const maxMargin = isEarly ? lifetimeMs * 0.9 : lifetimeMs / 3;
	return Math.min(refreshBeforeMs, maxMargin);
}

/** 0 to 1: tokens fetched in the same second shall not be due in the same second. */
export function spreadOf(id: KnownToken["id"]): number {
	return Number.parseInt(id.slice(0, 6), 16) / 0x1000000;
}

/** The least time between two forced refreshes: by the configuration, and by WeChat. */
export function cooldownOf(credential: Credential): number {
	const { force } = traitsOf(credential);
	return Math.max(credential.limits.cooldownMs, force?.gapMs ?? 0);
}

/** The later of the last forced refresh, and the call with force in the midst of it. */
export function lastForceAt({
	forced,
	forceCalls,
}: SharedRecord): number | undefined {
	const times = [forced?.at, forceCalls.at(-1)].filter(
		(at) => at !== undefined,
	);
	return times.length === 0 ? undefined : Math.max(...times);
}

/** After so long without a heartbeat the holder of its lock has lost it. */
export function lockStaleOf({ limits }: Pick<Credential, "limits">): number {
	return Math.max(5_000, 2 * limits.timeoutMs + 2_000);
}

/** How long a request waits for a lock that another process holds. */
export function lockTimeoutOf(credential: Pick<Credential, "limits">): number {
	return lockStaleOf(credential) + credential.limits.timeoutMs;
}

/** Whether another value may be forced now, by WeChat's own limits. */
export function mayForce(
	credential: Credential,
	{ forceCalls }: SharedRecord,
	now: number,
): boolean {
	const { force } = traitsOf(credential);
	if (force === undefined) return false;
	const today = forceCalls.filter((at) => at > now - dayMs && at <= now);
	const last = today.at(-1);
	return (
		today.length < force.perDay &&
		(last === undefined || now - last >= force.gapMs)
	);
}

/**
 * Whether tokens of this account die before their time, again and again: then
 * another program fetches with its AppSecret.
 */
export function hasForeignFetcher(
	{ diedEarly }: SharedRecord,
	now: number,
): boolean {
	return diedEarly.filter((at) => at > now - dayMs && at <= now).length > 1;
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

/** `diedEarly` with one more. */
export function countEarlyDeath(
	deaths: readonly number[],
	now: number,
): readonly number[] {
	return countCall(deaths, now, dayMs).slice(-10);
}

/** For how long calls count against the budget. */
export function windowOf(known: KnownToken | undefined): number {
	return known?.lifetimeMs ?? usualLifetimeMs;
}

/** When the budget allows the next call; undefined: now. */
export function budgetFreeAt(
	record: SharedRecord,
	budget: number,
	lifetimeMs: number,
	now: number,
): number | undefined {
	const calls = record.calls.filter((at) => at > now - lifetimeMs && at <= now);
	if (calls.length < budget) return undefined;
	return until(calls.at(-1), lifetimeMs / 12, now);
}

/** The part of the budget for that reason: people and apps leave something for the renewals. */
export function shareOf(
	reason: Reason | "suspicion",
	{ budget }: Limits,
): number {
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

/** What can be said of an account without giving its token away. */

import { foreignFetcherHint } from "../issuer/errcode.ts";
import {
	budgetFreeAt,
	hasForeignFetcher,
	type KnownToken,
	knownFrom,
	type Reading,
	type Rules,
	refreshAt,
	shareOf,
	windowOf,
} from "./decide.ts";
import type { AccountState } from "./record.ts";
import { tokenId } from "./token.ts";

/**
 * Instants are ISO 8601 in UTC, but for `expire`, which is as in the token file.
 * What is not known is null.
 */
export interface AccountStatus {
	readonly appid: string;
	/** `failing`: the token on disk lives, but the last refresh failed. */
	readonly state: "valid" | "failing" | "expired" | "missing" | "unusable";
	/** Whether the file on disk holds a live token right now. */
	readonly valid: boolean;
	readonly interface: "classic" | "stable";
	/** The token file's path. */
	readonly file: string;
	/** Epoch seconds. */
	readonly expire: number | null;
	/** Until then, in whole seconds; 0 if there is no live token. */
	readonly secondsLeft: number;
	/** Of the whole token, in seconds. */
	readonly lifetime: number | null;
	readonly lastRefresh: { readonly at: string; readonly reason: string } | null;
	readonly nextRefreshAt: string | null;
	readonly lastError: StatusError | null;
	/** Calls to WeChat in this token lifetime, and how many there may be. */
	readonly budget: { readonly used: number; readonly of: number };
	/** Somebody else seems to fetch with this AppSecret. */
	readonly foreignFetcher: boolean;
	/** What to do about the file or the foreign fetcher. */
	readonly hint: string | null;
}

export interface StatusError {
	readonly code: string;
	readonly message: string;
	readonly hint: string;
	/** WeChat's number for the failed call. */
	readonly rid: string | null;
	readonly at: string;
	readonly since: string;
	readonly attempts: number;
	readonly nextTryAt: string;
}

/** All accounts, as `wxtokend status --json` prints them. */
export interface StatusReport {
	/** Who says so. */
	readonly source: "daemon" | "files";
	readonly accounts: readonly AccountStatus[];
}

export interface StatusInput {
	readonly account: Rules & { readonly appid: string };
	/** The token file's path, and what stands there. */
	readonly path: string;
	readonly reading: Reading;
	readonly state: AccountState;
	/** The token that the daemon keeps, if one is asked. */
	readonly kept?: KnownToken | undefined;
	readonly now: number;
	/** Who asks is no daemon, and found none. */
	readonly withoutDaemon?: boolean;
}

export function statusOf(asked: StatusInput): AccountStatus {
	const input = { ...asked, reading: judged(asked) };
	const { account, path, reading, state, now } = input;
	const known = knownOf(reading, state);
	const leftMs = reading.kind === "token" ? reading.token.expiresAt - now : 0;
	const windowMs = windowOf(known);
	const calls = state.calls.filter((at) => at > now - windowMs && at <= now);
	const foreignFetcher = hasForeignFetcher(state, now);
	return {
		appid: account.appid,
		state: wordFor(reading, leftMs, state),
		valid: leftMs > 0,
		interface: account.interface,
		file: path,
		expire:
			reading.kind === "token"
				? Math.floor(reading.token.expiresAt / 1000)
				: null,
		secondsLeft: Math.max(0, Math.floor(leftMs / 1000)),
		lifetime: lifetimeOf(reading, state),
		lastRefresh: lastRefreshOf(state),
		nextRefreshAt: iso(nextAt(input, known)),
		lastError: lastErrorOf(input, known),
		budget: { used: calls.length, of: account.budget },
		foreignFetcher,
		hint: hintFor(input, leftMs, foreignFetcher),
	};
}

/**
 * What stands on disk, for its readers: should somebody have altered it, the
 * earlier of two ends, and no token at all if it is not one of ours.
 */
function judged({ reading, state, kept }: StatusInput): Reading {
	if (reading.kind !== "token") return reading;
	const { value, expiresAt } = reading.token;
	const end = endOf(tokenId(value), state, kept);
	if (end !== undefined)
		return {
			...reading,
			token: { value, expiresAt: Math.min(end, expiresAt) },
		};
	return kept === undefined
		? reading
		: { kind: "unusable", problem: "altered: it holds another token" };
}

/** Epoch ms; undefined if it is not one of ours. */
function endOf(
	id: string,
	{ published, inFlight }: AccountState,
	kept: KnownToken | undefined,
): number | undefined {
	if (published?.id === id) return published.expiresAt;
	if (kept?.id === id) return kept.token.expiresAt;
	// The next one is on its way to the disk; or the disk refuses it.
	return inFlight?.replaces === id ? inFlight.at + overlapMs : undefined;
}

/** So long WeChat accepts a token that another one has replaced. */
const overlapMs = 300_000;

/** The token on disk; its true end, should somebody have altered the file. */
function knownOf(
	reading: Reading,
	state: AccountState,
): KnownToken | undefined {
	if (reading.kind !== "token") return undefined;
	const { token } = reading;
	const { published, generation } = state;
	if (published?.id !== tokenId(token.value))
		return knownFrom(token, generation, undefined);
	const { expiresAt } = published;
	return knownFrom({ value: token.value, expiresAt }, generation, published);
}

function wordFor(
	reading: Reading,
	leftMs: number,
	{ pause }: AccountState,
): AccountStatus["state"] {
	switch (reading.kind) {
		case "absent":
			return "missing";
		case "unusable":
			return "unusable";
		case "token":
			if (leftMs <= 0) return "expired";
			return pause?.failure === undefined ? "valid" : "failing";
		default:
			return reading satisfies never;
	}
}

function hintFor(
	{ account, reading, state, withoutDaemon = false }: StatusInput,
	leftMs: number,
	foreignFetcher: boolean,
): string | null {
	if (foreignFetcher)
		return `tokens die long before their end: ${foreignFetcherHint(account.interface)}`;
	const isOver = reading.kind === "token" && leftMs <= 0;
	// What failed has a hint of its own.
	if ((isOver || reading.kind === "absent") && state.pause?.failure)
		return null;
	const remedy = withoutDaemon
		? "is the daemon running?"
		: "the daemon puts a good one in its place";
	switch (reading.kind) {
		case "absent":
			return `there is no token file: ${remedy}`;
		case "unusable":
			return `the token file is ${reading.problem}: ${remedy}`;
		case "token":
			return isOver ? `the token has ended: ${remedy}` : null;
		default:
			return reading satisfies never;
	}
}

function lifetimeOf(reading: Reading, { published }: AccountState) {
	if (reading.kind !== "token" || published === undefined) return null;
	if (published.id !== tokenId(reading.token.value)) return null;
	return published.lifetimeMs / 1000;
}

function lastRefreshOf({ published }: AccountState) {
	// A token that was there before us: nobody knows since when.
	if (published === undefined || published.fetchedAt === 0) return null;
	return { at: iso(published.fetchedAt), reason: published.reason };
}

/** When the next attempt may be made; the first tick after it makes it. */
function nextAt(input: StatusInput, known: KnownToken | undefined): number {
	const { account, now } = input;
	const due = known === undefined ? now : refreshAt(known, account);
	return Math.max(due, allowedAt(input, known, account.budget), now);
}

/** When pause and budget, or what is for such calls of it, allow an attempt. */
function allowedAt(
	{ state, now }: StatusInput,
	known: KnownToken | undefined,
	share: number,
): number {
	const { pause } = state;
	const pausedUntil = pause === undefined ? 0 : pause.at + pause.waitMs;
	const freeAt = budgetFreeAt(state, share, windowOf(known), now) ?? 0;
	return Math.max(pausedUntil, freeAt);
}

function lastErrorOf(
	input: StatusInput,
	known: KnownToken | undefined,
): StatusError | null {
	const { account, state, now } = input;
	const { pause } = state;
	const failure = pause?.failure;
	if (pause === undefined || failure === undefined) return null;
	const { code, message, hint, rid = null, since, attempts } = failure;
	const isDue = known === undefined || now >= refreshAt(known, account);
	// What fails before its time was asked for by somebody.
	const share = shareOf(isDue ? "due" : "forced", account.budget);
	return {
		code,
		message,
		hint,
		rid,
		at: iso(pause.at),
		since: iso(since),
		attempts,
		nextTryAt: iso(allowedAt(input, known, share)),
	};
}

function iso(at: number): string {
	return new Date(at).toISOString();
}

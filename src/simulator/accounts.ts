/** Accounts as the platform stores them, and the state of the whole platform. */
import type { Component } from "./components.ts";
import type { CompleteRequest } from "./http-messages.ts";
import type { Knobs } from "./knobs.ts";
import type { AccountKind, CallCounters, Limits } from "./quotas.ts";
import type { Random } from "./random.ts";
import type { Suite } from "./suites.ts";
import type { TicketLine, TicketType } from "./tickets.ts";
import {
	endToken,
	rotateAlone,
	type StableLine,
	type TokenBook,
	type TokenLine,
} from "./tokens.ts";
import type { WecomState } from "./wecom.ts";

/**
 * Restrictions that WeChat puts on an account. `component`: a 第三方平台 manages
 * the account, so that it has no token calls of its own.
 */
export type AccountState =
	| "ok"
	| "limited"
	| "tokenForbidden"
	| "frozen"
	| "component";

/** An account to add to the platform. */
export interface SimulatedAccount {
	readonly appid: string;
	/** The AppSecret. */
	readonly secret: string;
	/** Default "mp". */
	readonly kind?: AccountKind;
	/** Entries of the IP whitelist, which is then on; absent: it is off. */
	readonly whitelist?: readonly string[];
	/** Whether the administrator must confirm each new address, if the whitelist is off. Default false. */
	readonly ipConfirmation?: boolean;
}

/** An account as the platform stores it. Read it through `accountAt`. */
export interface Account {
	readonly appid: string;
	readonly kind: AccountKind;
	secret: string;
	readonly secretFrozen: Delayed<boolean>;
	state: AccountState;
	readonly whitelist: Delayed<Whitelist>;
	ipConfirmation: boolean;
	/** By caller address. */
	readonly confirmations: Map<string, Confirmation>;
	readonly classic: TokenLine;
	readonly stable: StableLine;
	readonly tickets: Map<TicketType, TicketLine>;
	limits: Limits;
	readonly counters: CallCounters;
	/** Quota resets that were used in a month. `month` is year * 12 + month in UTC+8. */
	clears: { month: number; used: number };
}

/** The IP白名单 of an account. While it is off, every address may call. */
export interface Whitelist {
	readonly enabled: boolean;
	readonly entries: readonly string[];
}

/** The state of the administrator's confirmation of one address. */
export interface Confirmation {
	phase: "pending" | "approved" | "refused";
	refusals: number;
	/** The end of a refusal, epoch ms. */
	until: number;
}

/** A value whose changes act some time after they are ordered. */
export interface Delayed<Value> {
	value: Value;
	/** Changes to come, in the order in which they were ordered. */
	changes: readonly { readonly at: number; readonly value: Value }[];
}

/** A value without changes to come. */
export function delayed<Value>(value: Value): Delayed<Value> {
	return { value, changes: [] };
}

/** Orders a change that acts at `at`, epoch ms. */
export function changeLater<Value>(
	slot: Delayed<Value>,
	value: Value,
	at: number,
): void {
	slot.changes = [...slot.changes, { at, value }];
}

/** Everything that the endpoints and the operator read and change. */
export interface PlatformState {
	knobs: Knobs;
	readonly random: Random;
	readonly book: TokenBook;
	/** By appid. */
	readonly accounts: Map<string, Account>;
	/** 第三方平台, by appid. */
	readonly components: Map<string, Component>;
	/** Suites of 企业微信, by suite_id. */
	readonly suites: Map<string, Suite>;
	/** 企业微信. */
	readonly wecom: WecomState;
}

/** One request, with the state that it meets and the instant of it, epoch ms. */
export interface Call {
	readonly state: PlatformState;
	readonly request: CompleteRequest;
	readonly nowMs: number;
}

/** What the clock of WeChat's server shows, epoch ms. */
export function serverTime({ knobs }: PlatformState, nowMs: number): number {
	return nowMs + knobs.clockOffsetSeconds * 1000;
}

/**
 * The account as of `nowMs`: changes that are due have acted. Undefined for an
 * unknown appid.
 */
export function accountAt(
	state: PlatformState,
	appid: string,
	nowMs: number,
): Account | undefined {
	const account = state.accounts.get(appid);
	if (account === undefined) return undefined;
	const { book, knobs } = state;
	applyDue(account.whitelist, nowMs);
	applyDue(account.secretFrozen, nowMs, (isFrozen, at) => {
		if (isFrozen && knobs.freezeKillsTokens) revokeAll(account, at);
	});
	if (knobs.stableRotatesAlone) rotateAlone(book, account.stable, knobs, nowMs);
	return account;
}

/** Ends every token of the account at `at`, epoch ms. A later use of them gets 40001. */
export function revokeAll({ classic, stable }: Account, at: number): void {
	for (const line of [classic, stable])
		for (const token of [line.current, ...line.former])
			if (token !== undefined) endToken(token, at, "revoked", at);
}

/** Applies the changes that are due. `applied` gets the instant of each change, not `nowMs`. */
function applyDue<Value>(
	slot: Delayed<Value>,
	nowMs: number,
	applied?: (value: Value, at: number) => void,
): void {
	for (;;) {
		const [next, ...later] = slot.changes;
		if (next === undefined || next.at > nowMs) return;
		slot.value = next.value;
		slot.changes = later;
		applied?.(next.value, next.at);
	}
}

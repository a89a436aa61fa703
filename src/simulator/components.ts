/**
 * 第三方平台 (components) as the platform stores them: their tickets, tokens, and the
 * accounts that have authorised them.
 */

import type { Knobs } from "./knobs.ts";
import { type CallCounters, type Limit, limitsOf } from "./quotas.ts";
import type { Random } from "./random.ts";
import { emptyLine, endToken, type TokenLine } from "./tokens.ts";

/** A component to add to the platform. */
export interface SimulatedComponent {
	readonly appid: string;
	/** The component_appsecret. */
	readonly secret: string;
	/** Where its pushes go; absent: nowhere, but tickets are made all the same. */
	readonly push?: PushTarget;
}

/** A 授权事件URL, and how pushes to it are signed and encrypted. */
export interface PushTarget {
	readonly url: string;
	/** 消息校验Token. */
	readonly token: string;
	/** EncodingAESKey, 43 characters. */
	readonly key: string;
	/** The EncodingAESKey before the last change; for pushes on request. */
	readonly formerKey?: string;
}

/** A ticket that was made, and pushed if there was somebody to push it to. */
export interface VerifyTicket {
	readonly value: string;
	/** Epoch ms. */
	readonly madeAt: number;
}

/** An authorisation code that was given out. */
export interface AuthCode {
	readonly value: string;
	readonly authorizer: string;
	readonly madeAt: number;
	isUsed: boolean;
}

/** An account that has authorised the component, or had. */
export interface Authorizer {
	readonly appid: string;
	refreshToken: string;
	/** The refresh token before, with its end: it works until then. */
	former: { readonly value: string; readonly endsAt: number } | undefined;
	/** U42: until its first code was exchanged, lists show no refresh token. */
	isExchanged: boolean;
	/** Epoch ms. */
	authorizedAt: number;
	isCancelled: boolean;
	/** Made with the first token: of a hundred thousand most have none at first. */
	line: TokenLine | undefined;
	counters: CallCounters | undefined;
}

/** A component as the platform stores it. */
export interface Component {
	readonly appid: string;
	secret: string;
	/** Addresses that may call; undefined: all. */
	whitelist: readonly string[] | undefined;
	readonly line: TokenLine;
	readonly counters: CallCounters;
	limits: { api_component_token: Limit; api_authorizer_token: Limit };
	push: PushTarget | undefined;
	/** Oldest first; those that are too old for everything are removed. */
	tickets: VerifyTicket[];
	/** When the next ticket is due, epoch ms. */
	nextTicketAt: number;
	/** U31: WeChat has given up, and must be asked to push again. */
	isStopped: boolean;
	/** Since when no push was taken, epoch ms; undefined: the last one was. */
	failingSince: number | undefined;
	/** By appid, in the order in which they authorised. */
	readonly authorizers: Map<string, Authorizer>;
	readonly codes: Map<string, AuthCode>;
}

/** A component without tickets; its first one is due at once. */
export function createComponent(given: SimulatedComponent): Component {
	const { api_component_token, api_authorizer_token } = limitsOf("mp");
	return {
		appid: given.appid,
		secret: given.secret,
		whitelist: undefined,
		line: emptyLine(given.appid),
		counters: new Map(),
		limits: { api_component_token, api_authorizer_token },
		push: given.push,
		tickets: [],
		nextTicketAt: Number.NEGATIVE_INFINITY,
		isStopped: false,
		failingSince: undefined,
		authorizers: new Map(),
		codes: new Map(),
	};
}

/** A verify ticket is valid for so long, seconds. */
export const ticketSeconds = 43_200;

/** Makes a ticket; captured: `ticket@@@` and 86 characters. */
export function makeTicket(
	component: Component,
	random: Random,
	nowMs: number,
): VerifyTicket {
	const ticket = { value: `ticket@@@${random.text(86)}`, madeAt: nowMs };
	const oldest = nowMs - 2 * ticketSeconds * 1000;
	component.tickets = [
		...component.tickets.filter(({ madeAt }) => madeAt > oldest),
		ticket,
	];
	return ticket;
}

/** U33: when the next ticket is pushed. */
export function nextTicketAt(
	{ knobs, random }: { readonly knobs: Knobs; readonly random: Random },
	nowMs: number,
): number {
	const seconds =
		knobs.pushInterval === "fixed" ? 600 : 420 + random.next() * 420;
	return nowMs + seconds * 1000;
}

/** A refresh token; captured: `refreshtoken@@@` and 43 characters. */
export function makeRefreshToken(random: Random): string {
	return `refreshtoken@@@${random.text(43)}`;
}

/** An account that is authorised, without a code to exchange. */
export function createAuthorizer(
	appid: string,
	random: Random,
	nowMs: number,
): Authorizer {
	return {
		appid,
		refreshToken: makeRefreshToken(random),
		former: undefined,
		isExchanged: false,
		authorizedAt: nowMs,
		isCancelled: false,
		line: undefined,
		counters: undefined,
	};
}

/** How long a refresh token is taken once another one has replaced it, ms. */
const formerRefreshMs = 300_000;

/** Gives the account another refresh token; the former works for a while. */
export function renewRefreshToken(
	authorizer: Authorizer,
	random: Random,
	nowMs: number,
): void {
	authorizer.former = {
		value: authorizer.refreshToken,
		endsAt: nowMs + formerRefreshMs,
	};
	authorizer.refreshToken = makeRefreshToken(random);
}

/** An authorisation code of the account; captured: `queryauthcode@@@` and 86 characters. */
export function makeAuthCode(
	component: Component,
	authorizer: string,
	random: Random,
	nowMs: number,
): AuthCode {
	const code = {
		value: `queryauthcode@@@${random.text(86)}`,
		authorizer,
		madeAt: nowMs,
		isUsed: false,
	};
	component.codes.set(code.value, code);
	return code;
}

/** U27: what becomes of the tokens when the account withdraws. */
export function endTokensOf(
	{ line }: Authorizer,
	endsAt: number,
	nowMs: number,
): void {
	for (const token of line === undefined ? [] : [line.current, ...line.former])
		if (token !== undefined) endToken(token, endsAt, "revoked", nowMs);
}

/**
 * WeChat's credential service as a state machine: requests in, answers out. It
 * knows no clock, no chance and no network of its own: every call is told the
 * time, and the seed decides the rest.
 */
import type { Account, SimulatedAccount } from "./account.ts";
import {
	type Answer,
	type Endpoint,
	htmlHeaders,
	jsonHeaders,
	type PlatformRequest,
	wholeDelivery,
} from "./answer.ts";
import {
	createFaultScript,
	type Fault,
	type FaultScript,
	isProcessed,
	spoil,
} from "./faults.ts";
import {
	type CallerRequest,
	classicToken,
	parseBody,
	stableToken,
} from "./issue-endpoints.ts";
import { checkKnobs, defaultKnobs, type Knobs } from "./knobs.ts";
import { createOperator, type Operator } from "./operator.ts";
import { clearQuota, clearQuotaBySecret, quotaGet } from "./quota-endpoints.ts";
import type { LimitChanges } from "./quotas.ts";
import { createRandom } from "./random.ts";
import { isTicketAlive, type TicketType } from "./tickets.ts";
import { createTokenBook, isLive } from "./tokens.ts";
import { probe, ticket, useToken } from "./use-endpoints.ts";
import { refused, type Verdict } from "./verdict.ts";
import { accountAt, type World } from "./world.ts";

export interface PlatformOptions {
	readonly accounts: readonly SimulatedAccount[];
	/** Default 1. */
	readonly seed?: number;
	readonly knobs?: Partial<Knobs>;
	/** Quotas that differ from the documented ones, for every account. */
	readonly limits?: LimitChanges;
}

export interface Platform extends Operator {
	readonly knobs: Knobs;
	/** Turns knobs while the platform runs. @throws RangeError */
	turn(knobs: Partial<Knobs>): void;
	readonly faults: FaultScript;
	/** How often each endpoint had each outcome: `"token issued"` → 3. */
	readonly counters: ReadonlyMap<string, number>;
	account(appid: string, nowMs: number): Account | undefined;
	accounts(): Iterable<Account>;

	/** Any request to WeChat, answered as of `nowMs`, scripted faults included. */
	answer(request: PlatformRequest, nowMs: number): Answer;
	/** `GET /cgi-bin/token` */
	classicToken(claim: TokenClaim, nowMs: number): Answer;
	/** `POST /cgi-bin/stable_token` */
	stableToken(
		claim: TokenClaim & { readonly forceRefresh?: boolean },
		nowMs: number,
	): Answer;
	/** `GET /cgi-bin/get_api_domain_ip` */
	probe(token: string, nowMs: number): Answer;
	/** `GET /sim/use` */
	use(token: string, nowMs: number): Answer;

	/** The truth about a token, on either interface: no counter, no fault, no flapping. */
	isAlive(appid: string, token: string, nowMs: number): boolean;
	isTicketAlive(
		appid: string,
		type: TicketType,
		ticket: string,
		nowMs: number,
	): boolean;
}

export interface TokenClaim {
	readonly appid: string;
	readonly secret: string;
	readonly ip?: string;
	readonly host?: string;
}

/** The names under which WeChat's API is reached; all share the accounts. */
export const apiHosts = [
	"api.weixin.qq.com",
	"api2.weixin.qq.com",
	"sh.api.weixin.qq.com",
	"sz.api.weixin.qq.com",
	"hk.api.weixin.qq.com",
] as const;

/** 企业微信, of which only the wire is here: no endpoint yet. */
export const wecomHost = "qyapi.weixin.qq.com";

const endpointOfPath: ReadonlyMap<string, Endpoint> = new Map([
	["/cgi-bin/token", "token"],
	["/cgi-bin/stable_token", "stable_token"],
	["/cgi-bin/ticket/getticket", "getticket"],
	["/cgi-bin/get_api_domain_ip", "get_api_domain_ip"],
	["/cgi-bin/getcallbackip", "getcallbackip"],
	["/cgi-bin/clear_quota", "clear_quota"],
	["/cgi-bin/clear_quota/v2", "clear_quota/v2"],
	["/cgi-bin/openapi/quota/get", "quota/get"],
	["/sim/use", "use"],
] as const);

/** @throws RangeError if an account, a knob or a limit is not one */
export function createPlatform(options: PlatformOptions): Platform {
	const random = createRandom(options.seed ?? 1);
	const world: World = {
		knobs: { ...defaultKnobs, ...checkKnobs(options.knobs ?? {}) },
		random,
		book: createTokenBook(random, () => world.knobs),
		accounts: new Map(),
	};
	const operator = createOperator(world, options.limits);
	for (const given of options.accounts) operator.addAccount(given);
	const faults = createFaultScript();
	const counters = new Map<string, number>();
	let calls = 0;
	let date = { second: Number.NaN, text: "" };

	function answer(asked: PlatformRequest, nowMs: number): Answer {
		const endpoint = endpointOfPath.get(asked.path) ?? "other";
		const request = { ...asked, ip: callerIp(asked.ip) };
		const appid = appidOf(request);
		const fault = faults.take({ ...request, endpoint }, appid, nowMs);
		const real =
			fault === undefined || isProcessed(fault)
				? honestAnswer(request, endpoint, nowMs)
				: undefined;
		const given = {
			endpoint,
			...(appid === undefined ? {} : { appid }),
			...(fault === undefined || real === undefined
				? {}
				: { processed: real.outcome }),
			...merged(real, fault, nowMs),
		};
		const key = `${endpoint} ${given.outcome}`;
		counters.set(key, (counters.get(key) ?? 0) + 1);
		return given;
	}

	/** In turn from the knob, as behind a pool of addresses. */
	function callerIp(ip = "127.0.0.1"): string {
		const { egressIps } = world.knobs;
		if (egressIps.length === 0) return ip;
		calls += 1;
		return egressIps[(calls - 1) % egressIps.length] ?? ip;
	}

	function appidOf({ query, body }: PlatformRequest): string | undefined {
		const token = query?.["access_token"];
		const appid =
			token === undefined
				? (query?.["appid"] ?? parseBody(body ?? "")?.["appid"])
				: world.book.find(token)?.appid;
		return typeof appid === "string" ? appid : undefined;
	}

	function honestAnswer(
		request: CallerRequest,
		endpoint: Endpoint,
		nowMs: number,
	): Draft {
		const { host, chunked, method, path, secure } = request;
		if (host === wecomHost) {
			const location = `https://${wecomHost}${path}`;
			return secure ? bare(404) : bare(301, { Location: location });
		}
		if (chunked && method === "POST") return bare(412);
		const { errcode, content, outcome } = verdict(request, endpoint, nowMs);
		const signed =
			errcode === 0
				? content
				: { ...content, errmsg: `${content["errmsg"]} rid: ${rid(nowMs)}` };
		const body = JSON.stringify(
			world.knobs.extraKeys ? { ...signed, ...extraKeys } : signed,
		);
		return { status: 200, headers: jsonHeaders, body, outcome };
	}

	function verdict(
		request: CallerRequest,
		endpoint: Endpoint,
		nowMs: number,
	): Verdict {
		switch (endpoint) {
			case "token":
				return classicToken(world, request, nowMs);
			case "stable_token":
				return stableToken(world, request, nowMs);
			case "getticket":
				return ticket(world, request, nowMs);
			case "get_api_domain_ip":
			case "getcallbackip":
				return probe(world, endpoint, request, nowMs);
			case "clear_quota":
				return clearQuota(world, request, nowMs);
			case "clear_quota/v2":
				return clearQuotaBySecret(world, request, nowMs);
			case "quota/get":
				return quotaGet(world, request, nowMs);
			case "use":
				return useToken(world, request, nowMs);
			case "other":
				return refused(40066);
			default:
				throw new TypeError(`unknown endpoint ${endpoint satisfies never}`);
		}
	}

	/** WeChat's number of a call: its first group is the server's time. */
	function rid(nowMs: number): string {
		const group = () => hex8(Math.floor(random.next() * 2 ** 32));
		return `${hex8(Math.floor(serverTime(nowMs) / 1000))}-${group()}-${group()}`;
	}

	/** Made once a second: it is the dearest part of an answer. */
	function dateHeader(nowMs: number): string {
		const second = Math.floor(serverTime(nowMs) / 1000);
		if (second !== date.second)
			date = { second, text: new Date(second * 1000).toUTCString() };
		return date.text;
	}

	function serverTime(nowMs: number): number {
		return nowMs + world.knobs.clockOffsetSeconds * 1000;
	}

	function merged(
		real: Draft | undefined,
		fault: Fault | undefined,
		nowMs: number,
	): Pick<Answer, "status" | "headers" | "body" | "delivery" | "outcome"> {
		const spoilt = fault && spoil(fault, real?.body, rid(nowMs));
		const draft = { ...blank, ...real, ...spoilt };
		return {
			...draft,
			headers: { Date: dateHeader(nowMs), ...draft.headers },
			outcome: fault === undefined ? draft.outcome : `fault ${fault.mode}`,
		};
	}

	return {
		...operator,
		faults,
		counters,
		get knobs() {
			return world.knobs;
		},
		turn(knobs) {
			world.knobs = { ...world.knobs, ...checkKnobs(knobs) };
		},
		account: (appid, nowMs) => accountAt(world, appid, nowMs),
		accounts: () => world.accounts.values(),
		answer,
		classicToken: ({ appid, secret, ...from }, nowMs) =>
			answer(
				{
					method: "GET",
					path: "/cgi-bin/token",
					query: { grant_type: "client_credential", appid, secret },
					...from,
				},
				nowMs,
			),
		stableToken: ({ appid, secret, forceRefresh, ...from }, nowMs) =>
			answer(
				{
					method: "POST",
					path: "/cgi-bin/stable_token",
					body: JSON.stringify({
						grant_type: "client_credential",
						appid,
						secret,
						force_refresh: forceRefresh,
					}),
					...from,
				},
				nowMs,
			),
		probe: (token, nowMs) =>
			answer(
				{
					method: "GET",
					path: "/cgi-bin/get_api_domain_ip",
					query: { access_token: token },
				},
				nowMs,
			),
		use: (token, nowMs) =>
			answer(
				{ method: "GET", path: "/sim/use", query: { access_token: token } },
				nowMs,
			),
		isAlive(appid, value, nowMs) {
			accountAt(world, appid, nowMs);
			const token = world.book.find(value);
			return token?.appid === appid && isLive(token, nowMs);
		},
		isTicketAlive: (appid, type, value, nowMs) =>
			isTicketAlive(world.accounts.get(appid)?.tickets.get(type), value, nowMs),
	};
}

type Draft = Pick<Answer, "status" | "headers" | "body" | "outcome">;

const blank = {
	status: 200,
	headers: jsonHeaders,
	body: "",
	delivery: wholeDelivery,
	outcome: "",
};

/** Keys that no document names; seen on 企业微信. */
const extraKeys = {
	warning_msg:
		"you are using TLS v1 which is deprecated, please use TLS v1.2 or higher.",
	more: { nested: [1, null] },
};

function bare(status: number, headers: Record<string, string> = {}): Draft {
	return {
		status,
		headers: { ...htmlHeaders, ...headers },
		body: "",
		outcome: `status ${status}`,
	};
}

function hex8(count: number): string {
	return count.toString(16).padStart(8, "0");
}

/**
 * WeChat's credential service as a state machine: requests in, answers out. It
 * knows no clock, no chance and no network of its own: every call is told the
 * time, and the seed decides the rest.
 */
import type { Account, SimulatedAccount } from "./account.ts";
import { type Answer, jsonHeaders, wholeDelivery } from "./answer.ts";
import {
	createFaultScript,
	type Fault,
	type FaultScript,
	isProcessed,
} from "./faults.ts";
import { answerHonestly, type Draft, ridOf, serverTime } from "./honest.ts";
import { checkKnobs, defaultKnobs, type Knobs } from "./knobs.ts";
import { createOperator, type Operator } from "./operator.ts";
import type { LimitChanges } from "./quotas.ts";
import { createRandom } from "./random.ts";
import { endpointOf, type PlatformRequest, parseBody } from "./request.ts";
import { spoil } from "./spoil.ts";
import { isTicketAlive, type TicketType } from "./tickets.ts";
import { createTokenBook, isLive } from "./tokens.ts";
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

/** Who asks for a token, with which secret, from where and at which host. */
export interface TokenClaim {
	readonly appid: string;
	readonly secret: string;
	readonly ip?: string;
	readonly host?: string;
}

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
	const headersAt = createHeaders();
	let calls = 0;

	function answer(asked: PlatformRequest, nowMs: number): Answer {
		const request = throughPool(asked);
		const endpoint = endpointOf(request.path);
		const appid = appidOf(world, request);
		const fault = faults.take(request, endpoint, appid, nowMs);
		const real =
			fault === undefined || isProcessed(fault)
				? answerHonestly(world, request, endpoint, nowMs)
				: undefined;
		const draft: DeliveredDraft =
			fault === undefined ? (real ?? blank) : spoilt(fault, real, nowMs);
		const key = `${endpoint} ${draft.outcome}`;
		counters.set(key, (counters.get(key) ?? 0) + 1);
		return {
			status: draft.status,
			headers: headersAt(draft.headers, serverTime(world, nowMs)),
			body: draft.body,
			delivery: draft.delivery ?? wholeDelivery,
			endpoint,
			outcome: draft.outcome,
			processed: fault === undefined ? undefined : real?.outcome,
			appid,
		};
	}

	/** The caller's address as the knob says: one after the other, as behind a NAT pool. */
	function throughPool(request: PlatformRequest): PlatformRequest {
		const { egressIps } = world.knobs;
		const ip = egressIps[calls % egressIps.length];
		calls += 1;
		return ip === undefined ? request : { ...request, ip };
	}

	function spoilt(
		fault: Fault,
		real: Draft | undefined,
		nowMs: number,
	): DeliveredDraft {
		return {
			...blank,
			...real,
			...spoil(fault, real?.body, ridOf(world, nowMs)),
			outcome: `fault ${fault.mode}`,
		};
	}

	const get = (path: string, query: PlatformRequest["query"] & object) => ({
		method: "GET",
		path,
		query,
	});

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
		classicToken({ appid, secret, ...from }, nowMs) {
			const query = { grant_type: "client_credential", appid, secret };
			return answer({ ...get("/cgi-bin/token", query), ...from }, nowMs);
		},
		stableToken({ appid, secret, forceRefresh, ...from }, nowMs) {
			const body = JSON.stringify({
				grant_type: "client_credential",
				appid,
				secret,
				force_refresh: forceRefresh,
			});
			const path = "/cgi-bin/stable_token";
			return answer({ method: "POST", path, body, ...from }, nowMs);
		},
		probe: (access_token, nowMs) =>
			answer(get("/cgi-bin/get_api_domain_ip", { access_token }), nowMs),
		use: (access_token, nowMs) =>
			answer(get("/sim/use", { access_token }), nowMs),
		isAlive(appid, value, nowMs) {
			accountAt(world, appid, nowMs);
			const token = world.book.find(value);
			return token?.appid === appid && isLive(token, nowMs);
		},
		isTicketAlive: (appid, type, value, nowMs) =>
			isTicketAlive(world.accounts.get(appid)?.tickets.get(type), value, nowMs),
	};
}

type DeliveredDraft = Draft & Partial<Pick<Answer, "delivery">>;

const blank: Draft = {
	status: 200,
	headers: jsonHeaders,
	body: "",
	outcome: "nothing",
};

/** The account that a request is about, as far as it tells. */
function appidOf(
	{ book }: World,
	{ query, body }: PlatformRequest,
): string | undefined {
	const token = query?.access_token;
	if (token !== undefined) return book.find(token)?.appid;
	const appid = query?.appid ?? (body ? parseBody(body)?.appid : undefined);
	return typeof appid === "string" ? appid : undefined;
}

/** Adds the `Date`; its text, the dearest part of an answer, is made once a second. */
function createHeaders(): (
	headers: Answer["headers"],
	atMs: number,
) => Answer["headers"] {
	let second = Number.NaN;
	let json: Answer["headers"] = {};
	return (headers, atMs) => {
		if (Math.floor(atMs / 1000) !== second) {
			second = Math.floor(atMs / 1000);
			json = { Date: new Date(atMs).toUTCString(), ...jsonHeaders };
		}
		return headers === jsonHeaders ? json : { ...json, ...headers };
	};
}

/**
 * WeChat's credential service as a state machine: requests in, answers out. It
 * has no clock and no network. Each call gets the time as a parameter, and a
 * seed decides everything random, so that a run can be repeated exactly.
 */
import {
	type Account,
	accountAt,
	type Call,
	type PlatformState,
	type SimulatedAccount,
	serverTime,
} from "./accounts.ts";
import {
	type ComponentOperator,
	createComponentOperator,
} from "./component-operator.ts";
import type { SimulatedComponent } from "./components.ts";
import {
	applyFault,
	createFaultScript,
	type Fault,
	type FaultScript,
	isProcessed,
} from "./faults.ts";
import { type Host, hostOf, mainHost, wecomHost } from "./hosts.ts";
import {
	type Answer,
	type CompleteRequest,
	type HostAnswer,
	jsonHeaders,
	loopback,
	type PlatformRequest,
	parseBody,
	wholeDelivery,
} from "./http-messages.ts";
import { checkKnobs, defaultKnobs, type Knobs } from "./knobs.ts";
import { createOperator, type Operator } from "./operator.ts";
import type { LimitChanges } from "./quotas.ts";
import { createRandom } from "./random.ts";
import { createSuiteOperator, type SuiteOperator } from "./suite-operator.ts";
import type { SimulatedSuite } from "./suites.ts";
import {
	type PageSignature,
	type SignatureVerdict,
	verifySignature,
} from "./ticket-signature.ts";
import { isTicketAlive, type TicketType } from "./tickets.ts";
import { createTokenBook, isLive } from "./tokens.ts";
import {
	addWecomApp,
	emptyWecomState,
	type SimulatedWecomApp,
} from "./wecom.ts";

/** What a platform starts with. */
export interface PlatformOptions {
	readonly accounts: readonly SimulatedAccount[];
	readonly components?: readonly SimulatedComponent[];
	/** Suites of 企业微信. */
	readonly suites?: readonly SimulatedSuite[];
	/** Apps of 企业微信. */
	readonly wecom?: readonly SimulatedWecomApp[];
	/** 32 bits; default 1. */
	readonly seed?: number;
	readonly knobs?: Partial<Knobs>;
	/** Quotas that differ from the documented ones, for every account. */
	readonly limits?: LimitChanges;
}

/** A platform. All instants are epoch ms, and must not go back from call to call. */
export interface Platform extends Operator, ComponentOperator, SuiteOperator {
	/** For those who push, and know the clock. */
	readonly state: PlatformState;
	readonly knobs: Knobs;
	/**
	 * Changes knobs while the platform runs.
	 *
	 * @throws RangeError for a wrong name or value
	 */
	turn(knobs: Partial<Knobs>): void;
	readonly faults: FaultScript;
	/** How often each endpoint had each outcome: `"token issued"` → 3. */
	readonly counters: ReadonlyMap<string, number>;
	/** The account as of `nowMs`; undefined for an unknown appid. */
	account(appid: string, nowMs: number): Account | undefined;
	accounts(): Iterable<Account>;

	/** Answers any request to WeChat, scripted faults included. */
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
	/** `GET /cgi-bin/ticket/getticket`; `type` may be wrong */
	ticket(token: string, type: string, nowMs: number): Answer;
	/** `GET /sim/use` */
	use(token: string, nowMs: number): Answer;

	/** Whether the token of the account is alive: no counter, no fault and no flapping. */
	isAlive(appid: string, token: string, nowMs: number): boolean;
	/** Whether a signature made with the ticket would be accepted. */
	isTicketAlive(
		appid: string,
		type: TicketType,
		ticket: string,
		nowMs: number,
	): boolean;
	/**
	 * Judges the signature of a page as a phone does: no counter and no fault.
	 *
	 * @throws RangeError for an unknown appid
	 */
	verifySignature(given: PageSignature, nowMs: number): SignatureVerdict;
}

/** The parameters of a token call, and where the call comes from and goes to. */
export interface TokenClaim {
	readonly appid: string;
	readonly secret: string;
	/** The caller's address. */
	readonly ip?: string;
	/** The host name that is called. */
	readonly host?: string;
}

/**
 * A platform with its first accounts.
 *
 * @throws RangeError for a wrong account, knob or limit
 */
export function createPlatform(options: PlatformOptions): Platform {
	const random = createRandom(options.seed ?? 1);
	const state: PlatformState = {
		knobs: { ...defaultKnobs, ...checkKnobs(options.knobs ?? {}) },
		random,
		book: createTokenBook(random, () => state.knobs),
		accounts: new Map(),
		components: new Map(),
		suites: new Map(),
		wecom: emptyWecomState(),
	};
	const operator = createOperator(state, options.limits);
	for (const given of options.accounts) operator.addAccount(given);
	const componentOperator = createComponentOperator(state);
	for (const given of options.components ?? [])
		componentOperator.addComponent(given);
	const suiteOperator = createSuiteOperator(state);
	for (const given of options.suites ?? []) suiteOperator.addSuite(given);
	for (const given of options.wecom ?? []) addWecomApp(state.wecom, given);
	const faults = createFaultScript();
	const { answer, counters } = createAnswering(state, faults);
	return {
		...operator,
		...componentOperator,
		...suiteOperator,
		state,
		...createRequests(answer),
		answer,
		faults,
		counters,
		get knobs() {
			return state.knobs;
		},
		turn(knobs) {
			state.knobs = { ...state.knobs, ...checkKnobs(knobs) };
		},
		account: (appid, nowMs) => accountAt(state, appid, nowMs),
		accounts: () => state.accounts.values(),
		isAlive(appid, value, nowMs) {
			// A change that is due may end the token.
			accountAt(state, appid, nowMs);
			const token = state.book.find(value);
			return token?.appid === appid && isLive(token, nowMs);
		},
		isTicketAlive: (appid, type, value, nowMs) =>
			isTicketAlive(state.accounts.get(appid)?.tickets.get(type), value, nowMs),
		verifySignature: (given, nowMs) => verifySignature(state, given, nowMs),
	};
}

/** The story of a request: find host and endpoint, process it, apply a fault, count it. */
function createAnswering(
	state: PlatformState,
	faults: FaultScript,
): Pick<Platform, "answer" | "counters"> {
	const counters = new Map<string, number>();
	const headersAt = createHeaders();
	let calls = 0;

	/** Fills in the defaults, and the caller's address from the knob `egressIps`. */
	function complete(given: PlatformRequest): CompleteRequest {
		const { egressIps } = state.knobs;
		const ip = egressIps[calls % egressIps.length] ?? given.ip ?? loopback;
		calls += 1;
		// Field by field: a spread here makes every answer three times slower.
		return {
			method: given.method,
			host: given.host ?? mainHost,
			path: given.path,
			query: given.query ?? {},
			body: given.body ?? "",
			ip,
			chunked: given.chunked ?? false,
			secure: given.secure ?? false,
		};
	}

	return {
		counters,
		answer(given, nowMs) {
			const request = complete(given);
			const call = { state, request, nowMs };
			const host = hostOf(request.host);
			const endpoint = host.endpointOf(request.path);
			const appid = appidOf(state, request);
			const fault = faults.take({ host: request.host, endpoint, appid }, nowMs);
			const right =
				fault === undefined || isProcessed(fault)
					? host.answer(call)
					: undefined;
			const answer: DeliveredAnswer =
				fault === undefined
					? (right ?? nothing)
					: faulty(fault, right, errmsgFor(fault, host, call));
			const key = `${endpoint} ${answer.outcome}`;
			counters.set(key, (counters.get(key) ?? 0) + 1);
			return {
				status: answer.status,
				body: answer.body,
				outcome: answer.outcome,
				headers: headersAt(answer.headers, serverTime(state, nowMs)),
				delivery: answer.delivery ?? wholeDelivery,
				endpoint,
				processed: fault === undefined ? undefined : right?.outcome,
				appid,
			};
		},
	};
}

/** The requests that tests in the same process make most. */
function createRequests(
	answer: Platform["answer"],
): Pick<Platform, "classicToken" | "stableToken" | "probe" | "ticket" | "use"> {
	const get = (path: string, query: Readonly<Record<string, string>>) => ({
		method: "GET",
		path,
		query,
	});
	return {
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
		ticket: (access_token, type, nowMs) =>
			answer(get("/cgi-bin/ticket/getticket", { access_token, type }), nowMs),
		use: (access_token, nowMs) =>
			answer(get("/sim/use", { access_token }), nowMs),
	};
}

type DeliveredAnswer = HostAnswer & Partial<Pick<Answer, "delivery">>;

/** The start of an answer when a fault comes before the request is processed. */
const nothing: HostAnswer = {
	status: 200,
	headers: jsonHeaders,
	body: "",
	outcome: "nothing",
};

/** Lays the fault over the right answer, so that what it does not touch stays. */
function faulty(
	fault: Fault,
	right: HostAnswer | undefined,
	errmsg: string,
): DeliveredAnswer {
	return {
		...nothing,
		...right,
		...applyFault(fault, right?.body, errmsg),
		outcome: `fault ${fault.mode}`,
	};
}

/** Called for every fault, because the `rid` in it draws from the seed. */
function errmsgFor(fault: Fault, host: Host, call: Call): string {
	const errmsg = host.errmsgOf(call, fault.errcode ?? -1);
	return fault.errmsg ?? errmsg;
}

/** The account that the request names, by its token, query or body. */
function appidOf(
	{ book, wecom }: PlatformState,
	{ host, path, query, body }: CompleteRequest,
): string | undefined {
	if (host === wecomHost) {
		const { access_token, suite_access_token = "" } = query;
		const { corpid, auth_corpid, suite_id } = parseBody(body) ?? {};
		const named = query.corpid ?? corpid ?? auth_corpid ?? suite_id;
		if (typeof named === "string") return named;
		return wecom.tokens.get(access_token ?? suite_access_token)?.app.corpid;
	}
	if (path.startsWith("/cgi-bin/component/")) {
		const { authorizer_appid, component_appid } = parseBody(body) ?? {};
		const appid = authorizer_appid ?? component_appid;
		return typeof appid === "string" ? appid : undefined;
	}
	const token = query.access_token;
	if (token !== undefined) return book.find(token)?.appid;
	const appid = query.appid ?? (body ? parseBody(body)?.appid : undefined);
	return typeof appid === "string" ? appid : undefined;
}

/** Adds `Date`. Its text is cached for a second, because it is the slowest part of an answer. */
function createHeaders(): (
	headers: Answer["headers"],
	atMs: number,
) => Answer["headers"] {
	let second = Number.NaN;
	// V8 copies fast what stands first in a literal, and an app's every call comes here.
	const undated = { Date: "", ...jsonHeaders };
	let json: Answer["headers"] = undated;
	return (headers, atMs) => {
		if (Math.floor(atMs / 1000) !== second) {
			second = Math.floor(atMs / 1000);
			json = { ...undated, Date: new Date(atMs).toUTCString() };
		}
		return headers === jsonHeaders ? json : { ...json, ...headers };
	};
}

/**
 * The endpoints of api.weixin.qq.com. A new endpoint is one function and one row
 * in the table at the end.
 */
import type { Account, Call } from "./accounts.ts";
import {
	authorizerInfo,
	authorizerList,
	authorizerToken,
	componentToken,
	preAuthCode,
	queryAuth,
	startPushTicket,
} from "./component-endpoints.ts";
import { type HostAnswer, parseBody, statusOnly } from "./http-messages.ts";
import { countCall, isQuotaName, usageAt } from "./quotas.ts";
import { fetchTicket, isTicketType, ticketLifetimeSeconds } from "./tickets.ts";
import {
	fetchClassic,
	fetchStable,
	forceStable,
	type IssuedToken,
} from "./tokens.ts";
import {
	counted,
	quotaRefusal,
	secretRefusal,
	withAccount,
	withinQuota,
	withToken,
} from "./weixin-access.ts";
import { granted, refused, toAnswer, type Verdict } from "./weixin-answers.ts";

/** `GET /cgi-bin/token`. It reads the query only, also of a POST. */
function classicToken(call: Call): Verdict {
	const { state, request, nowMs } = call;
	const { grant_type, appid, secret } = request.query;
	if (request.method !== "GET" && state.knobs.classicPost === "refused")
		return refused(43001);
	return withAccount(call, appid, (account) => {
		if (grant_type !== "client_credential") return refused(40002);
		if (!secret) return refused(41004);
		const verdict =
			secretRefusal(call, account, secret, "token") ??
			issued(
				fetchClassic(state.book, account.classic, state.knobs, nowMs),
				nowMs,
			);
		return counted(call, account, "token", verdict);
	});
}

/** `POST /cgi-bin/stable_token` with a JSON body. */
function stableToken(call: Call): Verdict {
	const { knobs } = call.state;
	const { method, body } = call.request;
	if (method !== "POST") return refused(43002);
	if (body === "" && knobs.unparsableBodyCode === 47001) return refused(44002);
	const fields = parseBody(body);
	if (fields === undefined) return refused(knobs.unparsableBodyCode);
	return withAccount(call, fields.appid, (account) => {
		const { grant_type, secret, force_refresh = false } = fields;
		if (account.kind === "test" && knobs.stableOnTestAccount !== "supported")
			return refused(knobs.stableOnTestAccount);
		if (grant_type !== "client_credential") return refused(40002);
		if (typeof secret !== "string" || secret === "") return refused(41004);
		if (knobs.strictForceRefresh && typeof force_refresh !== "boolean")
			return refused(47001);
		const verdict =
			secretRefusal(call, account, secret, "stable_token") ??
			stableVerdict(call, account, isForce(force_refresh));
		return counted(call, account, "stable_token", verdict);
	});
}

/** A call of the stable interface after all checks of access. */
function stableVerdict(
	call: Call,
	account: Account,
	isForced: boolean,
): Verdict {
	const { state, nowMs } = call;
	const { book, knobs } = state;
	const { stable, counters } = account;
	const isEarly = nowMs - stable.forcedAt < knobs.forceIntervalSeconds * 1000;
	// Documented: within 30 s of another, a forced call does not refresh.
	if (isForced && isEarly && knobs.earlyForce === 45011) return refused(45011);
	const capRefusal = quotaRefusal(call, account, "force_refresh");
	if (capRefusal === undefined) stable.forceBlocked = false;
	if (isForced && !isEarly) {
		if (capRefusal !== undefined) {
			// The cap alone blocks nothing: the first refused call does.
			stable.forceBlocked = true;
			return capRefusal;
		}
		const token = forceStable(book, stable, knobs, nowMs);
		countCall(counters, "force_refresh", knobs, nowMs);
		return issued(token, nowMs);
	}
	if (stable.forceBlocked && knobs.forceCapBlocksNormal) return refused(45009);
	const { token, isNew } = fetchStable(book, stable, knobs, nowMs);
	return issued(token, nowMs, isNew);
}

/** Reads `force_refresh` as a lenient parser does: `"false"`, `"0"` and `0` are false. */
function isForce(value: unknown): boolean {
	return value === "false" || value === "0" ? false : Boolean(value);
}

/** Documented: `expires_in` is the remaining time, in whole seconds. There is no errcode. */
function issued(token: IssuedToken, nowMs: number, isNew = true): Verdict {
	return granted(
		{
			access_token: token.value,
			expires_in: Math.floor((token.expiresAt - nowMs) / 1000),
		},
		isNew ? "issued" : "same",
	);
}

/** `GET /cgi-bin/ticket/getticket`. It does not exist for 小程序. */
function ticket(call: Call): Verdict {
	const { state, request, nowMs } = call;
	return withToken(call, (account) => {
		if (account.kind === "mini") return refused(48001);
		const { type } = request.query;
		if (!isTicketType(type)) return refused(40097);
		return withinQuota(call, account, "getticket", () => {
			const before = account.tickets.get(type);
			const line = fetchTicket(before, state.random, state.knobs, nowMs);
			account.tickets.set(type, line);
			return granted(
				{
					errcode: 0,
					errmsg: "ok",
					ticket: line.current.value,
					expires_in: ticketLifetimeSeconds,
				},
				line === before ? "same" : "issued",
			);
		});
	});
}

/** `get_api_domain_ip` and `getcallbackip`: cheap calls that show whether a token is alive. */
function ipList(
	call: Call,
	quota: "get_api_domain_ip" | "getcallbackip",
): Verdict {
	return withToken(call, (account) =>
		withinQuota(call, account, quota, () =>
			granted({ ip_list: ["101.226.212.27", "112.60.0.226"] }),
		),
	);
}

/**
 * `/sim/use`. It stands for any business API. `for` names the account kind that
 * the API is made for.
 */
function useToken(call: Call): Verdict {
	const { random, knobs } = call.state;
	const isHit = (share: number) => share > 0 && random.next() < share;
	if (isHit(knobs.busyShare)) return refused(-1);
	return withToken(call, (account) => {
		const madeFor = call.request.query.for;
		if (madeFor !== undefined && madeFor !== account.kind)
			return refused(48001);
		if (isHit(knobs.flappingShare)) return refused(40001);
		return ok;
	});
}

/** `POST /cgi-bin/openapi/quota/get` with `{"cgi_path"}`: a path without a host. */
function quotaGet(call: Call): Verdict {
	if (call.request.method !== "POST") return refused(43002);
	return withToken(call, (account) =>
		withinQuota(call, account, "quota/get", () => quotaOf(call, account)),
	);
}

/** The path must be as in a request line: 76003 with a host or without the slash, 76021 without a quota. */
function quotaOf({ state, request, nowMs }: Call, account: Account): Verdict {
	const path = parseBody(request.body)?.cgi_path;
	if (typeof path !== "string" || !path.startsWith("/")) return refused(76003);
	const quota = weixinEndpointOf(path);
	if (!isQuotaName(quota)) return refused(76021);
	const { perDay, perMinute } = account.limits[quota];
	const used = usageAt(account.counters, quota, state.knobs, nowMs);
	return granted({
		errcode: 0,
		errmsg: "ok",
		quota: {
			daily_limit: perDay,
			used: used.today,
			remain: Math.max(0, perDay - used.today),
		},
		rate_limit: {
			call_count: perMinute - used.thisMinute,
			refresh_second: 60 - (Math.floor(nowMs / 1000) % 60),
		},
	});
}

/** `POST /cgi-bin/clear_quota?access_token=` with `{"appid"}`. */
function clearQuota(call: Call): Verdict {
	const { method, body } = call.request;
	if (method !== "POST") return refused(43002);
	return withToken(call, (account) =>
		parseBody(body)?.appid === account.appid
			? clear(account, call.nowMs)
			: refused(40013),
	);
}

/** `POST /cgi-bin/clear_quota/v2` with appid and appsecret, in the query or as JSON. */
function clearQuotaBySecret(call: Call): Verdict {
	const { method, query, body } = call.request;
	if (method !== "POST") return refused(43002);
	const fields: Readonly<Record<string, unknown>> = {
		...query,
		...parseBody(body),
	};
	return withAccount(call, fields.appid, (account) => {
		const { appsecret } = fields;
		if (typeof appsecret !== "string" || appsecret === "")
			return refused(41004);
		return (
			secretRefusal(call, account, appsecret) ?? clear(account, call.nowMs)
		);
	});
}

/** Documented: ten resets per account and month. */
const clearsPerMonth = 10;

/** Resets all quotas of the account. A month is a month in UTC+8. */
function clear(account: Account, nowMs: number): Verdict {
	const beijing = new Date(nowMs + 8 * 3_600_000);
	const month = beijing.getUTCFullYear() * 12 + beijing.getUTCMonth();
	if (account.clears.month !== month) account.clears = { month, used: 0 };
	if (account.clears.used >= clearsPerMonth) return refused(48006);
	account.clears.used += 1;
	account.counters.clear();
	account.stable.forceBlocked = false;
	return ok;
}

/** The success of an API without a result. */
const ok = granted({ errcode: 0, errmsg: "ok" });

/** The endpoints of this host. Faults, quotas and the request log use the names. */
const endpoints = {
	token: { path: "/cgi-bin/token", decide: classicToken },
	stable_token: { path: "/cgi-bin/stable_token", decide: stableToken },
	getticket: { path: "/cgi-bin/ticket/getticket", decide: ticket },
	get_api_domain_ip: {
		path: "/cgi-bin/get_api_domain_ip",
		decide: (call) => ipList(call, "get_api_domain_ip"),
	},
	getcallbackip: {
		path: "/cgi-bin/getcallbackip",
		decide: (call) => ipList(call, "getcallbackip"),
	},
	clear_quota: { path: "/cgi-bin/clear_quota", decide: clearQuota },
	"clear_quota/v2": {
		path: "/cgi-bin/clear_quota/v2",
		decide: clearQuotaBySecret,
	},
	"quota/get": { path: "/cgi-bin/openapi/quota/get", decide: quotaGet },
	api_component_token: {
		path: "/cgi-bin/component/api_component_token",
		decide: componentToken,
	},
	api_start_push_ticket: {
		path: "/cgi-bin/component/api_start_push_ticket",
		decide: startPushTicket,
	},
	api_create_preauthcode: {
		path: "/cgi-bin/component/api_create_preauthcode",
		decide: preAuthCode,
	},
	api_query_auth: {
		path: "/cgi-bin/component/api_query_auth",
		decide: queryAuth,
	},
	api_authorizer_token: {
		path: "/cgi-bin/component/api_authorizer_token",
		decide: authorizerToken,
	},
	api_get_authorizer_info: {
		path: "/cgi-bin/component/api_get_authorizer_info",
		decide: authorizerInfo,
	},
	api_get_authorizer_list: {
		path: "/cgi-bin/component/api_get_authorizer_list",
		decide: authorizerList,
	},
	use: { path: "/sim/use", decide: useToken },
} as const satisfies Readonly<
	Record<string, { path: string; decide: (call: Call) => Verdict }>
>;

/** An endpoint of this host. `other` is every path that it does not have. */
export type WeixinEndpoint = keyof typeof endpoints | "other";

const names = Object.keys(endpoints) as readonly (keyof typeof endpoints)[];

const namesByPath: ReadonlyMap<string, WeixinEndpoint> = new Map(
	names.map((name) => [endpoints[name].path, name]),
);

/** Every endpoint of this host, `other` included. */
export const weixinEndpointNames: readonly WeixinEndpoint[] = [
	...names,
	"other",
];

/** The endpoint at a path, which comes without its query. */
export function weixinEndpointOf(path: string): WeixinEndpoint {
	return namesByPath.get(path) ?? "other";
}

/**
 * The answer of api.weixin.qq.com. Its gateway refuses a chunked body with HTTP
 * 412, as SDK issues report. Apps call many more APIs than there are endpoints here:
 * whatever comes with a token is taken for one of them, and judged like `/sim/use`.
 * Any other unknown path gets 40066.
 */
export function answerAtWeixin(call: Call): HostAnswer {
	const { chunked, method, path } = call.request;
	if (chunked && method === "POST") return statusOnly(412);
	const endpoint = weixinEndpointOf(path);
	const verdict =
		endpoint === "other" ? useOther(call) : endpoints[endpoint].decide(call);
	return toAnswer(call, verdict);
}

function useOther(call: Call): Verdict {
	return call.request.query.access_token === undefined
		? refused(40066)
		: useToken(call);
}

/**
 * The endpoints of qyapi.weixin.qq.com (企业微信), and what its gateway answers. Its
 * errcodes and error texts are its own.
 */
import { type Call, serverTime } from "./accounts.ts";
import {
	type HostAnswer,
	jsonHeaders,
	parseBody,
	statusOnly,
} from "./http-messages.ts";
import { corpToken, permanentCode, suiteToken } from "./suite-endpoints.ts";
import { ticketLifetimeSeconds } from "./tickets.ts";
import {
	answerWithToken,
	countWrongSecret,
	type Decision,
	fetchWecomTicket,
	isBanned,
	isTrusted,
	isWecomTokenAlive,
	mayFetchTicket,
	type WecomApp,
} from "./wecom.ts";

/** The name of an endpoint of this host; `other` is every path that it does not have. */
export type QyapiEndpoint =
	| "gettoken"
	| "get_provider_token"
	| "get_suite_token"
	| "get_permanent_code"
	| "get_corp_token"
	| "get_jsapi_ticket"
	| "ticket/get"
	| "get_api_domain_ip"
	| "department/list"
	| "other";

/** An endpoint: its name in logs and faults, and the empty fields of its errors. */
interface QyapiEndpointRow {
	readonly name: QyapiEndpoint;
	readonly defaults: Readonly<Record<string, unknown>>;
	readonly decide: (call: Call) => Decision;
}

/** The texts as captured, or else as documented; without the hint. */
const errmsgs: Readonly<Record<number, string>> = {
	[-1]: "system error",
	40001: "invalid credential",
	40013: "invalid corpid",
	40014: "invalid access_token",
	40029: "invalid code",
	40078: " invalid auth_code",
	40080: "invalid suite_secret",
	40082: "invalid suite_acccess_token or provider_access_token",
	40083: "invalid SuiteId",
	40084: "invalid permanent_code",
	40085: "invalid suite_ticket",
	41001: "access_token missing",
	41002: "corpid missing",
	41004: "corpsecret missing",
	41021: "suite_id missing",
	41022: "suite_access_token missing",
	41023: "suite_ticket missing",
	41025: "permanent_code missing",
	42001: "access_token expired",
	42009: "suite_access_token expired",
	43002: "require POST method",
	45009: "api freq out of limit",
	47001: "data format error",
	48002: "api forbidden",
	50003: "agent is disabled",
	60020: "not allow to access from your ip",
};

/** Checked in this order: no secret, unknown corp, wrong secret, disabled app. */
function withSecret(
	call: Call,
	corpid: unknown,
	secret: unknown,
	isProvider: boolean,
	decide: (app: WecomApp) => Decision,
): Decision {
	const { state, request, nowMs } = call;
	if (typeof secret !== "string" || secret === "") return { errcode: 41004 };
	if (typeof corpid !== "string" || corpid === "") return { errcode: 41002 };
	const ofCorp = state.wecom.apps.filter(
		(app) => app.corpid === corpid && (app.kind === "provider") === isProvider,
	);
	if (ofCorp.length === 0) return { errcode: 40013 };
	const app = ofCorp.find((one) => one.secret === secret);
	if (app === undefined || app.isDisabled) {
		const errcode = isProvider ? 40080 : 40001;
		countWrongSecret(state, request.ip, errcode, nowMs);
		return { errcode };
	}
	// A 服务商 calls from listed addresses only; an own app is checked at its use.
	if (isProvider && !isTrusted(app, request.ip)) return { errcode: 60020 };
	return decide(app);
}

/** The app of the access_token in the query: 40014 if it is none, 42001 once it ended by age. */
function withToken(call: Call, decide: (app: WecomApp) => Decision): Decision {
	const { state, request, nowMs } = call;
	const value = request.query.access_token;
	if (!value) return { errcode: 41001 };
	const token = state.wecom.tokens.get(value);
	if (token === undefined || token.isInvalid) return { errcode: 40014 };
	if (token.app.kind === "suite") return { errcode: 40014 };
	if (!isWecomTokenAlive(token, nowMs)) return { errcode: 42001 };
	return isTrusted(token.app, request.ip)
		? decide(token.app)
		: { errcode: 60020 };
}

function ticket(call: Call, type: "jsapi" | "agent_config"): Decision {
	return withToken(call, (app) => {
		const { state, nowMs } = call;
		if (app.kind === "provider") return { errcode: 48002 };
		if (!mayFetchTicket(state.wecom, app, nowMs)) return { errcode: 45009 };
		return {
			content: {
				ticket: fetchWecomTicket(state, app, type, nowMs),
				expires_in: ticketLifetimeSeconds,
			},
			outcome: "ok",
		};
	});
}

const addresses = ["182.254.11.176", "182.254.78.66"];

const endpoints: Readonly<Record<string, QyapiEndpointRow>> = {
	"/cgi-bin/gettoken": {
		name: "gettoken",
		defaults: {},
		decide: (call) => {
			const { corpid, corpsecret } = call.request.query;
			return withSecret(call, corpid, corpsecret, false, (app) =>
				answerWithToken(call.state, app, "access_token", call.nowMs),
			);
		},
	},
	"/cgi-bin/service/get_provider_token": {
		name: "get_provider_token",
		defaults: {},
		decide: (call) => {
			if (call.request.method !== "POST") return { errcode: 43002 };
			const fields = parseBody(call.request.body);
			if (fields === undefined) return { errcode: 47001 };
			const { corpid, provider_secret } = fields;
			return withSecret(call, corpid, provider_secret, true, (app) =>
				answerWithToken(call.state, app, "provider_access_token", call.nowMs),
			);
		},
	},
	"/cgi-bin/service/get_suite_token": {
		...{ name: "get_suite_token", defaults: {}, decide: suiteToken },
	},
	"/cgi-bin/service/get_permanent_code": {
		...{ name: "get_permanent_code", defaults: {}, decide: permanentCode },
	},
	"/cgi-bin/service/get_corp_token": {
		...{ name: "get_corp_token", defaults: {}, decide: corpToken },
	},
	"/cgi-bin/get_jsapi_ticket": {
		name: "get_jsapi_ticket",
		defaults: { ticket: "", expires_in: 0 },
		decide: (call) => ticket(call, "jsapi"),
	},
	"/cgi-bin/ticket/get": {
		name: "ticket/get",
		defaults: { ticket: "", expires_in: 0 },
		decide: (call) =>
			call.request.query.type === "agent_config"
				? ticket(call, "agent_config")
				: { errcode: 40097 },
	},
	"/cgi-bin/get_api_domain_ip": {
		name: "get_api_domain_ip",
		defaults: { ip_list: [] },
		decide: (call) =>
			withToken(call, () => ({
				content: { ip_list: addresses },
				outcome: "ok",
			})),
	},
	"/cgi-bin/department/list": {
		name: "department/list",
		defaults: { department: [] },
		decide: (call) =>
			withToken(call, () => ({
				content: { department: [{ id: 1, name: "simulated" }] },
				outcome: "ok",
			})),
	},
};

/** The names of all endpoints, for faults. */
export const qyapiEndpointNames: readonly QyapiEndpoint[] = Object.values(
	endpoints,
).map(({ name }) => name);

/** The name of the endpoint at a path, without its query. */
export function qyapiEndpointOf(path: string): QyapiEndpoint {
	return rowAt(path)?.name ?? "other";
}

function rowAt(path: string): QyapiEndpointRow | undefined {
	return Object.hasOwn(endpoints, path) ? endpoints[path] : undefined;
}

/**
 * Captured: plain HTTP is redirected to https, and an unknown path gets 404 without a
 * body. With the knob `wecomPlainHttp` the endpoints answer over plain HTTP, too.
 */
export function answerAtQyapi(call: Call): HostAnswer {
	const { request, state } = call;
	if (!request.secure && state.knobs.wecomPlainHttp === "redirected")
		return statusOnly(301, {
			Location: `https://qyapi.weixin.qq.com${request.path}`,
		});
	const row = rowAt(request.path);
	if (row === undefined) return statusOnly(404);
	const decided: Decision = isBanned(state.wecom, request.ip, call.nowMs)
		? { errcode: 45009 }
		: row.decide(call);
	if ("errcode" in decided) return refusal(call, row, decided.errcode);
	// The pages of these endpoints: an errcode comes with a failure only.
	const isBare =
		request.path.startsWith("/cgi-bin/service/") &&
		state.knobs.serviceErrcode === "on-failure";
	const head = isBare ? {} : { errcode: 0, errmsg: "ok" };
	return answer(call, { ...head, ...decided.content }, decided.outcome);
}

function refusal(
	call: Call,
	{ defaults }: QyapiEndpointRow,
	errcode: number,
): HostAnswer {
	const errmsg = qyapiErrmsg(call, errcode);
	return answer(call, { errcode, errmsg, ...defaults }, `errcode ${errcode}`);
}

function answer(
	{ state }: Call,
	content: Readonly<Record<string, unknown>>,
	outcome: string,
): HostAnswer {
	const extra = state.knobs.extraKeys ? { warning_msg: oldTls } : {};
	const body = JSON.stringify({ ...content, ...extra });
	return { status: 200, headers: jsonHeaders, body, outcome };
}

const oldTls =
	"you are using TLS v1 which is deprecated, please use TLS v1.2 or higher.";

/** The text of an error with its hint and the caller's address, as captured. */
export function qyapiErrmsg(call: Call, errcode: number): string {
	const { request, state, nowMs } = call;
	const seconds = Math.floor(serverTime(state, nowMs) / 1000);
	const serial = String(Math.floor(state.random.next() * 1e9)).padStart(9, "0");
	const text = errmsgs[errcode] ?? "unknown error";
	return `${text}, hint: [${seconds}${serial}], from ip: ${request.ip}, more info at https://open.work.weixin.qq.com/devtool/query?e=${errcode}`;
}

/** The endpoints below /cgi-bin/service/ of qyapi.weixin.qq.com, for suites of a 服务商. */
import { type Call, serverTime } from "./accounts.ts";
import { parseBody } from "./http-messages.ts";
import {
	type Suite,
	type SuiteCorp,
	suiteCodeMs,
	suiteTicketSeconds,
} from "./suites.ts";
import {
	answerWithToken,
	countWrongSecret,
	type Decision,
	isTrusted,
	isWecomTokenAlive,
} from "./wecom.ts";

type Fields = Readonly<Record<string, unknown>>;

/** `POST get_suite_token`: a GET has no body, and so names no suite. */
export function suiteToken(call: Call): Decision {
	const { state, request, nowMs } = call;
	const fields = request.method === "POST" ? parseBody(request.body) : {};
	if (fields === undefined) return { errcode: 47001 };
	const { suite_id, suite_secret, suite_ticket } = fields;
	if (request.method === "POST" && suite_id === undefined)
		return { errcode: 41021 };
	const suite = state.suites.get(String(suite_id));
	if (suite === undefined) return { errcode: 40083 };
	if (!isTrusted(suite.app, request.ip)) return { errcode: 60020 };
	if (suite_secret !== suite.app.secret) {
		countWrongSecret(state, request.ip, 40080, nowMs);
		return { errcode: 40080 };
	}
	if (suite_ticket === undefined) return { errcode: 41023 };
	if (!isTicketTaken(suite, suite_ticket, call)) return { errcode: 40085 };
	return answerWithToken(
		call.state,
		suite.app,
		"suite_access_token",
		call.nowMs,
	);
}

/** `POST get_permanent_code`: a code works once. */
export function permanentCode(call: Call): Decision {
	return withSuiteToken(call, (suite, { auth_code }) => {
		const { state, nowMs } = call;
		const used = { errcode: state.knobs.usedSuiteCode };
		const code = suite.codes.get(String(auth_code));
		if (code === undefined || code.isUsed) return used;
		if (nowMs - code.madeAt > suiteCodeMs) return used;
		code.isUsed = true;
		const corp = suite.corps.get(code.corpid);
		if (corp === undefined || corp.isCancelled) return used;
		if (corp.nextCode !== undefined) putCode(corp, corp.nextCode);
		// 代开发 apps get theirs by gettoken.
		const own = suite.isCustomized
			? undefined
			: answerWithToken(call.state, corp.app, "access_token", call.nowMs);
		return {
			content: {
				...(own !== undefined && "content" in own ? own.content : {}),
				permanent_code: corp.code,
				auth_corp_info: { corpid: corp.corpid, corp_name: corp.corpid },
				auth_info: { agent: [{ agentid: corp.app.agentId, name: "app" }] },
			},
			outcome: "issued",
		};
	});
}

/** `POST get_corp_token`: not for 代开发, whose permanent codes are for gettoken. */
export function corpToken(call: Call): Decision {
	const { state, request, nowMs } = call;
	return withSuiteToken(call, (suite, { auth_corpid, permanent_code }) => {
		if (permanent_code === undefined) return { errcode: 41025 };
		const corp = suite.corps.get(String(auth_corpid));
		const isRight =
			corp !== undefined &&
			!suite.isCustomized &&
			!corp.isCancelled &&
			corp.code === permanent_code;
		if (isRight)
			return answerWithToken(call.state, corp.app, "access_token", call.nowMs);
		countWrongSecret(state, request.ip, 40084, nowMs);
		return { errcode: 40084 };
	});
}

/** The permanent code of the corp is another one from now on. */
export function putCode(corp: SuiteCorp, code: string): void {
	corp.code = code;
	corp.app.secret = code;
	corp.nextCode = undefined;
}

/** The suite of the suite_access_token in the query: 40082 if it is none, 42009 once it ended by age. */
function withSuiteToken(
	call: Call,
	decide: (suite: Suite, fields: Fields) => Decision,
): Decision {
	const { state, request, nowMs } = call;
	if (request.method !== "POST") return { errcode: 43002 };
	const value = request.query.suite_access_token;
	if (!value) return { errcode: 41022 };
	const token = state.wecom.tokens.get(value);
	const suite = token && state.suites.get(token.app.corpid);
	if (token === undefined || suite === undefined || token.isInvalid)
		return { errcode: 40082 };
	if (token.app !== suite.app) return { errcode: 40082 };
	if (!isWecomTokenAlive(token, nowMs)) return { errcode: 42009 };
	if (!isTrusted(suite.app, request.ip)) return { errcode: 60020 };
	const fields = parseBody(request.body);
	return fields === undefined ? { errcode: 47001 } : decide(suite, fields);
}

/** U35: each ticket for half an hour after it was pushed, or only the newest. */
function isTicketTaken(
	{ tickets }: Suite,
	value: unknown,
	{ state, nowMs }: Call,
): boolean {
	const found = tickets.find((ticket) => ticket.value === value);
	if (found === undefined) return false;
	const isNewest = found === tickets.at(-1);
	if (!isNewest && state.knobs.olderSuiteTickets === "newest-only")
		return false;
	const ageMs = serverTime(state, nowMs) - found.pushedAt;
	return ageMs <= suiteTicketSeconds * 1000;
}

/** The endpoints below /cgi-bin/component/, for 第三方平台. */
import { type Call, serverTime } from "./accounts.ts";
import {
	type Authorizer,
	type Component,
	renewRefreshToken,
	ticketSeconds,
} from "./components.ts";
import { parseBody } from "./http-messages.ts";
import { createAccount } from "./operator.ts";
import { countCall, exceededBy } from "./quotas.ts";
import { emptyLine, endToken, fetchClassic, isLive } from "./tokens.ts";
import { endedTokenCode } from "./weixin-access.ts";
import { granted, refused, type Verdict } from "./weixin-answers.ts";

type Fields = Readonly<Record<string, unknown>>;

/** `POST api_component_token` */
export function componentToken(call: Call): Verdict {
	return withSecret(call, "component_appsecret", (component, fields) => {
		const { state, nowMs } = call;
		const { knobs, book } = state;
		const { counters, limits, line } = component;
		const refusal = ticketRefusal(
			component,
			fields.component_verify_ticket,
			call,
		);
		if (refusal !== undefined) return refusal;
		const limit = limits.api_component_token;
		if (exceededBy(counters, "api_component_token", limit, knobs, nowMs))
			return refused(45009);
		countCall(counters, "api_component_token", knobs, nowMs);
		for (const token of line.former)
			endToken(token, nowMs, "overwritten", nowMs);
		const lives = { "300": 300_000, "0": 0, own: Number.POSITIVE_INFINITY };
		const endsAt = nowMs + lives[knobs.componentFormer];
		if (line.current !== undefined)
			endToken(line.current, endsAt, "overwritten", nowMs);
		const token = book.issue(line, nowMs);
		return granted(
			{
				component_access_token: token.value,
				expires_in: Math.floor((token.expiresAt - nowMs) / 1000),
			},
			"issued",
		);
	});
}

/** `POST api_start_push_ticket`: it also tells whether pushes had stopped. */
export function startPushTicket(call: Call): Verdict {
	return withSecret(call, "component_secret", (component) => {
		if (!component.isStopped)
			return granted({ errcode: 0, errmsg: "in a normal state" });
		component.isStopped = false;
		component.failingSince = undefined;
		if (call.state.knobs.firstPush === "at-once")
			component.nextTicketAt = call.nowMs;
		return granted({ errcode: 0, errmsg: "ok" });
	});
}

/** `POST api_create_preauthcode` */
export function preAuthCode(call: Call): Verdict {
	return withComponentToken(call, () =>
		granted({
			pre_auth_code: `preauthcode@@@${call.state.random.text(86)}`,
			expires_in: 1800,
		}),
	);
}

/** `POST api_query_auth`: exchanges a code, once. */
export function queryAuth(call: Call): Verdict {
	const { state, nowMs } = call;
	return withComponentToken(call, (component, fields) => {
		const code = component.codes.get(String(fields.authorization_code));
		if (code === undefined) return refused(61009);
		if (nowMs - code.madeAt > 3_600_000) return refused(61010);
		if (code.isUsed && state.knobs.usedAuthCode === 61009)
			return refused(61009);
		code.isUsed = true;
		const authorizer = component.authorizers.get(code.authorizer);
		if (authorizer === undefined || authorizer.isCancelled)
			return refused(61003);
		authorizer.isExchanged = true;
		const { value, expires_in } = issue(call, authorizer);
		return granted(
			{
				authorization_info: {
					authorizer_appid: authorizer.appid,
					authorizer_access_token: value,
					expires_in,
					authorizer_refresh_token: authorizer.refreshToken,
					func_info,
				},
			},
			"issued",
		);
	});
}

/** `POST api_authorizer_token` */
export function authorizerToken(call: Call): Verdict {
	const { state, nowMs } = call;
	const { knobs, random } = state;
	return withAuthorizer(call, (authorizer, fields, component) => {
		const given = fields.authorizer_refresh_token;
		if (authorizer.isCancelled) return refused(knobs.cancelledCode);
		const { former } = authorizer;
		const isFormer =
			former !== undefined && former.value === given && nowMs < former.endsAt;
		if (given !== authorizer.refreshToken && !isFormer) return refused(61023);
		authorizer.counters ??= new Map();
		const { counters } = authorizer;
		const limit = component.limits.api_authorizer_token;
		if (exceededBy(counters, "api_authorizer_token", limit, knobs, nowMs))
			return refused(45009);
		countCall(counters, "api_authorizer_token", knobs, nowMs);
		if (knobs.refreshTokenOnRefresh === "new")
			renewRefreshToken(authorizer, random, nowMs);
		const { value, expires_in, isNew } = issue(call, authorizer);
		return granted(
			{
				authorizer_access_token: value,
				expires_in,
				authorizer_refresh_token: authorizer.refreshToken,
			},
			isNew ? "issued" : "same",
		);
	});
}

/** `POST api_get_authorizer_info` */
export function authorizerInfo(call: Call): Verdict {
	return withAuthorizer(call, (authorizer) => {
		if (authorizer.isCancelled) return refused(61003);
		return granted({
			authorizer_info: { nick_name: authorizer.appid, account_status: 1 },
			authorization_info: {
				authorizer_appid: authorizer.appid,
				authorizer_refresh_token: shownRefreshToken(call, authorizer),
				func_info,
			},
		});
	});
}

/** `POST api_get_authorizer_list`: at most 500 at a time. */
export function authorizerList(call: Call): Verdict {
	return withComponentToken(call, (component, { offset = 0, count }) => {
		if (!isCount(offset) || !isCount(count)) return refused(47001);
		if (count > 500) return refused(40170);
		const all = [...component.authorizers.values()].filter(
			({ isCancelled }) => !isCancelled,
		);
		// U41: while pages are read, an account that comes first shifts all others.
		if (call.state.knobs.listOrder === "newest-first") all.reverse();
		return granted({
			total_count: all.length,
			list: all.slice(offset, offset + count).map((one) => ({
				authorizer_appid: one.appid,
				refresh_token: shownRefreshToken(call, one),
				auth_time: Math.floor(one.authorizedAt / 1000),
			})),
		});
	});
}

const func_info = [{ funcscope_category: { id: 1 } }];

function isCount(value: unknown): value is number {
	return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

/** U42 */
function shownRefreshToken(
	{ state }: Call,
	{ isExchanged, refreshToken }: Authorizer,
): string {
	return isExchanged || !state.knobs.emptyUntilExchanged ? refreshToken : "";
}

/** U22: a token of the account for the component. */
function issue({ state, nowMs }: Call, authorizer: Authorizer) {
	const { book, knobs } = state;
	const { appid } = authorizer;
	authorizer.line ??= emptyLine(appid);
	const { line } = authorizer;
	// Its token is used as one of its own. Nobody here knows its secret.
	if (!state.accounts.has(appid))
		state.accounts.set(appid, createAccount({ appid, secret: "" }));
	const { current } = line;
	const leftMs = (current?.endsAt ?? 0) - nowMs;
	const isSame = knobs.authorizerReissue === "same-until-300" && leftMs > 3e5;
	const token =
		isSame && current !== undefined
			? current
			: fetchClassic(book, line, knobs, nowMs);
	if (!isSame && knobs.authorizerReissue === "new-former-0")
		for (const former of line.former)
			endToken(former, nowMs, "overwritten", nowMs);
	const own = state.accounts.get(appid)?.classic.current;
	if (knobs.authorizerFetchEndsOwn && own !== undefined)
		endToken(own, nowMs, "overwritten", nowMs);
	return {
		value: token.value,
		expires_in: Math.floor((token.expiresAt - nowMs) / 1000),
		isNew: !isSame,
	};
}

/** Finds the component by `component_appid`, and checks address and secret. */
function withSecret(
	call: Call,
	field: "component_appsecret" | "component_secret",
	decide: (component: Component, fields: Fields) => Verdict,
): Verdict {
	const { state, request } = call;
	if (request.method !== "POST") return refused(43002);
	const fields = parseBody(request.body);
	if (fields === undefined) return refused(47001);
	const component = state.components.get(String(fields.component_appid));
	if (component === undefined) return refused(61011);
	const refusal = addressRefusal(component, request.ip);
	if (refusal !== undefined) return refusal;
	if (fields[field] === undefined) return refused(41004);
	return fields[field] === component.secret
		? decide(component, fields)
		: refused(40125);
}

function addressRefusal(
	{ whitelist }: Component,
	ip: string,
): Verdict | undefined {
	return whitelist === undefined || whitelist.includes(ip)
		? undefined
		: refused(61004, `access clientip is not registered requestIP: ${ip}`);
}

/** Older pages name the parameter `component_access_token`. */
function withComponentToken(
	call: Call,
	decide: (component: Component, fields: Fields) => Verdict,
): Verdict {
	const { state, request, nowMs } = call;
	if (request.method !== "POST") return refused(43002);
	const { access_token, component_access_token } = request.query;
	const value = access_token ?? component_access_token;
	if (!value) return refused(41001);
	const token = state.book.find(value);
	if (token === undefined) return refused(40001);
	const component = state.components.get(token.appid);
	if (component === undefined) return refused(61014);
	const refusal = addressRefusal(component, request.ip);
	if (refusal !== undefined) return refusal;
	if (!isLive(token, nowMs)) return refused(endedTokenCode(call, token));
	const fields = parseBody(request.body);
	if (fields === undefined) return refused(47001);
	return fields.component_appid === component.appid
		? decide(component, fields)
		: refused(61011);
}

function withAuthorizer(
	call: Call,
	decide: (
		authorizer: Authorizer,
		fields: Fields,
		component: Component,
	) => Verdict,
): Verdict {
	return withComponentToken(call, (component, fields) => {
		const appid = String(fields.authorizer_appid);
		const authorizer = component.authorizers.get(appid);
		return authorizer === undefined
			? refused(61003)
			: decide(authorizer, fields, component);
	});
}

/** U28: each ticket for its own twelve hours, or only the newest. */
function ticketRefusal(
	{ tickets }: Component,
	value: unknown,
	call: Call,
): Verdict | undefined {
	const found = tickets.find((ticket) => ticket.value === value);
	const isNewest = found === tickets.at(-1);
	if (found === undefined) return refused(61006);
	if (!isNewest && call.state.knobs.olderTickets === "newest-only")
		return refused(61006);
	const ageMs = serverTime(call.state, call.nowMs) - found.madeAt;
	return ageMs > ticketSeconds * 1000 ? refused(61005) : undefined;
}

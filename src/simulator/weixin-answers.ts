/**
 * The answers of api.weixin.qq.com: its errcodes with their texts, and the form
 * of its JSON. Other hosts use some of the same numbers for other errors, so each
 * host has texts of its own.
 */
import { type Call, serverTime } from "./accounts.ts";
import { type HostAnswer, jsonHeaders } from "./http-messages.ts";

/** What an endpoint decided, before it becomes an HTTP answer. */
export interface Verdict {
	/** 0: the call succeeded. */
	readonly errcode: number;
	/** The keys of the body. The `rid` of an error is added later. */
	readonly content: Readonly<Record<string, unknown>>;
	/** For logs and counters: `ok`, `issued`, `same` or `errcode N`. */
	readonly outcome: string;
}

/** The texts as captured from WeChat, or else as documented; without the `rid`. */
const errmsgs: Readonly<Record<number, string>> = {
	[-1]: "system error",
	40001:
		"invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
	40002: "invalid grant_type",
	40013: "invalid appid",
	40014: "invalid access_token",
	40066: "invalid url",
	40097: "invalid args",
	40125: "invalid appsecret",
	40164: "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist",
	40243: "appsecret is frozen",
	41001: "access_token missing",
	41002: "appid missing",
	41004: "appsecret missing",
	42001: "access_token expired",
	43001: "require GET method",
	43002: "require POST method",
	44002: "empty post data",
	45009: "reach max api daily quota limit",
	45011: "api minute-quota reach limit, must slower, retry next minute",
	47001: "data format error",
	48001: "api unauthorized",
	48006: "forbid to clear quota because of reaching the limit",
	50002: "user limited",
	50004: "user not allow to use accesstoken, maybe for punishment",
	50007: "account is frozen",
	40170: "args count exceed count limit",
	61003: "component is not authorized by this account",
	61004: "access clientip is not registered",
	61005: "component ticket is expired",
	61006: "component ticket is invalid",
	61009: "code is invalid",
	61010: "code is expired",
	61011: "invalid component",
	61014: "must use component token for component api",
	61023: "refresh_token is invalid",
	61024: "must use api(api_component_token) to  get token for component acct",
	76003: "cgi_path not found, please check",
	76021: "could not use this cgi_path,no permission",
	89501: "此IP正在等待管理员确认，请联系管理员",
	89503: "此次调用需要管理员确认，请耐心等候",
	89506:
		"该IP调用求请求已被公众号管理员拒绝，请24小时后再试，建议调用前与管理员沟通确认",
	89507:
		"该IP调用求请求已被公众号管理员拒绝，请1小时后再试，建议调用前与管理员沟通确认",
};

/** A success. `outcome` is for logs and counters. */
export function granted(
	content: Readonly<Record<string, unknown>>,
	outcome = "ok",
): Verdict {
	return { errcode: 0, content, outcome };
}

/** An error, with WeChat's text for the errcode unless another is given. */
export function refused(
	errcode: number,
	errmsg: string = errmsgOf(errcode),
): Verdict {
	return {
		errcode,
		content: { errcode, errmsg },
		outcome: `errcode ${errcode}`,
	};
}

/** The text of an error with its `rid`, as WeChat sends it. */
export function signedErrmsg(
	call: Call,
	errcode: number,
	errmsg: string = errmsgOf(errcode),
): string {
	return `${errmsg} rid: ${ridOf(call)}`;
}

/** The HTTP answer: business errors are HTTP 200 too. */
export function toAnswer(
	call: Call,
	{ errcode, content, outcome }: Verdict,
): HostAnswer {
	const signed =
		errcode === 0
			? content
			: {
					...content,
					errmsg: signedErrmsg(call, errcode, String(content.errmsg)),
				};
	const body = JSON.stringify(
		call.state.knobs.extraKeys ? { ...signed, ...extraKeys } : signed,
	);
	return { status: 200, headers: jsonHeaders, body, outcome };
}

/** WeChat's id of a call. Its first group is the server's Unix time in seconds, in hex. */
function ridOf({ state, nowMs }: Call): string {
	const group = () => hex8(Math.floor(state.random.next() * 2 ** 32));
	const seconds = Math.floor(serverTime(state, nowMs) / 1000);
	return `${hex8(seconds)}-${group()}-${group()}`;
}

/** Keys without documentation. The first was seen on 企业微信. */
const extraKeys = {
	warning_msg:
		"you are using TLS v1 which is deprecated, please use TLS v1.2 or higher.",
	more: { nested: [1, null] },
};

/** The text of an errcode without its `rid`. */
function errmsgOf(errcode: number): string {
	return errmsgs[errcode] ?? "unknown error";
}

function hex8(count: number): string {
	return count.toString(16).padStart(8, "0");
}

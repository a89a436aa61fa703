/**
 * What WeChat's answers mean for a keeper: one table from errcode, and one from
 * what can go wrong on the way. Sources: the official pages of the two token
 * endpoints, and what SDKs and operators have seen.
 */
import type { IssuerErrorKind } from "../core/errors.ts";

export interface Meaning {
	readonly kind: IssuerErrorKind;
	/** Instead of `errcode …`. */
	readonly code?: string;
	/** A short cause in English, with the official Chinese term where there is one. */
	readonly meaning: string;
	/** What a person does about it. */
	readonly hint: string;
	/** The least wait before the next attempt; undefined: exponential backoff. */
	readonly waitMs?: number;
}

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

/** The code of a forced refresh that the platform's limits forbid. */
export const forceLimit = "force-limit";

/** Stands for the address in a hint; WeChat may tell which one it saw. */
export const thisAddress = "this server's public IP";

const needsSecret =
	"copy the AppSecret again from the console (公众号: 设置与开发 → 基本配置; 小程序: 开发管理 → 开发设置) to where wxtokend has it from; then reload, if that is a file, or restart, if it is a systemd credential or the environment";
const bug =
	"this is a mistake of wxtokend or of a proxy on the way: check base_urls, then report it with the rid";
const confirmation =
	"ask the account's administrator (管理员) to confirm this server's IP in the message that WeChat sent; until then nothing else helps";

/** Any code that is not in the table. */
const unknownCode: Meaning = {
	kind: "admin",
	meaning: "an errcode that wxtokend does not know",
	hint: "look the code up in WeChat's list of return codes (全局返回码), or its rid in the console",
	waitMs: 5 * minute,
};

const errcodes: Readonly<Record<number, Meaning>> = {
	[-1]: {
		kind: "transient",
		meaning: "WeChat is busy (系统繁忙)",
		hint: "nothing to do: it is tried again; the old token stays in use",
	},
	40001: {
		kind: "config",
		meaning: "the AppSecret is wrong or belongs to another account",
		hint: needsSecret,
		waitMs: 10 * minute,
	},
	40002: {
		kind: "config",
		meaning: "WeChat did not accept grant_type",
		hint: bug,
		waitMs: 10 * minute,
	},
	40013: {
		kind: "config",
		meaning: "WeChat does not know this appid (AppID 无效)",
		hint: "compare `appid` with the console (公众号: 设置与开发 → 基本配置; 小程序: 开发管理 → 开发设置); it begins with wx",
		waitMs: 10 * minute,
	},
	40066: {
		kind: "config",
		meaning: "WeChat does not know this URL (invalid url)",
		hint: "correct base_urls: only scheme, host and port, such as https://api.weixin.qq.com",
		waitMs: 10 * minute,
	},
	40125: {
		kind: "config",
		meaning: "the AppSecret is wrong; it was probably reset (重置)",
		hint: needsSecret,
		waitMs: 10 * minute,
	},
	40164: {
		kind: "admin",
		meaning: "this server's IP is not in the account's IP whitelist (IP白名单)",
		hint: `add ${thisAddress} to the API IP whitelist (API IP白名单) in the console (公众号: 基本配置; 小程序: 开发设置); it takes effect after some minutes`,
		waitMs: 5 * minute,
	},
	40243: {
		kind: "admin",
		meaning: "the AppSecret is frozen (已冻结)",
		hint: "unfreeze it in the console (基本配置 → AppSecret → 解冻); that takes effect after 10 minutes",
		waitMs: 10 * minute,
	},
	41002: {
		kind: "config",
		meaning: "the appid did not arrive at WeChat",
		hint: bug,
		waitMs: 10 * minute,
	},
	41004: {
		kind: "config",
		meaning: "the AppSecret did not arrive at WeChat",
		hint: bug,
		waitMs: 10 * minute,
	},
	43002: {
		kind: "config",
		meaning: "WeChat wants this request as a POST",
		hint: bug,
		waitMs: 10 * minute,
	},
	44002: {
		kind: "config",
		meaning: "the request arrived at WeChat without its body",
		hint: bug,
		waitMs: 10 * minute,
	},
	47001: {
		kind: "config",
		meaning: "WeChat could not read the request's body",
		hint: bug,
		waitMs: 10 * minute,
	},
	45011: {
		kind: "limited",
		meaning: "too many calls in this minute (频率限制)",
		hint: "find out who else calls with this account; it is tried again after a minute",
		waitMs: minute,
	},
	48001: {
		kind: "config",
		meaning: "this account may not use this interface (接口未授权)",
		hint: 'set interface = "classic": an account for testing (测试号) may lack the stable one; if it is that already, look into its rights in the console (接口权限)',
		waitMs: 10 * minute,
	},
	48004: {
		kind: "admin",
		meaning: "the API is banned for this account (接口被封禁)",
		hint: "read the notice in the console (通知中心) and appeal there",
		waitMs: hour,
	},
	50002: {
		kind: "admin",
		meaning: "the account is limited, frozen or closed (账号受限)",
		hint: "read the notice in the console (通知中心)",
		waitMs: hour,
	},
	50004: {
		kind: "admin",
		meaning: "the account may not fetch tokens, probably as a penalty (处罚)",
		hint: "read the notice in the console (通知中心) and appeal there",
		waitMs: hour,
	},
	50007: {
		kind: "admin",
		meaning: "the account is frozen (账号已冻结)",
		hint: "read the notice in the console (通知中心)",
		waitMs: hour,
	},
	61024: {
		kind: "config",
		meaning: "the appid belongs to a third-party platform (第三方平台)",
		hint: "such an account has component tokens, which wxtokend does not keep: remove it from the configuration",
		waitMs: hour,
	},
	89501: {
		kind: "admin",
		meaning: "the administrator has not confirmed this IP yet (等待管理员确认)",
		hint: confirmation,
		waitMs: 5 * minute,
	},
	89502: {
		kind: "admin",
		meaning: "the administrator must act first (等待管理员确认)",
		hint: confirmation,
		waitMs: 5 * minute,
	},
	89503: {
		kind: "admin",
		meaning: "the administrator must confirm this IP (需要管理员确认)",
		hint: confirmation,
		waitMs: 5 * minute,
	},
	89504: {
		kind: "admin",
		meaning: "the administrator must act first (等待管理员确认)",
		hint: confirmation,
		waitMs: 5 * minute,
	},
	89505: {
		kind: "admin",
		meaning: "the administrator must act first (等待管理员确认)",
		hint: confirmation,
		waitMs: 5 * minute,
	},
	89506: {
		kind: "admin",
		meaning: "the administrator refused this IP twice: blocked for 24 hours",
		hint: "talk to the account's administrator (管理员) before you try again",
		waitMs: 24 * hour,
	},
	89507: {
		kind: "admin",
		meaning: "the administrator refused this IP: blocked for an hour",
		hint: "talk to the account's administrator (管理员) before you try again",
		waitMs: hour,
	},
};

/** A call whose refusal is to be understood. */
export interface RefusedCall {
	readonly interface: "classic" | "stable";
	/** With `force_refresh`, which has a quota of its own. */
	readonly force: boolean;
	/** WeChat's clock, epoch ms: its quotas start anew at midnight in Beijing. */
	readonly at: number;
}

/** The meaning of an errcode from a token endpoint. */
export function meaningOf(errcode: number, call: RefusedCall): Meaning {
	if (errcode === 45009) return call.force ? forcesUsedUp : quotaUsedUp(call);
	const meaning = errcodes[errcode] ?? unknownCode;
	if (errcode !== 40013 || call.interface === "classic") return meaning;
	const hint = `${meaning.hint}; an account for testing (测试号) may need interface = "classic"`;
	return { ...meaning, hint };
}

/** All codes of the table, for the README's and the tests' sake. */
export const knownErrcodes: readonly number[] = [
	...Object.keys(errcodes).map(Number),
	45009,
].sort((a, b) => a - b);

/** Tokens die long before their end: what to do. */
export function foreignFetcherHint(wire: RefusedCall["interface"]): string {
	return wire === "classic"
		? 'find the program that fetches by itself (an SDK with the AppSecret, a second server, the online debugging tool) and let it read our file, or set interface = "stable"'
		: "find the program that asks for stable_token with force_refresh by itself, and let it read our file; if nobody knows it, reset the AppSecret";
}

/** Codes with which a business API says that the token it was given is dead. */
export const deadTokenCodes: ReadonlySet<number> = new Set([
	40001, 40014, 42001,
]);

export type LinkTrouble =
	| "unreachable"
	| "interrupted"
	| "timeout"
	| "no-proxy"
	| "no-tls"
	| "certificate"
	| "intercepted"
	| "server-error"
	| "redirect"
	| "proxy-refused"
	| "not-found"
	| "length-required"
	| "http-status"
	| "not-http"
	| "not-json"
	| "no-token"
	| "bad-lifetime"
	| "too-large";

const noToken =
	"something on the way answers in WeChat's place (a proxy, a captive portal): check base_urls and https_proxy";

/** Everything that can go wrong before WeChat's own words are known. */
export const linkTroubles: Readonly<Record<LinkTrouble, Meaning>> = {
	unreachable: {
		kind: "transient",
		meaning: "no connection to WeChat",
		hint: "check network, DNS and firewall: the server must reach the base URL; it is tried again",
	},
	interrupted: {
		kind: "transient",
		meaning: "the connection broke before the answer was complete",
		hint: "nothing to do if it passes: it is tried again, as WeChat may have changed the token",
	},
	timeout: {
		kind: "transient",
		meaning: "no answer in time",
		hint: "nothing to do if it passes; else check network and firewall, or raise `timeout`",
	},
	"no-proxy": {
		kind: "transient",
		meaning: "no connection through the proxy",
		hint: "check https_proxy and that the proxy runs, or go around it (no_proxy)",
	},
	"no-tls": {
		kind: "config",
		meaning: "the server does not speak TLS as it should",
		hint: "check base_urls (https, and its port) and that no proxy stands in between",
		waitMs: minute,
	},
	certificate: {
		kind: "config",
		meaning: "the server's certificate is not to be trusted",
		hint: "check the clock, the CA certificates (ca-certificates) and that no proxy opens TLS (NODE_EXTRA_CA_CERTS for your own CA)",
		waitMs: minute,
	},
	intercepted: {
		kind: "config",
		meaning: "a self-signed certificate answers for WeChat",
		hint: "inside 微信云托管 set base_urls to http://api.weixin.qq.com, the only form that works there; elsewhere somebody intercepts TLS",
		waitMs: minute,
	},
	"server-error": {
		kind: "transient",
		meaning: "WeChat's gateway reports an error of its own",
		hint: "nothing to do if it passes: it is tried again",
	},
	redirect: {
		kind: "config",
		meaning: "the server redirects elsewhere",
		hint: "redirects are not followed, as they would carry the AppSecret along: correct base_urls",
		waitMs: 5 * minute,
	},
	"proxy-refused": {
		kind: "config",
		meaning: "a proxy or gateway refuses the request",
		hint: "check https_proxy and its rights",
		waitMs: 5 * minute,
	},
	"not-found": {
		kind: "config",
		meaning: "the server does not know this path",
		hint: "correct base_urls: it is the address without /cgi-bin/…",
		waitMs: 5 * minute,
	},
	"length-required": {
		kind: "config",
		meaning: "the gateway misses the request's Content-Length",
		hint: "a proxy on the way re-sends the request in chunks: go around it (no_proxy)",
		waitMs: 5 * minute,
	},
	"http-status": {
		kind: "garbled",
		meaning: "an answer with an unexpected HTTP status",
		hint: noToken,
	},
	"not-http": {
		kind: "garbled",
		meaning: "the answer is not HTTP",
		hint: noToken,
	},
	"not-json": {
		kind: "garbled",
		meaning: "the answer is not a JSON object",
		hint: noToken,
	},
	"no-token": {
		kind: "garbled",
		meaning: "the answer holds neither an errcode nor a usable access_token",
		hint: noToken,
	},
	"bad-lifetime": {
		kind: "garbled",
		meaning: "the answer's expires_in is not a number of 1 to 86400 seconds",
		hint: noToken,
	},
	"too-large": {
		kind: "garbled",
		meaning: "the answer is larger than 64 KiB",
		hint: noToken,
	},
};

/** Calls without force go on as before, so this must not hold them up. */
const forcesUsedUp: Meaning = {
	kind: "limited",
	code: forceLimit,
	meaning: "the day's forced refreshes are used up (达到每日调用上限)",
	hint: "nothing more can be forced today: the token renews near its end; find out who asks for so many refreshes",
	waitMs: minute,
};

function quotaUsedUp({ interface: wire, at }: RefusedCall): Meaning {
	const instead =
		wire === "classic"
			? 'set interface = "stable", which has a quota of its own, or '
			: "";
	return {
		kind: "limited",
		meaning: "the day's quota is used up (达到每日调用上限)",
		hint: `${instead}reset it in the console (接口权限 → 清零) and reload; find out who else fetches with this AppSecret`,
		waitMs: untilNextQuota(at),
	};
}

/** To midnight in Beijing; just after it the quota may only be late. */
function untilNextQuota(at: number): number {
	const inDay = (at + 8 * hour) % (24 * hour);
	return inDay < hour ? 10 * minute : 24 * hour - inDay;
}

/**
 * The errcodes of api.weixin.qq.com, and what they mean for the keeper of an access
 * token. Other hosts use the same numbers for other things, and need a table of their
 * own. Sources: the official pages of /cgi-bin/token and /cgi-bin/stable_token, WeChat's
 * list of return codes (全局返回码), and reports of SDKs and operators.
 */
import { forceLimit } from "../core/limits.ts";
import { hour, type Meaning, minute, thisAddress } from "./meaning.ts";

const needsSecret =
	"copy the AppSecret again from the console (公众号: 设置与开发 → 基本配置; 小程序: 开发管理 → 开发设置) to where wxtokend has it from; then reload, if that is a file, or restart, if it is a systemd credential or the environment";
const bug =
	"this is a mistake of wxtokend or of a proxy on the way: check base_urls, then report it with the rid";
const confirmation =
	"ask the account's administrator (管理员) to confirm this server's IP in the message that WeChat sent; until then nothing else helps";

/** For each code that is not in the table. */
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
	// Of a token endpoint. An API answers 40001 for a dead token, see `deadTokenCodes`.
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
		// Of a pool of addresses the next one may be in the whitelist.
		otherAddressWaitMs: minute,
	},
	40243: {
		kind: "admin",
		meaning: "the AppSecret is frozen (已冻结)",
		hint: "unfreeze it in the console (基本配置 → AppSecret → 解冻); that takes effect after 10 minutes",
		waitMs: 10 * minute,
	},
	// 41002 to 47001: the request did not arrive as it was sent.
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
	// The limit is one of calls per minute, so the next minute is soon enough.
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
	// 48004 to 50007: a person must act in the console, so one attempt an hour is enough.
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
	// 89501 to 89507: for some accounts the administrator must confirm each new IP.
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

/** What the meaning of an errcode depends on. */
export interface RefusedCall {
	readonly interface: "classic" | "stable";
	/** Whether it was sent with `force_refresh`, which has a quota of its own. */
	readonly force: boolean;
	/** The time by WeChat's clock, epoch ms: quotas are reset at midnight in Beijing. */
	readonly at: number;
}

/** The meaning of an errcode, other than 0, from one of the two token endpoints. Never throws. */
export function meaningOf(errcode: number, call: RefusedCall): Meaning {
	if (errcode === 45009) return call.force ? forcesUsedUp : quotaUsedUp(call);
	const meaning = errcodes[errcode] ?? unknownCode;
	if (errcode !== 40013 || call.interface === "classic") return meaning;
	const hint = `${meaning.hint}; an account for testing (测试号) may need interface = "classic"`;
	return { ...meaning, hint };
}

/** All codes with a meaning of their own, ascending: the reference pages and the tests list them. */
export const knownErrcodes: readonly number[] = [
	...Object.keys(errcodes).map(Number),
	45009,
].sort((a, b) => a - b);

/** The errcodes with which an API of api.weixin.qq.com refuses a dead access token. */
export const deadTokenCodes: ReadonlySet<number> = new Set([
	40001, 40014, 42001,
]);

/** A short wait, as calls without `force_refresh` still work and must not be delayed. */
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

/** Until midnight in Beijing. In the first hour after it the reset may just be late. */
function untilNextQuota(at: number): number {
	const inDay = (at + 8 * hour) % (24 * hour);
	return inDay < hour ? 10 * minute : 24 * hour - inDay;
}

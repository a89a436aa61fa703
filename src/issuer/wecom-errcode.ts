/**
 * The errcodes of qyapi.weixin.qq.com (企业微信), and what they mean for the keeper of a
 * token or ticket there. Nothing is shared with the table of api.weixin.qq.com, as the
 * same numbers mean other things. Sources: the official pages of gettoken and
 * get_provider_token, the guide on limits of calls (主动调用的频率限制), its list of
 * return codes (全局错误码), and reports of SDKs and operators.
 */
import { hour, type Meaning, minute, thisAddress } from "./meaning.ts";

const reload =
	"then reload, if wxtokend has it from a file, or restart, if it is a systemd credential";
const bug =
	"this is a mistake of wxtokend or of a proxy on the way: check base_urls, then report it with the errmsg";

/** For each code that is not in the table. */
const unknownCode: Meaning = {
	kind: "admin",
	meaning: "an errcode that wxtokend does not know",
	hint: "look the code up at https://open.work.weixin.qq.com/devtool/query with the hint of the errmsg",
	waitMs: 5 * minute,
};

/** Several wrong secrets in an hour ban this IP for all apps behind it. */
const wrongSecret = {
	kind: "config",
	waitMs: hour,
} as const satisfies Partial<Meaning>;

const errcodes: Readonly<Record<number, Meaning>> = {
	[-1]: {
		kind: "transient",
		meaning: "企业微信 is busy (系统繁忙)",
		hint: "nothing to do: it is tried again; the old token stays in use",
	},
	40001: {
		...wrongSecret,
		meaning:
			"the Secret is wrong, was reset, or the app is disabled (不合法的secret参数)",
		hint: `copy the Secret again from the console (应用管理 → 自建 → the app → Secret; 客户联系, 微信客服, 会话内容存档: on their own pages) to where wxtokend has it from; ${reload}; until it changes it is tried once an hour, as several wrong secrets get this IP banned for an hour`,
	},
	40013: {
		kind: "config",
		meaning: "企业微信 does not know this corpid (不合法的CorpID)",
		hint: "compare `corpid` with the console (我的企业 → 企业信息 → 企业ID); it begins with ww",
		waitMs: hour,
	},
	// A ticket is asked for with the app's own token, so the app is the right one.
	40056: {
		kind: "config",
		meaning: "企业微信 does not know this agentid (不合法的agentid)",
		hint: 'take "agent_config" out of `tickets`: only an app with an AgentId (自建应用) has such a ticket',
		waitMs: hour,
	},
	40080: {
		...wrongSecret,
		meaning: "the ProviderSecret is wrong (不合法的secret)",
		hint: `copy the ProviderSecret again from the console of the 服务商 (标准应用服务 → 通用开发参数); ${reload}; until it changes it is tried once an hour, as several wrong secrets get this IP banned for an hour`,
	},
	40091: {
		...wrongSecret,
		meaning: "the Secret is invalid (secret is invalid)",
		hint: `copy the Secret again from the console (应用管理 → the app → Secret); ${reload}; until it changes it is tried once an hour`,
	},
	41002: {
		kind: "config",
		meaning: "the corpid did not arrive at 企业微信",
		hint: bug,
		waitMs: hour,
	},
	41004: {
		kind: "config",
		meaning: "the Secret did not arrive at 企业微信",
		hint: bug,
		waitMs: hour,
	},
	43002: {
		kind: "config",
		meaning: "企业微信 wants this request as a POST",
		hint: bug,
		waitMs: hour,
	},
	44002: {
		kind: "config",
		meaning: "the request arrived at 企业微信 without its body",
		hint: bug,
		waitMs: hour,
	},
	47001: {
		kind: "config",
		meaning: "企业微信 could not read the request's body",
		hint: bug,
		waitMs: hour,
	},
	// Of gettoken, see `ticketLimit` for tickets. The gate of this IP decides how long.
	45009: {
		kind: "limited",
		meaning:
			"too many calls from this IP, or several wrong secrets from it (接口调用超过限制)",
		hint: "nothing calls from this IP until it is over: a minute, then an hour; find out who uses wrong secrets or fetches too often behind this IP",
		waitMs: minute,
	},
	45033: {
		kind: "limited",
		meaning: "too many calls at the same time (接口并发调用超过限制)",
		hint: "find out who else calls with this app; it is tried again after a minute",
		waitMs: minute,
	},
	48002: {
		kind: "config",
		meaning: "this app may not use this interface (API 禁止调用)",
		hint: "take the ticket out of `tickets`: the Secret of 通讯录, 客户联系 or 会话内容存档 has none, only that of a 自建应用",
		waitMs: hour,
	},
	50003: {
		kind: "admin",
		meaning: "the app is disabled (应用已停用)",
		hint: "enable it in the console (应用管理 → the app → 启用)",
		waitMs: hour,
	},
	60011: {
		kind: "admin",
		meaning: "the app lacks the right (没有权限)",
		hint: "look into the app's visible range and rights in the console (应用管理 → the app → 可见范围)",
		waitMs: hour,
	},
	60020: {
		kind: "admin",
		meaning: "this server's IP is not trusted (不安全的访问IP)",
		hint: `add ${thisAddress} to the app's 企业可信IP in the console (应用管理 → the app → 开发者接口 → 企业可信IP; for a 服务商: IP白名单); it takes effect after a minute`,
		waitMs: 5 * minute,
		// Of a pool of addresses the next one may be trusted.
		otherAddressWaitMs: minute,
	},
	301002: {
		kind: "admin",
		meaning: "the app may not act for this agentid (无权限操作指定的应用)",
		hint: "compare the app with the console (应用管理)",
		waitMs: hour,
	},
};

/** The errcodes with which an API of qyapi.weixin.qq.com refuses a dead access token. */
export const deadWecomTokenCodes: ReadonlySet<number> = new Set([40014, 42001]);

/**
 * The errcodes that say that a secret is wrong: several of them get the IP banned. A
 * permanent code (40084) is one as well.
 */
export const wrongSecretCodes: ReadonlySet<number> = new Set([
	40001, 40080, 40084, 40091,
]);

/** All codes with a meaning of their own, ascending: documents and tests list them. */
export const knownWecomErrcodes: readonly number[] = Object.keys(errcodes)
	.map(Number)
	.sort((a, b) => a - b);

/** The meaning of an errcode, other than 0, from an endpoint that takes a secret. Never throws. */
export function wecomMeaningOf(errcode: number): Meaning {
	return errcodes[errcode] ?? unknownCode;
}

/** The same from an endpoint that takes an access token: tickets. Never throws. */
export function wecomTicketMeaningOf(errcode: number): Meaning {
	if (deadWecomTokenCodes.has(errcode)) return deadToken;
	return errcode === 45009 ? ticketLimit : wecomMeaningOf(errcode);
}

const deadToken: Meaning = {
	kind: "parent",
	meaning: "企业微信 does not accept the access token any more",
	hint: "nothing to do: the token is renewed first, then the ticket",
};

const ticketLimit: Meaning = {
	kind: "limited",
	meaning:
		"too many tickets were fetched in this hour: 100 for an app, 400 for a corp (接口调用超过限制)",
	hint: "find out which program fetches tickets by itself, and let it read our file; it is tried again after an hour",
	waitMs: hour,
};

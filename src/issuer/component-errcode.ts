/** The errcodes of the endpoints for 第三方平台 below api.weixin.qq.com/cgi-bin/component/. */
import { deadTokenCodes, meaningOf } from "./errcode.ts";
import { hour, type Meaning, minute, thisAddress } from "./meaning.ts";

const needsSecret =
	"copy the AppSecret again from the console of the 第三方平台 (开放平台 → 详情 → 开发资料), then reload, or restart if it is a systemd credential";
const nothingToDo =
	"nothing to do: the component token is renewed first, then this one";

/** What these endpoints mean differently from the others of the host, or alone. */
const componentErrcodes: Readonly<Record<number, Meaning>> = {
	40013: {
		kind: "config",
		meaning: "WeChat does not know this component (AppID 无效)",
		hint: "compare `appid` below [[component]] with the console of the 第三方平台",
		waitMs: 10 * minute,
	},
	40125: {
		kind: "config",
		meaning: "the AppSecret of the component is wrong; it was probably reset",
		hint: needsSecret,
		waitMs: 10 * minute,
	},
	41004: {
		kind: "config",
		meaning: "the AppSecret of the component did not arrive at WeChat",
		hint: needsSecret,
		waitMs: 10 * minute,
	},
	42006: {
		kind: "parent",
		meaning: "WeChat does not accept the component token any more",
		hint: nothingToDo,
	},
	42007: {
		kind: "admin",
		meaning: "the account has changed its password, or must authorise again",
		hint: "send its administrator the page of consent (授权页) again",
		waitMs: hour,
	},
	61003: {
		kind: "admin",
		meaning: "the account has not authorised this component, or has withdrawn",
		hint: "send its administrator the page of consent (授权页) again, if it is still a customer",
		waitMs: hour,
	},
	61004: {
		kind: "admin",
		meaning: "this server's IP is not on the list of the component (白名单IP)",
		hint: `add ${thisAddress} to 白名单IP地址列表 in the console of the 第三方平台 (开发资料)`,
		waitMs: 5 * minute,
		otherAddressWaitMs: minute,
	},
	61005: {
		kind: "limited",
		code: "ticket-expired",
		meaning: "the component_verify_ticket is too old",
		hint: "a new one is pushed each 10 minutes: see that pushes arrive (授权事件接收URL), then nothing more is to be done",
		waitMs: minute,
	},
	61006: {
		kind: "limited",
		code: "ticket-invalid",
		meaning: "WeChat does not know the component_verify_ticket",
		hint: "a new one is pushed each 10 minutes: see that pushes arrive (授权事件接收URL), and that no test system shares this component",
		waitMs: minute,
	},
	61011: {
		kind: "config",
		meaning: "WeChat does not know this component (invalid component)",
		hint: "compare `appid` below [[component]] with the console: the appid of a 小程序 or 公众号 is not that of the 第三方平台",
		waitMs: 10 * minute,
	},
	61014: {
		kind: "config",
		meaning: "this call needs a component token, and was made with another one",
		hint: "this is a mistake of wxtokend: report it with the rid",
		waitMs: 10 * minute,
	},
	61023: {
		kind: "admin",
		meaning: "the refresh token of the account is invalid",
		hint: "the list of authorised accounts was asked for a newer one; if that does not help, its administrator must authorise again",
		waitMs: hour,
	},
	61028: {
		kind: "admin",
		meaning: "the component is not published (全网发布)",
		hint: "publish it in the console of the 第三方平台; before that only test accounts work",
		waitMs: hour,
	},
	61029: {
		kind: "admin",
		meaning: "the component must be published again (全网发布)",
		hint: "publish it in the console of the 第三方平台",
		waitMs: hour,
	},
};

/** All codes with a meaning of their own here, ascending. */
export const knownComponentErrcodes: readonly number[] =
	Object.keys(componentErrcodes).map(Number);

/** From api_component_token and api_start_push_ticket, which are called with the secret. */
export function secretCallMeaningOf(errcode: number, at: number): Meaning {
	// Once it came nine times in an evening for right parameters, and passed.
	if (errcode === 48001)
		return {
			kind: "transient",
			meaning:
				"WeChat says that the component may not call this (api unauthorized)",
			hint: "mostly that passes by itself; if it does not, look at the component's state in the console",
		};
	return meaningIn(errcode, at);
}

/** From all others, which are called with the component token. */
export function tokenCallMeaningOf(errcode: number, at: number): Meaning {
	if (deadTokenCodes.has(errcode))
		return {
			kind: "parent",
			meaning: "WeChat does not accept the component token any more",
			hint: nothingToDo,
		};
	return meaningIn(errcode, at);
}

function meaningIn(errcode: number, at: number): Meaning {
	return (
		componentErrcodes[errcode] ??
		meaningOf(errcode, { interface: "classic", force: false, at })
	);
}

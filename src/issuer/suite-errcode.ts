/** The errcodes of the endpoints for suites below qyapi.weixin.qq.com/cgi-bin/service/. */
import { hour, type Meaning, minute, thisAddress } from "./meaning.ts";
import { wecomMeaningOf } from "./wecom-errcode.ts";

const inConsole = "服务商管理端 → 应用管理 → the suite";
const pushesCome =
	"a new one is pushed each 10 minutes: see that pushes arrive (指令回调URL), or press 刷新Ticket (手动刷新) in the console; then nothing more is to be done";
const bug = "this is a mistake of wxtokend: report it with the errmsg";

const suiteDead: Meaning = {
	kind: "parent",
	meaning: "企业微信 does not accept the suite token any more",
	hint: "nothing to do: the suite token is renewed first, then this one",
};

const codeDead: Meaning = {
	kind: "admin",
	meaning:
		"the permanent code of the corp is wrong (不合法的永久授权码): it has withdrawn its authorisation, or the code was replaced",
	hint: "if it is still a customer: let its administrator authorise the suite again; of a 代开发 app press 重新获取secret in the console, which pushes a new one",
	waitMs: hour,
};

const deadAuthCode: Meaning = {
	kind: "admin",
	meaning:
		"the auth code is invalid, was used, or is over (不合法的临时授权码: 10 minutes, once)",
	hint: "let the corp authorise the suite again, unless another program has its permanent code",
	waitMs: hour,
};

/** What these endpoints mean differently from the others of the host, or alone. */
const suiteErrcodes: Readonly<Record<number, Meaning>> = {
	40029: deadAuthCode,
	40078: deadAuthCode,
	40080: {
		kind: "config",
		meaning: "the Secret of the suite is wrong (不合法的suite_secret)",
		hint: `copy the Secret again from the console (${inConsole} → Secret), then reload, or restart if it is a systemd credential; until it changes it is tried once an hour, as several wrong secrets get this IP banned for an hour`,
		waitMs: hour,
	},
	40082: suiteDead,
	40083: {
		kind: "config",
		meaning: "企业微信 does not know this suite (不合法的suite_id)",
		hint: `compare \`suite_id\` below [[suite]] with the console (${inConsole} → SuiteID)`,
		waitMs: hour,
	},
	40084: codeDead,
	40085: {
		kind: "limited",
		code: "ticket-invalid",
		meaning: "the suite_ticket is too old, or another one's",
		hint: pushesCome,
		waitMs: minute,
	},
	41021: {
		kind: "config",
		meaning: "the suite_id did not arrive at 企业微信",
		hint: bug,
		waitMs: hour,
	},
	41022: {
		kind: "config",
		meaning: "the suite token did not arrive at 企业微信",
		hint: bug,
		waitMs: hour,
	},
	41023: {
		kind: "limited",
		code: "ticket-invalid",
		meaning: "the suite_ticket did not arrive at 企业微信",
		hint: pushesCome,
		waitMs: minute,
	},
	41025: {
		kind: "config",
		meaning: "the permanent code did not arrive at 企业微信",
		hint: bug,
		waitMs: hour,
	},
	42009: suiteDead,
	48003: {
		kind: "config",
		meaning: "the suite token is another suite's (不合法的suite_id)",
		hint: `compare \`suite_id\` below [[suite]] with the console (${inConsole} → SuiteID)`,
		waitMs: hour,
	},
	60020: {
		kind: "admin",
		meaning:
			"this server's IP is not on the list of the 服务商 (不安全的访问IP)",
		hint: `add ${thisAddress} to the IP白名单 of the 服务商 (服务商管理端 → 服务商信息 → 基本信息); it takes effect after a minute`,
		waitMs: 5 * minute,
		otherAddressWaitMs: minute,
	},
};

/** All codes with a meaning of their own here, ascending. */
export const knownSuiteErrcodes: readonly number[] = Object.keys(suiteErrcodes)
	.map(Number)
	.sort((a, b) => a - b);

/** From an endpoint for suites. Never throws. */
export function suiteMeaningOf(errcode: number): Meaning {
	return suiteErrcodes[errcode] ?? wecomMeaningOf(errcode);
}

/** From gettoken with a permanent code (代开发), which says of it what it says of a Secret. Never throws. */
export function customizedMeaningOf(errcode: number): Meaning {
	const isOfCode = errcode === 40001 || errcode === 40091;
	return isOfCode ? codeDead : wecomMeaningOf(errcode);
}

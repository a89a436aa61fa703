/**
 * Failures of suites and their corps (企业微信服务商) in Chinese. The errcodes are those of
 * issuer/suite-errcode.ts; what is not here means the same as for other apps of 企业微信.
 */
import type { Words } from "../core/trouble.ts";
import { wrongSecret } from "./alert-words-wecom.ts";

const bug = "这是 wxtokend 的 bug，请带上 errmsg 报告";
const pushes =
	"企业微信每 10 分钟推送一次：检查指令回调 URL 是否指向本机，Token 和 EncodingAESKey 是否与服务商后台一致；也可以在后台点“刷新Ticket”";
const consent =
	"仍是客户的话，请该企业的管理员重新授权；代开发应用可在后台点“重新获取secret”，新的会推送过来";
const suiteId = "和服务商后台（应用管理 → 该应用 → SuiteID）核对 `suite_id`";

const deadSuiteToken = {
	meaning: "suite_access_token 失效了",
	hint: "不用处理：会先更新它",
};
const deadCode = {
	meaning: "该企业的永久授权码无效：已取消授权，或换了新的",
	hint: consent,
};
const deadAuthCode = {
	meaning: "临时授权码无效、已用过或已过期（10 分钟内有效，只能用一次）",
	hint: "请该企业重新授权，除非永久授权码已在别的程序手里",
};

/** By errcode. `{address}` stands for the IPs that the host saw. */
export const suiteWords: Readonly<Record<number, Words>> = {
	40029: deadAuthCode,
	40078: deadAuthCode,
	40080: {
		meaning: "suite 的 Secret 不对",
		hint: `到服务商后台（应用管理 → 该应用 → Secret）重新获取，${wrongSecret}`,
	},
	40082: deadSuiteToken,
	40083: { meaning: "企业微信不认识这个 suite_id", hint: suiteId },
	40084: deadCode,
	41021: { meaning: "suite_id 没有送达企业微信", hint: bug },
	41022: { meaning: "suite_access_token 没有送达企业微信", hint: bug },
	41025: { meaning: "永久授权码没有送达企业微信", hint: bug },
	42009: deadSuiteToken,
	48003: { meaning: "这个 suite_access_token 是别的 suite 的", hint: suiteId },
	60020: {
		meaning: "本服务器的 IP 不在服务商的白名单里",
		hint: "把 {address} 加进服务商后台（服务商信息 → 基本信息 → IP白名单），一分钟后生效",
	},
};

/** Of a corp, where it means something else: its secret is the permanent code. */
export const corpWords: Readonly<Record<number, Words>> = {
	40001: deadCode,
	40091: deadCode,
};

/** By a code of our own. */
export const suiteCodeWords: Readonly<Record<string, Words>> = {
	"no-ticket": { meaning: "还没有可用的 suite_ticket", hint: pushes },
	"ticket-invalid": {
		meaning: "suite_ticket 太旧了，或不是这个 suite 的",
		hint: pushes,
	},
	"code-lost": {
		meaning: "一个企业的永久授权码没有拿到：它只给一次",
		hint: "如果是别的程序换走的，用 wxtokend import 把永久授权码交过来，并设 exchange = false；否则请该企业重新授权（代开发应用可在后台点“重新获取secret”）。哪一次推送，见 wxtokend 日志里的 suite.code-lost",
	},
	"code-unsaved": {
		meaning: "一个企业的永久授权码写不进磁盘，只在内存里：wxtokend 一停就丢了",
		hint: "立即给 state_directory 所在的磁盘腾出空间，不要重启 wxtokend；它每分钟会再写一次",
	},
	unauthorized: {
		meaning: "该企业已取消授权，或还没有它的永久授权码",
		hint: consent,
	},
};

/**
 * Failures in Chinese, for alerts. The errcodes are those of the tables in issuer/; what
 * has no row here is told by its kind, with its code. `{address}` stands for the IPs
 * that WeChat saw.
 */
import type { KindName } from "../core/credential.ts";
import type { CredentialStatus } from "../core/status.ts";
import type { Words } from "../core/trouble.ts";
import { componentWords, platformWords } from "./alert-words-component.ts";
import { corpWords, suiteCodeWords, suiteWords } from "./alert-words-suite.ts";
import { wecomTicketWords, wecomWords } from "./alert-words-wecom.ts";

const needsSecret =
	"到后台（公众号：设置与开发 → 基本配置；小程序：开发管理 → 开发设置）重新复制 AppSecret，写到 wxtokend 读取它的地方；是文件就 reload，是 systemd 凭据或环境变量就重启";
const damaged = "检查 base_urls 和中间的代理；若都没问题，请带上 rid 报告 bug";
const confirmation =
	"请账号管理员在微信发来的消息里确认本服务器的 IP；在那之前别的办法都没有用";
const notice = "到后台的通知中心看通知，并在那里申诉";

const errcodes: Readonly<Record<number, Words>> = {
	[-1]: { meaning: "微信系统繁忙", hint: "不用处理：会自动重试" },
	40001: { meaning: "AppSecret 不对，或属于别的账号", hint: needsSecret },
	40002: { meaning: "微信不接受 grant_type", hint: damaged },
	40013: { meaning: "AppID 无效", hint: "和后台核对 `appid`，它以 wx 开头" },
	40066: {
		meaning: "微信不认识这个 URL",
		hint: "改正 base_urls：只写协议、主机和端口",
	},
	40097: { meaning: "微信不认识这种 ticket", hint: "从 `tickets` 里去掉它" },
	40125: { meaning: "AppSecret 不对，多半被重置过", hint: needsSecret },
	40164: {
		meaning: "本服务器的 IP 不在 IP 白名单里",
		hint: "把 {address} 加进后台的 API IP 白名单（公众号：基本配置；小程序：开发设置），几分钟后生效",
	},
	40243: {
		meaning: "AppSecret 已冻结",
		hint: "到后台（基本配置 → AppSecret）解冻，10 分钟后生效",
	},
	41002: { meaning: "appid 没有送达微信", hint: damaged },
	41004: { meaning: "AppSecret 没有送达微信", hint: damaged },
	43002: { meaning: "微信要求用 POST", hint: damaged },
	44002: { meaning: "请求送达微信时没有正文", hint: damaged },
	45009: {
		meaning: "当天的调用次数用完了",
		hint: '设 interface = "stable"（额度另算），或到后台（接口权限）清零后 reload；并找出还有谁在用这个 AppSecret 获取 token',
	},
	45011: {
		meaning: "这一分钟内调用太多",
		hint: "找出还有谁在用这个账号调用；一分钟后自动重试",
	},
	47001: { meaning: "微信读不懂请求的正文", hint: damaged },
	48001: {
		meaning: "这个账号没有此接口的权限",
		hint: '取 token 时：设 interface = "classic"（测试号可能没有 stable 接口）；取 ticket 时：从 `tickets` 里去掉它，或到后台（接口权限）开通',
	},
	48004: { meaning: "接口被封禁", hint: notice },
	50002: { meaning: "账号受限", hint: notice },
	50004: { meaning: "账号不能获取 token，多半是处罚", hint: notice },
	50007: { meaning: "账号已冻结", hint: notice },
	61024: {
		meaning: "这个 appid 属于第三方平台",
		hint: "把它从配置里删掉：这样的账号没有自己的 token",
	},
	89501: { meaning: "等待管理员确认 IP", hint: confirmation },
	89502: { meaning: "等待管理员确认", hint: confirmation },
	89503: { meaning: "需要管理员确认 IP", hint: confirmation },
	89504: { meaning: "等待管理员确认", hint: confirmation },
	89505: { meaning: "等待管理员确认", hint: confirmation },
	89506: {
		meaning: "管理员两次拒绝了这个 IP：24 小时内不能再用",
		hint: "先和管理员说好，再重试",
	},
	89507: {
		meaning: "管理员拒绝了这个 IP：1 小时内不能再用",
		hint: "先和管理员说好，再重试",
	},
};

const otherCodes: Readonly<Record<string, Words>> = {
	...platformWords,
	"ban-budget": {
		meaning: "先不试：再错几次 Secret，出口 IP 就会被企业微信封禁",
		hint: "改正 wxtokend status 中标明有误的 Secret；原本正确的不受影响",
	},
	"force-limit": {
		meaning: "当天的强制刷新次数用完了",
		hint: "今天不能再强制刷新，到期前会照常续期；找出是谁在频繁要求刷新",
	},
	late: {
		meaning: "快到期了还没有续上：调用预算用完，或别的进程占着它的锁",
		hint: "看看有没有被挂起的另一个 wxtokend，以及 wxtokend status 里的预算",
	},
	ended: { meaning: "已经到期，还没有新的", hint: "看 wxtokend status" },
	"foreign-fetcher": {
		meaning: "远没到期就失效了：另有程序在用这个 AppSecret 获取 token",
		hint: '找出那个程序（SDK、另一台服务器、在线调试工具），让它改读 wxtokend 的文件；或设 interface = "stable"',
	},
};

/** By the kind of a failure, for codes without a row. */
const kinds: Readonly<Record<string, Words>> = {
	transient: {
		meaning: "连不上微信",
		hint: "检查网络、DNS、防火墙和代理（https_proxy）；会自动重试",
	},
	limited: { meaning: "被微信限流", hint: "找出还有谁在用这个账号调用" },
	garbled: {
		meaning: "收到的不是微信的响应",
		hint: "中间有东西代替微信作答（代理、认证网关）：检查 base_urls 和 https_proxy",
	},
	config: {
		meaning: "到微信的链路配置有误",
		hint: "检查 base_urls、https_proxy、系统时间和 CA 证书（自己的 CA 用 NODE_EXTRA_CA_CERTS）",
	},
	admin: {
		meaning: "微信返回了 wxtokend 不认识的错误码",
		hint: "在微信的《全局返回码》里查它",
	},
	parent: {
		meaning: "它依赖的 token 失效了",
		hint: "不用处理：会先更新那个 token",
	},
	io: {
		meaning: "写不了它的文件",
		hint: "检查目录的权限和磁盘空间（df、df -i）；看 wxtokend status 里的原因",
	},
	refused: {
		meaning: "目录里有不可信的东西，拒绝写入",
		hint: "看 wxtokend status 里的原因",
	},
	lost: { meaning: "锁被别的进程拿走了", hint: "不用处理：会重来一次" },
	unreachable: {
		meaning: "连不上 Redis 或中心服务器",
		hint: "检查 [fleet] 的 url、网络和防火墙；wxtokend check 会指出是哪一步",
	},
};

/** What stands in place of a failure where nothing has failed, by the state. */
const states: Readonly<Record<CredentialStatus["state"], string>> = {
	valid: "",
	failing: "",
	missing: "还没有文件：守护进程会获取并写入",
	expired: "已经到期：守护进程正在获取新的",
	unusable: "文件不是 wxtokend 写的样子：守护进程会换回来",
};

/** A failure, as far as its words depend on it. */
export interface FailureInChinese {
	readonly code: string;
	readonly kind: string;
	/** The English one: it may name the IP. */
	readonly hint: string;
	/** The kind of the credential: the same errcode means other things on other hosts. */
	readonly of: string;
}

/** A failure in Chinese. Never throws. */
export function inChinese({ code, kind, hint, of }: FailureInChinese): Words {
	const [, number] = /^errcode (-?\d+)$/.exec(code) ?? [];
	const row =
		(number === undefined
			? codeWords(code, of)
			: errcodeWords(Number(number), of)) ?? kinds[kind];
	const words = row ?? { meaning: "失败", hint: "看 wxtokend status" };
	const seen = hint.match(/(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])/g);
	const address =
		seen === null ? "本服务器的公网 IP" : [...new Set(seen)].join("、");
	return {
		meaning: /^(late|ended|foreign-fetcher)$/.test(code)
			? words.meaning
			: `${words.meaning}（${code}）`,
		hint: words.hint.replace("{address}", address),
	};
}

const ofSuite = /^wecom_(suite|corp)_/;

function codeWords(code: string, of: string): Words | undefined {
	return (
		(ofSuite.test(of) ? suiteCodeWords[code] : undefined) ?? otherCodes[code]
	);
}

type ErrcodeWords = Readonly<Record<number, Words>>;

/** The tables in which the errcodes of a kind are looked up, the first one first. */
const errcodesOf: Readonly<Record<KindName, readonly ErrcodeWords[]>> = {
	access_token: [errcodes],
	stable_access_token: [errcodes],
	jsapi_ticket: [errcodes],
	wx_card_ticket: [errcodes],
	sdk_ticket: [errcodes],
	component_access_token: [componentWords, errcodes],
	authorizer_access_token: [componentWords, errcodes],
	wecom_access_token: [wecomWords],
	wecom_jsapi_ticket: [wecomTicketWords, wecomWords],
	wecom_agent_ticket: [wecomTicketWords, wecomWords],
	wecom_provider_access_token: [wecomWords],
	wecom_suite_access_token: [suiteWords, wecomWords],
	wecom_corp_access_token: [corpWords, suiteWords, wecomWords],
};

function errcodeWords(errcode: number, of: string): Words | undefined {
	// An earlier version may have written another kind down, or none.
	const tables = Object.hasOwn(errcodesOf, of)
		? errcodesOf[of as KindName]
		: [errcodes];
	return tables.find((table) => table[errcode] !== undefined)?.[errcode];
}

/** What is to be said of a credential that has no valid value, though nothing failed. */
export function stateInChinese({
	state,
	foreignFetcher,
}: Pick<CredentialStatus, "state" | "foreignFetcher">): Words {
	const foreign = otherCodes["foreign-fetcher"];
	return foreignFetcher && foreign !== undefined
		? foreign
		: { meaning: states[state], hint: "" };
}

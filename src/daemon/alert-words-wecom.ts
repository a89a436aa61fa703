/**
 * Failures of qyapi.weixin.qq.com in Chinese. The errcodes are those of
 * issuer/wecom-errcode.ts; the same numbers mean other things on other hosts.
 */
import type { Words } from "../core/trouble.ts";

/** What to do with a secret that was copied again, and why not to try others. */
export const wrongSecret =
	"复制到 wxtokend 读取它的地方；是文件就 reload，是 systemd 凭据就重启。改好之前每小时只试一次：连续几次 Secret 错误，整个出口 IP 会被封一小时";
const damaged =
	"检查 base_urls 和中间的代理；若都没问题，请带上 errmsg 报告 bug";

/** By errcode. `{address}` stands for the IPs that the host saw. */
export const wecomWords: Readonly<Record<number, Words>> = {
	[-1]: { meaning: "企业微信系统繁忙", hint: "不用处理：会自动重试" },
	40001: {
		meaning: "Secret 不对、被重置过，或应用已停用",
		hint: `到管理后台（应用管理 → 自建 → 该应用 → Secret；客户联系、微信客服、会话内容存档在各自的页面）重新获取 Secret，${wrongSecret}`,
	},
	40013: {
		meaning: "企业微信不认识这个 corpid",
		hint: "和管理后台（我的企业 → 企业信息 → 企业 ID）核对 `corpid`，它以 ww 开头",
	},
	40056: {
		meaning: "企业微信不认识这个 agentid",
		hint: '从 `tickets` 里去掉 "agent_config"：只有带 AgentId 的自建应用才有这种 ticket',
	},
	40080: {
		meaning: "ProviderSecret 不对",
		hint: `到服务商后台（标准应用服务 → 通用开发参数）重新获取 ProviderSecret，${wrongSecret}`,
	},
	40091: {
		meaning: "Secret 无效",
		hint: `到管理后台（应用管理 → 该应用 → Secret）重新获取，${wrongSecret}`,
	},
	41002: { meaning: "corpid 没有送达企业微信", hint: damaged },
	41004: { meaning: "Secret 没有送达企业微信", hint: damaged },
	43002: { meaning: "企业微信要求用 POST", hint: damaged },
	44002: { meaning: "请求送达企业微信时没有正文", hint: damaged },
	45009: {
		meaning: "这个出口 IP 调用太多，或连续用了错误的 Secret",
		hint: "在解封之前（先一分钟，再一小时）不再从这个 IP 发请求；找出同一 IP 后面还有谁在用错误的 Secret，或获取得太频繁",
	},
	45033: {
		meaning: "同时发出的调用太多",
		hint: "找出还有谁在用这个应用调用；一分钟后自动重试",
	},
	47001: { meaning: "企业微信读不懂请求的正文", hint: damaged },
	48002: {
		meaning: "这个应用不能用此接口",
		hint: "从 `tickets` 里去掉它：通讯录、客户联系、会话内容存档的 Secret 没有 ticket，自建应用的才有",
	},
	50003: {
		meaning: "应用已停用",
		hint: "到管理后台（应用管理 → 该应用）启用它",
	},
	60011: {
		meaning: "应用没有权限",
		hint: "到管理后台（应用管理 → 该应用 → 可见范围）检查可见范围和权限",
	},
	60020: {
		meaning: "本服务器的 IP 不是可信 IP",
		hint: "把 {address} 加进管理后台（应用管理 → 该应用 → 开发者接口 → 企业可信IP；服务商：IP白名单），一分钟后生效",
	},
	301002: {
		meaning: "应用无权操作这个 agentid",
		hint: "和管理后台（应用管理）核对是不是这个应用",
	},
};

/** Of a ticket, where it means something else. */
export const wecomTicketWords: Readonly<Record<number, Words>> = {
	45009: {
		meaning: "这一小时内获取 ticket 太多（每个应用 100 次，每个企业 400 次）",
		hint: "找出还有哪个程序在自己获取 ticket，让它改读 wxtokend 的文件；一小时后自动重试",
	},
};

/**
 * Failures of the endpoints for 第三方平台 in Chinese. The errcodes are those of
 * issuer/component-errcode.ts; what is not here means the same as for other accounts.
 */
import type { Words } from "../core/trouble.ts";

const needsSecret =
	"到开放平台（第三方平台 → 详情 → 开发资料）重新复制 AppSecret，写到 wxtokend 读取它的地方；是文件就 reload，是 systemd 凭据就重启";
const consent = "仍是客户的话，请该账号的管理员重新打开授权页授权";
const pushes =
	"微信每 10 分钟推送一次：检查授权事件接收 URL 是否指向本机，Token 和 EncodingAESKey 是否与开放平台一致（wxtokend 的日志里有被拒绝的推送）";

/** By errcode. `{address}` stands for the IPs that the host saw. */
export const componentWords: Readonly<Record<number, Words>> = {
	40013: {
		meaning: "微信不认识这个第三方平台",
		hint: "和开放平台核对 [[component]] 的 `appid`",
	},
	40125: {
		meaning: "第三方平台的 AppSecret 不对，多半被重置过",
		hint: needsSecret,
	},
	41004: {
		meaning: "第三方平台的 AppSecret 没有送达微信",
		hint: needsSecret,
	},
	42006: {
		meaning: "component_access_token 失效了",
		hint: "不用处理：会先更新它",
	},
	42007: { meaning: "该账号改了密码，或需要重新授权", hint: consent },
	48001: {
		meaning: "微信称这个第三方平台没有此接口的权限",
		hint: "多半会自行恢复；一直这样就到开放平台查看第三方平台的状态",
	},
	61003: {
		meaning: "该账号没有授权给这个第三方平台，或已取消授权",
		hint: consent,
	},
	61004: {
		meaning: "本服务器的 IP 不在第三方平台的白名单里",
		hint: "把 {address} 加进开放平台（开发资料 → 白名单IP地址列表）",
	},
	61011: {
		meaning: "微信不认识这个第三方平台",
		hint: "和开放平台核对 [[component]] 的 `appid`：公众号、小程序的 appid 不是第三方平台的",
	},
	61014: {
		meaning: "这个接口要用 component_access_token，用成了别的",
		hint: "请带上 rid 报告 bug",
	},
	61023: {
		meaning: "该账号的 refresh_token 无效",
		hint: `已向微信查询授权列表以取得新的；还不行的话，${consent}`,
	},
	61028: {
		meaning: "第三方平台还没有全网发布",
		hint: "到开放平台全网发布；在那之前只有测试账号可用",
	},
	61029: {
		meaning: "第三方平台需要重新全网发布",
		hint: "到开放平台重新全网发布",
	},
};

/** By a code of our own. */
export const platformWords: Readonly<Record<string, Words>> = {
	"no-ticket": {
		meaning: "还没有可用的 component_verify_ticket",
		hint: pushes,
	},
	"ticket-expired": {
		meaning: "component_verify_ticket 太旧了",
		hint: `${pushes}；新的推送到了就好`,
	},
	"ticket-invalid": {
		meaning: "微信不认识这个 component_verify_ticket",
		hint: `${pushes}；并确认没有测试系统在用同一个第三方平台`,
	},
	unauthorized: {
		meaning: "该账号已取消授权，或还没有它的 refresh_token",
		hint: consent,
	},
};

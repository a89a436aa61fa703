/** The words of the status page, in English and in Chinese. */
import type { KindName } from "../../core/credential.ts";
import type { CredentialStatus } from "../../core/status.ts";

/** A language of the page. */
export type Language = "en" | "zh";

/** What the page says. Functions take numbers, or texts that are escaped already. */
export interface PageWords {
	readonly title: string;
	/** The other language, in its own words. */
	readonly other: string;
	readonly allValid: (count: string) => string;
	readonly someFailing: (count: string, of: string, firstEnd: string) => string;
	readonly someDead: (count: string, of: string) => string;
	/** Behind the one before. */
	readonly moreFailing: (count: string) => string;
	readonly none: string;
	readonly states: Readonly<Record<CredentialStatus["state"], string>>;
	readonly kinds: Readonly<Record<KindName, string>>;
	readonly left: (time: string) => string;
	readonly noneLeft: string;
	readonly guessed: string;
	readonly overdue: string;
	readonly waitsFor: (name: string) => string;
	readonly since: (time: string, attempts: string) => string;
	readonly nextTry: (time: string) => string;
	readonly lastRefresh: (time: string, reason: string) => string;
	/** By reason of a refresh. */
	readonly reasons: Readonly<Record<string, string>>;
	readonly sameTrouble: (count: string) => string;
	/** What is told of one of them, perhaps with its name. */
	readonly example: (message: string) => string;
	/** Shows no others than those with that trouble. */
	readonly only: string;
	/** Troubles that stand in the rows alone. */
	readonly otherTroubles: (count: string, causes: string) => string;
	readonly find: string;
	/** What can be searched for. */
	readonly searched: string;
	readonly matches: (found: string, of: string, search: string) => string;
	/** Ends the search. */
	readonly every: string;
	readonly pages: string;
	readonly shown: (from: string, to: string, of: string) => string;
	/** Other pages. */
	readonly to: Readonly<Record<"first" | "prev" | "next" | "last", string>>;
	readonly pause: string;
	readonly stale: string;
	readonly footer: (version: string, directory: string, zone: string) => string;
	readonly legend: {
		readonly title: (span: string) => string;
		readonly value: string;
		readonly forced: string;
		readonly reported: string;
		readonly failure: string;
		readonly dead: string;
		readonly push: string;
		readonly ago: (time: string) => string;
		readonly now: string;
	};
	/** What the picture shows, for those who do not see it. */
	readonly picture: {
		readonly refreshes: (count: number) => string;
		readonly forced: (count: number) => string;
		readonly failures: (count: number) => string;
		readonly dead: (time: string) => string;
		/** `time`: since the last one. */
		readonly pushed: (time: string) => string;
		readonly unknown: string;
		readonly comma: string;
	};
	/** Of a duration: hours and minutes, minutes, seconds. */
	readonly hours: (hours: number, minutes: number) => string;
	readonly minutes: (minutes: number) => string;
	readonly seconds: (seconds: number) => string;
}

const en: PageWords = {
	title: "WeChat credentials",
	other: "中文",
	allValid: (count) =>
		count === "1"
			? "The credential is valid"
			: `All ${count} credentials are valid`,
	someFailing: (count, of, firstEnd) =>
		`${count} of ${of} could not be renewed: apps will fail from ${firstEnd} on`,
	someDead: (count, of) =>
		`${count} of ${of} ${count === "1" ? "has" : "have"} no valid value: apps fail`,
	moreFailing: (count) => `; ${count} more could not be renewed`,
	none: "Nothing has that in its name or error code.",
	states: {
		valid: "valid",
		failing: "not renewed",
		expired: "ended",
		missing: "no file",
		unusable: "unusable",
	},
	kinds: {
		access_token: "access token",
		stable_access_token: "access token, stable",
		jsapi_ticket: "jsapi ticket",
		wx_card_ticket: "card ticket",
		sdk_ticket: "sdk ticket",
		component_access_token: "component access token",
		authorizer_access_token: "access token, by a component",
		wecom_access_token: "WeCom access token",
		wecom_jsapi_ticket: "WeCom jsapi ticket",
		wecom_agent_ticket: "WeCom agent ticket",
		wecom_provider_access_token: "WeCom provider token",
		wecom_suite_access_token: "WeCom suite token",
		wecom_corp_access_token: "WeCom access token, by a suite",
	},
	left: (time) => `${time} left`,
	noneLeft: "none left",
	guessed: "end guessed",
	overdue: "past its end, still given",
	waitsFor: (name) => `waits for ${name}`,
	since: (time, attempts) =>
		`since ${time}, ${attempts} ${attempts === "1" ? "attempt" : "attempts"}`,
	nextTry: (time) => `next try ${time}`,
	lastRefresh: (time, reason) => `renewed ${time}, ${reason}`,
	reasons: {
		first: "first one",
		due: "on schedule",
		forced: "forced",
		reported: "reported dead",
		"cut-off": "after a cut-off request",
		checked: "by check",
		clock: "clock was set back",
		found: "found on disk",
	},
	sameTrouble: (count) => `${count} credentials:`,
	example: (message) => `For example: ${message}`,
	only: "Show only these",
	otherTroubles: (count, causes) =>
		`${count} more are in trouble for ${causes} other ${causes === "1" ? "reason" : "reasons"}: see their rows.`,
	find: "Find",
	searched: "Name or error code",
	matches: (found, of, search) => `${found} of ${of} have “${search}”`,
	every: "Show all",
	pages: "Pages",
	shown: (from, to, of) => `${from}–${to} of ${of}`,
	to: { first: "First", prev: "Previous", next: "Next", last: "Last" },
	pause: "Pause",
	stale: "wxtokend does not answer: what you see is old.",
	footer: (version, directory, zone) =>
		`wxtokend ${version} · ${directory} · times in ${zone}`,
	legend: {
		title: (span) => `The last ${span}`,
		value: "a value lives",
		forced: "forced",
		reported: "reported dead",
		failure: "refresh failed",
		dead: "no living value",
		push: "tickets are pushed",
		ago: (time) => `${time} ago`,
		now: "now",
	},
	picture: {
		refreshes: (count) => (count === 1 ? "1 value" : `${count} values`),
		forced: (count) => `${count} forced`,
		failures: (count) => `refresh failed ${count} ×`,
		dead: (time) => `no living value for ${time}`,
		pushed: (time) => `last ticket pushed ${time} ago`,
		unknown: "nothing known",
		comma: ", ",
	},
	hours: (hours, minutes) =>
		minutes === 0 ? `${hours} h` : `${hours} h ${minutes} min`,
	minutes: (minutes) => `${minutes} min`,
	seconds: (seconds) => `${seconds} s`,
};

const zh: PageWords = {
	title: "微信凭据",
	other: "English",
	allValid: (count) => `全部 ${count} 个凭据有效`,
	someFailing: (count, of, firstEnd) =>
		`${of} 个凭据中有 ${count} 个未能更新：${firstEnd} 起程序会出错`,
	someDead: (count, of) =>
		`${of} 个凭据中有 ${count} 个没有有效值：程序正在出错`,
	moreFailing: (count) => `；另有 ${count} 个未能更新`,
	none: "没有名称或错误码与之相符的凭据。",
	states: {
		valid: "有效",
		failing: "未能更新",
		expired: "已到期",
		missing: "没有文件",
		unusable: "不可用",
	},
	kinds: {
		access_token: "access_token",
		stable_access_token: "access_token（stable）",
		jsapi_ticket: "jsapi_ticket",
		wx_card_ticket: "卡券 ticket",
		sdk_ticket: "sdk_ticket",
		component_access_token: "第三方平台 component_access_token",
		authorizer_access_token: "access_token（第三方平台代）",
		wecom_access_token: "企业微信 access_token",
		wecom_jsapi_ticket: "企业微信 jsapi_ticket",
		wecom_agent_ticket: "企业微信应用 ticket",
		wecom_provider_access_token: "服务商 token",
		wecom_suite_access_token: "suite_access_token",
		wecom_corp_access_token: "企业微信 access_token（经 suite 授权）",
	},
	left: (time) => `剩 ${time}`,
	noneLeft: "已无剩余",
	guessed: "到期时间为推测",
	overdue: "已过期，微信仍在给出",
	waitsFor: (name) => `等待 ${name}`,
	since: (time, attempts) => `自 ${time}，已试 ${attempts} 次`,
	nextTry: (time) => `下次 ${time}`,
	lastRefresh: (time, reason) => `${time} 更新，${reason}`,
	reasons: {
		first: "首次",
		due: "按时",
		forced: "强制",
		reported: "上报失效",
		"cut-off": "上次请求中断",
		checked: "check 触发",
		clock: "时钟被回拨",
		found: "磁盘上已有",
	},
	sameTrouble: (count) => `${count} 个凭据：`,
	example: (message) => message,
	only: "只看这些",
	otherTroubles: (count, causes) =>
		`另有 ${count} 个凭据因其他 ${causes} 种原因出问题，见各行。`,
	find: "查找",
	searched: "名称或错误码",
	matches: (found, of, search) => `${of} 个中有 ${found} 个含“${search}”`,
	every: "显示全部",
	pages: "分页",
	shown: (from, to, of) => `第 ${from}–${to} 个，共 ${of} 个`,
	to: { first: "首页", prev: "上一页", next: "下一页", last: "末页" },
	pause: "暂停刷新",
	stale: "wxtokend 没有响应：页面内容已过时。",
	footer: (version, directory, zone) =>
		`wxtokend ${version} · ${directory} · 时间为 ${zone}`,
	legend: {
		title: (span) => `最近 ${span}`,
		value: "值有效",
		forced: "强制刷新",
		reported: "上报失效",
		failure: "刷新失败",
		dead: "没有有效值",
		push: "ticket 推送正常",
		ago: (time) => `${time}前`,
		now: "现在",
	},
	picture: {
		refreshes: (count) => `${count} 个值`,
		forced: (count) => `强制 ${count} 次`,
		failures: (count) => `失败 ${count} 段`,
		dead: (time) => `无有效值共 ${time}`,
		pushed: (time) => `最近一次 ticket 推送在 ${time}前`,
		unknown: "尚无记录",
		comma: "，",
	},
	hours: (hours, minutes) =>
		minutes === 0 ? `${hours} 小时` : `${hours} 小时 ${minutes} 分`,
	minutes: (minutes) => `${minutes} 分钟`,
	seconds: (seconds) => `${seconds} 秒`,
};

/** The words of a language. */
export function wordsOf(language: Language): PageWords {
	return language === "zh" ? zh : en;
}

/** As the reader would say it: without seconds from an hour on. */
export function duration(ms: number, words: PageWords): string {
	const seconds = Math.max(0, Math.floor(ms / 1000));
	if (seconds < 120) return words.seconds(seconds);
	const minutes = Math.floor(seconds / 60);
	return minutes < 60
		? words.minutes(minutes)
		: words.hours(Math.floor(minutes / 60), minutes % 60);
}

/** By `Accept-Language`; English if it names neither. */
export function preferredLanguage(accept = ""): Language {
	const wanted = accept
		.toLowerCase()
		.split(",")
		.map((entry) => {
			const [tag = "", ...rest] = entry.trim().split(/\s*;\s*/);
			const q = rest.find((one) => one.startsWith("q="))?.slice(2);
			const weight = q === undefined ? 1 : Number(q) || 0;
			return { language: tag.split("-")[0], weight };
		})
		.filter(({ weight }) => weight > 0)
		.sort((one, other) => other.weight - one.weight);
	const first = wanted.find(
		({ language }) => language === "zh" || language === "en",
	);
	return first?.language === "zh" ? "zh" : "en";
}

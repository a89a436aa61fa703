/** What the rows of the picture say, in Chinese: for the page of the figures in Chinese. */

/** In this order: longer words stand before what they contain. */
const words: readonly (readonly [string, string])[] = [
	["What was measured, against its targets", "测量结果与目标"],
	["a quick look: these figures mean nothing", "快速试跑：数字没有意义"],
	[
		"a bar that ends at the line or before it meets its target; long ones are cut",
		"条形不超过竖线即达到目标；过长的已截断",
	],
	["fetches by ", "获取次数："],
	[" processes without a token", " 个没有 token 的进程"],
	["calls with a dead token", "使用失效 token 的调用"],
	[
		"dead or doomed token left in the cache",
		"缓存里留下的失效或将失效的 token",
	],
	["calls that succeed, of ", "成功的调用，共 "],
	[" whose token was ended", " 个，其 token 已被作废"],
	["read the token", "读取 token"],
	["shell with jq", "shell（用 jq）"],
	["shell without jq", "shell（不用 jq）"],
	["start → first token", "启动 → 第一个 token"],
	["SIGHUP → new token visible", "SIGHUP → 新 token 可见"],
	[" ms to the issuer", " ms 到微信的延迟"],
	["renewals at once", "个 token 同时更新"],
	["first tokens at once", "个首个 token 同时获取"],
	[
		"forced refresh of one while 10,000 renew",
		"10,000 个更新时强制刷新其中一个",
	],
	["… the slowest of them", "……其中最慢的"],
	["… longest hold-up of the event loop", "……事件循环最长的停顿"],
	["… most requests at a time", "……同时进行的请求最多"],
	[
		"memory per further account of 10,000, taken over",
		"沿用 10,000 个账号时，每增加一个账号的内存",
	],
	[
		"memory with 1 account after three SIGHUPs",
		"三次 SIGHUP 后 1 个账号的内存",
	],
	["memory with 1 account", "1 个账号的内存"],
	["CPU with 1 account", "1 个账号的处理器占用"],
	["CPU with 10,000 accounts", "10,000 个账号的处理器占用"],
	[
		"start until 10,000 valid files are taken over",
		"启动到沿用 10,000 个有效文件",
	],
	[
		" accounts that all fail: event loop held",
		" 个全部失败的账号：事件循环的停顿",
	],
	[" accounts that all fail: CPU", " 个全部失败的账号：处理器时间"],
	[" accounts: event loop held", " 个账号：事件循环的停顿"],
	[" accounts: CPU", " 个账号：处理器时间"],
	[" with ", "，"],
	["fetches", "获取次数"],
	["request:", "请求："],
	["disk", "磁盘"],
	["processors", "个处理器"],
	["target", "目标"],
];

/** The text with all words of it that are known here; others stay as they are. */
export function inChinese(text: string): string {
	return words.reduce(
		(done, [english, chinese]) => done.replaceAll(english, chinese),
		text,
	);
}

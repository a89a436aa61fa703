/**
 * What works in a configuration, but should not stay so: sentences for the operator,
 * which `check` prints and the daemon logs.
 */
import { longestGapMs } from "./cron.ts";
import type { Entry } from "./entry.ts";
import { type ConfigContent, show } from "./shape.ts";

/** What is looked at. */
export interface Doubtful {
	/** A valid cron expression. */
	readonly schedule: string;
	/** Permission bits of token files. */
	readonly mode: number;
	readonly entries: readonly DoubtfulEntry[];
}

type DoubtfulEntry = Pick<Entry, "interface" | "baseUrls" | "refreshBeforeMs">;

/** All of them. `content`: the file, to quote what stands there. */
export function findWarnings(
	{ schedule, mode, entries }: Doubtful,
	content: ConfigContent,
): readonly string[] {
	return [
		...plainHttpWarnings(entries),
		...scheduleWarnings(schedule, entries),
		...cooldownWarnings(content),
		...corpidWarnings(content),
		...((mode & 0o004) === 0
			? []
			: [
					`mode = "${content.mode}": every user of this machine can read the tokens; "0640" with a group is enough`,
				]),
	];
}

function plainHttpWarnings(
	entries: readonly DoubtfulEntry[],
): readonly string[] {
	// Most entries share one list.
	const lists = new Set(entries.map(({ baseUrls }) => baseUrls));
	const urls = new Set([...lists].flat());
	return [...urls]
		.filter((url) => {
			const { protocol, hostname } = new URL(url);
			const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
			return protocol === "http:" && !loopback.test(hostname);
		})
		.map(
			(url) =>
				`base URL ${url} is not encrypted: the AppSecret can be read on the way (only right inside 微信云托管)`,
		);
}

/**
 * WeChat takes two forced refreshes of a stable token 30 s apart, so the program
 * raises a smaller `cooldown`. Only one account is named: mostly all share the value.
 */
function cooldownWarnings({
	wechat,
	account = [],
}: ConfigContent): readonly string[] {
	const cooldownOf = (entry: (typeof account)[number]) =>
		entry.cooldown ?? wechat?.cooldown ?? 31;
	const raised = account.filter(
		(entry) =>
			(entry.interface ?? wechat?.interface) === "stable" &&
			cooldownOf(entry) < 31,
	);
	const [first] = raised;
	if (first === undefined) return [];
	const more = raised.length === 1 ? "" : ` and ${raised.length - 1} more`;
	return [
		`cooldown = ${cooldownOf(first)} (account ${first.appid}${more}) is taken as 31, because WeChat forces a new token with interface = "stable" only once in 30 s`,
	];
}

/** An appid in a corpid's place; but the oldest corps of 企业号 have such corpids. */
function corpidWarnings({
	wecom = [],
	provider = [],
}: ConfigContent): readonly string[] {
	const corpids = [...wecom, ...provider].map(({ corpid }) => corpid);
	return [...new Set(corpids)]
		.filter((corpid) => /^wx[0-9a-f]{16}$/.test(corpid))
		.map(
			(corpid) =>
				`corpid ${corpid} looks like the appid of a 公众号 or 小程序, which belongs below [[account]]: only a corp that began as 企业号 has such a corpid; compare it with the console (我的企业 → 企业信息)`,
		);
}

/**
 * A token that becomes due just after a tick waits for the next one, and must live
 * until then. WeChat gives a new stable token only in the last 300 s, of which a
 * request needs some.
 */
function scheduleWarnings(
	schedule: string,
	entries: readonly DoubtfulEntry[],
): readonly string[] {
	const gapMs = longestGapMs(schedule);
	let marginMs = Number.POSITIVE_INFINITY;
	for (const { refreshBeforeMs, interface: wire } of entries) {
		const before =
			wire === "stable" ? Math.min(refreshBeforeMs, 270_000) : refreshBeforeMs;
		marginMs = Math.min(marginMs, before);
	}
	return gapMs === undefined || gapMs <= marginMs
		? []
		: [
				`schedule = ${show(schedule)} lets up to ${Math.round(gapMs / 60_000)} minutes pass between two looks, and a token has ${Math.round(marginMs / 60_000)} minutes left when it becomes due: it can end before it is renewed; "*/5 * * * * *" looks every 5 s, which costs next to nothing`,
			];
}

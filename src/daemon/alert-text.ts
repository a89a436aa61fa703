/** An alert in words: what is wrong, since when, when apps will fail, and what to do. */
import type { AlertLanguage } from "../config/alert-settings.ts";
import type { Trouble } from "../core/trouble.ts";
import { inChinese } from "./alert-words.ts";
import type { RobotMessage } from "./robot.ts";

/** A trouble of a credential, as it is to be told. */
export interface Told {
	/** The name of its file. */
	readonly credential: string;
	readonly trouble: Trouble;
	/** Epoch ms; undefined: it lasts. */
	readonly endedAt: number | undefined;
}

/** What an alert says besides the troubles. */
export interface AlertFrame {
	readonly language: AlertLanguage;
	/** The name of this machine. */
	readonly host: string;
	/** The tokens are the simulator's. */
	readonly isSimulated: boolean;
	/** Epoch ms. */
	readonly now: number;
}

/** The message for some troubles, of which there must be one. No secret is in it. */
export function alertMessage(
	told: readonly Told[],
	frame: AlertFrame,
): RobotMessage {
	const begun = told.filter(({ endedAt }) => endedAt === undefined);
	const over = told.filter(({ endedAt }) => endedAt !== undefined);
	const say = sayings[frame.language];
	const head = headOf(say.head(begun.length, over.length), frame);
	const blocks = [
		...groupsOf(begun).map((group) => begunBlock(group, frame)),
		...groupsOf(over).map((group) => overBlock(group, frame)),
	];
	return {
		text: fitted(head, blocks, say.more),
		content: {
			event: "wxtokend.alert",
			host: frame.host,
			simulated: frame.isSimulated,
			begun: begun.slice(0, maxListed).map((one) => asContent(one)),
			over: over.slice(0, maxListed).map((one) => asContent(one)),
			...{ begunCount: begun.length, overCount: over.length },
		},
	};
}

/** The message of `wxtokend check --alert`. */
export function testMessage(frame: AlertFrame): RobotMessage {
	const say = sayings[frame.language];
	return {
		text: `${headOf(say.test, frame)}\n${say.testBody}`,
		content: {
			event: "wxtokend.test",
			host: frame.host,
			simulated: frame.isSimulated,
		},
	};
}

/** A robot of 企业微信 takes 2048 bytes, and nobody reads more on a phone. */
const maxTextBytes = 2_000;

/** Credentials that are listed for a program; the counts tell of the others. */
const maxListed = 100;

/** Names that are spelled out in one block. */
const maxNames = 3;

const sayings = {
	en: {
		head: (begun: number, over: number) =>
			[
				begun > 0 ? `${begun} in trouble` : [],
				over > 0 ? `${over} fine again` : [],
			]
				.flat()
				.join(", "),
		simulated: "simulation",
		test: "a test message",
		testBody: "Alerts arrive here: nothing is wrong.",
		others: (count: number) => ` and ${count} more`,
		more: (count: number) => `… and ${count} more: see wxtokend status`,
		since: (clock: string) => `failing since ${clock}`,
		seen: (clock: string) => `seen since ${clock}`,
		fails: (clock: string) => `apps will fail from ${clock} on`,
		failing: (clock: string) => `apps fail since ${clock}`,
		first: "(earliest of them)",
		do: "To do: ",
		over: (from: string, to: string) => `fine again; it failed ${from}–${to}`,
	},
	zh: {
		head: (begun: number, over: number) =>
			[
				begun > 0 ? `${begun} 个凭据出了问题` : [],
				over > 0 ? `${over} 个已恢复` : [],
			]
				.flat()
				.join("，"),
		simulated: "模拟",
		test: "测试消息",
		testBody: "告警会发到这里；目前没有问题。",
		others: (count: number) => `等，另有 ${count} 个`,
		more: (count: number) => `……另有 ${count} 项，见 wxtokend status`,
		since: (clock: string) => `从 ${clock} 起失败`,
		seen: (clock: string) => `${clock} 起发现`,
		fails: (clock: string) => `应用将从 ${clock} 起报错`,
		failing: (clock: string) => `应用从 ${clock} 起报错`,
		first: "（其中最早的）",
		do: "处理：",
		over: (from: string, to: string) => `已恢复；${from}–${to} 之间失败`,
	},
} as const;

/** The keyword of a robot that wants one: every message begins with it. */
function headOf(
	text: string,
	{ host, isSimulated, language }: AlertFrame,
): string {
	const mark = isSimulated ? ` (${sayings[language].simulated})` : "";
	const colon = language === "zh" ? "：" : ": ";
	return `wxtokend @ ${host}${mark}${colon}${text}`;
}

/** Troubles with one cause and one remedy: after an outage there are thousands. */
function groupsOf(told: readonly Told[]): readonly (readonly Told[])[] {
	const groups = new Map<string, Told[]>();
	for (const one of told) {
		const { code, hint } = one.trouble;
		const key = `${code}\n${hint}`;
		const group = groups.get(key);
		if (group === undefined) groups.set(key, [one]);
		else group.push(one);
	}
	return [...groups.values()];
}

function namesOf(group: readonly Told[], language: AlertLanguage): string {
	const names = group.slice(0, maxNames).map(({ credential }) => credential);
	const rest = group.length - names.length;
	const list = names.join(language === "zh" ? "、" : ", ");
	return rest > 0 ? list + sayings[language].others(rest) : list;
}

function begunBlock(group: readonly Told[], frame: AlertFrame): string {
	const { language, now } = frame;
	const say = sayings[language];
	const [first] = [...group].sort(
		(one, other) =>
			(one.trouble.failsAt ?? Number.POSITIVE_INFINITY) -
			(other.trouble.failsAt ?? Number.POSITIVE_INFINITY),
	);
	if (first === undefined) return "";
	const { trouble } = first;
	const { meaning, hint } =
		language === "zh"
			? inChinese(trouble)
			: { meaning: trouble.message, hint: trouble.hint };
	const since = clockAt(
		Math.min(...group.map((one) => one.trouble.since)),
		now,
	);
	const times = [trouble.kind === "none" ? say.seen(since) : say.since(since)];
	if (trouble.failsAt !== undefined) {
		const clock = clockAt(trouble.failsAt, now);
		const effect =
			trouble.failsAt > now ? say.fails(clock) : say.failing(clock);
		times.push(group.length > 1 ? effect + say.first : effect);
	}
	const colon = language === "zh" ? "：" : ": ";
	const lines = [
		`● ${namesOf(group, language)}${colon}${meaning}`,
		`  ${times.join(language === "zh" ? "，" : "; ")}`,
	];
	if (hint !== "") lines.push(`  ${say.do}${hint}`);
	return lines.join("\n");
}

function overBlock(group: readonly Told[], frame: AlertFrame): string {
	const { language, now } = frame;
	const from = Math.min(...group.map((one) => one.trouble.since));
	const to = Math.max(...group.map(({ endedAt }) => endedAt ?? now));
	const text = sayings[language].over(clockAt(from, now), clockAt(to, now));
	const colon = language === "zh" ? "：" : ": ";
	return `○ ${namesOf(group, language)}${colon}${text}`;
}

/** As many blocks as fit; the last line says how many do not. */
function fitted(
	head: string,
	blocks: readonly string[],
	more: (count: number) => string,
): string {
	let text = head;
	for (const [index, block] of blocks.entries()) {
		const rest = blocks.length - index - 1;
		const longer = `${text}\n${block}`;
		const whole = rest > 0 ? `${longer}\n${more(rest)}` : longer;
		if (Buffer.byteLength(whole) > maxTextBytes)
			return `${text}\n${more(rest + 1)}`;
		text = longer;
	}
	return text;
}

/** Instants as ISO 8601. */
function asContent({ credential, trouble, endedAt }: Told) {
	const { code, kind, message, hint, since, failsAt } = trouble;
	const iso = (at: number | undefined) =>
		at === undefined ? null : new Date(at).toISOString();
	return {
		...{ credential, code, kind, message, hint },
		since: iso(since),
		appsFailFrom: iso(failsAt),
		...(endedAt === undefined ? {} : { endedAt: iso(endedAt) }),
	};
}

/** By the clock of this machine, with the date if that is not today's. */
function clockAt(at: number, now: number): string {
	const instant = new Date(at);
	const two = (part: number) => String(part).padStart(2, "0");
	const clock = `${two(instant.getHours())}:${two(instant.getMinutes())}`;
	if (instant.toDateString() === new Date(now).toDateString()) return clock;
	return `${two(instant.getMonth() + 1)}-${two(instant.getDate())} ${clock}`;
}

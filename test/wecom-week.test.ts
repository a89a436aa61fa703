/**
 * A week in the life of a token of 企业微信, in virtual time, for everything that a
 * repeated call may give: how often 企业微信 is asked, and for how long a published token
 * is refused.
 */
import { describe, expect, test } from "vitest";
import type { Knobs } from "../src/simulator/knobs.ts";
import { brokenLinks, liveWithWecom } from "./simulation/compiled.ts";
import type { WecomStory } from "./simulation/wecom-week.ts";

const minute = 60;
const hour = 60 * minute;
const life = 2 * hour;

type Repeats = Pick<Knobs, "wecomRepeat" | "wecomExpiresIn">;

const unknowns: readonly Repeats[] = (
	["same", "same-extended", "same-outlives", "new", "new-former-dead"] as const
).flatMap((wecomRepeat) =>
	(["constant", "remaining"] as const).map((wecomExpiresIn) => ({
		...{ wecomRepeat, wecomExpiresIn },
	})),
);

/** A dead token is published at most so long in two hours, in seconds. */
const maxDead = 6;
/** Calls in a life. */
const maxCalls = 60;

describe.each(unknowns)("with %j", (knobs) => {
	test("a calm week", async () => {
		// Without an overlap a mistake shows most; the others need no whole week.
		const days = knobs.wecomRepeat === "same" ? 7 : 2;
		const story = await liveWithWecom({ days, knobs });
		report("calm", knobs, story);
		// `expire` is never later than the end, as long as that is known.
		expect(story.lateEnds).toEqual([]);
		expect(deadPerLife(story)).toBeLessThanOrEqual(maxDead);
		expect(mostIn(story.asks, life)).toBeLessThanOrEqual(maxCalls);
		expectPlainLog(story);
	});

	test("a token of unknown age at the first start: the guess is not believed", async () => {
		const story = await liveWithWecom({ days: 1, knobs, ageAtStart: 7_100 });
		report("first seen late", knobs, story);
		// It ends in the second minute, and is found out five minutes later at most.
		const late = story.deadSpans.filter(
			([from, to]) => to - from > maxDead && to > 6 * minute,
		);
		expect(late).toEqual([]);
		expect(longest(story)).toBeLessThanOrEqual(5 * minute + 1);
		expect(mostIn(story.asks, life)).toBeLessThanOrEqual(maxCalls);
	});

	test("restarts without records, an hour without 企业微信, a reset by 企业微信", async () => {
		const outageAt = 9.5 * hour;
		const story = await liveWithWecom({
			days: 1,
			knobs,
			events: [
				{ at: 3.2 * hour, act: ({ restart }) => restart("nothing") },
				{ at: 5.1 * hour, act: ({ restart }) => restart("records") },
				{
					at: outageAt,
					act: ({ link, later }) => {
						link(brokenLinks.refused);
						later(hour, () => link(undefined));
					},
				},
				{
					at: 16 * hour,
					act: ({ platform, token, keeper }) => {
						const value = token()?.value ?? "";
						const known = platform.state.wecom.tokens.get(value);
						if (known !== undefined) known.isInvalid = true;
						// An app is refused (40014), and says so.
						void keeper().report(value);
					},
				},
			],
		});
		report("disturbed", knobs, story);
		const excused = ([from, to]: readonly [number, number]) =>
			(to >= outageAt && to <= outageAt + hour + 70) ||
			// The end was forgotten with the record.
			(from >= 5.1 * hour && from <= 7.2 * hour && to - from <= 5 * minute + 1);
		expect(
			story.deadSpans.filter(
				(span) => span[1] - span[0] > maxDead && !excused(span),
			),
		).toEqual([]);
		expect(mostIn(story.asks, life)).toBeLessThanOrEqual(2 * maxCalls);
	});
});

test.each(unknowns)(
	"with %j: a token of 30 s is kept by the same rules",
	async (given) => {
		const knobs = { ...given, tokenLifetimeSeconds: 30 };
		const story = await liveWithWecom({ days: 1 / 48, knobs });
		expect(longest(story)).toBeLessThanOrEqual(2.1);
		expect(mostIn(story.asks, 30)).toBeLessThanOrEqual(15);
		expectPlainLog(story);
	},
);

/** One line for each life, at least at level info. */
function expectPlainLog({ log }: WecomStory): void {
	const loud = log.filter(({ level }) => level !== "debug" && level !== "info");
	expect(loud.map(({ msg, at }) => ({ msg, at }))).toEqual([]);
}

/** The most seconds with a dead token within two hours. */
function deadPerLife({ deadSpans }: WecomStory): number {
	const sums = deadSpans.map(([start]) =>
		deadSpans
			.filter(([from]) => from >= start && from < start + life)
			.reduce((sum, [from, to]) => sum + to - from, 0),
	);
	return Math.max(0, ...sums);
}

function longest({ deadSpans }: WecomStory): number {
	return Math.max(0, ...deadSpans.map(([from, to]) => to - from));
}

/** The most of these instants within so many seconds. */
function mostIn(instants: readonly number[], seconds: number): number {
	let most = 0;
	let first = 0;
	for (const [index, at] of instants.entries()) {
		while ((instants[first] ?? at) <= at - seconds) first += 1;
		most = Math.max(most, index - first + 1);
	}
	return most;
}

/** For those who read the output: what the rules cost. */
function report(what: string, knobs: Repeats, story: WecomStory): void {
	const { wecomRepeat, wecomExpiresIn } = knobs;
	console.log(
		`${what} (${wecomRepeat}, ${wecomExpiresIn}): ${story.publications.length} tokens, at most ${mostIn(story.asks, life)} calls in 2 h, longest dead ${longest(story).toFixed(2)} s, in 2 h ${deadPerLife(story).toFixed(2)} s`,
	);
}

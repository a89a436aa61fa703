/**
 * A week in the life of a ticket, in virtual time: how often WeChat is asked for it, and
 * for how long a published one signs nothing, whatever WeChat does at its end.
 */
import { describe, expect, test } from "vitest";
import type { Knobs } from "../src/simulator/knobs.ts";
import { ticketsOf } from "../src/simulator/tickets.ts";
import { brokenLinks, liveWithTicket } from "./simulation/compiled.ts";
import type { TicketStory, TicketWorld } from "./simulation/ticket-week.ts";

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

type Ends = Pick<Knobs, "ticketLife" | "formerTicketSeconds">;

/** When the present ticket dies of age, and how long a replaced one lives on: nobody knows. */
const unknowns: readonly Ends[] = (
	["fixed", "until-replaced", "seeded"] as const
).flatMap((ticketLife) =>
	[300, 0, 3600].map((formerTicketSeconds) => ({
		ticketLife,
		formerTicketSeconds,
	})),
);

/**
 * For how long a dead ticket may be published. A ticket that outlives its two hours by
 * far, and then dies without an overlap, is found by the next ask: those are five minutes
 * apart, or there would be more than 300 a day.
 */
const longestDead = ({ ticketLife }: Ends) =>
	ticketLife === "seeded" ? 5 * minute + 1 : 6;

/** Without an overlap a mistake shows most; the others need no whole week. */
const daysWith = ({ formerTicketSeconds }: Ends) =>
	formerTicketSeconds === 0 ? 7 : 2;

describe.each(unknowns)("with %j", (knobs) => {
	test("calm days", async () => {
		const days = daysWith(knobs);
		const story = await liveWithTicket({ days, knobs });
		report("calm", knobs, story);
		expect(longest(story.deadSpans)).toBeLessThanOrEqual(longestDead(knobs));
		expectFewAsks(story);
		expect(story.lapses).toEqual([]);
		// 7200 to 14400 s each.
		expect(story.publications.length).toBeGreaterThan(days * 6);
		expect(story.publications.length).toBeLessThanOrEqual(days * 12);
		expectPlainLog(story);
	});

	test("another program that is given each new ticket first", async () => {
		const story = await liveWithTicket({
			days: 1,
			knobs,
			isForeignFirst: true,
		});
		report("foreign", knobs, story);
		expect(longest(story.deadSpans)).toBeLessThanOrEqual(5 * minute + 1);
		expectFewAsks(story);
		expect(story.lapses).toEqual([]);
		expectPlainLog(story);
	});

	test.each(["all", "records"] as const)(
		"a restart in the 119th minute that lost %s: from the 125th on it signs",
		async (lost) => {
			const restarts: number[] = [];
			const story = await liveWithTicket({
				days: 1,
				knobs,
				events: [1, 8, 15].map((hours) => ({
					at: hours * hour,
					act: (world) => {
						const life = secondsSinceIssue(world);
						world.later(119 * minute - life, () => {
							restarts.push((hours + 119 / 60) * hour - life);
							world.restart(lost);
						});
					},
				})),
			});
			report(`restart (${lost})`, knobs, story);
			expect(restarts).toHaveLength(3);
			const late = story.deadSpans.filter(
				([from, to]) =>
					to - from > longestDead(knobs) &&
					!restarts.some((at) => from >= at && to <= at + 6 * minute),
			);
			expect(late).toEqual([]);
			expectFewAsks(story);
			expect(story.lapses).toEqual([]);
		},
	);

	test("an hour without WeChat each day", async () => {
		const outages = [0, 1].map((index) => ({
			at: index * day + (7 + index * 1.7) * hour,
			act: (world: TicketWorld) => {
				world.link(index === 1 ? brokenLinks.refused : brokenLinks.hang);
				world.later(hour, () => world.link(undefined));
			},
		}));
		const story = await liveWithTicket({ days: 2, knobs, events: outages });
		report("outages", knobs, story);
		const unexcused = story.deadSpans.filter(
			([from, to]) =>
				to - from > longestDead(knobs) &&
				// The next ask comes at most a minute, and a tick, after the outage.
				!outages.some(({ at }) => to >= at && to <= at + hour + minute + 20),
		);
		expect(unexcused).toEqual([]);
		expectFewAsks(story);
	});
});

// Ahead, the ticket is taken for overdue until it changes: then it is asked for each 5
// minutes. Back, its end is found as on calm days.
const clockSteps = [
	["ahead by an hour", hour, 5 * minute + 1],
	["back by an hour", -hour, 6],
	["back by a minute", -minute, 6],
] as const;

describe.each(unknowns)("with %j", (ends) => {
	test.each(clockSteps)(
		"a clock that is set %s, again and again",
		async (_, seconds, longestDeadSeconds) => {
			const days = daysWith(ends);
			// Each at another point of a ticket's life.
			const steps = Array.from(
				{ length: 2 * days },
				(_, index) => (1.2 + index * 12.1) * hour,
			).filter((at) => at < days * day);
			const story = await liveWithTicket({
				days,
				knobs: ends,
				events: steps.map((at) => ({
					at,
					act: (world) => world.stepClock(seconds),
				})),
			});
			report(`clock ${seconds} s`, ends, story);
			const { deadSpans } = story;
			expect(longest(deadSpans)).toBeLessThanOrEqual(
				Math.max(longestDeadSeconds, longestDead(ends)),
			);
			// One after each step at most: then it is as on calm days.
			const long = deadSpans.filter(
				([from, to]) => to - from > longestDead(ends),
			);
			expect(long.length).toBeLessThanOrEqual(steps.length);
			expectFewAsks(story);
			// Between two steps no reader finds an end that has passed.
			expect(story.lapses).toEqual([]);
		},
	);
});

test("a token that dies outside is reported once and renewed once, and the ticket follows without a pause of its own", async () => {
	const deaths = [3.3, 9.9, 17.2].map((hours) => hours * hour);
	const calm = await liveWithTicket({ days: 1 });
	const story = await liveWithTicket({
		days: 1,
		events: deaths.map((at) => ({
			at,
			act: ({ platform, appid, now }) => platform.kill(appid, now()),
		})),
	});
	expect(longest(story.deadSpans)).toBeLessThanOrEqual(6);
	expect(story.probes).toHaveLength(deaths.length);
	expect(story.tokenFetches.length).toBeLessThanOrEqual(
		calm.tokenFetches.length + deaths.length,
	);
	expect(story.record.pause).toBeUndefined();
	for (const at of deaths) {
		// The ticket's next ask finds it, and the one after the renewal follows at once.
		const refused = story.asks.find((one) => one > at) ?? Number.NaN;
		const following = story.asks.filter(
			(one) => one > refused && one < refused + 2,
		);
		expect(following).toHaveLength(1);
	}
	// Three deaths a day are those of another program with the AppSecret.
	const events = new Set(
		story.log
			.filter(({ level }) => level !== "info" && level !== "debug")
			.map(({ event }) => event),
	);
	expect([...events]).toEqual(["token.overwritten"]);
});

test.each([48001, 40097])(
	"a refusal that a person must mend (errcode %s) is one call an hour, and one line of the log",
	async (errcode) => {
		const story = await liveWithTicket({
			days: 4.5 / 24,
			events: [
				{
					at: 0,
					act: ({ platform, now }) =>
						platform.faults.add(
							{
								...{ mode: "errcode", errcode, endpoint: "getticket" },
								forSeconds: day,
							},
							now(),
						),
				},
			],
		});
		expect(story.asks).toHaveLength(5);
		for (const [index, at] of story.asks.entries())
			expect(Math.abs(at - index * hour)).toBeLessThan(6 * minute);
		const errors = story.log.filter(({ level }) => level === "error");
		expect(errors).toHaveLength(1);
		expect(errors[0]).toMatchObject({
			event: "fetch.failed",
			appid: "wx1",
			credential: "wx_jsapi_ticket_wx1",
			code: `errcode ${errcode}`,
			hint: expect.stringContaining("`tickets`"),
		});
		expect(story.values).toEqual([]);
	},
);

test.each([
	["no ticket", '{"errcode":0,"errmsg":"ok","expires_in":7200}'],
	["an empty one", '{"errcode":0,"errmsg":"ok","ticket":"","expires_in":7200}'],
	["a number", '{"errcode":0,"errmsg":"ok","ticket":7,"expires_in":7200}'],
	["no lifetime", '{"errcode":0,"errmsg":"ok","ticket":"A"}'],
])("an answer with %s never reaches the file", async (_, body) => {
	const bodies = [0, 2 * hour - 10, 5 * hour].map((at) => ({
		at,
		act: ({ platform, now }: TicketWorld) =>
			platform.faults.add(
				{ mode: "body", body, endpoint: "getticket", forSeconds: 100 },
				now(),
			),
	}));
	const story = await liveWithTicket({ days: 0.3, events: bodies });
	expect(story.values.length).toBeGreaterThan(2);
	for (const value of story.values) expect(value).toMatch(/^[\w-]{86}$/);
	expect(story.publications[0]).toBeGreaterThan(100);
	// None of them takes the one away that is there.
	expect(story.publications).toHaveLength(story.values.length);
});

/** S89: at most 300 in any 24 hours. */
function expectFewAsks({ asks }: TicketStory): void {
	expect(mostInADay(asks)).toBeLessThanOrEqual(300);
}

function expectPlainLog({ log }: TicketStory): void {
	expect(
		log.filter(({ level }) => level !== "info" && level !== "debug"),
	).toEqual([]);
}

function mostInADay(asks: readonly number[]): number {
	let first = 0;
	let most = 0;
	for (const [index, at] of asks.entries()) {
		while ((asks[first] ?? at) <= at - day) first += 1;
		most = Math.max(most, index - first + 1);
	}
	return most;
}

function secondsSinceIssue({ platform, appid, now }: TicketWorld): number {
	const [current] = ticketsOf(
		platform.account(appid, now())?.tickets.get("jsapi"),
	);
	return (now() - (current?.issuedAt ?? Number.NaN)) / 1000;
}

function longest(spans: TicketStory["deadSpans"]): number {
	return Math.max(0, ...spans.map(([from, to]) => to - from));
}

function report(what: string, knobs: Ends, story: TicketStory): void {
	const { asks, deadSpans, publications } = story;
	console.log(
		`${what}, ${knobs.ticketLife}, former ${knobs.formerTicketSeconds} s: at most ${mostInADay(asks)} asks a day; ${publications.length} tickets, ${deadSpans.length} of them dead for more than 1 s, at most ${longest(deadSpans).toFixed(1)} s`,
	);
}

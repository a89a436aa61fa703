/** Tickets, of whose end no answer tells: tables over the pure functions of sighting.ts. */
import { describe, expect, test } from "vitest";
import type { Sighting } from "../../src/core/credential.ts";
import {
	bySetBackClock,
	firstSight,
	isOverdue,
	nextAskAt,
	seenAgain,
	toldEnd,
} from "../../src/core/sighting.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const life = 2 * hour;
/** Some instant; a whole second. */
const end = Date.UTC(2026, 0, 5, 4, 0, 0);

/** A value with a known end, seen so long after it (negative: before it). */
function seen(sinceEnd: number, changes: Partial<Sighting> = {}): Sighting {
	return {
		seenAt: end + sinceEnd,
		endsAt: end,
		endsBy: end,
		isGuessed: false,
		...changes,
	};
}

describe("firstSight", () => {
	test("without a former value the end is a guess: nobody knows since when it lives", () => {
		expect(firstSight(undefined, end, life)).toEqual({
			seenAt: end,
			endsAt: end + life,
			endsBy: end + life,
			isGuessed: true,
		});
	});

	test.each([
		["a second", second, false],
		["five minutes", 5 * minute, false],
		["ten minutes", 10 * minute, false],
		["more than that", 10 * minute + 1, true],
		["an hour", hour, true],
	])(
		"it ends a life after the last sight of the former one, which was %s ago",
		(_, gap, isGuessed) => {
			const former = seen(0, { isGuessed: true });
			const now = former.seenAt + gap;
			expect(firstSight(former, now, life)).toEqual({
				seenAt: now,
				endsAt: former.seenAt + life,
				endsBy: now + life,
				isGuessed,
			});
		},
	);
});

test("seenAgain: only the last sight moves, and never the end", () => {
	for (const isGuessed of [false, true]) {
		const known = seen(-hour, { isGuessed, endsBy: end + minute });
		expect(seenAgain(known, end - 5)).toEqual({ ...known, seenAt: end - 5 });
	}
});

describe("nextAskAt", () => {
	test.each<[what: string, sinceEnd: number, spread: number, next: number]>([
		["long before it, half an hour later", -life, 0, -life + 30 * minute],
		["… or up to an hour, by the spread", -life, 0.999, -life + 59.97 * minute],
		["no later than five minutes before it", -20 * minute, 0, -5 * minute],
		["from then on each minute", -5 * minute, 0, -4 * minute],
		["… and in between", -119 * second, 0, -59 * second],
		["a second after it, at first", -59 * second, 0, second],
		["… also if it was just asked", -1, 0, second],
		["three seconds after it", second, 0, 3 * second],
		["… also if the answer took its time", 1_900, 0, 3 * second],
		["six seconds after it", 3 * second, 0, 6 * second],
		["then each minute", 6 * second, 0, 66 * second],
		["… for ten minutes", 10 * minute - 1, 0, 11 * minute - 1],
		["then each five minutes", 10 * minute, 0, 15 * minute],
		["… for ever", 3 * hour, 0, 3 * hour + 5 * minute],
	])("%s", (_, sinceEnd, spread, next) => {
		expect(nextAskAt(seen(sinceEnd), spread) - end).toBe(next);
	});

	test("a guessed end is not believed: each five minutes up to it, and at it as often as at any other", () => {
		const ask = (sinceEnd: number) =>
			nextAskAt(seen(sinceEnd, { isGuessed: true }), 0.5) - end;
		expect(ask(-life)).toBe(-life + 5 * minute);
		expect(ask(-7 * minute)).toBe(-2 * minute);
		expect(ask(-2 * minute)).toBe(second);
		expect(ask(-1)).toBe(second);
		expect(ask(6 * second)).toBe(66 * second);
	});

	test.each<[what: string, endsBy: number, sinceEnd: number, next: number]>([
		["a second after it", 40_000, 6_000, 41_000],
		["… once", 40_000, 41_000, 101_000],
		["… and no ask besides, if it is the end", 0, 6_000, 66_000],
		["… also between two asks five minutes apart", hour, hour - 5, hour + 1000],
	])(
		"the latest end by its age is another time to ask: %s",
		(_, endsBy, sinceEnd, next) => {
			const known = seen(sinceEnd, { endsBy: end + endsBy });
			expect(nextAskAt(known, 0) - end).toBe(next);
		},
	);

	test("is later than the last ask, whatever is known", () => {
		for (let sinceEnd = -life; sinceEnd < life; sinceEnd += 19_997)
			for (const isGuessed of [false, true])
				for (const late of [0, 3_000, 4 * minute, hour]) {
					const known = seen(sinceEnd, { isGuessed, endsBy: end + late });
					const wait = nextAskAt(known, 0.3) - known.seenAt;
					expect(wait).toBeGreaterThan(0);
					expect(wait).toBeLessThanOrEqual(hour);
				}
	});
});

describe("the asks of a day", () => {
	/** WeChat's answers take 50 ms, and each value lives as long as that. */
	function dayOf(lifeMs: number, isEndKnown: boolean): readonly number[] {
		const asks: number[] = [];
		let bornAt = end;
		let known = firstSight(undefined, end, life);
		for (let at = end; at < end + 24 * hour; at = nextAskAt(known, 0.5)) {
			asks.push(at);
			const now = at + 50;
			if (now - bornAt < lifeMs) {
				known = seenAgain(known, now);
				continue;
			}
			bornAt = now;
			// Without what was known before, as after a restart that lost it.
			known = firstSight(isEndKnown ? known : undefined, now, life);
		}
		return asks;
	}

	test.each([
		["a plain one", life, true, 160],
		["no end is ever known", life, false, 300],
		["each lives ten minutes longer", life + 10 * minute, true, 290],
		["each lives an hour longer", life + hour, true, 300],
		["each lives twice as long", 2 * life, true, 300],
		["each lives for ever", 48 * hour, true, 300],
	])(
		"%s: within its number, and within 60 in any two hours",
		(_, lifeMs, isEndKnown, most) => {
			const asks = dayOf(lifeMs, isEndKnown);
			expect(asks.length).toBeGreaterThan(50);
			expect(asks.length).toBeLessThanOrEqual(most);
			const perLife = asks.map(
				(at) => asks.filter((one) => one >= at && one < at + life).length,
			);
			expect(Math.max(...perLife)).toBeLessThanOrEqual(60);
		},
	);
});

test.each([
	[-1, false],
	[0, true],
	[hour, true],
])("isOverdue: seen %s ms after its end: %s", (sinceEnd, overdue) => {
	expect(isOverdue(seen(sinceEnd))).toBe(overdue);
});

describe("toldEnd", () => {
	test.each<[what: string, sinceEnd: number, told: number]>([
		["its end, long before it", -hour, 0],
		["… while the next ask is a minute before it", -2 * minute, 0],
		["a minute after the next ask, if that is nearer", -minute - 1, 59_000],
		["then a minute after the next ask", -minute, minute],
		["… at the end itself", -second, second + minute],
		["… and after it", 6 * second, 66 * second + minute],
		[
			"five minutes after it, where asks are as far apart",
			hour,
			hour + 10 * minute,
		],
	])("%s", (_, sinceEnd, told) => {
		expect(toldEnd(seen(sinceEnd), 0) - end).toBe(told);
	});

	test("whole seconds, as they stand in the file", () => {
		for (const sinceEnd of [-hour, -30_001, 1_234, hour + 1])
			for (const part of [1, 999])
				expect(
					toldEnd(seen(sinceEnd, { endsAt: end + part }), 0.123) % second,
				).toBe(0);
	});

	test("never in the past at the next ask, nor where that one fails", () => {
		for (let sinceEnd = -life; sinceEnd < life; sinceEnd += 19_997) {
			const known = seen(sinceEnd);
			const next = nextAskAt(known, 0.3);
			if (sinceEnd < -6 * minute)
				expect(next).toBeLessThan(toldEnd(known, 0.3));
			else if (sinceEnd >= -minute)
				expect(toldEnd(known, 0.3) - next).toBeGreaterThan(59 * second);
		}
	});
});

describe("bySetBackClock", () => {
	test("all its instants move with the clock", () => {
		const known = seen(-hour, { endsBy: end + 5_000 });
		expect(bySetBackClock(known, 600_000, end - hour - 600_000)).toEqual({
			seenAt: known.seenAt - 600_000,
			endsAt: end - 600_000,
			endsBy: end + 5_000 - 600_000,
			isGuessed: false,
		});
		expect(bySetBackClock(known, 0, end)).toEqual(known);
	});

	test("a sight in the future tells nothing", () => {
		const known = seen(0);
		expect(bySetBackClock(known, 0, end - second)).toEqual(known);
		expect(bySetBackClock(known, 0, end - second - 1)).toBeUndefined();
	});
});

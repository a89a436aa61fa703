/** Tokens of 企业微信: tables over the pure functions of token-sighting.ts. */
import { describe, expect, test } from "vitest";
import type { Sighting } from "../../src/core/credential.ts";
import {
	firstTokenSight,
	nextTokenAskAt,
	tokenSeenAgain,
	toldTokenEnd,
} from "../../src/core/token-sighting.ts";

const second = 1_000;
const minute = 60 * second;
const life = 120 * minute;
const margin = 40 * minute;
/** Some instant; a whole second. */
const end = Date.UTC(2026, 0, 5, 4, 0, 0);

/** A token with a known end, seen so long after it (negative: before it). */
function seen(sinceEnd: number, changes: Partial<Sighting> = {}): Sighting {
	return {
		seenAt: end + sinceEnd,
		endsAt: end,
		endsBy: end,
		isGuessed: false,
		...changes,
	};
}

describe("the first answer with a token", () => {
	const asked = { requestedAt: end, lifetimeMs: life };

	test("a whole life of a token that nobody saw before may be a part of it", () => {
		expect(firstTokenSight(undefined, asked)).toMatchObject({
			endsAt: end + life,
			isGuessed: true,
		});
	});

	test("less than a whole life is what is left", () => {
		const left = { requestedAt: end, lifetimeMs: life - second };
		expect(firstTokenSight(undefined, left)).toEqual({
			seenAt: end,
			endsAt: end + life - second,
			endsBy: end + life - second,
			isGuessed: false,
		});
	});

	test("after the end of the former one it counts from the last sight of that", () => {
		expect(firstTokenSight(seen(-5 * second), asked)).toEqual({
			seenAt: end,
			endsAt: end - 5 * second + life,
			endsBy: end + life,
			isGuessed: false,
		});
		expect(firstTokenSight(seen(-11 * minute), asked).isGuessed).toBe(true);
	});

	test("long before the end of the former one our own call brought it about", () => {
		const former = seen(-life, { endsAt: end + margin, endsBy: end + margin });
		expect(firstTokenSight(former, asked)).toMatchObject({
			endsAt: end + life,
			isGuessed: false,
		});
	});
});

describe("the same token again", () => {
	test.each([
		["7200 for ever never moves the end", -margin, life, 0, false],
		[
			"what is left is the end",
			-margin,
			margin - 3 * second,
			-3 * second,
			false,
		],
		["more than is left is no such thing", -margin, margin + minute, 0, false],
	])("%s", (_, sinceEnd, lifetimeMs, endsAt, isGuessed) => {
		const again = tokenSeenAgain(seen(-life), {
			requestedAt: end + sinceEnd,
			lifetimeMs,
		});
		expect(again).toMatchObject({
			seenAt: end + sinceEnd,
			endsAt: end + endsAt,
			isGuessed,
		});
	});

	test("a life that is short and a constant does not creep on", () => {
		const short = seen(-20 * second);
		const again = tokenSeenAgain(short, {
			requestedAt: end - 19 * second,
			lifetimeMs: 20 * second,
		});
		expect(again.endsAt).toBe(end);
	});

	test("what is left ends a guess", () => {
		const again = tokenSeenAgain(seen(-life, { isGuessed: true }), {
			requestedAt: end - life + 5 * minute,
			lifetimeMs: 20 * minute,
		});
		expect(again).toMatchObject({
			endsAt: end - life + 25 * minute,
			isGuessed: false,
		});
	});
});

describe("asked next", () => {
	/** All asks of a life in which nothing changes, in seconds from the end. */
	const asksOf = (first: Sighting, untilMs: number): readonly number[] => {
		const asks: number[] = [];
		let sighting = first;
		for (;;) {
			const at = nextTokenAskAt(sighting, margin);
			if (at > end + untilMs) return asks;
			asks.push((at - end) / second);
			sighting = { ...sighting, seenAt: at };
		}
	};

	test("once early, then each 5 s around the end, then each minute, then each five", () => {
		const asks = asksOf(seen(-life), 25 * minute);
		expect(asks.slice(0, 6)).toEqual([-2400, -10, -5, 1, 6, 11]);
		expect(asks.filter((at) => at <= 60).at(-1)).toBe(56);
		const after = asks.filter((at) => at > 60);
		expect(after.slice(0, 2)).toEqual([116, 176]);
		expect(after.slice(-2)).toEqual([956, 1256]);
		// A token that does not end at all.
		expect(asksOf(seen(-life), life).length).toBeLessThanOrEqual(50);
	});

	test("without a known end each five minutes, and around the latest end each 5 s", () => {
		const guessed = seen(-life, { isGuessed: true });
		const asks = asksOf(guessed, 60 * second);
		expect(asks[0]).toBe(-6900);
		expect(asks.filter((at) => at > -10)).toHaveLength(13);
		expect(asks.length).toBeLessThanOrEqual(42);
	});

	test("between the earliest and the latest end there is budget left for the latter", () => {
		const wide = seen(-life, { endsBy: end + 70 * minute });
		const asks = asksOf(wide, 72 * minute);
		expect(asks).toContain(70 * 60 + 1);
		expect(asks.length).toBeLessThanOrEqual(60);
	});
});

describe("told as the end", () => {
	test.each([
		["its end before it", seen(-second), 0],
		[
			"the latest end after the earliest one",
			seen(2 * second, { endsBy: end + 5 * second }),
			5,
		],
		["a minute after the next ask once it is overdue", seen(second), 66],
		["five minutes after the next ask long after it", seen(20 * minute), 1800],
	])("%s", (_, sighting, seconds) => {
		expect((toldTokenEnd(sighting) - end) / second).toBe(seconds);
	});
});

import { expect, test } from "vitest";
import { type DayEvent, dayOf, lettersOf } from "../../src/core/day.ts";

const now = Date.parse("2026-03-02T00:00:00Z");
const hourMs = 3_600_000;

function value(fromHoursAgo: number, hours: number): DayEvent {
	const at = now - fromHoursAgo * hourMs;
	return { at, kind: "value", why: "due", until: at + hours * hourMs };
}

function failure(fromHoursAgo: number, hours: number): DayEvent {
	return { ...value(fromHoursAgo, hours), kind: "failure", why: "timeout" };
}

function lettersFor(events: readonly DayEvent[]): string {
	const ordered = [...events].sort((one, other) => one.at - other.at);
	return lettersOf(dayOf(ordered, 300_000, now), now, 24);
}

test.each([
	["nothing is known", [], ".".repeat(24)],
	["one value all day", [value(25, 26)], "#".repeat(24)],
	["known since four hours", [value(4, 5)], `${".".repeat(20)}####`],
	[
		"failures while a value lives",
		[value(6, 7), failure(3.5, 1)],
		`${".".repeat(18)}##!!##`,
	],
	[
		"an end, failures, and a new value",
		[value(6, 2), failure(4.5, 3), value(1, 2)],
		`${".".repeat(18)}#!xxx#`,
	],
] as const)("%s", (_, events, letters) => {
	expect(lettersFor(events)).toBe(letters);
});

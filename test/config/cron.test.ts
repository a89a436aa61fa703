import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "node-cron";
import { expect, test } from "vitest";
import {
	type Calendar,
	cronProblem,
	firstTick,
} from "../../src/config/cron.ts";
import { newDirectory } from "../support/directory.ts";
import { newSecret } from "../support/leaks.ts";
import { runProgram } from "../support/program.ts";

const secondMs = 1_000;
const minuteMs = 60 * secondMs;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

/** The default first. With each one the longest time between two slots, by an even clock. */
const schedules: readonly (readonly [string, number])[] = [
	["*/5 * * * * *", 5 * secondMs],
	["* * * * * *", secondMs],
	["17 * * * * *", minuteMs],
	["*/5 * * * *", 5 * minuteMs],
	["*/7 * * * *", 7 * minuteMs],
	["0 * * * *", hourMs],
	["59 */2 * * *", 2 * hourMs],
	["30 2 * * *", dayMs],
	["10,40 1-3 * * *", dayMs - 150 * minuteMs],
];

/** A change of a zone's clocks: `at`, epoch ms; its offsets from UTC in ms. */
interface Change {
	readonly at: number;
	readonly before: number;
	readonly after: number;
}

const changes = changesOfAllZones(
	Date.parse("2024-01-01T00:00:00Z"),
	Date.parse("2031-01-01T00:00:00Z"),
);

test.each(schedules)(
	"%s: around every change of the clocks in any zone from 2024 to 2030, no two ticks are further apart than two slots",
	(expression, stepMs) => {
		const fits = matcher(expression);
		for (const change of changes) {
			const calendar: Calendar = {
				matches: (at) => fits(at + offsetAt(change, at)),
				offsetAt: (at) => offsetAt(change, at),
			};
			const from = change.at - stepMs - minuteMs;
			const until = change.at + 2 * stepMs + 2 * hourMs + minuteMs;
			let last = from;
			while (last < until) {
				const next = nextTick(calendar, last, stepMs);
				if (next === undefined)
					throw new Error(
						`no tick within ${stepMs + secondMs} ms of ${new Date(last).toISOString()}: ${JSON.stringify(change)}`,
					);
				last = next;
			}
		}
	},
);

test("there are such changes: zones that go ahead, back, by half an hour, and at Ramadan", () => {
	const jumps = new Set(
		changes.map(({ before, after }) => (after - before) / minuteMs),
	);
	expect([...jumps]).toEqual(expect.arrayContaining([60, -60, 30, -30]));
	expect(changes.length).toBeGreaterThan(20);
});

/** Undefined: none within the step and a second. */
function nextTick(
	calendar: Calendar,
	after: number,
	stepMs: number,
): number | undefined {
	return firstTick(calendar, after, after + stepMs + secondMs);
}

function offsetAt({ at, before, after }: Change, instant: number): number {
	return instant < at ? before : after;
}

/** Whether a local time, as epoch ms of a clock that never changes, is a slot. */
function matcher(expression: string): (local: number) => boolean {
	const { second, minute, hour } = parse(expression);
	const slots = new Set(
		hour.flatMap((h) =>
			minute.flatMap((m) =>
				second.map((s) => h * hourMs + m * minuteMs + s * secondMs),
			),
		),
	);
	return (local) => slots.has(local % dayMs);
}

/**
 * Changes at the same time of a day, by the same step, count once: each of the schedules
 * is the same on every day.
 */
function changesOfAllZones(from: number, until: number): readonly Change[] {
	const found = new Map<string, Change>();
	for (const zone of Intl.supportedValuesOf("timeZone")) {
		const offsetOf = offsets(zone);
		// The closest two changes are those around a Ramadan, four weeks apart.
		for (let at = from; at < until; at += 7 * dayMs) {
			const change = changeBetween(offsetOf, at, at + 7 * dayMs);
			if (change === undefined) continue;
			const { at: changeAt, before, after } = change;
			found.set(`${changeAt % dayMs} ${before} ${after}`, change);
		}
	}
	return [...found.values()];
}

function changeBetween(
	offsetOf: (at: number) => number,
	from: number,
	until: number,
): Change | undefined {
	const before = offsetOf(from);
	const after = offsetOf(until);
	if (before === after) return undefined;
	let [early, late] = [from, until];
	while (late - early > secondMs) {
		const middle =
			Math.floor((early + late) / 2 / secondMs) * secondMs || early;
		if (offsetOf(middle) === before) early = middle;
		else late = middle;
	}
	return { at: late, before, after };
}

/** The offset of a zone from UTC, ms, by the tz database that Node.js has. */
function offsets(zone: string): (at: number) => number {
	const format = new Intl.DateTimeFormat("en-US", {
		timeZone: zone,
		timeZoneName: "longOffset",
		hour: "numeric",
	});
	return (at) => {
		const [, sign, hours = "0", minutes = "0"] =
			/GMT(?:([+-])(\d\d):(\d\d))?$/.exec(format.format(at)) ?? [];
		const size = Number(hours) * hourMs + Number(minutes) * minuteMs;
		return sign === "-" ? -size : size;
	};
}

test.each([
	"*/5 * * * * *",
	"0 8,12,18-22/2 * * mon-fri",
	"0 0 1 January,jul *",
	"0 9 * * 1#1",
	"0 0 L * *",
	"17 4 * * 7",
])("%j is a schedule", async (expression) => {
	// By a process of its own: in this one another file may have changed the time zone, and
	// node-cron remembers the former one.
	const place = newDirectory();
	const config = join(place, "config.toml");
	writeFileSync(
		config,
		`directory = "${place}"\nschedule = "${expression}"\n[[account]]\nappid = "wx1"\nsecret = "${newSecret()}"\n`,
	);
	const { code, stderr } = await runProgram(["check", "--config", config]);
	expect({ code, isRefused: stderr.includes("schedule: is") }).toEqual({
		code: 0,
		isRefused: false,
	});
});

test.each([
	["a number that no field has", "10000 * * * *"],
	["a star that goes on", "*5 * * * *"],
	["names that go on", "0 0 1 janfebmarapr *"],
	["a list as long as a page", `${"0,".repeat(150)}0 * * * *`],
])("%s is refused before node-cron takes it apart", (_, expression) => {
	expect(cronProblem(expression)).toMatch(/^each field is `\*`, a number/);
});

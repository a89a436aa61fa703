import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startSchedule } from "../../src/daemon/schedule.ts";

const clock = { now: () => Date.now(), monotonic: () => performance.now() };
const hourMs = 3_600_000;
const { TZ = "" } = process.env;

beforeEach(() => {
	vi.useFakeTimers();
});

afterEach(() => {
	vi.useRealTimers();
	setTimeZone(TZ);
});

test.each([
	["America/New_York", "2026-11-01T06:00:00Z"],
	["America/New_York", "2026-03-08T07:00:00Z"],
	["Europe/Berlin", "2026-10-25T01:00:00Z"],
	["Australia/Lord_Howe", "2026-04-04T15:00:00Z"],
	["Africa/Casablanca", "2026-02-15T02:00:00Z"],
	["Africa/El_Aaiun", "2026-03-22T02:00:00Z"],
])(
	"in %s the default schedule ticks each 5 s, also around %s, when the clocks change",
	async (zone, change) => {
		setTimeZone(zone);
		const at = Date.parse(change);
		const isChange = offsetAt(at) !== offsetAt(at - 1);
		expect(isChange).toBe(true);
		const ticks = await ticksFrom(
			"*/5 * * * * *",
			at - hourMs,
			at + 2 * hourMs,
		);
		expect(longestGap(ticks)).toBe(5_000);
		expect(ticks.length).toBe((3 * hourMs) / 5_000);
	},
);

test("a daily slot in the hour that is left out in spring is not missed", async () => {
	setTimeZone("America/New_York");
	const from = Date.parse("2026-03-08T06:30:00Z");
	const ticks = await ticksFrom("30 2 * * *", from, from + 2 * hourMs);
	expect(ticks.map((at) => new Date(at).toISOString())).toEqual([
		"2026-03-08T07:00:00.000Z",
	]);
});

test("a clock that is set ahead by a year is one tick at once, and a wake-up that is asked for then is no search through that year", async () => {
	vi.setSystemTime(Date.parse("2026-06-01T00:00:30Z"));
	const ticks: number[] = [];
	const schedule = startSchedule(
		"0 0 1 1 *",
		() => ticks.push(Date.now()),
		clock,
	);
	const later = Date.parse("2027-06-01T00:00:30Z");
	vi.setSystemTime(later);
	schedule.wakeAt(later + 2_000);
	await vi.advanceTimersByTimeAsync(60_000);
	schedule.stop();
	expect(ticks.length).toBe(1);
});

/** The instants of the ticks between two instants, epoch ms. */
async function ticksFrom(
	expression: string,
	from: number,
	until: number,
): Promise<readonly number[]> {
	vi.setSystemTime(from);
	const ticks: number[] = [];
	const schedule = startSchedule(
		expression,
		() => ticks.push(Date.now()),
		clock,
	);
	await vi.advanceTimersByTimeAsync(until - from);
	schedule.stop();
	return ticks;
}

function longestGap(ticks: readonly number[]): number {
	return Math.max(...ticks.slice(1).map((at, n) => at - (ticks[n] ?? at)));
}

function offsetAt(at: number): number {
	return new Date(at).getTimezoneOffset();
}

function setTimeZone(zone: string): void {
	if (zone === "") delete process.env.TZ;
	else process.env.TZ = zone;
}

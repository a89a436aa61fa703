import { expect, test } from "vitest";
import type { KnownToken } from "../../src/core/credential.ts";
import { type DayEvent, dayOf } from "../../src/core/day.ts";
import { StoreError } from "../../src/core/errors.ts";
import type { KeeperEvent } from "../../src/core/ports.ts";
import type { Reason } from "../../src/core/request.ts";
import { createHistory } from "../../src/daemon/history.ts";

const minute = 60_000;
const hour = 60 * minute;
const t0 = 1_800_000_000_000;

function refreshed(
	at: number,
	{ reason = "due" as Reason, endsAt = at + 2 * hour, isSame = false } = {},
): KeeperEvent {
	const current: KnownToken = {
		token: { value: `v${at}`, expiresAt: endsAt },
		id: `${at}`,
		generation: at,
		lifetimeMs: 2 * hour,
		fetchedAt: at,
		reason,
	};
	return {
		kind: "refreshed",
		...{ current, reason, isSame },
		replaces: undefined,
		afterFailures: undefined,
	};
}

function failed(): KeeperEvent {
	return {
		kind: "failed",
		error: new StoreError("io", "could not write", "make room"),
		...{ failure: undefined, notBefore: undefined, current: undefined },
		isAsked: false,
	};
}

test("values, failures in a row and deaths are noted, and make a day", () => {
	const history = createHistory();
	const note = (minutes: number, event: KeeperEvent) =>
		history.note("a", event, t0 + minutes * minute);
	note(0, refreshed(t0));
	note(80, refreshed(t0 + 80 * minute, { reason: "forced" }));
	// A ticket that WeChat still gives: its end moves on.
	note(
		90,
		refreshed(t0 + 90 * minute, { endsAt: t0 + 190 * minute, isSame: true }),
	);
	note(150, failed());
	note(151, failed());
	note(160, failed());
	note(220, refreshed(t0 + 220 * minute));
	note(230, {
		kind: "probed",
		current: (refreshed(t0) as Extract<KeeperEvent, { kind: "refreshed" }>)
			.current,
		result: "dead",
	});
	note(231, refreshed(t0 + 231 * minute, { reason: "reported" }));
	const now = t0 + 240 * minute;
	const { values, failures, dead } = dayOf(
		history.of("a", now),
		5 * minute,
		now,
	);
	const inMinutes = (spans: readonly { from: number; to: number }[]) =>
		spans.map(({ from, to }) => [(from - t0) / minute, (to - t0) / minute]);
	expect(inMinutes(values)).toEqual([
		[0, 85],
		[80, 190],
		[220, 230],
		[231, 351],
	]);
	expect(values.map(({ why }) => why)).toEqual([
		"due",
		"forced",
		"due",
		"reported",
	]);
	expect(inMinutes(failures)).toEqual([[150, 160]]);
	expect(inMinutes(dead)).toEqual([
		[190, 220],
		[230, 231],
	]);
});

test("it remembers a day, 64 events of a credential, and the 500 most recently eventful ones", () => {
	const history = createHistory();
	for (let i = 0; i < 100; i++)
		history.note("many", refreshed(t0 + i * minute), t0 + i * minute);
	expect(history.of("many", t0 + 100 * minute)).toHaveLength(64);
	expect(history.of("many", t0 + 30 * hour)).toEqual([]);
	for (let i = 0; i < 499; i++)
		history.note(`c${i}`, refreshed(t0 + hour), t0 + hour);
	history.note("many", refreshed(t0 + 2 * hour), t0 + 2 * hour);
	history.note("last", refreshed(t0 + 2 * hour), t0 + 2 * hour);
	expect([...history.all()]).toHaveLength(500);
	expect(history.of("c0", t0 + 2 * hour)).toEqual([]);
	expect(history.of("many", t0 + 2 * hour).length).toBeGreaterThan(0);
});

test("what an earlier process noted comes before what is known", () => {
	const history = createHistory();
	const old: DayEvent = {
		at: t0,
		kind: "value",
		why: "due",
		until: t0 + 2 * hour,
	};
	history.restore("a", [old]);
	// This process finds that value on disk.
	const { current } = refreshed(t0) as Extract<
		KeeperEvent,
		{ kind: "refreshed" }
	>;
	history.note("a", { kind: "adopted", current }, t0 + hour);
	expect(history.of("a", t0 + hour)).toEqual([old]);
	history.note("a", refreshed(t0 + hour), t0 + hour);
	expect(history.of("a", t0 + hour)).toHaveLength(2);
});

test("pushed tickets are spans with their gaps, and drive out nothing else", () => {
	const history = createHistory();
	history.note("a", refreshed(t0), t0);
	const every10 = (from: number, count: number) => {
		for (let index = 0; index < count; index += 1)
			history.pushed("a", t0 + (from + 10 * index) * minute);
	};
	every10(0, 30);
	// Nothing came for 70 minutes.
	every10(360, 60);
	const now = t0 + 950 * minute;
	const { pushes, values, failures } = dayOf(history.of("a", now), 0, now);
	expect(
		pushes.map(({ from, to }) => [(from - t0) / minute, (to - t0) / minute]),
	).toEqual([
		[0, 290],
		[360, 950],
	]);
	expect(values).toHaveLength(1);
	expect(failures).toEqual([]);
	// The same ticket once more is none.
	const noted = history.of("a", now);
	history.pushed("a", now);
	expect(history.of("a", now)).toEqual(noted);
});

test("failures stay one span though tickets come in between", () => {
	const history = createHistory();
	history.note("a", failed(), t0);
	history.pushed("a", t0 + minute);
	history.note("a", failed(), t0 + 2 * minute);
	const { failures } = dayOf(history.of("a", t0 + hour), 0, t0 + hour);
	expect(failures).toHaveLength(1);
});

test("pushes survive a restart, and those that come and go are bounded", () => {
	const before = createHistory();
	for (let index = 0; index < 40; index += 1)
		before.pushed("a", t0 + index * 31 * minute);
	const after = createHistory();
	for (const [id, events] of before.all()) after.restore(id, events);
	const now = t0 + 40 * 31 * minute;
	const { pushes } = dayOf(after.of("a", now), 0, now);
	expect(pushes).toHaveLength(24);
	after.pushed("a", now);
	expect(dayOf(after.of("a", now), 0, now).pushes.at(-1)?.to).toBe(now);
});

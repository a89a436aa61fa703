/** When the daemon ticks, and what is left of that over a reload. */
import { expect, onTestFinished, test, vi } from "vitest";
import { startSchedule } from "../../src/daemon/schedule.ts";

/** Never within the test. */
const newYear = "0 0 0 1 1 *";

function newScene() {
	vi.useFakeTimers({ now: Date.UTC(2026, 5, 1) });
	onTestFinished(() => void vi.useRealTimers());
	const clock = { now: () => Date.now(), monotonic: () => performance.now() };
	const ticks: number[] = [];
	const startedAt = Date.now();
	return {
		ticks,
		start: () =>
			startSchedule(newYear, () => ticks.push(Date.now() - startedAt), clock),
		at: (ms: number) => startedAt + ms,
	};
}

test("an instant that was asked for brings one tick", () => {
	const { start, at, ticks } = newScene();
	const schedule = start();
	schedule.wakeAt(at(1_000));
	schedule.wakeAt(at(1_000));
	schedule.wakeAt(at(3_000));
	vi.advanceTimersByTime(60_000);
	expect(ticks).toEqual([1_000, 3_000]);
	expect(schedule.stop()).toEqual([]);
});

test("what has not come when it stops is known, so that the next schedule can have it", () => {
	const { start, at, ticks } = newScene();
	const first = start();
	first.wakeAt(at(1_000));
	first.wakeAt(at(9_000));
	vi.advanceTimersByTime(2_000);
	const left = first.stop();
	expect(left).toEqual([at(9_000)]);
	const second = start();
	for (const wake of left) second.wakeAt(wake);
	vi.advanceTimersByTime(60_000);
	expect(ticks).toEqual([1_000, 9_000]);
	second.stop();
});

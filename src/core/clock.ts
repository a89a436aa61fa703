/**
 * The only place that asks the machine for the time.
 *
 * `now` is the wall clock in epoch milliseconds: deadlines are compared with
 * it, so a suspend or a clock step is noticed at the next look. `monotonic` is
 * milliseconds from an arbitrary start that no clock step moves: it measures
 * how long something was watched.
 */
export interface Clock {
	now(): number;
	monotonic(): number;
}

export const systemClock: Clock = {
	now: () => Date.now(),
	monotonic: () => performance.now(),
};

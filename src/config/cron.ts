/** What a cron expression means, by node-cron. */
import { createTask, validateDetailed } from "node-cron";

/** What is wrong with an expression, in words; undefined: it is valid. */
export function cronProblem(expression: string): string | undefined {
	const { valid, errors } = validateDetailed(expression);
	if (!valid)
		return errors.map(({ message }) => message).join("; ") || "not valid";
	try {
		cronSlots(expression)();
		return undefined;
	} catch {
		return "no date fits it";
	}
}

/**
 * Parses a valid expression once. Each call of the result gives the next slot: an
 * instant in epoch ms, by the local time zone.
 */
export function cronSlots(expression: string): () => number {
	// The task is never started. Only its calendar is used: schedule.ts says why.
	const task = createTask(expression, () => {});
	return () => {
		const [next] = task.getNextRuns(1);
		if (next === undefined) throw new Error("the schedule has no next slot");
		return next.getTime();
	};
}

/**
 * The longest time between two slots, ms, estimated from the next thirty; up to an hour
 * too short if there are hours or days without a slot. Undefined: never more than some
 * minutes, so it need not be computed. The expression must be valid.
 */
export function longestGapMs(expression: string): number | undefined {
	const [minute = "", ...calendar] = expression.trim().split(/\s+/).slice(-5);
	if (calendar.every((field) => field === "*"))
		return /^\*(\/[1-4])?$/.test(minute)
			? undefined
			: longestOfThirty(expression);
	// If slots are seconds apart, the next thirty do not reach the gap of a night. Whole
	// hours do.
	const hours = longestOfThirty(`0 0 ${calendar.join(" ")}`);
	return hours > 3_600_000 ? hours : longestOfThirty(expression);
}

function longestOfThirty(expression: string): number {
	const slots = createTask(expression, () => {})
		.getNextRuns(30)
		.map((slot) => slot.getTime());
	const gaps = slots.slice(1).map((at, index) => at - (slots[index] ?? at));
	return Math.max(...gaps);
}

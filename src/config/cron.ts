/** node-cron's part: what an expression means. */
import { createTask, validateDetailed } from "node-cron";

/** What is wrong with an expression; undefined if nothing is. */
export function cronProblem(expression: string): string | undefined {
	const { valid, errors } = validateDetailed(expression);
	if (!valid)
		return errors.map(({ message }) => message).join("; ") || "not valid";
	try {
		nextSlot(expression);
		return undefined;
	} catch {
		return "it never comes true";
	}
}

/** The next instant (epoch ms) of the expression, by the local time zone. */
function nextSlot(expression: string): number {
	return cronSlots(expression)();
}

/** As `nextSlot`, parsed once. */
export function cronSlots(expression: string): () => number {
	// The task is never started: only its calendar is used, see schedule.ts.
	const task = createTask(expression, () => {});
	return () => {
		const [next] = task.getNextRuns(1);
		if (next === undefined) throw new Error("the schedule has no next slot");
		return next.getTime();
	};
}

/**
 * The longest time between two slots, as far as the next thirty tell; within an
 * hour of it if there are hours or days without any. undefined: plainly never
 * more than some minutes.
 */
export function longestGapMs(expression: string): number | undefined {
	const [minute = "", ...calendar] = expression.trim().split(/\s+/).slice(-5);
	if (calendar.every((field) => field === "*"))
		return /^\*(\/[1-4])?$/.test(minute)
			? undefined
			: longestOfThirty(expression);
	// A night may lie beyond the next thirty slots, if they are seconds apart.
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

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
export function nextSlot(expression: string): number {
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

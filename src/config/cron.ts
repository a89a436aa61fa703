/** What a cron expression means, by node-cron. */
import { createTask, validateDetailed } from "node-cron";

const noDate = "no date fits it";

/** Far more than any schedule needs. */
const maxLength = 256;

/** `*`, a number, a name, a range, a step, or a list of them. */
const fieldShape = (() => {
	const part = "([*?]|\\d{1,4}[LW]?|[A-Za-z]{1,9})";
	const item = `${part}([-/#]${part})*`;
	return new RegExp(`^${item}(,${item})*$`);
})();

/**
 * Whether node-cron 4.6 may see it. For an expression that no schedule needs it can take all
 * memory there is, and Node.js then ends without an exception.
 */
function isShort(expression: string): boolean {
	return (
		expression.length <= maxLength &&
		expression
			.trim()
			.split(/\s+/)
			.every((field) => fieldShape.test(field))
	);
}

/** What is wrong with an expression, in words; undefined: it is valid. */
export function cronProblem(expression: string): string | undefined {
	if (expression !== "" && !isShort(expression))
		return "each field is `*`, a number of at most four digits, a name, a range, a step or a list of them";
	const { valid, errors } = validateDetailed(expression);
	if (!valid) {
		const what = errors.map(({ message }) => message).join("; ") || "not valid";
		const written = fromQuartz(expression);
		return written === undefined ? what : `${what}: write "${written}"`;
	}
	try {
		const task = createTask(expression, () => {});
		return task.getNextRuns(1).length > 0 ? undefined : noDate;
	} catch {
		return noDate;
	}
}

/**
 * The same schedule as node-cron has it, if it is written as Quartz (Spring) does: `0/5`
 * from 0 on each 5, `?` for no day in particular, a year as the seventh field.
 */
function fromQuartz(expression: string): string | undefined {
	const ends = [59, 59, 23, 31, 12, 7];
	const fields = expression.trim().split(/\s+/);
	// A year that is named cannot be written in another way.
	if (fields.length === 7 && !/^[*?]$/.test(fields[6] ?? "")) return undefined;
	const written = fields.slice(0, 6).map((field, index) => {
		const [, from = "", step] = /^(\d+|\*)\/(\d+)$/.exec(field) ?? [];
		if (field === "?") return "*";
		if (step === undefined || from === "*") return field;
		const end = ends[fields.length === 5 ? index + 1 : index] ?? 0;
		if (Number(from) > end) return field;
		return Number(from) === 0 ? `*/${step}` : `${from}-${end}/${step}`;
	});
	const text = written.join(" ");
	return text !== expression && validateDetailed(text).valid ? text : undefined;
}

/** What a schedule is reckoned by: the calendar of some time zone. */
export interface Calendar {
	/** Whether the schedule has a slot at that whole second, epoch ms, by local time. */
	matches(at: number): boolean;
	/** How local time differs from UTC at that instant. In any unit: only changes matter. */
	offsetAt(at: number): number;
}

/** A valid expression by the local time of this machine. It is parsed once. */
export function localCalendar(expression: string): Calendar {
	// The task is never started. Only its calendar is used: schedule.ts says why.
	const task = createTask(expression, () => {});
	return {
		matches: (at) => task.match(new Date(at)),
		offsetAt: (at) => new Date(at).getTimezoneOffset(),
	};
}

/**
 * The first tick of a schedule later than `after`, and not later than `until`; epoch ms.
 * Each whole second between the two is looked at, so keep them close.
 *
 * A change of local time against UTC is a tick as well. When the clocks go ahead, local
 * time leaves slots out; when they go back, a slot comes an hour later than the gaps of
 * the schedule promise. With a tick at the change, no gap is longer than the longest one
 * of a year without changes.
 */
export function firstTick(
	{ matches, offsetAt }: Calendar,
	after: number,
	until: number,
): number | undefined {
	const first = (Math.floor(after / 1000) + 1) * 1000;
	let offset = offsetAt(first - 1000);
	for (let at = first; at <= until; at += 1000) {
		const former = offset;
		offset = offsetAt(at);
		if (offset !== former || matches(at)) return at;
	}
	return undefined;
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

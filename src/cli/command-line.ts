/** Command lines, parsed by their usage. */
import { parseArgs } from "node:util";
import { UsageError } from "../core/errors.ts";
import type { CommandUsage } from "./usage.ts";

export interface CommandLine {
	readonly operands: readonly string[];
	readonly help: boolean;
	/** Whether a switch is on. */
	has(flag: string): boolean;
	/** The value of an option; the last one, if it stands there often. */
	value(flag: string): string | undefined;
	values(flag: string): readonly string[];
	/** A number between two bounds (0 and infinity), such as seconds. */
	number(flag: string, least?: number, most?: number): number | undefined;
}

/** Throws `UsageError`. */
export function parseCommandLine(
	usage: CommandUsage,
	argv: readonly string[],
): CommandLine {
	const hint = `see wxtokend ${usage.name} --help`;
	const options = Object.fromEntries([
		["help", { type: "boolean" as const, short: "h" }],
		...usage.options.map(({ flag, value }) => [
			flag,
			value === undefined
				? { type: "boolean" as const }
				: { type: "string" as const, multiple: true },
		]),
	]);
	let parsed: ReturnType<typeof parseArgs>;
	try {
		parsed = parseArgs({
			args: [...argv],
			options,
			allowPositionals: true,
			strict: true,
		});
	} catch (error) {
		if (!(error instanceof TypeError)) throw error;
		throw new UsageError(mistakeIn(error.message, usage), hint);
	}
	const { values, positionals } = parsed;
	const help = values.help === true;
	if (!help && positionals.length < usage.minOperands)
		throw new UsageError(`${usage.operands} is missing`, hint);
	for (const { flag, value } of usage.options) {
		// What `--config "$UNSET"` gives: nobody means it.
		const given = values[flag];
		if (!help && Array.isArray(given) && given.includes(""))
			throw new UsageError(`--${flag} is empty; expected ${value}`, hint);
	}
	const extra = positionals[usage.maxOperands];
	if (!help && extra !== undefined)
		throw new UsageError(`unexpected argument ${JSON.stringify(extra)}`, hint);
	const all = (flag: string): readonly string[] => {
		const value = values[flag];
		return Array.isArray(value) ? value.map(String) : [];
	};
	return {
		operands: positionals,
		help,
		has: (flag) => values[flag] === true,
		value: (flag) => all(flag).at(-1),
		values: all,
		number: (flag, least = 0, most = Number.POSITIVE_INFINITY) => {
			const text = all(flag).at(-1);
			if (text === undefined) return undefined;
			const number = text.trim() === "" ? Number.NaN : Number(text);
			if (Number.isFinite(number) && number >= least && number <= most)
				return number;
			const expected =
				most === Number.POSITIVE_INFINITY
					? `of at least ${least}`
					: `from ${least} to ${most}`;
			throw new UsageError(
				`--${flag} is ${JSON.stringify(text)}; expected a number ${expected}`,
				hint,
			);
		},
	};
}

/** Node.js says it in words for programmers. */
function mistakeIn(message: string, { options }: CommandUsage): string {
	const [option = "this option"] = /-[^\s<',]+/.exec(message) ?? [];
	if (message.startsWith("Unknown option"))
		return `there is no option ${option}`;
	if (message.includes("does not take")) return `${option} takes no value`;
	const value = options.find(({ flag }) => option === `--${flag}`)?.value;
	return message.includes("ambiguous")
		? `${option} has no value; one that begins with a dash is given as ${option}=${value}`
		: `${option} has no value; expected ${option} ${value}`;
}

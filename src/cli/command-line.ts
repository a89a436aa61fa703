/** Parses command lines by the usage of their command. */
import { parseArgs } from "node:util";
import { UsageError } from "../core/errors.ts";
import type { CommandUsage } from "./usage.ts";

/** A command line without mistakes, but for numbers: they are checked when they are asked for. */
export interface CommandLine {
	/** Arguments that are no options, in order. */
	readonly operands: readonly string[];
	/** `--help` was given: then operands may be missing. */
	readonly help: boolean;
	/** Whether a switch was given. */
	has(flag: string): boolean;
	/** The value of an option; of several, the last one. */
	value(flag: string): string | undefined;
	/** All values of an option, in order. */
	values(flag: string): readonly string[];
	/**
	 * The value of an option as a number, within bounds (by default any that is not
	 * negative). Undefined: it was not given. Throws `UsageError`.
	 */
	number(flag: string, min?: number, max?: number): number | undefined;
}

/** Throws `UsageError`, whose hint names the help of the command. */
export function parseCommandLine(
	usage: CommandUsage,
	argv: readonly string[],
): CommandLine {
	const hint = `see wxtokend ${usage.name} --help`;
	const { values, positionals } = parse(usage, argv, hint);
	const help = values.help === true;
	// With --help the rest of the line does not matter.
	if (!help) {
		const mistake =
			missingOperand(usage, positionals) ??
			emptyOption(usage, values) ??
			extraOperand(usage, positionals);
		if (mistake !== undefined) throw new UsageError(mistake, hint);
	}
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
		number: (flag, min = 0, max = Number.POSITIVE_INFINITY) => {
			const text = all(flag).at(-1);
			if (text === undefined) return undefined;
			// `Number` takes blanks for 0.
			const number = text.trim() === "" ? Number.NaN : Number(text);
			if (Number.isFinite(number) && number >= min && number <= max)
				return number;
			const expected =
				max === Number.POSITIVE_INFINITY
					? `of at least ${min}`
					: `from ${min} to ${max}`;
			throw new UsageError(
				`--${flag} is ${JSON.stringify(text)}; expected a number ${expected}`,
				hint,
			);
		},
	};
}

/** As Node.js gives it: values by flag. */
type Parsed = ReturnType<typeof parseArgs>;

/** Every option with a value may be repeated here; `value` takes the last one. */
function parse(
	usage: CommandUsage,
	argv: readonly string[],
	hint: string,
): Parsed {
	const options = Object.fromEntries([
		["help", { type: "boolean" as const, short: "h" }],
		...usage.options.map(({ flag, value }) => [
			flag,
			value === undefined
				? { type: "boolean" as const }
				: { type: "string" as const, multiple: true },
		]),
	]);
	try {
		return parseArgs({
			args: [...argv],
			options,
			allowPositionals: true,
			strict: true,
		});
	} catch (error) {
		if (!(error instanceof TypeError)) throw error;
		throw new UsageError(mistakeIn(error.message, usage), hint);
	}
}

/** What is wrong, in words; undefined: nothing. So are the next two. */
function missingOperand(
	{ operands, minOperands }: CommandUsage,
	given: readonly string[],
): string | undefined {
	return given.length < minOperands ? `${operands} is missing` : undefined;
}

/** An empty value comes from an unset variable, as in `--config "$UNSET"`. */
function emptyOption(
	{ options }: CommandUsage,
	values: Parsed["values"],
): string | undefined {
	const empty = options.find(({ flag }) => {
		const given = values[flag];
		return Array.isArray(given) && given.includes("");
	});
	return empty && `--${empty.flag} is empty; expected ${empty.value}`;
}

function extraOperand(
	{ maxOperands }: CommandUsage,
	given: readonly string[],
): string | undefined {
	const extra = given[maxOperands];
	return extra === undefined
		? undefined
		: `unexpected argument ${JSON.stringify(extra)}`;
}

/** Node.js reports a mistake in the words of a programmer; these are for operators. */
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

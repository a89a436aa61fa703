/** The rows as text for a terminal. */
import type { Measure, Other, Row, Unit } from "./figures.ts";

/** A heading for each part, and a line for each row; many others go on lines of their own. */
export function tableOf(rows: readonly Row[]): string {
	const parts = [...new Set(rows.map(({ part }) => part))];
	return parts
		.flatMap((part) => [
			"",
			part,
			...rows.filter((row) => row.part === part).flatMap(linesOf),
		])
		.join("\n");
}

const width = { what: 52, value: 14 };

function linesOf({ what, ours, others, target }: Row): readonly string[] {
	const verdict =
		target === undefined
			? ""
			: `${target.text}: ${target.met ? "met" : "MISSED"}`;
	const beside = others.map(besideOf);
	const isShort = beside.length <= 1;
	const line = `  ${what.padEnd(width.what)} ${textOf(ours).padStart(width.value)}   ${verdict.padEnd(16)} ${isShort ? beside.join("") : ""}`;
	return [
		line.trimEnd(),
		...(isShort ? [] : beside.map((text) => `      ${text}`)),
	];
}

/** "bare script 3.14 ms, ours 1.05 ×" */
function besideOf({ ratio, ...other }: Other): string {
	const compared = ratio === undefined ? "" : `, ours ${withUnit(ratio, "×")}`;
	return `${other.name} ${textOf(other)}${compared}`;
}

function textOf({ value, unit, unfinished }: Measure): string {
	const text = withUnit(value, unit);
	return unfinished ? `not within ${text}` : text;
}

/** Three digits or so, and the unit. */
export function withUnit(value: number, unit: Unit): string {
	return unit === "" ? figure(value) : `${figure(value)} ${unit}`;
}

function figure(value: number): string {
	const size = Math.abs(value);
	if (Number.isInteger(value) || size >= 100)
		return Math.round(value).toLocaleString("en");
	return value.toFixed(size >= 10 ? 1 : size >= 0.1 ? 2 : 4);
}

/** The rows that have a target as a picture: how much of what it allows is used. */
import type { Row, Target } from "./figures.ts";
import { withUnit } from "./table.ts";

interface Aimed extends Row {
	readonly target: Target;
}

/** Pixels. */
const size = {
	width: 860,
	margin: 16,
	/** Where the bars begin, where they reach the target, and where they are cut. */
	from: 446,
	target: 646,
	end: 706,
	row: 22,
	bar: 12,
	top: 60,
};

/**
 * On a ground of its own, so that it can be read on a light page and on a dark one.
 * `inWords` turns its English into the language of the page.
 */
export function plotOf(
	rows: readonly Row[],
	subtitle: string,
	inWords = (text: string) => text,
): string {
	const title = inWords("What was measured, against its targets");
	const aimed = rows.filter((row): row is Aimed => row.target !== undefined);
	const height = size.top + aimed.length * size.row + 2 * size.margin;
	const bottom = height - size.margin;
	return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${title}">
  <rect width="${size.width}" height="${height}" rx="6" fill="#ffffff"/>
  <text x="${size.margin}" y="24" font-size="15" font-weight="600" fill="#222222">${title}</text>
  <text x="${size.margin}" y="42" fill="#666666">${escaped(inWords(subtitle))}</text>
  <text x="${size.target}" y="${size.top - 6}" text-anchor="middle" fill="#d94801">${inWords("target")}</text>
${aimed.map((row, index) => barOf({ ...row, what: inWords(row.what) }, index)).join("\n")}
  <line x1="${size.target}" y1="${size.top}" x2="${size.target}" y2="${bottom}" stroke="#d94801" stroke-width="1.5"/>
</svg>
`;
}

function barOf({ part, what, target }: Aimed, index: number): string {
	const top = size.top + 8 + index * size.row;
	const baseline = top + size.bar - 2;
	const wanted = (size.target - size.from) * target.share;
	const length = Math.min(Math.max(wanted, 2), size.end - size.from);
	const colour = target.met ? "#6baed6" : "#fd8d3c";
	const value = `${withUnit(target.value, target.unit)} (${target.text})`;
	return [
		`  <text x="${size.margin}" y="${baseline}" fill="#333333"><tspan fill="#888888">${escaped(part)}</tspan> ${escaped(what)}</text>`,
		`  <rect x="${size.from}" y="${top}" width="${length.toFixed(1)}" height="${size.bar}" rx="2" fill="${colour}"/>`,
		`  <text x="${size.end + 10}" y="${baseline}" fill="#333333">${escaped(value)}</text>`,
	].join("\n");
}

function escaped(text: string): string {
	return text
		.replaceAll("&", "&amp;")
		.replaceAll("<", "&lt;")
		.replaceAll(">", "&gt;");
}

/**
 * The bench: figures that hold on any machine, because each one stands beside
 * the limit, or beside what a user would take instead, measured in turn in the
 * same run. It marks each target as met or missed, and asserts nothing.
 *
 *   npm run bench [-- --quick] [-- --only get,start,hup,renewals,idle]
 *
 * --quick only shows that all of it runs: its figures mean nothing.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Row } from "./figures.ts";
import { benchGet } from "./get.ts";
import { benchIdle } from "./idle.ts";
import { benchHup, benchStart } from "./publish.ts";
import { benchRenewals } from "./renewals.ts";
import { onScene, type Scale } from "./scene.ts";

const parts: Readonly<
	Record<string, (scale: Scale) => Promise<readonly Row[]>>
> = {
	get: benchGet,
	start: benchStart,
	hup: benchHup,
	renewals: benchRenewals,
	idle: benchIdle,
};

const { values } = parseArgs({
	options: {
		quick: { type: "boolean", default: false },
		only: { type: "string", default: Object.keys(parts).join(",") },
	},
});
const chosen = values.only.split(",").map((name) => {
	const run = parts[name];
	if (run === undefined)
		throw new Error(
			`there is no part ${name}; parts: ${Object.keys(parts).join(", ")}`,
		);
	return run;
});
const rows = await onScene(values.quick, async (scale) => {
	const all: Row[] = [];
	for (const run of chosen) all.push(...(await run(scale)));
	return all;
});
for (const row of rows) console.log(lineOf(row));
if (!values.quick) {
	mkdirSync("bench/results", { recursive: true });
	writeFileSync(
		"bench/results/latest.json",
		`${JSON.stringify({ at: new Date(), node: process.version, rows }, null, "\t")}\n`,
	);
}

function lineOf({ what, ours, others, ratio, target }: Row): string {
	const beside = others
		.map(({ name, value, unit }) => `${name} ${value.toFixed(2)} ${unit}`)
		.join(", ");
	const compared = ratio === undefined ? "" : `ratio ${ratio.toFixed(2)}`;
	const verdict =
		target === undefined
			? ""
			: `${target.text}: ${target.met ? "met" : "MISSED"}`;
	return `${what.padEnd(56)} ${ours.value.toFixed(2).padStart(9)} ${ours.unit.padEnd(4)} ${beside.padEnd(28)} ${compared.padEnd(12)} ${verdict}`.trimEnd();
}

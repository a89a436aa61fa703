/**
 * The bench: figures that hold on any machine, because each one stands beside
 * the limit, or beside what a user would take instead, measured in turn in the
 * same run. It marks each target as met or missed, and asserts nothing.
 *
 *   npm run bench [-- --quick] [-- --only herd,read,…] [-- --out DIR]
 *
 * It prints a table, and writes latest.json and latest.svg.
 *
 * --quick only shows that all of it runs: its figures mean nothing, and are
 * written only where --out says.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { inChinese } from "./chinese.ts";
import type { Row } from "./figures.ts";
import { benchGet } from "./get.ts";
import { benchGrowth } from "./growth.ts";
import { benchHerd } from "./herd.ts";
import { benchIdle } from "./idle.ts";
import { benchMemory } from "./memory.ts";
import { plotOf } from "./plot.ts";
import { benchHup, benchStart } from "./publish.ts";
import { benchQuestions } from "./questions.ts";
import { benchRead } from "./read.ts";
import { benchRenewals } from "./renewals.ts";
import { onScene, type Scale } from "./scene.ts";
import { tableOf } from "./table.ts";

const parts: Readonly<
	Record<string, (scale: Scale) => Promise<readonly Row[]>>
> = {
	herd: benchHerd,
	read: benchRead,
	get: benchGet,
	start: benchStart,
	hup: benchHup,
	renewals: benchRenewals,
	idle: benchIdle,
	growth: benchGrowth,
	questions: benchQuestions,
	memory: benchMemory,
};

const values = valuesOf(process.argv.slice(2));
const chosen = (values.only?.split(",") ?? Object.keys(parts)).map((name) => {
	const run = Object.hasOwn(parts, name) ? parts[name] : undefined;
	if (run !== undefined) return { name, run };
	return endWith(`there is no part "${name}"`);
});
const rows = await onScene(values.quick, async (scale) => {
	const all: Row[] = [];
	for (const { name, run } of chosen) {
		const startedAt = performance.now();
		all.push(...(await run(scale)));
		const seconds = (performance.now() - startedAt) / 1000;
		scale.say(`${name}: ${seconds.toFixed(0)} s`);
	}
	return all;
});
console.log(tableOf(rows));
if (values.quick) console.log("\n--quick: these figures mean nothing");
// A part alone does not take the place of a whole run.
const isWhole = !values.quick && values.only === undefined;
const out = values.out ?? (isWhole ? "bench/results" : undefined);
if (out !== undefined) {
	const run = {
		at: new Date(),
		quick: values.quick,
		node: process.version,
		processors: cpus().length,
		rows,
	};
	mkdirSync(out, { recursive: true });
	writeFileSync(
		join(out, "latest.json"),
		`${JSON.stringify(run, null, "\t")}\n`,
	);
	const subtitle = values.quick
		? "a quick look: these figures mean nothing"
		: `a bar that ends at the line or before it meets its target; long ones are cut · Node.js ${process.version}, ${cpus().length} processors`;
	writeFileSync(join(out, "latest.svg"), plotOf(rows, subtitle));
	writeFileSync(
		join(out, "latest.zh-CN.svg"),
		plotOf(rows, subtitle, inChinese),
	);
}

/** What stands on the command line; ends the process if that is no command of ours. */
function valuesOf(args: string[]) {
	try {
		return parseArgs({
			args,
			options: {
				quick: { type: "boolean", default: false },
				only: { type: "string" },
				out: { type: "string" },
			},
		}).values;
	} catch (error) {
		return endWith(String((error as Error).message).split(". ", 1)[0] ?? "");
	}
}

/** A mistake of the one who typed: says what there is, without a stack. */
function endWith(mistake: string): never {
	console.error(
		`bench: ${mistake}; expected [--quick] [--only PART,…] [--out DIR], with parts of ${Object.keys(parts).join(", ")}`,
	);
	process.exit(64);
}

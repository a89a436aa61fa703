/** That the bench runs and tells what it measured; what the figures are is not for a test. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Measure, Row } from "../bench/figures.ts";
import { sdks } from "../bench/sdks.ts";
import { projectRoot } from "./support/program.ts";

const run = promisify(execFile);

const out = mkdtempSync(join(tmpdir(), "wxtokend-bench-test-"));
let printed = "";
let told = "";
let rows: readonly Row[] = [];

beforeAll(async () => {
	const argv = ["bench/run.mjs", "--quick", "--out", out];
	const parts = ["--only", "herd,get,start,read,growth"];
	const { stdout, stderr } = await run(process.execPath, [...argv, ...parts], {
		cwd: projectRoot,
	});
	printed = stdout;
	told = stderr;
	rows = JSON.parse(readFileSync(join(out, "latest.json"), "utf8")).rows;
}, 900_000);

afterAll(() => rmSync(out, { recursive: true, force: true }));

test("each part that was asked for has its rows, and no other has any", () => {
	const count = (part: string) =>
		rows.filter((row) => row.part === part).length;
	expect(count("get")).toBe(1);
	expect(count("start")).toBe(2);
	expect(count("growth")).toBe(5);
	expect(count("herd")).toBe(4);
	expect(count("storm")).toBe(3);
	expect(rows).toHaveLength(15 + count("read"));
});

test("every figure is a finite number, or there would be nothing to compare", () => {
	const measures = rows.flatMap(({ ours, others }): Measure[] => [
		ours,
		...others,
	]);
	expect(measures.length).toBeGreaterThan(rows.length);
	for (const { name, value, samples } of measures) {
		expect([name, value]).toEqual([name, expect.toSatisfy(Number.isFinite)]);
		expect(samples.length).toBeGreaterThan(0);
		for (const sample of samples) expect(sample).toSatisfy(Number.isFinite);
	}
	const ratios = rows.flatMap(({ others }) =>
		others.map(({ ratio }) => ratio ?? 1),
	);
	for (const ratio of ratios) expect(ratio).toSatisfy(Number.isFinite);
});

test("every row is printed with its figure, and its target as met or missed", () => {
	const lines = printed.split("\n");
	for (const { what, target } of rows) {
		const line =
			lines.find((text) => text.trim().startsWith(`${what}  `)) ?? "";
		expect(line, `${what} in:\n${printed}`).toMatch(
			/ {2}-?[\d,.]+( (ms|s|µs|KiB|%))?( {3}|$)/,
		);
		if (target !== undefined)
			expect(line).toContain(
				`${target.text}: ${target.met ? "met" : "MISSED"}`,
			);
	}
});

test("every row with a target has a bar in the picture", () => {
	const picture = readFileSync(join(out, "latest.svg"), "utf8");
	for (const { what, target } of rows)
		if (target !== undefined) expect(picture).toContain(`</tspan> ${what}<`);
	expect(picture).not.toMatch(/NaN|undefined|Infinity/);
});

test("the same picture is there in Chinese", () => {
	const picture = readFileSync(join(out, "latest.zh-CN.svg"), "utf8");
	const bars = [...picture.matchAll(/<\/tspan> ([^<]+)</g)].map(
		([, what = ""]) => what,
	);
	expect(bars).toHaveLength(
		rows.filter(({ target }) => target !== undefined).length,
	);
	expect(
		bars.filter((what) => what !== "wxtokend get" && !/\p{sc=Han}/u.test(what)),
	).toEqual([]);
});

const languages: readonly { name: string; programs: readonly string[] }[] = [
	{ name: "Python", programs: ["python3"] },
	{ name: "PHP", programs: ["php"] },
	{ name: "Node.js", programs: [] },
	{ name: "shell with jq", programs: ["bash", "jq", "curl"] },
	{ name: "shell without jq", programs: ["bash", "curl"] },
];

test.each(languages)(
	"reading in $name is measured, or skipped with a line that says what is missing",
	({ name, programs }) => {
		const missing = programs.filter((program) => !isThere(program));
		const row = rows.find(({ what }) => what === `${name}: read the token`);
		if (missing.length > 0) {
			expect(row).toBeUndefined();
			expect(told).toContain(
				`skipped: read, ${name}: no ${missing.join(", ")}`,
			);
			return;
		}
		expect(row?.others.map((other) => other.name)).toEqual([
			"bare read and parse",
			...(isThere("redis-server") ? ["Redis GET"] : []),
			"HTTP GET",
		]);
	},
);

test("a herd of apps costs one fetch and a storm fails no call, beside the SDKs or without them", () => {
	const figure = (part: string, what: RegExp) =>
		rows.find((row) => row.part === part && what.test(row.what))?.ours.value;
	expect(figure("herd", /^fetches/)).toBe(1);
	expect(figure("herd", /^calls with a dead token/)).toBe(0);
	expect(figure("herd", /left in the cache/)).toBe(0);
	expect(figure("storm", /^calls that succeed/)).toBe(100);
	expect(figure("storm", /^fetches/)).toBe(1);
	const beside = rows.find(({ part }) => part === "herd")?.others ?? [];
	expect(beside.map(({ name }) => name)).toEqual(
		told.includes("skipped: co-wechat-api") ? [] : sdks,
	);
});

test.each([
	[["--only", "nonsense"], 'there is no part "nonsense"'],
	[["--only", "herd,constructor"], 'there is no part "constructor"'],
	[["--onyl", "herd"], "Unknown option '--onyl'"],
	[["--out"], "'--out <value>' argument missing"],
])("%j is told with what there is, and without a stack", (argv, mistake) => {
	const { status, stderr } = spawnSync(
		process.execPath,
		["bench/.built/main.mjs", ...argv],
		{ cwd: projectRoot, encoding: "utf8" },
	);
	expect(status).toBe(64);
	expect(stderr).toContain(`bench: `);
	expect(stderr).toContain(mistake);
	expect(stderr).toContain("herd, read, get, start, hup, renewals");
	expect(stderr.trim().split("\n")).toHaveLength(1);
});

function isThere(program: string): boolean {
	return spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0;
}

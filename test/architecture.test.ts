/** The import graph: story before effects before pure, and no circle. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "./support/program.ts";

const src = join(projectRoot, "src");

const files = readdirSync(src, { recursive: true })
	.map(String)
	.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"));

/** What each file of src/ imports from src/. Types bind nothing at run time, and do not count. */
const imports = new Map(
	files.map((file) => {
		const text = readFileSync(join(src, file), "utf8");
		const named = [
			...text.matchAll(
				/^(?:import|export) (?!type )[^;]*?from "(\.[^"]+\.ts)"/gm,
			),
			...text.matchAll(/^import "(\.[^"]+\.ts)"/gm),
			...text.matchAll(/import\("(\.[^"]+\.ts)"\)/g),
		];
		const targets = named.map(([, target = ""]) =>
			relative(src, join(src, dirname(file), target)),
		);
		return [file, targets] as const;
	}),
);

/** Decisions and words: they may not touch the world, nor who does. */
const pure = [
	"account-state.ts",
	"errcode.ts",
	"errors.ts",
	"log-level.ts",
	"policy.ts",
	"publication.ts",
	"token.ts",
	"usage.ts",
	"wish.ts",
];

test("the graph was read", () => {
	expect(imports.size).toBeGreaterThan(40);
	expect(imports.get("daemon.ts")).toContain("kept-account.ts");
});

test.each(pure)(
	"%s is pure: it imports pure files only, and no clock, disk or network",
	(file) => {
		const others = imports.get(file) ?? [];
		expect(others.filter((other) => !pure.includes(other))).toEqual([]);
		const text = readFileSync(join(src, file), "utf8");
		const builtins = [...text.matchAll(/from "(node:[^"]+)"/g)].map(
			([, name]) => name,
		);
		// Hashing and joining paths are functions like any other.
		const allowed = ["node:crypto", "node:path"];
		expect(builtins.filter((name = "") => !allowed.includes(name))).toEqual([]);
		expect(text).not.toMatch(
			/Date\.now|Math\.random|\bprocess\.(?!\s)(env|pid|exit|kill|std|on)/,
		);
	},
);

test("only clock.ts asks the machine for the time of day in the story and the policy", () => {
	for (const file of [
		"keeper.ts",
		"daemon.ts",
		"kept-account.ts",
		"wechat.ts",
		"schedule.ts",
	])
		expect(readFileSync(join(src, file), "utf8"), file).not.toMatch(
			/Date\.now/,
		);
});

test("no file imports itself by a circle: who follows an import never comes back", () => {
	const circles: string[] = [];
	const done = new Set<string>();
	const walk = (file: string, way: readonly string[]) => {
		const seenAt = way.indexOf(file);
		if (seenAt >= 0) {
			circles.push([...way.slice(seenAt), file].join(" → "));
			return;
		}
		if (done.has(file)) return;
		for (const next of imports.get(file) ?? []) walk(next, [...way, file]);
		done.add(file);
	};
	for (const file of files) walk(file, []);
	expect(circles).toEqual([]);
});

/** What the simulator may share with the product. */
const sharedWithSimulator = ["clock.ts", "core/clock.ts"];

test("the simulator imports nothing of the product but the clock, also no types", () => {
	for (const file of files.filter((name) => name.startsWith("simulator/"))) {
		const text = readFileSync(join(src, file), "utf8");
		const targets = [...text.matchAll(/from "(\.[^"]+\.ts)"/g)].map(
			([, target = ""]) => relative(src, join(src, dirname(file), target)),
		);
		const others = targets.filter(
			(target) =>
				!target.startsWith("simulator/") &&
				!sharedWithSimulator.includes(target),
		);
		expect(others, file).toEqual([]);
	}
});

test("the daemon does not import its simulator", () => {
	for (const [file, targets] of imports) {
		if (file.startsWith("simulator/")) continue;
		// `simulate` and `run --simulate` join the two.
		if (/^(cli\/)?commands\//.test(file)) continue;
		const simulated = targets.filter((to) => to.startsWith("simulator/"));
		expect(simulated, file).toEqual([]);
	}
});

test("no file takes a forbidden name, and each name is in kebab-case", () => {
	for (const file of files) {
		expect(file).toMatch(/^([a-z]+(-[a-z0-9]+)*\/)*[a-z]+(-[a-z0-9]+)*\.ts$/);
		expect(file).not.toMatch(
			/util|helper|common|manager|service|\bdata\b|\binfo\b|misc|index/,
		);
	}
});

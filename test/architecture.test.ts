/** The sources keep to the table of rooms: nobody imports or touches more than it may. */
import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { projectRoot } from "./support/program.ts";
import { rooms } from "./support/rooms.ts";

/** `fetch` where it is called, not where something else of that name is declared. */
const guarded =
	/(?<![.\w])(process\.(?!\s)\w+|Date\.now|new Date(?=\(\))|Math\.random|performance\.now|setTimeout|setInterval|setImmediate|globalThis|(?<=(?:await|return|void|yield) |[=(,!?:&|] ?)fetch(?=\())\b/g;

const src = join(projectRoot, "src");

const files = readdirSync(src, { recursive: true })
	.map(String)
	.filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
	.sort();

interface Source {
	readonly file: string;
	readonly room: string;
	/** Without comments. */
	readonly code: string;
	/** Files of src/, types included. */
	readonly imports: readonly string[];
	readonly modules: readonly string[];
}

const sources = files.map((file): Source => {
	const text = readFileSync(join(src, file), "utf8");
	const code = text
		.replace(/\/\*[\s\S]*?\*\//g, "")
		.replace(/^\s*\/\/.*$/gm, "");
	const named = [
		...code.matchAll(/^(?:import|export)\b[^;"]*?from\s+"([^"]+)"/gm),
		...code.matchAll(/^import "([^"]+)"/gm),
		...code.matchAll(/\bimport\("([^"]+)"\)/g),
	].map(([, name = ""]) => name);
	return {
		file,
		room: file.includes("/") ? (file.split("/")[0] ?? "") : "",
		code,
		imports: named
			.filter((name) => name.startsWith("."))
			.map((name) => relative(src, join(src, dirname(file), name))),
		modules: named
			.filter((name) => !name.startsWith("."))
			.map((name) =>
				builtinModules.includes(name)
					? `node:${name}`
					: name.startsWith("undici/")
						? "undici"
						: name,
			),
	};
});

test("the sources were read", () => {
	expect(files.length).toBeGreaterThan(60);
	const source = sources.find(
		({ file }) => file === "daemon/credential-set.ts",
	);
	expect(source?.imports).toContain("keeper/reconciler.ts");
	// Type imports are read, too.
	expect(source?.imports).toContain("core/ports.ts");
});

test("each file lies in a room of the table; only the entry stands outside", () => {
	const outside = sources.filter(({ room }) => rooms[room] === undefined);
	expect(outside.map(({ file }) => file)).toEqual(["cli.ts"]);
});

describe.each(Object.entries(rooms))("%s/", (name, room) => {
	const own = sources.filter((source) => source.room === name);

	test(`imports ${room.rooms.join(", ") || "nothing"} besides itself`, () => {
		const broken = own.flatMap(({ file, imports }) =>
			imports
				.filter((target) => {
					const [other = ""] = target.split("/");
					return (
						other !== name &&
						!target.endsWith(".json") &&
						!room.rooms.includes(other) &&
						!room.files?.includes(target)
					);
				})
				.map((target) => `${file} must not import ${target}`),
		);
		expect(broken).toEqual([]);
	});

	test("imports only the modules that it may touch", () => {
		const broken = own.flatMap(({ file, modules }) =>
			modules
				.filter((one) => !allows(room.modules, one))
				.map((one) => `${file} must not import ${one}`),
		);
		expect(broken).toEqual([]);
	});

	test("uses no global that reaches the clock, chance or the process, but its own", () => {
		const broken = own.flatMap(({ file, code }) =>
			(file === "core/clock.ts" ? [] : [...code.matchAll(guarded)])
				.map(([found]) => found)
				.filter((found) => !allows(room.globals, found))
				.map((found) => `${file} must not use ${found}`),
		);
		expect(broken).toEqual([]);
	});
});

function allows(list: readonly string[], one: string): boolean {
	return list.includes("*") || list.includes(one);
}

test("no file imports itself by a circle, also not by types", () => {
	const graph = new Map(sources.map(({ file, imports }) => [file, imports]));
	const circles: string[] = [];
	const done = new Set<string>();
	const walk = (file: string, way: readonly string[]) => {
		const seenAt = way.indexOf(file);
		if (seenAt >= 0) {
			circles.push([...way.slice(seenAt), file].join(" → "));
			return;
		}
		if (done.has(file)) return;
		for (const next of graph.get(file) ?? []) walk(next, [...way, file]);
		done.add(file);
	};
	for (const file of files) walk(file, []);
	expect(circles).toEqual([]);
});

test("no file only passes on what others export, and none has a default export", () => {
	for (const { file, code } of sources) {
		expect(code, file).not.toMatch(/^export (\*|\{[^}]*\}) from/m);
		expect(code, file).not.toMatch(/^export default/m);
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

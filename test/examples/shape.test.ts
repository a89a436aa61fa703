/** What makes the examples easy to take over: short, complete, and said in both languages. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { expect, test } from "vitest";
import { projectRoot } from "../support/program.ts";
import { examples } from "./readers.ts";

const screen = { lines: 84, columns: 120 };
const files = readdirSync(examples, { recursive: true, encoding: "utf8" })
	.filter((name) => name.includes("/") && extname(name) !== ".mod")
	// Containers are no readers, and have a page of their own.
	.filter((name) => !name.startsWith("docker/"))
	.filter((name) => statSync(join(examples, name)).isFile())
	.sort();

const english = readFileSync(join(projectRoot, "docs/readers.md"), "utf8");
const chinese = readFileSync(
	join(projectRoot, "docs/readers.zh-CN.md"),
	"utf8",
);

test.each(files)("%s is one screen", (name) => {
	const lines = readFileSync(join(examples, name), "utf8").split("\n");
	const counted = lines.filter((line) => line.trim() !== "");
	expect(counted.length).toBeLessThanOrEqual(screen.lines);
	for (const line of lines)
		expect(line.replaceAll("\t", "    ").length, line).toBeLessThanOrEqual(
			screen.columns,
		);
});

test.each(files)("%s is in the guide, in both languages", (name) => {
	expect(english).toContain(name);
	expect(chinese).toContain(name);
});

test.each(files)("%s does not know how to fetch", (name) => {
	const text = readFileSync(join(examples, name), "utf8");
	expect(text).not.toMatch(/client_credential|cgi-bin\/(stable_)?token/);
});

test.each([
	["English", english],
	["Chinese", chinese],
])("in the %s guide an entry has at most ten lines", (_language, text) => {
	const found = entriesIn(text);
	expect(found.size).toBeGreaterThan(20);
	for (const [title, lines] of found)
		expect(lines.length, title).toBeLessThanOrEqual(10);
});

test("both guides have the same languages and SDKs, and the same code", () => {
	expect(namedIn(chinese)).toEqual(namedIn(english));
	expect(codeIn(chinese)).toEqual(codeIn(english));
});

/** The titles of all entries but those of the last chapter, on moving over. */
function namedIn(text: string): readonly string[] {
	const chapters = text.split(/^## /m);
	return [...entriesIn(chapters.slice(0, -1).join("## ")).keys()];
}

/** Lines that are not blank, under each heading of the third level. */
function entriesIn(text: string): Map<string, readonly string[]> {
	const entries = new Map<string, readonly string[]>();
	for (const part of text.split(/^### /m).slice(1)) {
		const [title = "", ...rest] = part.split(/^## /m)[0]?.split("\n") ?? [];
		entries.set(
			title,
			rest.filter((line) => line.trim() !== ""),
		);
	}
	return entries;
}

/** Code blocks without their comments, which are in the guide's own language. */
function codeIn(text: string): readonly string[] {
	return [...text.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, code = ""]) =>
		code.replaceAll(/ +(\/\/|#) .*$/gm, ""),
	);
}

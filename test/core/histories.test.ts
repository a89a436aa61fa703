/** Every text in histories/ is played, and must say what follows from its events. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { play } from "./history.ts";

const directory = join(import.meta.dirname, "histories");
const names = readdirSync(directory).filter((name) => name.endsWith(".txt"));

test("the histories are there", () => {
	expect(names.length).toBeGreaterThanOrEqual(13);
});

test.each(names)("%s", async (name) => {
	const path = join(directory, name);
	const text = readFileSync(path, "utf8");
	await expect(play(text)).toMatchFileSnapshot(path);
});

test.each([
	["10:00:00  daemon dances", "not an event of a history"],
	["at ten the daemon starts", "not a line of a history"],
	["Xyz 10:00:00  starts", "not a time"],
	["10:00:00  other: tick", "other does not run"],
])("a line that means nothing is an error: %s", (line, error) => {
	expect(() => play(`09:00:00  starts\n${line}`)).toThrow(error);
});

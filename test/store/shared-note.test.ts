/** The note by which the processes of a directory tell each other something. */
import fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { SharedNote } from "../../src/core/ports.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { openNote } from "../../src/store/shared-note.ts";
import { newDirectory } from "../support/directory.ts";

/** Of a process of its own, as far as the file and its lock go. */
const noteIn = (directory: string) =>
	openNote(
		{
			...{ directory: createOutputDirectory(directory) },
			...{ mode: 0o640, gid: undefined },
		},
		"note",
		{ self: nameThisProcess(), clock: systemClock },
	);

const count = (note: SharedNote) =>
	note.alone(async () => {
		const before = Number(note.read() ?? "0");
		await new Promise(setImmediate);
		await note.write(String(before + 1));
	});

test("who changes it alone loses nothing that another one wrote", async () => {
	const directory = newDirectory();
	const notes = [noteIn(directory), noteIn(directory), noteIn(directory)];
	await Promise.all(
		notes.flatMap((note) => Array.from({ length: 10 }, () => count(note))),
	);
	expect(noteIn(directory).read()).toBe("30");
	expect(fs.readdirSync(directory)).toEqual(["note"]);
});

test("one that somebody has blown up is not read, and written anew", async () => {
	const directory = newDirectory();
	fs.writeFileSync(join(directory, "note"), "1".padEnd(1_048_577));
	const note = noteIn(directory);
	expect(note.read()).toBeUndefined();
	await count(note);
	expect(noteIn(directory).read()).toBe("1");
});

test("what fails alone is told, and holds up nobody after it", async () => {
	const note = noteIn(newDirectory());
	const failing = note.alone(() => Promise.reject(new Error("a failure")));
	await expect(failing).rejects.toThrow("a failure");
	await count(note);
	expect(note.read()).toBe("1");
});

test("the lock of a dead process is broken", async () => {
	const directory = newDirectory();
	const lock = join(directory, "note.lock");
	fs.mkdirSync(lock);
	const then = new Date(Date.now() - 60_000);
	fs.utimesSync(lock, then, then);
	const note = noteIn(directory);
	await count(note);
	expect(note.read()).toBe("1");
	expect(fs.existsSync(lock)).toBe(false);
});

test("where there can be no lock, the work is done without", async () => {
	const directory = newDirectory();
	const note = noteIn(directory);
	fs.rmdirSync(directory);
	await count(note);
	// This process still knows it.
	expect(note.read()).toBe("1");
});

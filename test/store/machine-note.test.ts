/** The note of a machine lies where every user may make files: what of it is believed. */
import fs from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import { openMachineNote } from "../../src/store/machine-note.ts";
import { ownUid } from "../../src/store/output-directory.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import { newDirectory, newDirectoryInMemory } from "../support/directory.ts";

/** A place as /dev/shm, and what is opened there. */
function scene() {
	const place = newDirectoryInMemory();
	fs.chmodSync(place, 0o1777);
	const unused: string[] = [];
	const open = () =>
		openMachineNote("note", {
			...{ self: nameThisProcess(), clock: systemClock, place },
			onUnused: (why) => unused.push(why),
		});
	return { place, open, unused, own: join(place, `wxtokend-${ownUid}`) };
}

test("is shared by the processes of a user, and nobody else may look at it", async () => {
	const { open, own, unused } = scene();
	const [one, other] = [open(), open()];
	expect(one.read()).toBeUndefined();
	expect(fs.existsSync(own)).toBe(false);
	await one.alone(() => one.write("a"));
	expect(other.read()).toBe("a");
	await other.write("b");
	expect(one.read()).toBe("b");
	expect(fs.statSync(own).mode & 0o7777).toBe(0o700);
	expect(fs.statSync(join(own, "note")).mode & 0o7777).toBe(0o600);
	expect(fs.readdirSync(own)).toEqual(["note"]);
	// As systemd does at the end of a unit with RemoveIPC=yes.
	fs.rmSync(own, { recursive: true });
	expect(one.read()).toBeUndefined();
	await one.write("c");
	expect(other.read()).toBe("c");
	expect(unused).toEqual([]);
});

/** What somebody else may have put in its place. */
const strange: Readonly<
	Record<string, readonly [make: (own: string) => void, why: string]>
> = {
	"a file": [(own) => fs.writeFileSync(own, ""), "is not a directory"],
	"a link to a directory of ours": [
		(own) => {
			const target = newDirectory();
			fs.chmodSync(target, 0o700);
			fs.symlinkSync(target, own);
		},
		"is not a directory",
	],
	"a directory that others may enter": [
		(own) => {
			fs.mkdirSync(own);
			fs.chmodSync(own, 0o755);
		},
		"other users may write",
	],
	...(ownUid === 0
		? {
				"a directory of another user": [
					(own: string) => {
						fs.mkdirSync(own, { mode: 0o700 });
						fs.chownSync(own, 12345, 12345);
					},
					"belongs to user 12345",
				] as const,
			}
		: {}),
};

test.each(Object.entries(strange))(
	"is not believed, nor written, in place of its directory: %s",
	async (_, [make, why]) => {
		const { open, own, unused } = scene();
		make(own);
		if (fs.statSync(own).isDirectory())
			fs.writeFileSync(join(own, "note"), "a stranger's");
		const note = open();
		expect(note.read()).toBeUndefined();
		await note.alone(() => note.write("ours"));
		expect(note.read()).toBeUndefined();
		if (fs.statSync(own).isDirectory())
			expect(fs.readdirSync(own)).toEqual(["note"]);
		expect(unused).toHaveLength(1);
		expect(unused[0]).toContain(why);
	},
);

test("is not used where others may replace the directory, and nothing is said where there is no place at all", async () => {
	const { place, open, unused, own } = scene();
	fs.chmodSync(place, 0o777);
	await open().write("a");
	expect(fs.existsSync(own)).toBe(false);
	expect(unused).toHaveLength(1);
	fs.rmdirSync(place);
	const note = open();
	await note.alone(() => note.write("a"));
	expect(note.read()).toBeUndefined();
	expect(unused).toHaveLength(1);
});

import fs from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { StoreError } from "../../src/core/errors.ts";
import {
	decodeRecord,
	emptyRecord,
	encodeRecord,
	type SharedRecord,
} from "../../src/core/record.ts";
import { maxRecordFileBytes } from "../../src/store/cached-read.ts";
import {
	type AddOptions,
	openRecords,
	type RecordsOptions,
} from "../../src/store/record-file.ts";
import { failOnce } from "../faults/spy.ts";
import { newDirectory } from "../support/directory.ts";

/** Adds one record under a lock of its own. Returns the file as it is then; undefined: not added. */
async function addRecord(
	path: string,
	record: SharedRecord,
	{
		gid,
		mustBeHeld = () => {},
		...options
	}: AddOptions & Partial<RecordsOptions> = {},
): Promise<fs.Stats | undefined> {
	const records = openRecords(path, { mode: 0o640, gid, mustBeHeld });
	try {
		const isAdded = await records.add(record, options);
		const stat = records.look();
		expect(stat !== undefined).toBe(isAdded);
		return stat;
	} finally {
		records.close();
	}
}

const numbered = (generation: number): SharedRecord => ({
	...emptyRecord,
	generation,
});

function fenced(fence: number, generation: number): SharedRecord {
	return { fence, ...numbered(generation) };
}

function recordFile(text = encodeRecord(numbered(1))): string {
	const path = join(newDirectory(), "records");
	fs.writeFileSync(path, text);
	fs.chmodSync(path, 0o640);
	return path;
}

const generationIn = (path: string) =>
	decodeRecord(fs.readFileSync(path, "utf8")).generation;

test.each([
	["one record", encodeRecord(numbered(7))],
	["with the end of its line", `${encodeRecord(numbered(7))}\n`],
	["the last of many", [1, 2, 7].map(numbered).map(encodeRecord).join("\n")],
	["before half a record", `${encodeRecord(numbered(7))}\n{"generation":8,"ca`],
	["between halves", `{"gen\n${encodeRecord(numbered(7))}\n{"generat`],
	["before zeros of a crash", `${encodeRecord(numbered(7))}\n\0\0\0\0\0`],
	[
		"before another kind of JSON",
		`${encodeRecord(numbered(7))}\n{"generation":8}`,
	],
])("the last whole record counts: %s", (_, text) => {
	expect(decodeRecord(text)).toEqual(numbered(7));
});

test.each([
	[
		"a late record of a writer that lost its lock",
		[fenced(9, 2), fenced(8, 1)],
	],
	["one by an older version before it", [numbered(1), fenced(9, 2)]],
	["the last one of several of one lock", [fenced(9, 1), fenced(9, 2)]],
	["half of a late record behind it", [fenced(9, 2), fenced(8, 1)], -9],
	["a late record in front of it", [fenced(8, 1), fenced(9, 2)]],
] as const)("the highest fence counts: %s", (_, states, end = undefined) => {
	const text = states.map(encodeRecord).join("\n").slice(0, end);
	expect(decodeRecord(text)).toEqual(fenced(9, 2));
});

test.each(["", "\n", "\n\n\n", "null", "{}", "[]\n{", "not a state\n"])(
	"text without a whole record is read as the empty record: %j",
	(text) => {
		expect(decodeRecord(text)).toBe(emptyRecord);
	},
);

test("a record is appended, and the file keeps its inode", async () => {
	const path = recordFile();
	const { ino } = fs.statSync(path);
	const stat = await addRecord(path, numbered(2));
	expect(stat).toEqual(fs.lstatSync(path));
	expect(fs.statSync(path).ino).toBe(ino);
	expect(generationIn(path)).toBe(2);
});

test("the file stays open between two records of a holder, and nothing is added once it was replaced", async () => {
	const path = recordFile();
	const records = openRecords(path, {
		mode: 0o640,
		gid: undefined,
		mustBeHeld: () => {},
	});
	expect(await records.add(numbered(2))).toBe(true);
	expect(await records.add(numbered(3))).toBe(true);
	expect(generationIn(path)).toBe(3);
	expect(records.look()).toEqual(fs.lstatSync(path));

	fs.renameSync(path, `${path}.old`);
	fs.writeFileSync(path, encodeRecord(numbered(9)));
	fs.unlinkSync(`${path}.old`);
	expect(await records.add(numbered(4))).toBe(false);
	expect(generationIn(path)).toBe(9);
	records.close();
});

test("a record file that did not exist is made in its place, with the mode of published files", async () => {
	const path = join(newDirectory(), "records");
	const stat = await addRecord(path, numbered(2), { isNew: true });
	expect(generationIn(path)).toBe(2);
	expect(Number(stat?.mode ?? 0n) & 0o7777).toBe(0o640);
	// Another process was faster: nothing is written into its file.
	expect(await addRecord(path, numbered(3), { isNew: true })).toBeUndefined();
	expect(generationIn(path)).toBe(2);
});

test("a record after a torn one can be read", async () => {
	const path = recordFile(`${encodeRecord(numbered(1))}\n{"generat`);
	await addRecord(path, numbered(2));
	expect(generationIn(path)).toBe(2);
});

test("a record file grows to the size of a page, and not beyond", async () => {
	const path = recordFile();
	let generation = 1;
	while (await addRecord(path, numbered(generation + 1))) generation += 1;
	expect(generationIn(path)).toBe(generation);
	const { size } = fs.statSync(path);
	expect(size).toBeLessThanOrEqual(4_096);
	expect(size).toBeGreaterThan(4_000);
});

test("a record that another record must follow leaves space for it", async () => {
	const path = recordFile();
	const followed = { isFollowed: true };
	let generation = 1;
	while (await addRecord(path, numbered(generation + 1), followed))
		generation += 1;
	expect(fs.statSync(path).size).toBeGreaterThan(3_000);
	expect(await addRecord(path, numbered(99))).toBeDefined();
	expect(generationIn(path)).toBe(99);
});

test("a durable record is synced after its write, and is not added if the sync fails", async () => {
	const path = recordFile();
	const sizes: number[] = [];
	const sync = (file: number) => {
		sizes.push(fs.fstatSync(file).size);
	};
	const before = fs.statSync(path).size;
	expect(await addRecord(path, numbered(2), { sync })).toBeDefined();
	expect(sizes).toEqual([fs.statSync(path).size]);
	expect(sizes[0]).toBeGreaterThan(before);
	const fail = async () => {
		throw new Error("EIO");
	};
	const failing = { sync: fail };
	expect(await addRecord(path, numbered(3), failing)).toBeUndefined();
});

test.each<readonly [string, (path: string) => void]>([
	["is gone", (path) => fs.unlinkSync(path)],
	["is open to all", (path) => fs.chmodSync(path, 0o666)],
	["has a second name", (path) => fs.linkSync(path, `${path}.twin`)],
	[
		"is a link",
		(path) => {
			fs.renameSync(path, `${path}.real`);
			fs.symlinkSync(`${path}.real`, path);
		},
	],
	[
		"is a folder",
		(path) => {
			fs.unlinkSync(path);
			fs.mkdirSync(path);
		},
	],
])("nothing is added to a file that %s", async (_, alter) => {
	const path = recordFile();
	alter(path);
	expect(await addRecord(path, numbered(2))).toBeUndefined();
	const left = fs.readdirSync(join(path, ".."), { withFileTypes: true });
	for (const file of left.filter((one) => one.isFile()))
		expect(generationIn(join(file.parentPath, file.name))).toBe(1);
});

test("nothing is added to a file of another group", async () => {
	const path = recordFile();
	const other = { gid: fs.statSync(path).gid + 1 };
	expect(await addRecord(path, numbered(2), other)).toBeUndefined();
	expect(generationIn(path)).toBe(1);
});

test("a system call that fails is not thrown: the caller must write the file anew", async () => {
	const path = recordFile();
	const open = fs.readdirSync("/proc/self/fd").length;
	failOnce("writeFileSync", "ENOSPC");
	expect(await addRecord(path, numbered(2))).toBeUndefined();
	expect(generationIn(path)).toBe(1);
	expect(fs.readdirSync("/proc/self/fd").length).toBe(open);
});

test("a record file that could not be made leaves nothing behind", async () => {
	const path = join(newDirectory(), "records");
	failOnce("writeFileSync", "ENOSPC");
	expect(await addRecord(path, numbered(2), { isNew: true })).toBeUndefined();
	expect(fs.readdirSync(join(path, ".."))).toEqual([]);
	const full = new StoreError("io", "full", "nothing to do");
	const before = () => {
		throw full;
	};
	await expect(
		addRecord(path, numbered(2), { isNew: true, before }),
	).rejects.toBe(full);
	expect(fs.readdirSync(join(path, ".."))).toEqual([]);
});

test("a writer that has lost the lock adds nothing", async () => {
	const path = recordFile();
	const lost = new StoreError("lost", "lost", "nothing to do");
	const mustBeHeld = () => {
		throw lost;
	};
	await expect(addRecord(path, numbered(2), { mustBeHeld })).rejects.toBe(lost);
	expect(generationIn(path)).toBe(1);
});

test("a look that cannot open the file leaves it open for the next record, unless another has replaced it", async () => {
	const path = recordFile();
	const records = openRecords(path, {
		mode: 0o640,
		gid: undefined,
		mustBeHeld: () => {},
	});
	onTestFinished(records.close);
	expect(await records.add(numbered(2))).toBe(true);
	failOnce("openSync", "EIO");
	expect(records.read(maxRecordFileBytes)).toBe(undefined);
	expect(await records.add(numbered(3))).toBe(true);
	expect(generationIn(path)).toBe(3);

	fs.renameSync(recordFile(), path);
	failOnce("openSync", "EIO");
	expect(records.read(maxRecordFileBytes)).toBe(undefined);
	expect(await records.add(numbered(4))).toBe(false);
	expect(generationIn(path)).toBe(1);
});

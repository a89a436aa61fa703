import fs from "node:fs";
import { expect, onTestFinished, test, vi } from "vitest";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { systemError } from "../faults/spy.ts";
import { newDirectory } from "../support/directory.ts";

/** A disk on which each fsync ends when the test ends it. */
function onSlowDisk() {
	const waiting: ((error: unknown) => void)[] = [];
	vi.spyOn(fs, "statfsSync").mockReturnValue({ type: 0xef53 } as never);
	vi.spyOn(fs, "fsync").mockImplementation(((
		_file: number,
		done: (error: unknown) => void,
	) => {
		waiting.push(done);
	}) as never);
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	return {
		begun: () => waiting.length,
		end: async (error: unknown = null) => {
			waiting.at(-1)?.(error);
			await nextTurn();
		},
	};
}

const nextTurn = () => new Promise(setImmediate);

test("calls before a sync of the directory begins share it, and later calls share the next one", async () => {
	const disk = onSlowDisk();
	const directory = createOutputDirectory(newDirectory());
	const done: string[] = [];
	const ask = async (name: string) => {
		await directory.syncNames();
		done.push(name);
	};
	const all = ["first", "second"].map(ask);
	await nextTurn();
	expect(disk.begun()).toBe(1);
	all.push(...["third", "fourth"].map(ask));
	await nextTurn();
	expect(disk.begun()).toBe(1);
	await disk.end();
	expect(done).toEqual(["first", "second"]);
	expect(disk.begun()).toBe(2);
	all.push(ask("fifth"));
	await disk.end();
	expect(done).toEqual(["first", "second", "third", "fourth"]);
	expect(disk.begun()).toBe(3);
	await disk.end();
	await Promise.all(all);
	expect(done).toHaveLength(5);
	void ask("later");
	await nextTurn();
	expect(disk.begun()).toBe(4);
	await disk.end();
});

test("a sync that fails rejects the calls that shared it, and no later call", async () => {
	const disk = onSlowDisk();
	const directory = createOutputDirectory(newDirectory());
	const ask = () =>
		directory.syncNames().then(
			() => "synced",
			(error: NodeJS.ErrnoException) => error.code,
		);
	const first = ask();
	await nextTurn();
	const sharing = [ask(), ask()];
	await disk.end();
	await disk.end(systemError("EIO"));
	expect(await first).toBe("synced");
	expect(await Promise.all(sharing)).toEqual(["EIO", "EIO"]);
	const again = ask();
	await nextTurn();
	await disk.end();
	expect(await again).toBe("synced");
});

test("a directory that was replaced is checked again for whether it lies in memory", async () => {
	const path = newDirectory();
	const types = vi.spyOn(fs, "statfsSync");
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	const directory = createOutputDirectory(path);
	const look = async () => {
		directory.isOpenToAll();
		await directory.syncNames();
		return types.mock.calls.length;
	};
	expect(await look()).toBe(1);
	expect(await look()).toBe(1);
	const real = fs.statSync(path);
	vi.spyOn(fs, "statSync").mockReturnValue(
		Object.assign(Object.create(real), real, { dev: real.dev + 1 }),
	);
	expect(await look()).toBe(2);
});

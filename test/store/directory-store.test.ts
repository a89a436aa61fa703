import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { Remembered } from "../../src/core/ports.ts";
import { emptyRecord, recordPathOf } from "../../src/core/record.ts";
import type { DirectoryStoreOptions } from "../../src/store/directory-store.ts";
import { isLeftover, removeLeftovers } from "../../src/store/leftovers.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { insteadOf, watchSyncs } from "../faults/spy.ts";
import { accessToken } from "../support/account.ts";
import { newDirectory } from "../support/directory.ts";
import { slotIn } from "../support/slot.ts";

const token = { value: "a-token", expiresAt: 2_000_000_000_000 };
const text = '{"value":"a-token","expire":2000000000}\n';
const credential = accessToken({ timeoutMs: 1_500 });
const isRoot = process.getuid?.() === 0;

function newStore(
	overrides: Partial<DirectoryStoreOptions> = {},
	remembered?: Remembered,
) {
	const directory = overrides.directory?.path ?? newDirectory();
	return {
		path: join(directory, credential.file),
		store: slotIn(directory, credential, overrides, remembered),
	};
}

/** A store as in another process. */
function newStoreAt(path: string) {
	const directory = createOutputDirectory(dirname(path));
	return newStore({ directory }).store;
}

/** A published token that was not read since. */
async function justPublished(overrides: Partial<DirectoryStoreOptions> = {}) {
	const made = newStore(overrides);
	const lock = await made.store.acquire(0);
	await lock?.publish(token);
	await lock?.release();
	return made;
}

async function published(overrides: Partial<DirectoryStoreOptions> = {}) {
	const made = await justPublished(overrides);
	expect(made.store.read()).toEqual({ kind: "token", token, exact: true });
	return made;
}

test("a published token file is one line of JSON, and is read as the token that was published", async () => {
	const { path } = await published();
	expect(fs.readFileSync(path, "utf8")).toBe(text);
});

test.each([
	["deleted", (path: string) => fs.rmSync(path), { kind: "absent" }],
	[
		"emptied",
		(path: string) => fs.writeFileSync(path, ""),
		{ kind: "unusable", problem: "empty" },
	],
	[
		"cut short",
		(path: string) => fs.truncateSync(path, 20),
		{ kind: "unusable", problem: "not a token file" },
	],
	[
		"garbled",
		(path: string) => fs.writeFileSync(path, "\0"),
		{ kind: "unusable", problem: "not a token file" },
	],
	[
		"made enormous",
		(path: string) => fs.truncateSync(path, 2 ** 40),
		{ kind: "unusable", problem: "1099511627776 bytes long" },
	],
	[
		"replaced by a folder",
		(path: string) => {
			fs.rmSync(path);
			fs.mkdirSync(path);
		},
		{ kind: "unusable", problem: "a folder" },
	],
	[
		"replaced by a link to a true copy",
		(path: string) => {
			fs.renameSync(path, `${path}.copy`);
			fs.symlinkSync(`${path}.copy`, path);
		},
		{ kind: "unusable", problem: "a symbolic link" },
	],
	[
		"replaced by a link to nothing",
		(path: string) => {
			fs.rmSync(path);
			fs.symlinkSync("nowhere", path);
		},
		{ kind: "unusable", problem: "a symbolic link" },
	],
	[
		"replaced by a fifo",
		(path: string) => {
			fs.rmSync(path);
			spawnSync("mkfifo", [path]);
		},
		{ kind: "unusable", problem: "a pipe" },
	],
	[
		"given another value",
		(path: string) => fs.writeFileSync(path, text.replace("a-t", "b-t")),
		{ kind: "token", exact: true, token: { ...token, value: "b-token" } },
	],
	[
		"given another end",
		(path: string) =>
			fs.writeFileSync(path, text.replace("2000000000", "2000000009")),
		{
			kind: "token",
			exact: true,
			token: { ...token, expiresAt: token.expiresAt + 9_000 },
		},
	],
	[
		"written in another form",
		(path: string) => fs.appendFileSync(path, "\n"),
		{ kind: "token", exact: false, token },
	],
	[
		"opened to all",
		(path: string) => fs.chmodSync(path, 0o644),
		{ kind: "token", exact: false, token },
	],
	[
		"given a set-uid bit",
		(path: string) => fs.chmodSync(path, 0o4640),
		{ kind: "token", exact: false, token },
	],
] as const)(
	"a token file that was %s is read as what it is now",
	async (_, tamper, seen) => {
		for (const { path, store } of [await published(), await justPublished()]) {
			tamper(path);
			expect(store.read()).toEqual(seen);
		}
	},
);

test("a token that this store has published is not read again from disk", async () => {
	const { store } = await justPublished();
	const open = vi.spyOn(fs, "openSync");
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	expect(store.read()).toEqual({ kind: "token", token, exact: true });
	expect(store.read()).toEqual({ kind: "token", token, exact: true });
	expect(open).not.toHaveBeenCalled();
});

test.skipIf(!isRoot)(
	"a file whose owner was changed is not exact any more, but a file that another keeper published as another user is",
	async () => {
		const { path, store } = await published();
		fs.chownSync(path, 4_000, -1);
		expect(store.read()).toEqual({ kind: "token", token, exact: false });
		fs.chownSync(path, 0, 4_000);
		expect(store.read()).toEqual({ kind: "token", token, exact: false });

		fs.writeFileSync(`${path}.new`, text, { mode: 0o640 });
		fs.chownSync(`${path}.new`, 4_000, 4_000);
		fs.renameSync(`${path}.new`, path);
		expect(store.read()).toEqual({ kind: "token", token, exact: true });
	},
);

test.skipIf(!isRoot)(
	"a configured group is checked also in a file that another process wrote",
	async () => {
		const { path, store } = await published({ gid: 4_000 });
		expect(fs.statSync(path).gid).toBe(4_000);
		fs.writeFileSync(`${path}.new`, text, { mode: 0o640 });
		fs.renameSync(`${path}.new`, path);
		expect(store.read()).toEqual({ kind: "token", token, exact: false });
	},
);

test("a record file that cannot be read for a moment keeps its last record", async () => {
	const directory = createOutputDirectory(newDirectory());
	const { store } = newStore({ directory });
	const lock = await newStore({ directory }).store.acquire(0);
	await lock?.write({ ...emptyRecord, generation: 7 });
	expect(store.record().generation).toBe(7);
	await lock?.write({ ...emptyRecord, generation: 8 });
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	for (const call of ["openSync", "lstatSync"] as const) {
		vi.spyOn(fs, call).mockImplementationOnce(() => {
			throw Object.assign(new Error("EMFILE"), { code: "EMFILE" });
		});
		expect(store.record().generation).toBe(7);
	}
	expect(store.record().generation).toBe(8);
	await lock?.release();
});

test("the record file of an account with the largest budget is read to its end", async () => {
	const directory = createOutputDirectory(newDirectory());
	const { store } = newStore({ directory });
	const lock = await store.acquire(0);
	const calls = Array.from({ length: 10_020 }, (_, index) => 1.8e12 + index);
	await lock?.write({ ...emptyRecord, generation: 7, calls });
	expect(newStore({ directory }).store.record()).toMatchObject({
		generation: 7,
		calls,
	});
	await lock?.release();
});

test("a token file that cannot be read for a moment is read again at the next look", async () => {
	const { path, store } = await published();
	fs.utimesSync(path, 1, 1);
	vi.spyOn(fs, "openSync").mockImplementationOnce(() => {
		throw Object.assign(new Error("EMFILE"), { code: "EMFILE" });
	});
	onTestFinished(() => {
		vi.restoreAllMocks();
	});
	expect(store.read()).toEqual({
		kind: "unusable",
		problem: "unreadable: too many open files (EMFILE)",
	});
	expect(store.read()).toEqual({ kind: "token", token, exact: true });
});

test("a directory that was removed is made again, readable for the group in spite of a strict umask", async () => {
	const directory = join(newDirectory(), "tokens");
	const umask = process.umask(0o077);
	onTestFinished(() => {
		process.umask(umask);
	});
	const made = createOutputDirectory(directory);
	const { path, store } = newStore({ directory: made });
	const lock = await store.acquire(0);
	await lock?.publish(token);
	expect(fs.statSync(directory).mode & 0o7777).toBe(0o750);
	fs.rmSync(directory, { recursive: true });

	await expect(lock?.publish(token)).rejects.toMatchObject({ kind: "io" });
	await lock?.release();
	const again = await store.acquire(0);
	await again?.publish(token);
	expect(fs.readFileSync(path, "utf8")).toBe(text);
	await again?.release();
});

/** Takes the lock over as another process does that found it stale; 50 ms pass. */
function takeOver(clock: { aheadMs: number }, path: string) {
	fs.rmdirSync(`${path}.lock`);
	fs.mkdirSync(`${path}.lock`);
	clock.aheadMs += 50;
}

function clockThatIsSetAhead() {
	const clock = {
		aheadMs: 0,
		now: () => systemClock.now() + clock.aheadMs,
		monotonic: () => systemClock.monotonic() + clock.aheadMs,
	};
	return clock;
}

test.skipIf(!isRoot)(
	"files of another user are ignored in a directory like /tmp, where every user may make files, and trusted elsewhere",
	async () => {
		const { path } = await published();
		const lock = await newStoreAt(path).acquire(0);
		await lock?.write({ ...emptyRecord, generation: 7 });
		await lock?.release();
		for (const one of [path, recordPathOf(path)]) fs.chownSync(one, 65_534, -1);
		const elsewhere = newStoreAt(path);
		expect(elsewhere.read()).toMatchObject({ kind: "token", token });
		expect(elsewhere.record().generation).toBe(7);

		fs.chmodSync(dirname(path), 0o1777);
		const openToAll = newStoreAt(path);
		expect(openToAll.read()).toEqual({
			kind: "unusable",
			problem: "put there by another user",
		});
		expect(openToAll.record()).toBe(emptyRecord);
		for (const one of [path, recordPathOf(path)]) fs.chownSync(one, 0, -1);
		expect(newStoreAt(path).read()).toMatchObject({ kind: "token", token });
	},
);

test("after the lock was lost nothing is written, not even a record", async () => {
	const clock = clockThatIsSetAhead();
	const { path, store } = await published({ clock });
	const lock = await store.acquire(0);
	takeOver(clock, path);

	await expect(lock?.write(emptyRecord)).rejects.toMatchObject({
		kind: "lost",
	});
	await expect(
		lock?.publish({ ...token, value: "older" }),
	).rejects.toMatchObject({
		kind: "lost",
	});
	expect(fs.readFileSync(path, "utf8")).toBe(text);
	expect(fs.existsSync(recordPathOf(path))).toBe(false);
});

test("a lock that is lost in the instant of the rename makes publish throw `lost`, so that the caller does not take its token for the newest", async () => {
	const clock = clockThatIsSetAhead();
	const { path, store } = await published({ clock });
	const lock = await store.acquire(0);
	const rename = fs.renameSync;
	insteadOf("renameSync", (from, to) => {
		takeOver(clock, path);
		rename(from, to);
	});
	await expect(
		lock?.publish({ ...token, value: "ours" }),
	).rejects.toMatchObject({
		kind: "lost",
	});
});

test("intents and publications are recorded in the same file, and an intent makes the draft of the next token file", async () => {
	const { path, store } = newStore();
	const inode = () => fs.statSync(recordPathOf(path)).ino;
	const drafts = () =>
		fs.readdirSync(join(path, "..")).filter((name) => name.endsWith(".tmp"));
	const first = await store.acquire(0);
	expect(store.record()).toBe(emptyRecord);
	await first?.write({ ...emptyRecord, generation: 1 });
	const state = inode();
	expect(drafts()).toHaveLength(1);
	await first?.release();
	expect(drafts()).toEqual([]);

	const lock = await store.acquire(0);
	expect(store.record().generation).toBe(1);
	await lock?.write({ ...emptyRecord, generation: 2 });
	const [draft = ""] = drafts();
	const made = fs.statSync(join(path, "..", draft));
	expect([made.mode & 0o7777, made.size]).toEqual([0o640, 1]);
	await lock?.publish(token, { ...emptyRecord, generation: 3 });
	expect(inode()).toBe(state);
	expect(fs.statSync(path).ino).toBe(made.ino);
	expect(store.record().generation).toBe(3);
	expect(store.read()).toEqual({ kind: "token", token, exact: true });
	await lock?.release();
	expect(newStoreAt(path).record().generation).toBe(3);
});

test("a durable intent is synced, with the directory if its file is new; an intent that need not be durable is not synced", async () => {
	const { path, store } = newStore();
	const synced: string[] = [];
	watchSyncs((file) => {
		synced.push(basename(fs.readlinkSync(`/proc/self/fd/${file}`)));
		return undefined;
	});
	const state = basename(recordPathOf(path));
	const directory = basename(dirname(path));
	const lock = await store.acquire(0);
	store.record();
	await lock?.write(emptyRecord, { durable: false });
	expect(synced).toEqual([]);
	store.record();
	await lock?.write(emptyRecord);
	expect(synced).toEqual([state]);
	await lock?.release();

	fs.rmSync(recordPathOf(path));
	const again = await store.acquire(0);
	store.record();
	await again?.write(emptyRecord);
	expect(synced.slice(1)).toEqual([state, directory]);
	await again?.release();
});

test("a lease that ends without a publication leaves no draft", async () => {
	const { path, store } = newStore();
	const names = () => fs.readdirSync(join(path, "..")).sort();
	const first = await store.acquire(0);
	await first?.write({ ...emptyRecord, generation: 1 });
	await first?.release();
	const before = names();
	const lock = await store.acquire(0);
	store.record();
	await lock?.write({ ...emptyRecord, generation: 2 });
	expect(names().length).toBe(before.length + 2);
	await lock?.release();
	expect(names()).toEqual(before);
});

test("the record of a publication is written before its token, also when the record file does not exist", async () => {
	const { path, store } = newStore();
	const lock = await store.acquire(0);
	const rename = fs.renameSync;
	const seen: number[] = [];
	insteadOf("renameSync", (from, to) => {
		if (to === path) seen.push(newStoreAt(path).record().generation);
		rename(from, to);
	});
	await lock?.publish(token, { ...emptyRecord, generation: 1 });
	await lock?.publish(token, { ...emptyRecord, generation: 2 });
	fs.rmSync(recordPathOf(path));
	await lock?.publish(token, { ...emptyRecord, generation: 3 });
	expect(seen).toEqual([1, 2, 3]);
	await lock?.release();
});

test("the removal of leftovers takes what dead writers left, and nothing that only has a similar name", () => {
	const directory = newDirectory();
	const put = (name: string) => fs.writeFileSync(join(directory, name), "");
	const ours = [
		".token.0123456789ab.tmp",
		"..token.state.0123456789ab.tmp",
		"token.lock.a1-b2.break",
	];
	const others = [
		// A temporary file of the credential whose file is `token.b`, and foreign files.
		".token.b.0123456789ab.tmp",
		".token.notes.tmp",
		"token.0123456789ab.tmp",
		"token.lock.txt",
		"token.locksmith",
		".tokenx.0123456789ab.tmp",
	];
	for (const name of [...ours.slice(0, 2), ...others]) put(name);
	fs.mkdirSync(join(directory, ours[2] ?? ""));
	const folder = ".token.fedcba987654.tmp";
	fs.mkdirSync(join(directory, folder));
	put(`${folder}/precious`);
	const marker = "token.lock.c3-d4.break";
	fs.mkdirSync(join(directory, marker));
	put(`${marker}/precious`);
	const file = "token.lock.e5-f6.break";
	put(file);

	const names = fs
		.readdirSync(directory)
		.filter((name) => isLeftover(name, "token"));
	expect(names.sort()).toEqual([...ours, folder, marker, file].sort());
	removeLeftovers(join(directory, "token"), names);
	expect(fs.readdirSync(directory).sort()).toEqual(
		[...others, folder, marker, file].sort(),
	);
	expect(fs.existsSync(join(directory, folder, "precious"))).toBe(true);
});

test("a process that takes over the lock of a dead writer removes the temporary files of that writer, and nothing else", async () => {
	const { path, store } = await published();
	const folder = dirname(path);
	fs.mkdirSync(`${path}.lock`);
	// The last heartbeat was an hour ago.
	fs.utimesSync(`${path}.lock`, new Date(0), new Date(Date.now() - 3_600_000));
	const half = [".token.0123456789ab.tmp", "..token.state.0123456789ab.tmp"];
	const foreign = [".other.0123456789ab.tmp", ".token.notes"];
	for (const name of [...half, ...foreign])
		fs.writeFileSync(join(folder, name), "half a tok");
	const lock = await store.acquire(0);
	expect(lock).toBeDefined();
	expect(fs.readdirSync(folder).filter((name) => half.includes(name))).toEqual(
		[],
	);
	expect(fs.readdirSync(folder)).toEqual(expect.arrayContaining(foreign));
	await lock?.release();
});

test("each temporary file has a name that the removal of leftovers knows", async () => {
	const { path, store } = newStore();
	const made: string[] = [];
	// A record file to which nothing can be added.
	fs.writeFileSync(recordPathOf(path), "", { mode: 0o600 });
	const lock = await store.acquire(0);
	const rename = fs.renameSync;
	insteadOf("renameSync", (from, to) => {
		made.push(basename(String(from)));
		rename(from, to);
	});
	await lock?.write(emptyRecord);
	await lock?.publish(token);
	await lock?.release();
	expect(made.length).toBe(2);
	expect(made.every((name) => isLeftover(name, basename(path)))).toBe(true);
});

test("a later store does not read a file again that was not touched since its snapshot, but reads one that was", async () => {
	const { path, store } = await published();
	const file = store.snapshot(token);
	expect(file).toBeDefined();
	expect(store.snapshot({ ...token, value: "another" })).toBeUndefined();
	const directory = createOutputDirectory(dirname(path));
	const later = () =>
		newStore({ directory }, file && { snapshot: file, token }).store;
	const open = vi.spyOn(fs, "openSync");
	onTestFinished(() => {
		open.mockRestore();
	});
	expect(later().read()).toEqual({ kind: "token", token, exact: true });
	expect(open).not.toHaveBeenCalled();
	fs.writeFileSync(path, text.replace("a-token", "b-token"));
	expect(later().read()).toMatchObject({ token: { value: "b-token" } });
});

test("a file that is not as it should be gives no snapshot", async () => {
	const { path, store } = await published();
	fs.chmodSync(path, 0o600);
	expect(store.read()).toEqual({ kind: "token", token, exact: false });
	expect(store.snapshot(token)).toBeUndefined();
});

test("a record file that was removed unexpectedly is read as empty, and made anew", async () => {
	const { path, store } = await published();
	const file = store.snapshot(token);
	fs.rmSync(recordPathOf(path), { force: true });
	const directory = createOutputDirectory(dirname(path));
	const later = newStore(
		{ directory },
		file && { snapshot: file, token },
	).store;
	const lock = await later.acquire(0);
	expect(later.record()).toEqual(emptyRecord);
	await lock?.write({ ...emptyRecord, generation: 7 });
	await lock?.release();
	expect(newStoreAt(path).record().generation).toBe(7);
});

test("under the lock the record file is opened once, for reading and for adding", async () => {
	const { path } = await published();
	const first = newStoreAt(path);
	const made = await first.acquire(0);
	await made?.write({ ...emptyRecord, generation: 1 });
	await made?.release();
	const store = newStoreAt(path);
	const open = vi.spyOn(fs, "openSync");
	onTestFinished(() => {
		open.mockRestore();
	});
	const lock = await store.acquire(0);
	expect(store.record().generation).toBe(1);
	await lock?.write({ ...emptyRecord, generation: 2 });
	await lock?.publish(token, { ...emptyRecord, generation: 3 });
	await lock?.release();
	const opened = open.mock.calls.filter(([at]) => at === recordPathOf(path));
	expect(opened).toHaveLength(1);
	expect(newStoreAt(path).record().generation).toBe(3);
});

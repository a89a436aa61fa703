/** A directory that files are published in: made, fit for it, and synced. */
import fs from "node:fs";
import { promisify } from "node:util";
import { errnoOf, StoreError } from "./errors.ts";
import { storeError } from "./store-error.ts";

export interface OutputDirectory {
	readonly path: string;
	/** Throws `StoreError` unless it is one in which nobody can swap our files. */
	mustBeSafe(): void;
	/** fsync of a file in it. */
	sync(file: number): void | Promise<void>;
	/**
	 * fsync of the directory itself: the names given so far will survive a crash
	 * of the machine. On a disk, those who ask while one is under way share the next.
	 */
	syncNames(): void | Promise<void>;
}

export function createOutputDirectory(path: string): OutputDirectory {
	/** Whether it lies in memory, on the device that was there last. */
	let inMemory: boolean | undefined;
	let device: number | undefined;
	let running: Promise<void> | undefined;
	let next: Promise<void> | undefined;

	// A disk may take its time: that is for a worker thread. In memory it is
	// nothing, and the way to another thread and back takes longer than all the
	// rest of the publishing; under /run, that is the usual case.
	const sync = (file: number) => {
		inMemory ??= typesInMemory.has(fs.statfsSync(path).type);
		return inMemory ? fs.fsyncSync(file) : promisify(fs.fsync)(file);
	};

	const syncNext = (): Promise<void> => {
		next = undefined;
		running = syncNamesIn(path, sync).finally(() => {
			running = undefined;
		});
		return running;
	};

	return {
		path,
		mustBeSafe: () => {
			const { dev } = refuseUnsafeDirectory(path);
			if (dev !== device) inMemory = undefined;
			device = dev;
		},
		sync,
		syncNames: () => {
			if (inMemory) return syncNamesIn(path, sync);
			if (running === undefined) return syncNext();
			// The one under way may have begun before our name was there.
			next ??= running.catch(() => {}).then(syncNext);
			return next;
		},
	};
}

/** tmpfs and ramfs, by what statfs(2) calls their type. */
const typesInMemory = new Set([0x01021994, 0x858458f6]);

async function syncNamesIn(
	path: string,
	sync: OutputDirectory["sync"],
): Promise<void> {
	const { O_RDONLY, O_DIRECTORY } = fs.constants;
	const file = fs.openSync(path, O_RDONLY | O_DIRECTORY);
	try {
		await sync(file);
	} catch (error) {
		if (!cannotSyncDirectories.has(errnoOf(error) ?? "")) throw error;
	} finally {
		fs.closeSync(file);
	}
}

/** What file systems say that keep their directories safe by themselves, or cannot. */
const cannotSyncDirectories = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP"]);

/** Creates the directory of token files (mode 0750) unless it is there. */
export function makeDirectory(
	directory: string,
	gid: number | undefined,
): void {
	try {
		const made = fs.mkdirSync(directory, { recursive: true, mode: 0o750 });
		if (made === undefined) return;
		if (gid !== undefined) fs.chownSync(directory, -1, gid);
		// A strict umask would keep the readers out.
		fs.chmodSync(directory, 0o750);
	} catch (error) {
		throw storeError("create the directory", directory, error);
	}
}

/** Throws `StoreError` unless the directory is one in which nobody can swap our files. */
export function refuseUnsafeDirectory(directory: string): fs.Stats {
	let found: fs.Stats;
	try {
		found = fs.statSync(directory);
	} catch (error) {
		throw storeError("read the directory", directory, error);
	}
	if (!found.isDirectory()) {
		throw new StoreError(
			"refused",
			`could not use ${directory}: it is not a directory`,
			"set `directory` to a directory",
		);
	}
	const openToAll = (found.mode & 0o002) !== 0;
	const sticky = (found.mode & 0o1000) !== 0;
	if (openToAll && !sticky) {
		throw new StoreError(
			"refused",
			`could not use ${directory}: everybody may write there, and delete or replace the token files`,
			`take that right away: chmod o-w ${directory}`,
		);
	}
	return found;
}

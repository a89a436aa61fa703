/** A directory that files are published in: made, fit for it, and synced. */
import fs from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { errnoOf, StoreError } from "../core/errors.ts";
import { storeError } from "./store-error.ts";

export interface OutputDirectory {
	readonly path: string;
	/**
	 * Looks what it is by now, from time to time; whether everybody can swap our
	 * files, as far as that can be seen.
	 */
	isOpenToAll(): boolean;
	/**
	 * Whether strangers may put files there: everybody may write in it (as in /tmp), or
	 * it is sticky and its group may.
	 */
	isShared(): boolean;
	/**
	 * Whether a file of that user may be taken for a keeper's: in a shared directory only
	 * our own ones, root's, and those of its owner, who may replace any file in it. In
	 * all others whoever may put a file may replace ours as well.
	 */
	trusts(uid: number): boolean;
	/** Whether this process may replace a file of that user, if it may write there at all. */
	mayReplace(uid: number): boolean;
	/** Once it is gone: with the mode that it was seen with. Throws `StoreError`. */
	makeAgain(gid: number | undefined): void;
	/** fsync of a file in it. */
	sync(file: number): void | Promise<void>;
	/**
	 * fsync of the directory itself: the names given so far will survive a crash
	 * of the machine. Those who ask before it begins share it, and on a disk it begins
	 * when the one under way is over.
	 */
	syncNames(): Promise<void>;
}

export function createOutputDirectory(path: string): OutputDirectory {
	/** Whether it lies in memory, on the device that was there last. */
	let inMemory: boolean | undefined;
	let device: number | undefined;
	let mode: number | undefined;
	/** Undefined: nobody has looked yet. */
	let seen: { readonly mode: number; readonly uid: number } | undefined;
	let running: Promise<void> | undefined;
	let next: Promise<void> | undefined;

	const look = () => {
		const found = lookAt(path);
		if (found.dev !== device) inMemory = undefined;
		device = found.dev;
		seen = { mode: found.mode, uid: found.uid };
		// Made again, it is not opened to everybody again.
		mode = found.mode & (letsAllReplace(found) ? 0o7775 : 0o7777);
		return found;
	};

	// A disk may take its time: that is for a worker thread. In memory it is
	// nothing, and the way to another thread and back takes longer than all the
	// rest of the publishing; under /run, that is the usual case.
	const sync = (file: number) => {
		inMemory ??= typesInMemory.has(fs.statfsSync(path).type);
		return inMemory ? fs.fsyncSync(file) : syncByThread(file);
	};

	const isOpenToAll = () => {
		try {
			return letsAllReplace(look());
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			return false; // Whoever writes next says what is wrong.
		}
	};

	const known = () => {
		if (seen === undefined) isOpenToAll();
		return seen;
	};
	const isSticky = () => ((known()?.mode ?? 0) & 0o1000) !== 0;
	// Everybody may write in one that is not sticky: that is told, and files of others
	// are not believed there either.
	const isShared = () => {
		const { mode: bits = 0 } = known() ?? {};
		return (bits & 0o002) !== 0 || (isSticky() && (bits & 0o020) !== 0);
	};

	const syncNext = async (): Promise<void> => {
		// The one under way may have begun before our name was there.
		await running?.catch(() => {});
		next = undefined;
		running = syncNamesIn(path, sync);
		try {
			await running;
		} finally {
			running = undefined;
		}
	};

	return {
		path,
		isOpenToAll,
		isShared,
		trusts: (uid) =>
			!isShared() || uid === ownUid || uid === 0 || uid === seen?.uid,
		mayReplace: (uid) =>
			!isSticky() || uid === ownUid || ownUid === 0 || ownUid === seen?.uid,
		makeAgain: (gid) => makeDirectory(path, gid, mode),
		sync,
		syncNames: () => {
			next ??= syncNext();
			return next;
		},
	};
}

/** Of the files that this process makes. */
export const ownUid = process.geteuid?.();

// `fs.fsync` as it is at the call: tests put faults in its place.
const syncByThread = promisify((file: number, done: fs.NoParamCallback) =>
	fs.fsync(file, done),
);

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

/** Creates the directory of token files unless it is there. Throws `StoreError`. */
export function makeDirectory(
	directory: string,
	gid: number | undefined,
	mode = 0o750,
): void {
	try {
		const made = makeFolder(directory, mode);
		if (made && gid !== undefined) {
			fs.chownSync(directory, -1, gid);
			// It has lost the set-group-ID bit with that, if it had one.
			fs.chmodSync(directory, mode);
		}
	} catch (error) {
		throw storeError("create the directory", directory, error);
	}
}

/**
 * Whether it had to be made. Not by mkdir(2) `recursive` of Node.js, which below
 * /proc tries for ever; and a strict umask would keep the readers out.
 */
function makeFolder(path: string, mode: number): boolean {
	const make = () => {
		fs.mkdirSync(path, mode);
		fs.chmodSync(path, mode);
		return true;
	};
	try {
		return make();
	} catch (error) {
		if (errnoOf(error) === "EEXIST") return false;
		const parent = dirname(path);
		if (errnoOf(error) !== "ENOENT" || parent === path) throw error;
		makeFolder(parent, 0o755);
		return make();
	}
}

function lookAt(directory: string): fs.Stats {
	let found: fs.Stats;
	try {
		found = fs.statSync(directory);
	} catch (error) {
		throw storeError("read the directory", directory, error);
	}
	if (found.isDirectory()) return found;
	throw new StoreError(
		"refused",
		`could not use ${directory}: it is not a directory`,
		"set `directory` to a directory (if it is a mounted file: mount the directory that holds it)",
	);
}

/** Throws `StoreError` unless the directory is one in which nobody can swap our files. */
export function refuseUnsafeDirectory(directory: string): void {
	if (letsAllReplace(lookAt(directory))) {
		throw new StoreError(
			"refused",
			`could not use ${directory}: everybody may write there, and delete or replace the token files`,
			`take that right away: chmod o-w ${directory}`,
		);
	}
}

/** In a sticky one only the owner of a file may replace it. */
function letsAllReplace({ mode }: fs.Stats): boolean {
	return (mode & 0o002) !== 0 && (mode & 0o1000) === 0;
}

/**
 * The group for files in a directory that is there. If none is configured, root
 * takes that of the directory, as no reader is in root's own.
 * undefined: as the process makes files.
 */
export function groupFor({
	directory,
	gid: configured,
}: {
	readonly directory: string;
	readonly gid: number | undefined;
}): number | undefined {
	if (configured !== undefined || ownUid !== 0) return configured;
	try {
		const gid = fs.statSync(directory, { throwIfNoEntry: false })?.gid;
		return gid === unmappedGid ? undefined : gid;
	} catch {
		// What is wrong with it is told when it is used.
		return undefined;
	}
}

/** What a container sees of groups that it does not have, and cannot give to anything. */
const unmappedGid = 65_534;

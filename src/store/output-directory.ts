/** A directory that files are published in: how it is made, checked and synced. */
import fs from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { errnoOf, StoreError } from "../core/errors.ts";
import { storeError } from "./store-error.ts";

/** A directory of published files, with what was last seen of it. */
export interface OutputDirectory {
	readonly path: string;
	/**
	 * Looks at the directory again. True: every user can replace our files there; false
	 * also if the look fails. Never throws.
	 */
	isOpenToAll(): boolean;
	/**
	 * Whether strangers may make files there: every user may (as in /tmp), or the
	 * directory is sticky and its group may.
	 */
	isShared(): boolean;
	/**
	 * Whether a file of that user may be one of a keeper. In a shared directory only our
	 * own files may, those of root, and those of the owner of the directory, who may
	 * replace any file in it. In all others whoever may make a file may replace ours as
	 * well.
	 */
	trusts(uid: number): boolean;
	/** Whether this process may replace a file of that user, if it may write there at all. */
	mayReplace(uid: number): boolean;
	/** Makes it again once it is gone, with the mode that it had. Throws `StoreError`. */
	makeAgain(gid: number | undefined): void;
	/** fsync of a file in it. Throws what fsync(2) throws. */
	sync(file: number): void | Promise<void>;
	/**
	 * fsync of the directory itself: the renames made so far will survive a crash of the
	 * machine. Callers share one fsync if they call before it begins; on a disk it begins
	 * when the one under way has ended. Throws what fsync(2) throws.
	 */
	syncNames(): Promise<void>;
}

/** Looks at nothing yet. */
export function createOutputDirectory(path: string): OutputDirectory {
	/** Whether it lies in memory; found out again if the device has changed. */
	let inMemory: boolean | undefined;
	/** Undefined until the first look. */
	let seen: Pick<fs.Stats, "dev" | "mode" | "uid"> | undefined;

	const look = () => {
		const { dev, mode, uid } = lookAt(path);
		if (dev !== seen?.dev) inMemory = undefined;
		seen = { dev, mode, uid };
		return seen;
	};

	// A disk may be slow, so a worker thread syncs. In memory (as under /run, the usual
	// case) a sync does nothing, and the way to a thread and back would take longer than
	// all the rest of the publication.
	const sync = (file: number) => {
		inMemory ??= typesInMemory.has(fs.statfsSync(path).type);
		return inMemory ? fs.fsyncSync(file) : syncByThread(file);
	};

	const isOpenToAll = () => {
		try {
			return letsAllReplace(look());
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			return false; // The next write fails too, and reports the error.
		}
	};

	const known = () => {
		if (seen === undefined) isOpenToAll();
		return seen;
	};
	const isSticky = () => ((known()?.mode ?? 0) & 0o1000) !== 0;
	// A directory where every user may write and that is not sticky is reported. Files of
	// others are not believed there either.
	const isShared = () => {
		const { mode: bits = 0 } = known() ?? {};
		return (bits & 0o002) !== 0 || (isSticky() && (bits & 0o020) !== 0);
	};

	return {
		path,
		isOpenToAll,
		isShared,
		trusts: (uid) =>
			!isShared() || uid === ownUid || uid === 0 || uid === seen?.uid,
		mayReplace: (uid) =>
			!isSticky() || uid === ownUid || ownUid === 0 || ownUid === seen?.uid,
		// It must not be open to every user again.
		makeAgain: (gid) =>
			makeDirectory(
				path,
				gid,
				seen && seen.mode & (letsAllReplace(seen) ? 0o7775 : 0o7777),
			),
		sync,
		syncNames: sharedByNext(() => syncNamesIn(path, sync)),
	};
}

/**
 * Runs of `run`, one after the other. Calls that come before a run begins share it: a
 * run under way may have begun before what the caller wants to be in it.
 */
function sharedByNext(run: () => Promise<void>): () => Promise<void> {
	let running: Promise<void> | undefined;
	let next: Promise<void> | undefined;
	const runNext = async (): Promise<void> => {
		await running?.catch(() => {});
		next = undefined;
		running = run();
		try {
			await running;
		} finally {
			running = undefined;
		}
	};
	return () => {
		next ??= runNext();
		return next;
	};
}

/** The owner of the files that this process makes; undefined where users have no ids. */
export const ownUid = process.geteuid?.();

// Looks `fs.fsync` up at each call, as tests replace it.
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

/** Errors of file systems that sync their directories by themselves, or cannot. */
const cannotSyncDirectories = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP"]);

/** Creates the directory of token files, unless it exists. Throws `StoreError`. */
export function makeDirectory(
	directory: string,
	gid: number | undefined,
	mode = 0o750,
): void {
	try {
		const made = makeFolder(directory, mode);
		if (made && gid !== undefined) {
			fs.chownSync(directory, -1, gid);
			// chown removes the set-group-ID bit.
			fs.chmodSync(directory, mode);
		}
	} catch (error) {
		throw storeError("create the directory", directory, error);
	}
}

/**
 * True if it had to be made. Without the `recursive` of Node.js, which below /proc
 * tries for ever; and with chmod, as a strict umask would keep the readers out.
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

/** Throws `StoreError` (refused) if every user can replace the files in the directory. */
export function refuseUnsafeDirectory(directory: string): void {
	if (letsAllReplace(lookAt(directory))) {
		throw new StoreError(
			"refused",
			`could not use ${directory}: everybody may write there, and delete or replace the token files`,
			`take that right away: chmod o-w ${directory}`,
		);
	}
}

/** In a sticky directory (as /tmp) only the owner of a file may replace it. */
function letsAllReplace({ mode }: Pick<fs.Stats, "mode">): boolean {
	return (mode & 0o002) !== 0 && (mode & 0o1000) === 0;
}

/**
 * The group (by number) for files in a directory that exists. If none is configured,
 * root takes the group of the directory, as no reader is in root's own group.
 * Undefined: the group that files of this process have anyway. Never throws.
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
		// The error is reported when the directory is used.
		return undefined;
	}
}

/** Stands for a group of the host that a container does not have; chown to it fails. */
const unmappedGid = 65_534;

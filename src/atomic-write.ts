/**
 * Publishing a file: the one primitive that all output goes through.
 *
 * Promised: at every instant, and after a crash at any instant, `path` holds the
 * old content or the new one, complete, with its final mode and group. The new
 * content is on the medium when the call returns. Whatever lies at `path` (a
 * link, a fifo) is replaced, never followed or written through; a folder there
 * is moved aside. On failure the temporary file is gone (unless even that fails:
 * then it is swept at the next start) and `path` untouched; with one exception:
 * if only the last step fails, the sync of the directory, the new content is in
 * place, but a crash of the machine may bring the old one back.
 *
 * Not promised: that somebody else does not rename another file over ours; who
 * shares a path must hold a lock, and pass `stillOurs` to look at it last: no
 * other system call lies between that look and the rename.
 */
import { randomBytes, randomUUID } from "node:crypto";
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { errnoOf, inWords, StoreError } from "./errors.ts";

export interface FileAttributes {
	/** Permission bits, for example 0o640. */
	readonly mode: number;
	/** Group by number; undefined leaves it to the directory. */
	readonly gid: number | undefined;
}

export async function publishFile(
	path: string,
	content: string,
	attributes: FileAttributes,
	stillOurs: () => void = () => {},
): Promise<void> {
	const directory = dirname(path);
	const temporary = join(
		directory,
		// The last twelve digits are random, and made in advance for many.
		`.${basename(path)}.${randomUUID().slice(24)}.tmp`,
	);
	const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
	const step = stepsOf(path);
	const sync = await step("look at the file system of", () =>
		syncIn(directory),
	);
	const file = await step("create a file beside", () =>
		fs.openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600),
	);
	try {
		await fill(file, content, attributes, step, sync);
		stillOurs();
		// Not by a worker thread: what we saw of the lock ages while that is busy.
		await step("rename into place", () => replace(temporary, path));
	} catch (error) {
		// The error that counts is the first one.
		quietly(() => fs.unlinkSync(temporary));
		throw error;
	}
	await step("sync the directory of", () => syncDirectory(directory, sync));
}

/** Content on the medium, group and mode set, closed. */
async function fill(
	file: number,
	content: string,
	{ mode, gid }: FileAttributes,
	step: Step,
	sync: Sync,
): Promise<void> {
	try {
		// Group and mode come before the content, through the descriptor: the
		// content is never there with other rights than the final ones.
		// Not if it has that group by itself: a sandbox may forbid to change any.
		if (gid !== undefined && fs.fstatSync(file).gid !== gid)
			await step("set the group of", () => fs.fchownSync(file, -1, gid));
		await step("set the mode of", () => fs.fchmodSync(file, mode));
		await step("write", () => fs.writeFileSync(file, content));
		// A failed fsync is not repeated: the kernel may have dropped the pages.
		await step("sync", () => sync(file));
	} catch (error) {
		quietly(() => fs.closeSync(file));
		throw error;
	}
	await step("close", () => fs.closeSync(file));
}

/** Fails unless the directory is one in which nobody can swap our files. */
export function refuseUnsafeDirectory(directory: string): void {
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
}

/** A `StoreError` that names operation, path and errno, with what to do. */
export function storeError(
	operation: string,
	path: string,
	cause: unknown,
): StoreError {
	const errno = errnoOf(cause) ?? String(cause);
	return new StoreError(
		"io",
		`could not ${operation} ${path}: ${inWords(errno)}`,
		hints[errno] ?? "see errno(3) for what the system says",
		cause,
	);
}

const hints: Readonly<Record<string, string>> = {
	EACCES:
		"give the daemon's user the right to write in that directory (owner or group, mode 0750)",
	EPERM:
		"the daemon's user must own the file, and be a member of the configured group (`group`; under systemd set Group= of the unit instead)",
	EROFS: "the file system is read-only: remount it, or set another `directory`",
	ENOSPC: "the file system is full: free some space",
	EDQUOT: "the disk quota is used up: free some space",
	ENOENT: "the directory is missing: create it, or set another `directory`",
	ENOTDIR: "a part of the path is not a directory",
	EEXIST: "set another `directory`: something else lies there",
	EFBIG: "raise the limit on file sizes (LimitFSIZE=)",
	EIO: "the disk reports an error: look at the kernel log",
	EBUSY:
		"something is mounted on the file itself: mount the directory instead, a mounted file cannot be replaced",
	EMFILE: "too many open files: raise the limit (LimitNOFILE=)",
	ENFILE: "too many open files on this machine",
};

type Step = <T>(verb: string, call: () => T | Promise<T>) => Promise<T>;

function stepsOf(path: string): Step {
	return async (verb, call) => {
		try {
			return await call();
		} catch (error) {
			throw error instanceof StoreError ? error : storeError(verb, path, error);
		}
	};
}

function replace(temporary: string, path: string): void {
	try {
		fs.renameSync(temporary, path);
	} catch (error) {
		if (errnoOf(error) !== "EISDIR") throw error;
		// Somebody made a folder there. It may hold things: nothing is deleted.
		fs.renameSync(path, `${path}.set-aside-${randomBytes(4).toString("hex")}`);
		fs.renameSync(temporary, path);
	}
}

type Sync = (file: number) => void | Promise<void>;

/**
 * How to fsync in a directory. A disk may take its time: that is for a worker
 * thread. In memory it is nothing, and the way to another thread and back takes
 * longer than all the rest of the publishing; under /run, that is the usual case.
 */
function syncIn(directory: string): Sync {
	const { type } = fs.statfsSync(directory);
	return inMemory.has(type) ? fs.fsyncSync : promisify(fs.fsync);
}

/** tmpfs and ramfs, by what statfs(2) calls their type. */
const inMemory = new Set([0x01021994, 0x858458f6]);

async function syncDirectory(directory: string, sync: Sync): Promise<void> {
	const { O_RDONLY, O_DIRECTORY } = fs.constants;
	const file = fs.openSync(directory, O_RDONLY | O_DIRECTORY);
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

function quietly(act: () => void): void {
	try {
		act();
	} catch {}
}

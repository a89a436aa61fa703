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
import { randomBytes } from "node:crypto";
import { constants, renameSync, type Stats } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errnoOf, StoreError } from "./errors.ts";

export interface FileAttributes {
	/** Permission bits, for example 0o640. */
	readonly mode: number;
	/** Group by number; undefined leaves it to the directory. */
	readonly gid: number | undefined;
}

export async function publishFile(
	path: string,
	content: string,
	{ mode, gid }: FileAttributes,
	stillOurs: () => void = () => {},
): Promise<void> {
	const directory = dirname(path);
	const temporary = join(
		directory,
		`.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`,
	);
	const step = stepsOf(path);
	const file = await step("create a file beside", () =>
		fs.open(
			temporary,
			constants.O_WRONLY |
				constants.O_CREAT |
				constants.O_EXCL |
				constants.O_NOFOLLOW,
			0o600,
		),
	);
	try {
		await fill(file, content, { mode, gid }, step);
		stillOurs();
		// Not by a worker thread: what we saw of the lock ages while that is busy.
		await step("rename into place", async () => replace(temporary, path));
	} catch (error) {
		// The error that counts is the first one.
		await fs.unlink(temporary).catch(() => {});
		throw error;
	}
	await step("sync the directory of", () => syncDirectory(directory));
}

/** Content on the medium, group and mode set, closed. */
async function fill(
	file: fs.FileHandle,
	content: string,
	{ mode, gid }: FileAttributes,
	step: Step,
): Promise<void> {
	try {
		// Group and mode come before the content, through the descriptor: the
		// content is never there with other rights than the final ones.
		if (gid !== undefined)
			await step("set the group of", () => file.chown(-1, gid));
		await step("set the mode of", () => file.chmod(mode));
		await step("write", () => file.writeFile(content));
		// A failed fsync is not repeated: the kernel may have dropped the pages.
		await step("sync", () => file.sync());
	} catch (error) {
		await file.close().catch(() => {});
		throw error;
	}
	await step("close", () => file.close());
}

/** Fails unless the directory is one in which nobody can swap our files. */
export async function refuseUnsafeDirectory(directory: string): Promise<void> {
	let found: Stats;
	try {
		found = await fs.stat(directory);
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
		`could not ${operation} ${path}: ${errno}`,
		hints[errno] ?? "see errno(3) for what the system says",
		cause,
	);
}

const hints: Readonly<Record<string, string>> = {
	EACCES:
		"give the daemon's user the right to write in that directory (owner or group, mode 0750)",
	EPERM:
		"the daemon's user must own the file, and be a member of the configured group",
	EROFS: "the file system is read-only: remount it, or set another `directory`",
	ENOSPC: "the file system is full: free some space",
	EDQUOT: "the disk quota is used up: free some space",
	ENOENT: "the directory is missing: create it, or set another `directory`",
	ENOTDIR: "a part of the path is not a directory",
	EIO: "the disk reports an error: look at the kernel log",
	EBUSY:
		"something is mounted on the file itself: mount the directory instead, a mounted file cannot be replaced",
	EMFILE: "too many open files: raise the limit (LimitNOFILE=)",
	ENFILE: "too many open files on this machine",
};

type Step = <T>(verb: string, call: () => Promise<T>) => Promise<T>;

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
		renameSync(temporary, path);
	} catch (error) {
		if (errnoOf(error) !== "EISDIR") throw error;
		// Somebody made a folder there. It may hold things: nothing is deleted.
		renameSync(path, `${path}.set-aside-${randomBytes(4).toString("hex")}`);
		renameSync(temporary, path);
	}
}

async function syncDirectory(directory: string): Promise<void> {
	const handle = await fs.open(
		directory,
		constants.O_RDONLY | constants.O_DIRECTORY,
	);
	try {
		await handle.sync();
	} catch (error) {
		if (!cannotSyncDirectories.has(errnoOf(error) ?? "")) throw error;
	} finally {
		await handle.close();
	}
}

/** What file systems say that keep their directories safe by themselves, or cannot. */
const cannotSyncDirectories = new Set(["EINVAL", "ENOTSUP", "EOPNOTSUPP"]);

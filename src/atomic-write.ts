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
import { errnoOf, StoreError } from "./errors.ts";
import { createOutputDirectory } from "./output-directory.ts";
import { storeError } from "./store-error.ts";

export interface FileAttributes {
	/** Permission bits, for example 0o640. */
	readonly mode: number;
	/** Group by number; undefined leaves it to the directory. */
	readonly gid: number | undefined;
}

/**
 * Throws `StoreError`. Resolves with the file as it lies there then; undefined if
 * somebody has touched it already, or if it cannot be looked at.
 */
export async function publishFile(
	path: string,
	content: string,
	attributes: FileAttributes,
	stillOurs: () => void = () => {},
	directory = createOutputDirectory(dirname(path)),
): Promise<fs.BigIntStats | undefined> {
	const temporary = join(
		directory.path,
		// The last twelve digits are random, and made in advance for many.
		`.${basename(path)}.${randomUUID().slice(24)}.tmp`,
	);
	const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
	let verb = "create a file beside";
	try {
		const file = fs.openSync(
			temporary,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
			0o600,
		);
		let written: fs.BigIntStats;
		try {
			written = await fill(
				file,
				content,
				attributes,
				directory.sync,
				(next) => {
					verb = next;
				},
			);
			stillOurs();
			verb = "rename into place";
			// Not by a worker thread: what we saw of the lock ages while that is busy.
			replace(temporary, path);
		} catch (error) {
			// The error that counts is the first one.
			quietly(() => fs.unlinkSync(temporary));
			throw error;
		}
		verb = "sync the directory of";
		await directory.syncNames();
		return asItLies(path, written);
	} catch (error) {
		throw error instanceof StoreError ? error : storeError(verb, path, error);
	}
}

/** Content on the medium, group and mode set, closed. */
async function fill(
	file: number,
	content: string,
	{ mode, gid }: FileAttributes,
	sync: (file: number) => void | Promise<void>,
	begin: (verb: string) => void,
): Promise<fs.BigIntStats> {
	let written: fs.BigIntStats;
	try {
		// Group and mode come before the content, through the descriptor: the
		// content is never there with other rights than the final ones.
		// Not if it has that group by itself: a sandbox may forbid to change any.
		begin("set the group of");
		if (gid !== undefined && fs.fstatSync(file).gid !== gid)
			fs.fchownSync(file, -1, gid);
		begin("set the mode of");
		fs.fchmodSync(file, mode);
		begin("write");
		fs.writeFileSync(file, content);
		// A failed fsync is not repeated: the kernel may have dropped the pages.
		begin("sync");
		await sync(file);
		written = fs.fstatSync(file, { bigint: true });
	} catch (error) {
		quietly(() => fs.closeSync(file));
		throw error;
	}
	begin("close");
	fs.closeSync(file);
	return written;
}

function asItLies(
	path: string,
	written: fs.BigIntStats,
): fs.BigIntStats | undefined {
	try {
		const found = fs.lstatSync(path, { bigint: true });
		return isSame(found, written) ? found : undefined;
	} catch {
		// It is published: no later trouble makes that a failure.
		return undefined;
	}
}

/** But for the time of its rename. */
function isSame(one: fs.BigIntStats, other: fs.BigIntStats): boolean {
	return (
		one.ino === other.ino &&
		one.mtimeNs === other.mtimeNs &&
		one.size === other.size &&
		one.mode === other.mode &&
		one.uid === other.uid &&
		one.gid === other.gid
	);
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

function quietly(act: () => void): void {
	try {
		act();
	} catch {}
}

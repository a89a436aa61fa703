/**
 * Publishing a file: all output of the program goes through this one primitive.
 *
 * Promised: at every instant, and after a crash at any instant, `path` holds the old
 * content or the new one, complete, with its final mode and group. When the call
 * returns, the new content is on the medium. Whatever lies at `path` (a link, a fifo)
 * is replaced, and never followed or written through; a folder there is moved aside.
 * On failure `path` is untouched and the temporary file is removed (if that fails too,
 * it is removed at the next start). There is one exception: if only the last step
 * fails, the sync of the directory, the new content is in place, but a crash of the
 * machine may bring the old one back.
 *
 * Not promised: that no other process renames its file over ours. Processes that share
 * a path must hold a lock, and pass `mustBeHeld`, which looks at the lock: no other
 * system call lies between that look and the rename.
 */
import { randomBytes, randomUUID } from "node:crypto";
import fs from "node:fs";
import { basename, dirname } from "node:path";
import { errnoOf, StoreError } from "../core/errors.ts";
import {
	createOutputDirectory,
	type OutputDirectory,
} from "./output-directory.ts";
import { storeError } from "./store-error.ts";

/** Mode and group of a file. */
export interface FileAttributes {
	/** Permission bits, for example 0o640. */
	readonly mode: number;
	/** Group by number; undefined leaves it to the directory. */
	readonly gid: number | undefined;
}

/** Where the files of a configuration are, and with what mode and group. */
export interface Location extends FileAttributes {
	readonly directory: OutputDirectory;
}

/**
 * Makes a draft of the file, and publishes it: see `Draft.publish`. `directory`: the
 * one of `path`, if the caller has it. Throws `StoreError`, or what `mustBeHeld` throws.
 */
export async function publishFile(
	path: string,
	content: string,
	attributes: FileAttributes,
	mustBeHeld?: () => void,
	directory?: OutputDirectory,
	changedAt?: number,
): Promise<fs.Stats> {
	const draft = draftFile(path, attributes, directory);
	return draft.publish(content, mustBeHeld, changedAt);
}

/** A file that is made, but not in its place yet. Each method that throws removes it. */
export interface Draft {
	/**
	 * Writes one byte, which takes all the space that a small content needs. So a full
	 * disk is found before there is a content. Throws `StoreError`.
	 */
	reserve(): void;
	/**
	 * Resolves with the file as it was right before its rename, which changes its ctime.
	 * `changedAt`: as in `setTimeOfChange`. Throws `StoreError`.
	 */
	publish(
		content: string,
		mustBeHeld?: () => void,
		changedAt?: number,
	): Promise<fs.Stats>;
	/** Removes it, as it is not to be published. Never throws. */
	discard(): void;
}

/** An empty draft beside `path`, with its final mode and group. Throws `StoreError`. */
export function draftFile(
	path: string,
	attributes: FileAttributes,
	directory = createOutputDirectory(dirname(path)),
): Draft {
	// The last twelve digits are random. Node.js makes UUIDs in advance, which is cheap.
	const temporary = `${directory.path}/.${basename(path)}.${randomUUID().slice(24)}.tmp`;
	const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
	let verb = "create a file beside";
	let isOpen = true;
	let file: number;
	try {
		const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
		file = fs.openSync(temporary, flags, attributes.mode);
	} catch (error) {
		throw storeError(verb, path, error);
	}

	const close = () => {
		isOpen = false;
		fs.closeSync(file);
	};
	const discard = () => {
		if (isOpen) quietly(close);
		quietly(() => fs.unlinkSync(temporary));
	};
	// Only the first error is reported, not one of the removal.
	const discarded = (error: unknown) => {
		discard();
		return error instanceof StoreError ? error : storeError(verb, path, error);
	};

	// Group and mode are set before the content is written, and through the descriptor:
	// so the content never exists with other rights than the final ones.
	try {
		setAttributes(file, attributes, (step) => {
			verb = step;
		});
	} catch (error) {
		throw discarded(error);
	}
	return {
		discard,
		reserve: () => {
			try {
				verb = "write";
				// At the beginning, where the content will overwrite it.
				fs.writeSync(file, "\n", 0);
			} catch (error) {
				throw discarded(error);
			}
		},
		publish: async (content, mustBeHeld = () => {}, changedAt) => {
			let found: fs.Stats;
			try {
				verb = "write";
				found = writeAll(file, content, changedAt);
				// A failed fsync is not repeated: the kernel may have dropped the pages.
				verb = "sync";
				await directory.sync(file);
				verb = "close";
				close();
				mustBeHeld();
				verb = "rename into place";
				// Synchronously: while a worker thread is busy, the look at the lock gets old.
				replace(temporary, path);
			} catch (error) {
				throw discarded(error);
			}
			try {
				await directory.syncNames();
			} catch (error) {
				throw storeError("sync the directory of", path, error);
			}
			return found;
		},
	};
}

/** Returns the file as it is now. */
function writeAll(
	file: number,
	content: string,
	changedAt: number | undefined,
): fs.Stats {
	fs.writeFileSync(file, content);
	if (changedAt !== undefined) setTimeOfChange(file, changedAt);
	const bytes = Buffer.byteLength(content);
	const found = fs.fstatSync(file);
	if (found.size === bytes) return found;
	// Another program had written more than that into the draft.
	fs.ftruncateSync(file, bytes);
	return fs.fstatSync(file);
}

/**
 * Sets group and mode of an open file, if they differ: a sandbox may forbid chown even
 * where it would change nothing. `onStep` is told what is tried next, for error texts.
 * Throws what the system calls throw.
 */
export function setAttributes(
	file: number,
	{ mode, gid }: FileAttributes,
	onStep: (verb: string) => void = () => {},
): void {
	onStep("look at");
	const made = fs.fstatSync(file);
	onStep("set the group of");
	if (gid !== undefined && made.gid !== gid) fs.fchownSync(file, -1, gid);
	onStep("set the mode of");
	// The umask may have removed some bits.
	if ((made.mode & 0o7777) !== mode) fs.fchmodSync(file, mode);
}

/**
 * Gives an open file that time of its last change, epoch ms. A token file and its record
 * get the same one, to the nanosecond: a later change of either shows by it, without
 * reading them (src/launcher.sh). A file system that cannot do it only makes that slower.
 * Never throws.
 */
export function setTimeOfChange(file: number, changedAt: number): void {
	quietly(() => fs.futimesSync(file, changedAt / 1000, changedAt / 1000));
}

function replace(temporary: string, path: string): void {
	try {
		fs.renameSync(temporary, path);
	} catch (error) {
		if (errnoOf(error) !== "EISDIR") throw error;
		// A folder stands there. It may hold something of use, so it is not deleted.
		fs.renameSync(path, `${path}.set-aside-${randomBytes(4).toString("hex")}`);
		fs.renameSync(temporary, path);
	}
}

function quietly(act: () => void): void {
	try {
		act();
	} catch {}
}

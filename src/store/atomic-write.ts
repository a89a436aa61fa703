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
import { basename, dirname } from "node:path";
import { errnoOf, StoreError } from "../core/errors.ts";
import {
	createOutputDirectory,
	type OutputDirectory,
} from "./output-directory.ts";
import { storeError } from "./store-error.ts";

export interface FileAttributes {
	/** Permission bits, for example 0o640. */
	readonly mode: number;
	/** Group by number; undefined leaves it to the directory. */
	readonly gid: number | undefined;
}

/** Makes a draft of the file, and publishes it. */
export async function publishFile(
	path: string,
	content: string,
	attributes: FileAttributes,
	stillOurs?: () => void,
	directory?: OutputDirectory,
): Promise<fs.Stats> {
	const draft = draftFile(path, attributes, directory);
	return draft.publish(content, stillOurs);
}

/** A file that is made, and not in its place yet; whatever fails, it is gone then. */
export interface Draft {
	/**
	 * Takes the room that a small content needs: so a full disk shows before there
	 * is a content. Throws `StoreError`.
	 */
	reserve(): void;
	/**
	 * Throws `StoreError`. Resolves with the file as it was right before its rename,
	 * which changes its ctime.
	 */
	publish(content: string, stillOurs?: () => void): Promise<fs.Stats>;
	/** If it is not to be published. Never throws. */
	discard(): void;
}

/** Empty, beside `path`, with its final mode and group. Throws `StoreError`. */
export function draftFile(
	path: string,
	attributes: FileAttributes,
	directory = createOutputDirectory(dirname(path)),
): Draft {
	// The last twelve digits are random, and made in advance for many.
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
	// The error that counts is the first one.
	const discarded = (error: unknown) => {
		discard();
		return error instanceof StoreError ? error : storeError(verb, path, error);
	};

	// Group and mode come before the content, through the descriptor: the content
	// is never there with other rights than the final ones.
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
				// At its beginning, where the content goes.
				fs.writeSync(file, "\n", 0);
			} catch (error) {
				throw discarded(error);
			}
		},
		publish: async (content, stillOurs = () => {}) => {
			let found: fs.Stats;
			try {
				verb = "write";
				fs.writeFileSync(file, content);
				const bytes = Buffer.byteLength(content);
				found = fs.fstatSync(file);
				if (found.size !== bytes) {
					// Somebody had written more into it.
					fs.ftruncateSync(file, bytes);
					found = fs.fstatSync(file);
				}
				// A failed fsync is not repeated: the kernel may have dropped the pages.
				verb = "sync";
				await directory.sync(file);
				verb = "close";
				close();
				stillOurs();
				verb = "rename into place";
				// Not by a worker thread: what we saw of the lock ages while that is busy.
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

/** Only what is not so by itself: a sandbox may forbid to change a group. */
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
	// The umask may have taken some of it.
	if ((made.mode & 0o7777) !== mode) fs.fchmodSync(file, mode);
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

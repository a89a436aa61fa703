/** Reading a small file again only if it was touched. */
import fs from "node:fs";
import { errnoOf, inWords } from "../core/errors.ts";
import { whyNotBelieved } from "./found-entry.ts";
import type { OutputDirectory } from "./output-directory.ts";

/** A file as it was seen. As long as all of this is the same, it was not touched. */
export interface SeenFile {
	readonly inode: number;
	/** Epoch ms, as the other times. With the inode it tells a file from its successor. */
	readonly bornAt: number;
	readonly size: number;
	/** With the type of the file. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly mtimeMs: number;
	/** Undefined: our own rename has changed it since, so the next value is the right one. */
	readonly ctimeMs: number | undefined;
}

/** What is remembered of a file. `isRenamed`: it was renamed after it was seen. */
export function seenIn(
	{ ino, birthtimeMs, size, mode, uid, gid, mtimeMs, ctimeMs }: fs.Stats,
	{ isRenamed } = { isRenamed: false },
): SeenFile {
	return {
		inode: inPlace(ino),
		bornAt: birthtimeMs,
		size: inPlace(size),
		mode: inPlace(mode),
		uid: inPlace(uid),
		gid: inPlace(gid),
		mtimeMs,
		ctimeMs: isRenamed ? undefined : ctimeMs,
	};
}

/** The same number, as a small integer if it is one: V8 stores those without an object. */
function inPlace(value: number): number {
	const small = value | 0;
	return small === value ? small : value;
}

/** Whether a file is still as it was seen. */
export function isUntouched(found: fs.Stats, seen: SeenFile): boolean {
	return (
		found.ino === seen.inode &&
		found.birthtimeMs === seen.bornAt &&
		found.size === seen.size &&
		found.mode === seen.mode &&
		found.uid === seen.uid &&
		found.gid === seen.gid &&
		found.mtimeMs === seen.mtimeMs &&
		(seen.ctimeMs === undefined || found.ctimeMs === seen.ctimeMs)
	);
}

/** One reading of a file; without stat, text and problem: nothing is there. */
export interface FileRead {
	/** Undefined if nothing is there, or the system call failed. */
	readonly stat: fs.Stats | undefined;
	readonly text: string | undefined;
	readonly problem: string | undefined;
	/** The problem is not one of the file and may pass: a disk error, too many open files. */
	readonly unreadable: boolean;
	/** The error, if this process has no right to read it. */
	readonly denied?: unknown;
}

/** A file as it was seen, and what it was understood as. */
export interface KnownFile<T> {
	readonly file: SeenFile;
	readonly content: T;
}

/** A file whose last reading is remembered. Its methods never throw. */
export interface CachedRead<T> {
	/** One lstat; reads the file only if it was touched. */
	read(): T;
	/** Remembers what was just written there, so that it need not be read. */
	learn(file: SeenFile, known: T): void;
	/** The last reading; undefined if nothing was there, or it could not be read. */
	last(): KnownFile<T> | undefined;
	/** Whether nothing was there at the last look. */
	wasAbsent(): boolean;
}

/** How the file is read, and what is known of it. */
export interface CachedReadOptions<T> {
	/** Understands a reading. `before`: the result of the last one. */
	readonly interpret: (file: FileRead, before: T | undefined) => T;
	readonly readFile: () => Partial<FileRead>;
	/** The result of an earlier `CachedRead` of this file. */
	readonly known?: KnownFile<T> | undefined;
	/** The file most likely exists: then the first read opens it without an lstat before. */
	readonly isExpected: boolean;
}

/** Reads nothing yet. */
export function cachedRead<T>(
	path: string,
	{ interpret, readFile, known, isExpected }: CachedReadOptions<T>,
): CachedRead<T> {
	/** Undefined: the file must be read. */
	let seen: SeenFile | "absent" | undefined = known?.file;
	let result: T | undefined = known?.content;

	const readAnew = (lookedAt?: fs.Stats): T => {
		const file = { ...nothing, ...readFile() };
		result = interpret(file, result);
		const stat = lookedAt ?? file.stat;
		if (file.unreadable) seen = undefined;
		else if (stat !== undefined) seen = seenIn(stat);
		else seen = file.problem === undefined ? "absent" : undefined;
		return result;
	};

	return {
		read: () => {
			if (seen === undefined && isExpected) return readAnew();
			let stat: fs.Stats | undefined;
			try {
				stat = fs.lstatSync(path, { throwIfNoEntry: false });
			} catch (error) {
				result = interpret({ ...nothing, ...unreadable(error) }, result);
				seen = undefined;
				return result;
			}
			if (stat === undefined) {
				if (result === undefined || seen !== "absent")
					result = interpret(nothing, result);
				seen = "absent";
				return result;
			}
			if (
				result === undefined ||
				seen === undefined ||
				seen === "absent" ||
				!isUntouched(stat, seen)
			)
				return readAnew(stat);
			if (seen.ctimeMs === undefined) seen = seenIn(stat);
			return result;
		},
		last: () =>
			seen === undefined || seen === "absent" || result === undefined
				? undefined
				: { file: seen, content: result },
		wasAbsent: () => seen === "absent",
		learn: (file, content) => {
			seen = file;
			result = content;
		},
	};
}

/** The reading of a file that does not exist. */
export const nothing: FileRead = {
	stat: undefined,
	text: undefined,
	problem: undefined,
	unreadable: false,
};

/**
 * A larger file is not read. A token file has about 200 bytes. A record file has about
 * 2 KiB, but 140 KiB after the 10,000 calls that the largest `budget` allows.
 */
export const maxTokenBytes = 65_536;
export const maxRecordFileBytes = 1_048_576;

/** By which a file is believed, or not; see `whyNotBelieved`. */
export type Believing = Pick<OutputDirectory, "isShared" | "trusts">;

/**
 * Reads a plain file of at most `maxBytes`, if it is believed, and follows no link.
 * Never throws.
 */
export function readSmallFile(
	path: string,
	maxBytes: number,
	directory?: Believing,
): Partial<FileRead> {
	let file: number;
	try {
		const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
		// Non-blocking, because to open a fifo would block the whole daemon.
		file = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	} catch (error) {
		const errno = errnoOf(error);
		if (errno === "ENOENT") return {};
		const stat = lookAt(path);
		const problem = stat && whyNotBelieved(stat, "file", directory);
		if (problem !== undefined) return { stat, problem };
		if (errno === "ELOOP") return { stat, problem: "a symbolic link" };
		const isDenied = errno === "EACCES" || errno === "EPERM";
		return isDenied
			? { ...unreadable(error), stat, denied: error }
			: unreadable(error);
	}
	try {
		return readOpened(file, maxBytes, directory);
	} finally {
		fs.closeSync(file);
	}
}

/** The same of a file that was just opened. Never throws. */
export function readOpened(
	file: number,
	maxBytes: number,
	directory?: Believing,
): Partial<FileRead> {
	try {
		const stat = fs.fstatSync(file);
		const problem = whyNotBelieved(stat, "file", directory);
		if (problem !== undefined) return { stat, problem };
		if (stat.size > maxBytes)
			return { stat, problem: `${stat.size} bytes long` };
		return { stat, text: textOf(file, stat.size) };
	} catch (error) {
		return unreadable(error);
	}
}

/** Most files are far smaller. One for all, as a reading ends before the next one begins. */
const buffer = Buffer.allocUnsafeSlow(8_192);

/** One system call, where `readFileSync` takes several. Throws what read(2) throws. */
function textOf(file: number, size: number): string {
	if (size >= buffer.length) return fs.readFileSync(file, "utf8");
	let bytes = 0;
	do {
		const read = fs.readSync(file, buffer, bytes, buffer.length - bytes, bytes);
		if (read === 0) break;
		bytes += read;
		// It grows while it is read.
		if (bytes === buffer.length) return fs.readFileSync(file, "utf8");
	} while (bytes !== size);
	return buffer.toString("utf8", 0, bytes);
}

function lookAt(path: string): fs.Stats | undefined {
	try {
		return fs.lstatSync(path, { throwIfNoEntry: false });
	} catch {
		return undefined;
	}
}

function unreadable(error: unknown): Partial<FileRead> {
	return {
		problem: `unreadable: ${inWords(errnoOf(error))}`,
		unreadable: true,
	};
}

/** Reading a small file again only if somebody touched it. */
import fs from "node:fs";
import { errnoOf, inWords } from "../core/errors.ts";
import { whyNotBelieved } from "./found-entry.ts";
import type { OutputDirectory } from "./output-directory.ts";

/** A file at a look: as long as these are the same, nobody has touched it. */
export interface SeenFile {
	readonly inode: number;
	/** Epoch ms, as the other times. With the inode it tells one file of a name from the next. */
	readonly bornAt: number;
	readonly size: number;
	/** With the type of the file. */
	readonly mode: number;
	readonly uid: number;
	readonly gid: number;
	readonly mtimeMs: number;
	/** Undefined: a rename has changed it since. The next one that is seen is the right one. */
	readonly ctimeMs: number | undefined;
}

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

/** The same number; a small one of `Stats` would be an object of its own to V8. */
function inPlace(value: number): number {
	const small = value | 0;
	return small === value ? small : value;
}

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

export interface FileRead {
	/** As it is; undefined if nothing is there, or nobody could look. */
	readonly stat: fs.Stats | undefined;
	readonly text: string | undefined;
	readonly problem: string | undefined;
	/** The problem may pass (a disk error, too many open files), and says nothing about the file. */
	readonly unreadable: boolean;
	/** The error, if this process has no right to read it. */
	readonly denied?: unknown;
}

export interface KnownFile<T> {
	readonly file: SeenFile;
	readonly content: T;
}

export interface CachedRead<T> {
	read(): T;
	/** What lies there, without reading it. */
	learn(file: SeenFile, known: T): void;
	/** The last reading; undefined if nothing was there, or it could not be read. */
	last(): KnownFile<T> | undefined;
	/** Whether nothing was there at the last look. */
	wasAbsent(): boolean;
}

export interface CachedReadOptions<T> {
	/** `before`: what the last reading gave. */
	readonly interpret: (file: FileRead, before: T | undefined) => T;
	readonly readFile: () => Partial<FileRead>;
	/** Of somebody who has read it before. */
	readonly known?: KnownFile<T> | undefined;
	/** It is there by all that is known: so it is read without a look whether it is. */
	readonly isExpected: boolean;
}

export function cachedRead<T>(
	path: string,
	{ interpret, readFile, known, isExpected }: CachedReadOptions<T>,
): CachedRead<T> {
	/** Undefined: it is to be read. */
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

export const nothing: FileRead = {
	stat: undefined,
	text: undefined,
	problem: undefined,
	unreadable: false,
};

/**
 * A giant is not read. A token file is some 200 bytes, a state some 2 KiB; but 140
 * KiB after the 10,000 calls that the largest `budget` allows.
 */
export const maxTokenBytes = 65_536;
export const maxStateBytes = 1_048_576;

/** By which a file is believed, or not; see `whyNotBelieved`. */
export type Believing = Pick<OutputDirectory, "isShared" | "trusts">;

/** Its content, if it is believed; larger ones are not read. */
export function readSmallFile(
	path: string,
	maxBytes: number,
	directory?: Believing,
): Partial<FileRead> {
	let file: number;
	try {
		const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
		// Non-blocking, because a fifo would hold up the whole daemon.
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

/** The same of a file that was just opened. */
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
		return { stat, text: fs.readFileSync(file, "utf8") };
	} catch (error) {
		return unreadable(error);
	}
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

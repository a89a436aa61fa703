/**
 * A file of facts that must outlive a crash of the machine: one JSON object per line,
 * appended and synced. What is appended in the same turn shares one sync.
 *
 * The sync is made by this thread, not by one of Node.js's four workers: these are busy
 * with the token files of thousands of accounts when a push comes, and WeChat waits for
 * its answer. It takes a few milliseconds, some hundred times a day.
 */
import fs from "node:fs";
import { dirname } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { errnoOf, StoreError } from "../core/errors.ts";
import type { Steps } from "../core/steps.ts";
import { stateError } from "./store-error.ts";

/** One line. */
export type Fact = Readonly<Record<string, unknown>>;

export interface DurableLog {
	/**
	 * Resolves once the facts will survive a crash of the machine, and `each` has got
	 * them. Throws `StoreError`: then they are not in the file.
	 */
	append(facts: readonly Fact[]): Promise<void>;
	/** Bytes of the file. */
	size(): number;
	/** Puts another file with these facts into its place. Throws `StoreError`; then the old one stays. */
	rewrite(facts: Iterable<Fact>): void;
	close(): void;
}

export interface OpenedLog {
	readonly log: DurableLog;
	/** Lines in the midst of the file that are no facts: somebody has edited it, or the disk is failing. */
	readonly unreadable: number;
}

const mode = 0o600;

/**
 * Opens the file, or makes it, in a directory that exists. `each` gets every fact, the
 * oldest first: those of the file now, and the others once they are written. Half a line
 * at the end is cut off: whoever wrote it was told of no success. Throws `StoreError`.
 */
export function* openDurableLog(
	path: string,
	each: (fact: Fact) => void,
): Steps<OpenedLog> {
	let file = openFile(path);
	const { unreadable, bytes } = yield* readFacts(path, file, each);
	let size = bytes;
	const waiting: Fact[] = [];
	let flushing: Promise<void> | undefined;

	const flush = () => {
		const facts = waiting.splice(0);
		const text = facts.map((fact) => `${JSON.stringify(fact)}\n`).join("");
		const bytes = Buffer.byteLength(text);
		try {
			fs.writeFileSync(file, text);
			fs.fdatasyncSync(file);
			size += bytes;
		} catch (error) {
			cutOff(file, size);
			throw stateError("write", path, error);
		}
		for (const fact of facts) each(fact);
	};

	return {
		unreadable,
		log: {
			append: async (facts) => {
				for (const fact of facts) waiting.push(fact);
				flushing ??= nextTurn().then(() => {
					flushing = undefined;
					flush();
				});
				await flushing;
			},
			size: () => size,
			rewrite: (facts) => {
				const made = writeAnew(path, facts);
				fs.closeSync(file);
				({ file, size } = made);
			},
			close: () => fs.closeSync(file),
		},
	};
}

const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW, O_EXCL, O_NONBLOCK } =
	fs.constants;

/** Throws what `openDurableLog` would if the file is there, but changes nothing. */
export function lookAtDurableLog(path: string): void {
	try {
		const file = fs.openSync(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK);
		try {
			refuseOtherThanFile(path, fs.fstatSync(file));
		} finally {
			fs.closeSync(file);
		}
	} catch (error) {
		if (error instanceof StoreError) throw error;
		if (errnoOf(error) !== "ENOENT") throw stateError("open", path, error);
	}
}

function refuseOtherThanFile(path: string, found: fs.Stats): void {
	if (!found.isFile())
		throw new StoreError(
			"refused",
			`could not use ${path}: it is not a plain file`,
			"move it away: it is made anew",
		);
}

function openFile(path: string): number {
	let file: number;
	try {
		const flags = O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;
		file = fs.openSync(path, flags, mode);
	} catch (error) {
		throw stateError("open", path, error);
	}
	try {
		const found = fs.fstatSync(file);
		refuseOtherThanFile(path, found);
		if ((found.mode & 0o777) !== mode) fs.fchmodSync(file, mode);
		syncDirectory(dirname(path));
		return file;
	} catch (error) {
		fs.closeSync(file);
		throw error instanceof StoreError
			? error
			: stateError("prepare", path, error);
	}
}

/** A hundred thousand accounts take some 12 MB, so the file is written in pieces. */
const pieceBytes = 1_048_576;
/** And read in steps of a few milliseconds. */
const stepBytes = 131_072;
const lineFeed = 10;

/** `bytes`: as far as the file is good. */
function* readFacts(
	path: string,
	file: number,
	each: (fact: Fact) => void,
): Steps<{ readonly unreadable: number; readonly bytes: number }> {
	let rest: Buffer = Buffer.alloc(0);
	let good = 0;
	/** Behind the last line that could be read. */
	let doubtful = 0;
	let unreadable = 0;
	const readLines = (bytes: Buffer): Buffer => {
		let start = 0;
		for (;;) {
			const end = bytes.indexOf(lineFeed, start);
			if (end < 0) return bytes.subarray(start);
			const fact = factIn(bytes.toString("utf8", start, end));
			good += end + 1 - start;
			start = end + 1;
			if (fact === undefined) {
				doubtful += 1;
				continue;
			}
			unreadable += doubtful;
			doubtful = 0;
			each(fact);
		}
	};
	try {
		const piece = Buffer.alloc(stepBytes);
		for (let at = 0; ; ) {
			const read = fs.readSync(file, piece, 0, stepBytes, at);
			if (read === 0) break;
			at += read;
			rest = Buffer.from(
				readLines(Buffer.concat([rest, piece.subarray(0, read)])),
			);
			yield;
		}
		if (rest.length > 0) fs.ftruncateSync(file, good);
	} catch (error) {
		throw stateError("read", path, error);
	}
	return { unreadable: unreadable + doubtful, bytes: good };
}

function factIn(line: string): Fact | undefined {
	try {
		const fact: unknown = JSON.parse(line);
		const isFact =
			typeof fact === "object" && fact !== null && !Array.isArray(fact);
		return isFact ? (fact as Fact) : undefined;
	} catch {
		return undefined;
	}
}

/** Half a line must not stand before the next one. What cannot be cut off is found at the next start. */
function cutOff(file: number, size: number): void {
	try {
		fs.ftruncateSync(file, size);
	} catch {}
}

function writeAnew(
	path: string,
	facts: Iterable<Fact>,
): { readonly file: number; readonly size: number } {
	const draft = `${path}.new`;
	let file: number | undefined;
	try {
		fs.rmSync(draft, { force: true });
		const flags = O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW;
		file = fs.openSync(draft, flags, mode);
		let text = "";
		for (const fact of facts) {
			text += `${JSON.stringify(fact)}\n`;
			if (text.length < pieceBytes) continue;
			fs.writeFileSync(file, text);
			text = "";
		}
		fs.writeFileSync(file, text);
		fs.fdatasyncSync(file);
		const { size } = fs.fstatSync(file);
		fs.renameSync(draft, path);
		syncDirectory(dirname(path));
		return { file, size };
	} catch (error) {
		if (file !== undefined) fs.closeSync(file);
		throw stateError("write anew", path, error);
	}
}

/** The names in it will survive a crash of the machine. Throws what fsync(2) throws. */
export function syncDirectory(path: string): void {
	const directory = fs.openSync(
		path,
		fs.constants.O_RDONLY | fs.constants.O_DIRECTORY,
	);
	try {
		fs.fsyncSync(directory);
	} finally {
		fs.closeSync(directory);
	}
}

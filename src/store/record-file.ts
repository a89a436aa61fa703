/**
 * Adding to the state of an account: a record stands behind the last one, and the
 * last one counts (`decodeRecord`). It costs one write, where another file costs a
 * rename and two syncs; and it begins with the end of the line before, so that a
 * torn one spoils nothing.
 */
import fs from "node:fs";
import { StoreError } from "../core/errors.ts";
import { encodeRecord, type SharedRecord } from "../core/record.ts";
import { type FileAttributes, setAttributes } from "./atomic-write.ts";
import { type Believing, type FileRead, readOpened } from "./cached-read.ts";
import { ownUid } from "./output-directory.ts";

/** More is written anew: the kernel writes a page as a whole. */
const mostBytes = 4_096;

/** The records of a state file, which stays open while its lock is held. */
export interface Records {
	/**
	 * Adds one. False if the file must be written anew: it is not there, full, not
	 * as we publish files, or anything went wrong. Throws what `stillOurs` and
	 * `before` throw: then the record is not to be written.
	 */
	add(state: SharedRecord, options?: AddOptions): Promise<boolean>;
	/**
	 * Opens and reads the file, and keeps it open for what is added; undefined: this
	 * process cannot open it for that.
	 */
	read(maxBytes: number, directory?: Believing): Partial<FileRead> | undefined;
	/** The file as it is; undefined if nothing was added to it, or nobody can tell. */
	look(): fs.Stats | undefined;
	close(): void;
}

export interface RecordsOptions extends FileAttributes {
	/** Looks at the lock, right before a record is written; throws `StoreError`. */
	readonly stillOurs: () => void;
}

export interface AddOptions {
	/** The file was not there: it is made, where it lies, as half of it would do no harm. */
	readonly isNew?: boolean;
	/** Another one of about its size must fit behind it. */
	readonly isFollowed?: boolean;
	/** What must be done before, if the record can be added; throws `StoreError`. */
	readonly before?: () => void;
	/** Makes the record survive the machine, too. */
	readonly sync?: (file: number) => void | Promise<void>;
}

export function openRecords(
	path: string,
	{ stillOurs, ...attributes }: RecordsOptions,
): Records {
	let file: number | undefined;
	let isHalfMade = false;

	const close = () => {
		const opened = file;
		file = undefined;
		// What was to last was synced.
		if (opened !== undefined) orUndefined(() => fs.closeSync(opened));
	};

	const create = (): number => {
		const { O_CREAT, O_EXCL } = fs.constants;
		const made = fs.openSync(path, flags | O_CREAT | O_EXCL, attributes.mode);
		file = made;
		isHalfMade = true;
		setAttributes(made, attributes);
		return made;
	};

	/** The file, if so much can be added to it. */
	const openFor = (bytes: number): number | undefined => {
		file ??= fs.openSync(path, flags);
		const found = fs.fstatSync(file);
		const fits = found.size + bytes <= mostBytes;
		return fits && isOurKind(found, attributes) ? file : undefined;
	};

	const add = async (
		state: SharedRecord,
		{ isNew = false, isFollowed = false, before, sync }: AddOptions,
	): Promise<boolean> => {
		const record = `\n${encodeRecord(state)}`;
		const bytes = Buffer.byteLength(record);
		const mustMake = isNew && file === undefined;
		const found = mustMake
			? undefined
			: openFor(isFollowed ? 2 * bytes + 256 : bytes);
		if (!mustMake && found === undefined) return false;
		before?.();
		stillOurs();
		const target = found ?? create();
		fs.writeFileSync(target, record);
		await sync?.(target);
		isHalfMade = false;
		return true;
	};

	return {
		read: (maxBytes, directory) => {
			close();
			file = orUndefined(() => fs.openSync(path, flags));
			return file === undefined
				? undefined
				: readOpened(file, maxBytes, directory);
		},
		close,
		look: () => {
			const opened = file;
			if (opened === undefined) return undefined;
			return orUndefined(() => fs.fstatSync(opened));
		},
		add: async (state, options = {}) => {
			let isAdded = false;
			try {
				isAdded = await add(state, options);
			} catch (error) {
				if (error instanceof StoreError) throw error;
				if (isHalfMade) orUndefined(() => fs.unlinkSync(path));
				isHalfMade = false;
			} finally {
				if (!isAdded) close();
			}
			return isAdded;
		},
	};
}

const { O_RDWR, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
const flags = O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK;

function orUndefined<T>(act: () => T): T | undefined {
	try {
		return act();
	} catch {
		return undefined;
	}
}

/** As this process publishes files, and by no other name. */
function isOurKind(found: fs.Stats, { mode, gid }: FileAttributes): boolean {
	return (
		found.isFile() &&
		found.nlink === 1 &&
		(found.mode & 0o7777) === mode &&
		found.uid === ownUid &&
		(gid === undefined || found.gid === gid)
	);
}

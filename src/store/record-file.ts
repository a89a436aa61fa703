/**
 * Adding records to a record file (`.<file>.state`): each is appended as one line; which
 * one counts says `decodeRecord`. To append costs one write, whereas a new file costs a
 * rename and two syncs. A record begins with a line feed, so if the one before it was
 * torn by a crash, that does not spoil it.
 */
import fs from "node:fs";
import { StoreError } from "../core/errors.ts";
import { encodeRecord, type SharedRecord } from "../core/record.ts";
import {
	type FileAttributes,
	setAttributes,
	setTimeOfChange,
} from "./atomic-write.ts";
import { type Believing, type FileRead, readOpened } from "./cached-read.ts";
import { ownUid } from "./output-directory.ts";

/** A file that would get larger is written anew: the kernel writes one page as a whole. */
const maxBytes = 4_096;

/** A record file, which stays open while its lock is held. */
export interface Records {
	/**
	 * Appends one. False: the file must be written anew, because it is missing, full or
	 * not as we publish files, or because a system call failed. Throws the `StoreError`
	 * of `mustBeHeld` or `before`: then no record may be written.
	 */
	add(record: SharedRecord, options?: AddOptions): Promise<boolean>;
	/**
	 * Opens and reads the file, and keeps it open for adding. Undefined: this process
	 * cannot open it for adding. Never throws.
	 */
	read(maxBytes: number, directory?: Believing): Partial<FileRead> | undefined;
	/** The file as it is; undefined if it is not open, or fstat fails. */
	look(): fs.Stats | undefined;
	/** Never throws. */
	close(): void;
}

/** The mode and group of the file, and the look at the lock. */
export interface RecordsOptions extends FileAttributes {
	/** Looks at the lock, right before a record is written; throws `StoreError` (lost). */
	readonly mustBeHeld: () => void;
}

/** How one record is added. */
export interface AddOptions {
	/** The file does not exist: it is made in its place, as half a first record does no harm. */
	readonly isNew?: boolean;
	/** Another record of about the same size must fit behind it. */
	readonly isFollowed?: boolean;
	/** Done right before the write, if the record can be added; throws `StoreError`. */
	readonly before?: () => void;
	/** As in `setTimeOfChange`. */
	readonly changedAt?: number;
	/** Makes the record survive a crash of the machine. */
	readonly sync?: (file: number) => void | Promise<void>;
}

/** Opens nothing yet. */
export function openRecords(
	path: string,
	{ mustBeHeld, ...attributes }: RecordsOptions,
): Records {
	let file: number | undefined;
	let isHalfMade = false;

	const close = () => {
		const opened = file;
		file = undefined;
		// An error of close does not matter, as what must last was synced before.
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

	/** The file, if that many bytes can be added to it. */
	const openFor = (bytes: number): number | undefined => {
		file ??= fs.openSync(path, flags);
		const found = fs.fstatSync(file);
		const fits = found.size + bytes <= maxBytes;
		return fits && isOurKind(found, attributes) ? file : undefined;
	};

	const add = async (
		content: SharedRecord,
		{ isNew = false, isFollowed = false, before, changedAt, sync }: AddOptions,
	): Promise<boolean> => {
		const record = `\n${encodeRecord(content)}`;
		const bytes = Buffer.byteLength(record);
		const mustMake = isNew && file === undefined;
		const found = mustMake
			? undefined
			: openFor(isFollowed ? 2 * bytes + 256 : bytes);
		if (!mustMake && found === undefined) return false;
		before?.();
		mustBeHeld();
		const target = found ?? create();
		fs.writeFileSync(target, record);
		if (changedAt !== undefined) setTimeOfChange(target, changedAt);
		await sync?.(target);
		isHalfMade = false;
		return true;
	};

	return {
		read: (maxBytes, directory) => {
			const opened = orUndefined(() => fs.openSync(path, flags));
			// What is open stays so: if it is still the file, a record can be added to it.
			if (opened === undefined) return undefined;
			close();
			file = opened;
			return readOpened(opened, maxBytes, directory);
		},
		close,
		look: () => {
			const opened = file;
			if (opened === undefined) return undefined;
			return orUndefined(() => fs.fstatSync(opened));
		},
		add: async (record, options = {}) => {
			let isAdded = false;
			try {
				isAdded = await add(record, options);
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

/** Whether it is as this process publishes files, and has no second name. */
function isOurKind(found: fs.Stats, { mode, gid }: FileAttributes): boolean {
	return (
		found.isFile() &&
		found.nlink === 1 &&
		(found.mode & 0o7777) === mode &&
		found.uid === ownUid &&
		(gid === undefined || found.gid === gid)
	);
}

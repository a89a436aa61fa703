/** The two files of one credential, read again only if they were touched. */
import type fs from "node:fs";
import type { Credential, Reading } from "../core/credential.ts";
import type { Remembered } from "../core/ports.ts";
import {
	decodeRecord,
	emptyRecord,
	recordNameOf,
	type SharedRecord,
} from "../core/record.ts";
import { decodeToken, encodeToken } from "../core/token.ts";
import type { FileAttributes, Location } from "./atomic-write.ts";
import {
	type CachedRead,
	cachedRead,
	type FileRead,
	readSmallFile,
	type SeenFile,
	seenIn,
} from "./cached-read.ts";
import { type Copies, openCopies } from "./copies.ts";
import type { Records } from "./record-file.ts";

/** The token file and the record file of a credential, as this process last saw them. */
export interface SlotFiles {
	/** The token file. */
	readonly path: string;
	/** The record file. */
	readonly recordPath: string;
	readonly token: CachedRead<Reading>;
	readonly record: CachedRead<SharedRecord>;
	readonly copies: Copies;
	/** The record file, kept open while this process holds the lock. */
	records: Records | undefined;
	/** What the token file says, if it was read as `found`. */
	readingOf(found: FileRead): Reading;
}

/** Opens and reads nothing yet. `remembered`: the last look of an earlier slot. */
export function openSlotFiles(
	location: Location,
	credential: Credential,
	remembered: Remembered | undefined,
): SlotFiles {
	const { directory } = location;
	const { file } = credential;
	const path = `${directory.path}/${file}`;
	const recordPath = `${directory.path}/${recordNameOf(file)}`;
	// Every snapshot that a slot is given was made by this store.
	const seen = remembered?.snapshot as SeenFile | undefined;
	let owner: SeenFile | undefined = seen;
	const isPlanted = ({ stat }: FileRead) =>
		stat !== undefined && !directory.trusts(stat.uid);
	const readingOf = (found: FileRead): Reading => {
		if (isPlanted(found))
			return { kind: "unusable", problem: "put there by another user" };
		owner = ownerOf(found.stat, owner);
		return readingIn(found, location, owner);
	};
	const files: SlotFiles = {
		path,
		recordPath,
		records: undefined,
		copies: openCopies(location, credential),
		readingOf,
		token: cachedRead(path, {
			interpret: readingOf,
			readFile: () => readSmallFile(path, maxTokenBytes),
			known: remembered &&
				seen && {
					file: seen,
					content: { kind: "token", token: remembered.token, exact: true },
				},
			isExpected: false,
		}),
		record: cachedRead<SharedRecord>(recordPath, {
			interpret: (found, before = emptyRecord) => {
				const { text, unreadable } = found;
				if (unreadable) return before;
				return text === undefined || isPlanted(found)
					? emptyRecord
					: decodeRecord(text);
			},
			// Under the lock it is opened for adding as well, so that one open is enough.
			readFile: () =>
				files.records?.read(maxRecordFileBytes) ??
				readSmallFile(recordPath, maxRecordFileBytes),
			isExpected: remembered !== undefined,
		}),
	};
	return files;
}

/**
 * A larger file is not read. A token file has about 200 bytes. A record file has about
 * 2 KiB, but 140 KiB after the 10,000 calls that the largest `budget` allows.
 */
const maxTokenBytes = 65_536;
const maxRecordFileBytes = 1_048_576;

/** The file as it was first seen: its owner is the one that published it. */
function ownerOf(
	stat: fs.Stats | undefined,
	before: SeenFile | undefined,
): SeenFile | undefined {
	if (stat === undefined) return before;
	return stat.ino === before?.inode && stat.birthtimeMs === before.bornAt
		? before
		: seenIn(stat);
}

function readingIn(
	{ stat, text, problem }: FileRead,
	{ mode, gid }: FileAttributes,
	owner: SeenFile | undefined,
): Reading {
	if (problem !== undefined) return { kind: "unusable", problem };
	if (stat === undefined || text === undefined) return { kind: "absent" };
	const token = decodeToken(text);
	if (token === undefined) {
		const found = text === "" ? "empty" : "not a token file";
		return { kind: "unusable", problem: found };
	}
	const exact =
		text === encodeToken(token) &&
		(stat.mode & 0o7777) === mode &&
		(gid === undefined || stat.gid === gid) &&
		// Another keeper may publish as another user, but no keeper changes the owner of
		// a file afterwards.
		stat.uid === owner?.uid &&
		stat.gid === owner.gid;
	return { kind: "token", token, exact };
}

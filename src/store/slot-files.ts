/** The two files of one credential, read again only if they were touched. */
import type fs from "node:fs";
import type { Credential, Reading } from "../core/credential.ts";
import type { StoreError } from "../core/errors.ts";
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
	maxRecordFileBytes,
	maxTokenBytes,
	readSmallFile,
	type SeenFile,
	seenIn,
} from "./cached-read.ts";
import type { Contests } from "./contest.ts";
import { type Copies, openCopies } from "./copies.ts";
import { whyNotReplaced } from "./found-entry.ts";
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
	/** Mode and group for what is published: the configured ones, or those of a contest. */
	attributes(): FileAttributes;
	/** That value was published by this process, as that file. */
	published(value: string, stat: fs.Stats): void;
	/** Looks at both files. Why nothing may be published over them; undefined: it may. */
	whyBlocked(): StoreError | undefined;
}

/** Opens and reads nothing yet. `remembered`: the last look of an earlier slot. */
export function openSlotFiles(
	location: Location,
	contests: Contests,
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
	/** By the last look at each file. */
	let blockedToken: StoreError | undefined;
	let blockedRecord: StoreError | undefined;
	const attributes = () => contests.known(file)?.attributes() ?? location;
	const readingOf = (found: FileRead): Reading => {
		owner = ownerOf(found.stat, owner);
		const reading = readingIn(found, location, owner);
		const { stat } = found;
		if (reading.kind !== "token" || reading.exact || stat === undefined)
			return reading;
		if (found.text !== encodeToken(reading.token)) return reading;
		const contest = contests.of(file);
		contest.found(reading.token.value, stat);
		return contest.accepts(stat) ? { ...reading, exact: true } : reading;
	};
	const files: SlotFiles = {
		path,
		recordPath,
		records: undefined,
		copies: openCopies(location, contests, credential),
		readingOf,
		attributes,
		published: (value, stat) => contests.known(file)?.published(value, stat),
		whyBlocked: () => {
			files.record.read();
			files.token.read();
			return blockedToken ?? blockedRecord;
		},
		token: cachedRead(path, {
			interpret: (found) => {
				blockedToken = whyNotReplaced(path, found, directory);
				return readingOf(found);
			},
			readFile: () => readSmallFile(path, maxTokenBytes, directory),
			known: remembered &&
				seen && {
					file: seen,
					content: { kind: "token", token: remembered.token, exact: true },
				},
			isExpected: true,
		}),
		record: cachedRead<SharedRecord>(recordPath, {
			interpret: (found, before = emptyRecord) => {
				const { text, unreadable } = found;
				blockedRecord = whyNotReplaced(recordPath, found, directory);
				if (unreadable) return before;
				return text === undefined ? emptyRecord : decodeRecord(text);
			},
			// Under the lock it is opened for adding as well, so that one open is enough.
			readFile: () =>
				files.records?.read(maxRecordFileBytes, directory) ??
				readSmallFile(recordPath, maxRecordFileBytes, directory),
			isExpected: remembered !== undefined,
		}),
	};
	return files;
}

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

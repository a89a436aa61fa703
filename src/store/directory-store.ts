/**
 * The store in a directory: a file for each value, and beside it what the keepers of
 * all processes share (`.<file>.state`) and lock (`<file>.lock`). See `Slot` in
 * core/ports.ts for the contract.
 */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";

import type { Credential, Reading } from "../core/credential.ts";
import { errnoOf, StoreError } from "../core/errors.ts";
import { lockStaleOf } from "../core/limits.ts";
import type { Lease, Remembered, Slot, Store } from "../core/ports.ts";
import {
	decodeRecord,
	emptyRecord,
	encodeRecord,
	fenceOf,
	type ProcessName,
	recordNameOf,
	type SharedRecord,
	tokenFileOf,
} from "../core/record.ts";
import { decodeToken, encodeToken } from "../core/token.ts";
import {
	type Draft,
	draftFile,
	type FileAttributes,
	publishFile,
} from "./atomic-write.ts";
import {
	cachedRead,
	type FileRead,
	isUntouched,
	maxStateBytes,
	maxTokenBytes,
	nothing,
	readSmallFile,
	type SeenFile,
	seenIn,
} from "./cached-read.ts";
import { type Contest, type Contested, createContest } from "./contest.ts";
import { watchFiles } from "./file-watch.ts";
import { whyNotReplaced } from "./found-entry.ts";
import { createLock, type HeldLock, isBreakMarker } from "./lock.ts";
import type { OutputDirectory } from "./output-directory.ts";
import { openRecords, type Records } from "./record-file.ts";
import { storeError } from "./store-error.ts";

export interface DirectoryStoreOptions extends FileAttributes {
	readonly directory: OutputDirectory;
	readonly self: ProcessName;
	readonly clock: Clock;
	/** 0 to 1. */
	readonly random: () => number;
	/** Once aborted, nothing waits for a lock any more. */
	readonly stopping: AbortSignal;
	/** Another keeper publishes with other attributes; called once for each kind of them. */
	readonly onContested?: (contested: Contested) => void;
}

/** A store whose slots are files of that directory. */
export function createDirectoryStore(options: DirectoryStoreOptions): Store {
	const { directory } = options;
	const contests = new Map<string, Contest>();
	const told = new Set<string>();
	/** One of many accounts is enough to tell of the other keeper. */
	const onContested = (contested: Contested) => {
		const { mode, gid } = contested.theirs;
		const key = `${mode} ${gid}`;
		if (!told.has(key)) options.onContested?.(contested);
		told.add(key);
	};
	const contestOf = (file: string, path: string) => {
		const known =
			contests.get(file) ?? createContest(path, options, onContested);
		contests.set(file, known);
		return known;
	};
	const pathOf = ({ file }: Credential) => `${directory.path}/${file}`;
	return {
		pathOf,
		open: (credential, remembered) =>
			openSlot(options, { contests, contestOf }, credential, remembered),
		isTouched: (credential, snapshot) => {
			const path = pathOf(credential);
			try {
				const found = fs.lstatSync(path, { throwIfNoEntry: false });
				return found === undefined || !isUntouched(found, snapshot as SeenFile);
			} catch {
				return true; // The next look tells what is wrong.
			}
		},
		watch: (onTouched) =>
			watchFiles(directory.path, (name) => onTouched(tokenFileOf(name))),
	};
}

/** Which files another keeper publishes with other attributes; few, and known beyond a slot. */
interface Contests {
	readonly contests: ReadonlyMap<string, Contest>;
	/** Begins one, if there is none. */
	contestOf(file: string, path: string): Contest;
}

function openSlot(
	options: DirectoryStoreOptions,
	{ contests, contestOf }: Contests,
	credential: Credential,
	remembered: Remembered | undefined,
): Slot {
	const { directory, random } = options;
	const { file } = credential;
	const path = `${directory.path}/${file}`;
	const statePath = `${directory.path}/${recordNameOf(file)}`;
	// Only this store makes them.
	const seen = remembered?.snapshot as SeenFile | undefined;
	let owner: SeenFile | undefined = seen;
	/** While the lock is held. */
	let records: Records | undefined;
	/** Why nothing may be published over what was found at the last look. */
	let blockedToken: StoreError | undefined;
	let blockedRecord: StoreError | undefined;
	const attributes = () => contests.get(file)?.attributes() ?? options;
	const readingOf = (found: FileRead): Reading => {
		owner = ownerOf(found.stat, owner);
		const reading = readingIn(found, options, owner);
		const { stat } = found;
		if (reading.kind !== "token" || reading.exact || stat === undefined)
			return reading;
		if (found.text !== encodeToken(reading.token)) return reading;
		const contest = contestOf(file, path);
		contest.found(reading.token.value, stat);
		return contest.accepts(stat) ? { ...reading, exact: true } : reading;
	};
	const token = cachedRead(path, {
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
		isExpected: false,
	});
	const state = cachedRead<SharedRecord>(statePath, {
		interpret: (found, before = emptyRecord) => {
			const { text, unreadable } = found;
			blockedRecord = whyNotReplaced(statePath, found, directory);
			if (unreadable) return before;
			return text === undefined ? emptyRecord : decodeRecord(text);
		},
		// Whoever holds the lock will add to it.
		readFile: () =>
			records?.read(maxStateBytes, directory) ??
			readSmallFile(statePath, maxStateBytes, directory),
		isExpected: remembered !== undefined,
	});
	const tryLock = createLock({
		...options,
		path: lockPathOf(path),
		staleMs: lockStaleOf(credential),
		trusts: directory.trusts,
		lastIntent: () => state.read().inFlight,
	});

	/** What cannot be read is not absent: another keeper has put it there. */
	const refuseBlocked = () => {
		state.read();
		token.read();
		const blocked = blockedToken ?? blockedRecord;
		if (blocked !== undefined) throw blocked;
	};

	const leaseOf = (lock: HeldLock): Lease => {
		const stillOurs = () => {
			if (!lock.isHeld()) throw lost(path);
		};
		/** Of a writer that lost its lock every failure is that one. */
		const orLost = (error: unknown): never => {
			stillOurs();
			throw error;
		};
		const takenAt = options.clock.now();
		let fence: number | undefined;
		/** By what the holder knew as it took the lock, not by what it could learn later. */
		const fenced = (content: SharedRecord): SharedRecord => {
			fence ??= Math.max(fenceOf(content), takenAt) + 1;
			return { ...content, fence };
		};
		const { mode, gid } = attributes();
		const held = openRecords(statePath, { mode, gid, stillOurs });
		records = held;
		/** Of the token's next file. */
		let draft: Draft | undefined;
		const makeDraft = () => {
			if (draft !== undefined) return;
			draft = draftFile(path, attributes(), directory);
			draft.reserve();
		};
		/** Whether by the last look no state is there: an error costs more than all the rest. */
		const isNew = () => state.wasAbsent();
		const writeAnew = async (content: SharedRecord) => {
			const text = encodeRecord(content);
			const stat = await publishFile(
				statePath,
				text,
				attributes(),
				stillOurs,
				directory,
			);
			stillOurs();
			state.learn(seenIn(stat, { isRenamed: true }), content);
		};
		return {
			id: lock.instance,
			write: async (record, { durable } = { durable: true }) => {
				const content = fenced(record);
				const isAdded = await held.add(content, {
					isNew: isNew(),
					isFollowed: true,
					before: makeDraft,
					sync: async (file) => {
						if (!durable) return;
						await directory.sync(file);
						if (isNew()) await directory.syncNames();
					},
				});
				if (isAdded) stillOurs();
				// Another state file shows as well that the token's can be made.
				else await writeAnew(content);
			},
			publish: async (content, record) => {
				if (record !== undefined) {
					const about = fenced(record);
					if (await held.add(about, { isNew: isNew() })) {
						const stat = held.look();
						if (stat !== undefined) state.learn(seenIn(stat), about);
					} else await writeAnew(about);
				}
				const text = encodeToken(content);
				const made = draft ?? draftFile(path, attributes(), directory);
				draft = undefined;
				const stat = await made.publish(text, stillOurs).catch(orLost);
				stillOurs();
				contests.get(file)?.published(content.value, stat);
				const reading = readingOf({ ...nothing, stat, text });
				token.learn(seenIn(stat, { isRenamed: true }), reading);
			},
			release: async () => {
				draft?.discard();
				draft = undefined;
				records = undefined;
				held.close();
				await lock.release();
			},
		};
	};

	/** What the dead holder of the lock was writing. What cannot be removed is told at the next start. */
	const sweepAfterDead = () => {
		try {
			const names = fs.readdirSync(directory.path);
			sweep(
				path,
				names.filter((name) => isLeftover(name, file)),
			);
		} catch {}
	};

	return {
		read: token.read,
		snapshot: (expected) => {
			const { file, content } = token.last() ?? {};
			return content?.kind === "token" &&
				content.exact &&
				encodeToken(content.token) === encodeToken(expected)
				? file
				: undefined;
		},
		record: state.read,
		acquire: async (timeoutMs) => {
			const { clock } = options;
			const giveUpAt = clock.monotonic() + timeoutMs;
			for (let waits = 0; ; waits++) {
				const lock = await inDirectory(options, tryLock);
				if (lock !== undefined) {
					if (lock.isTakenOver) sweepAfterDead();
					const lease = leaseOf(lock);
					try {
						refuseBlocked();
					} catch (error) {
						await lease.release();
						throw error;
					}
					return lease;
				}
				const leftMs = giveUpAt - clock.monotonic();
				if (leftMs <= 0 || options.stopping.aborted) return undefined;
				await sleep(Math.min(leftMs, betweenLooksMs(waits) * (0.5 + random())));
			}
		},
	};
}

/** Most refreshes are over soon; those who wait for a slow one shall not eat up the machine. */
function betweenLooksMs(waits: number): number {
	return Math.min(400, 20 * 1.5 ** waits);
}

function lockPathOf(path: string): string {
	return `${path}.lock`;
}

/**
 * Whether a name in the directory is something that a dead writer of the token
 * file `file` may have left: a temporary file, a lock, the right to break one.
 */
export function isLeftover(name: string, file: string): boolean {
	return (
		name === lockPathOf(file) ||
		isBreakMarker(name, lockPathOf(file)) ||
		isTemporary(name, file)
	);
}

function isTemporary(name: string, file: string): boolean {
	return [file, recordNameOf(file)].some(
		(target) =>
			name.startsWith(`.${target}.`) &&
			/^[0-9a-f]{12}\.tmp$/.test(name.slice(target.length + 2)),
	);
}

/**
 * Removes what dead writers left among `names`, which lie beside the token file.
 * Call it under the lock: then nobody alive needs them. What only bears such a
 * name stays: a folder, or a right to break with content.
 */
export function sweep(path: string, names: readonly string[]): void {
	const file = basename(path);
	for (const name of names) {
		const leftover = join(dirname(path), name);
		try {
			if (isTemporary(name, file)) fs.unlinkSync(leftover);
			else if (isBreakMarker(name, lockPathOf(file))) fs.rmdirSync(leftover);
		} catch (error) {
			if (!isForeign.has(errnoOf(error) ?? ""))
				throw storeError("remove the leftover", leftover, error);
		}
	}
}

/** Gone already, a folder, no folder, a folder with content. */
const isForeign = new Set([
	"ENOENT",
	"EISDIR",
	"EPERM",
	"ENOTDIR",
	"ENOTEMPTY",
	"EEXIST",
]);

function lost(path: string): StoreError {
	return new StoreError(
		"lost",
		`could not keep the lock of ${path}: another process took it over while this one stood still`,
		"nothing to do: the refresh starts over",
	);
}

/** Makes the directory if it is gone. */
async function inDirectory<T>(
	{ directory, gid }: DirectoryStoreOptions,
	call: () => Promise<T>,
): Promise<T> {
	try {
		return await call();
	} catch (error) {
		if (!(error instanceof StoreError) || error.code !== "ENOENT") throw error;
		directory.makeAgain(gid);
		return call();
	}
}

/** The file as it was first seen. */
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
		// Another keeper may publish as another user; nobody else changes owners.
		stat.uid === owner?.uid &&
		stat.gid === owner.gid;
	return { kind: "token", token, exact };
}

/**
 * The store of one account: its token file, and beside it what the keepers of
 * all processes share (`.<file>.state`) and lock (`<file>.lock`).
 *
 * The contract, which another store (for a fleet without a shared disk) must
 * keep just the same:
 * - `read` and `recall` take no lock, never wait, and tell what readers see now.
 * - Whoever holds the lock is the only writer. After a suspend or a clock step
 *   that may be no longer true: then `remember` and `publish` throw `lost`
 *   instead of writing. If the lock is lost in the very instant of the write,
 *   they throw `lost` after it: the caller must look again, and may not take
 *   what it wrote for the newest.
 * - `publish` is atomic and durable; when it throws anything but a late `lost`,
 *   readers still see what they saw before, or (if only the sync of the directory
 *   failed) the new token, which a crash of the machine may take back.
 * - A token is vouched for from its first instant.
 * - `remember` needs all that `publish` needs (space, rights): so a mark that was
 *   left before a request shows that the answer can be published.
 */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
	type AccountState,
	decodeState,
	emptyState,
	encodeState,
	type ProcessName,
	stateNameOf,
} from "./account-state.ts";
import {
	type Draft,
	draftFile,
	type FileAttributes,
	publishFile,
} from "./atomic-write.ts";
import type { Clock } from "./clock.ts";
import { errnoOf, inWords, StoreError } from "./errors.ts";
import { createLock, type HeldLock, isRightToBreak } from "./lock.ts";
import type { OutputDirectory } from "./output-directory.ts";
import type { Reading } from "./policy.ts";
import { openRecords } from "./state-file.ts";
import { storeError } from "./store-error.ts";
import { decodeToken, encodeToken, type Token } from "./token.ts";

export interface TokenStore {
	read(): Reading;
	recall(): AccountState;
	/** Waits up to `patienceMs` for the lock (0: one try); undefined: another process has it. */
	acquire(patienceMs: number): Promise<LockedStore | undefined>;
}

/** The user and group of a file as they were when it was first seen. */
export interface FileOwner {
	/** With its birth, tells it from another file of the same name. */
	readonly inode: number;
	readonly bornAt: number;
	readonly uid: number;
	readonly gid: number;
}

export interface LockedStore {
	/** Names this hold of the lock, for the mark of a request. */
	readonly lock: string;
	/**
	 * It looks at the lock last: a mark that was left is one of the holder.
	 * `isPassing`: a crash of the machine may take it back.
	 */
	remember(
		state: AccountState,
		options?: { readonly isPassing: boolean },
	): Promise<void>;
	/** `voucher`: the state that vouches for the token, if it is not remembered yet. */
	publish(token: Token, voucher?: AccountState): Promise<void>;
	release(): Promise<void>;
}

export interface TokenFileOptions extends FileAttributes {
	readonly directory: OutputDirectory;
	/** The token file's name there. */
	readonly file: string;
	readonly staleMs: number;
	readonly self: ProcessName;
	readonly clock: Clock;
	readonly random: () => number;
	/** Once aborted, nobody waits for a lock any more. */
	readonly stopping: AbortSignal;
	/** From the last store of the file. */
	readonly owner?: FileOwner | undefined;
}

export interface TokenFile extends TokenStore {
	/** Whose the file is that was read last, for a later store of the same file. */
	owner(): FileOwner | undefined;
}

export function createTokenFile(options: TokenFileOptions): TokenFile {
	const { directory, file, random } = options;
	const path = `${directory.path}/${file}`;
	const statePath = `${directory.path}/${stateNameOf(file)}`;
	let { owner } = options;
	const isPlanted = ({ stat }: FileRead) =>
		stat !== undefined && !directory.trusts(Number(stat.uid));
	const readingOf = (found: FileRead): Reading => {
		if (isPlanted(found))
			return { kind: "unusable", problem: "put there by another user" };
		owner = ownerOf(found.stat, owner);
		return readingIn(found, options, owner);
	};
	const token = cachedRead(path, maxTokenBytes, readingOf);
	const state = cachedRead<AccountState>(
		statePath,
		maxStateBytes,
		(found, before = emptyState) => {
			const { text, unreadable } = found;
			if (unreadable) return before;
			return text === undefined || isPlanted(found)
				? emptyState
				: decodeState(text);
		},
	);
	const tryLock = createLock({
		...options,
		path: lockPathOf(path),
		lastMark: () => state.read().inFlight,
	});

	const lockedStore = (lock: HeldLock): LockedStore => {
		const stillOurs = () => {
			if (!lock.isHeld()) throw lost(path);
		};
		const { mode, gid } = options;
		const records = openRecords(statePath, { mode, gid, stillOurs });
		/** Of the token's next file. */
		let draft: Draft | undefined;
		const makeDraft = async () => {
			if (draft !== undefined) return;
			draft = await draftFile(path, options, directory);
			await draft.reserve();
		};
		/** Whether by the last look no state is there: an error costs more than all the rest. */
		const isNew = () => !state.wasThere();
		const rememberAnew = async (content: AccountState) => {
			const text = encodeState(content);
			const stat = await publishFile(
				statePath,
				text,
				options,
				stillOurs,
				directory,
			);
			stillOurs();
			state.learn(stat, content, { isRenamed: true });
		};
		return {
			lock: lock.instance,
			remember: async (content, { isPassing } = { isPassing: false }) => {
				const isAdded = await records.add(content, {
					isNew: isNew(),
					isFollowed: true,
					before: makeDraft,
					sync: async (file) => {
						if (isPassing) return;
						await directory.sync(file);
						if (isNew()) await directory.syncNames();
					},
				});
				if (isAdded) stillOurs();
				// Another state file shows as well that the token's can be made.
				else await rememberAnew(content);
			},
			publish: async (content, voucher) => {
				if (voucher !== undefined) {
					if (await records.add(voucher, { isNew: isNew() })) {
						const stat = records.look();
						if (stat !== undefined) state.learn(stat, voucher);
					} else await rememberAnew(voucher);
				}
				const text = encodeToken(content);
				const made = draft ?? (await draftFile(path, options, directory));
				draft = undefined;
				const stat = await made.publish(text, stillOurs);
				stillOurs();
				const reading = readingOf({ ...nothing, stat, text });
				token.learn(stat, reading, { isRenamed: true });
			},
			release: async () => {
				draft?.discard();
				draft = undefined;
				records.close();
				await lock.release();
			},
		};
	};

	return {
		read: token.read,
		owner: () => owner,
		recall: state.read,
		acquire: async (patienceMs) => {
			const { clock } = options;
			const giveUpAt = clock.monotonic() + patienceMs;
			for (let waits = 0; ; waits++) {
				const lock = await inDirectory(options, tryLock);
				if (lock !== undefined) return lockedStore(lock);
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
		isRightToBreak(name, lockPathOf(file)) ||
		isTemporary(name, file)
	);
}

function isTemporary(name: string, file: string): boolean {
	return [file, stateNameOf(file)].some(
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
			else if (isRightToBreak(name, lockPathOf(file))) fs.rmdirSync(leftover);
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
	{ directory, gid }: TokenFileOptions,
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

interface FileRead {
	/** As it is; undefined if nothing is there. */
	readonly stat: fs.BigIntStats | undefined;
	readonly text: string | undefined;
	readonly problem: string | undefined;
	/** The problem may pass (a disk error, too many open files), and says nothing about the file. */
	readonly unreadable: boolean;
}

/**
 * A giant is not read. A token file is some 200 bytes, a state some 2 KiB; but 140
 * KiB after the 10,000 calls that the largest `budget` allows.
 */
const maxTokenBytes = 65_536;
const maxStateBytes = 1_048_576;

interface CachedRead<T> {
	read(): T;
	/** What lies there, without reading it. `isRenamed`: since that look at it. */
	learn(
		stat: fs.BigIntStats,
		known: T,
		options?: { readonly isRenamed: boolean },
	): void;
	/** Whether anything lay there at the last look. */
	wasThere(): boolean;
}

/** A file at the last look, or that nothing was there. */
interface Seen {
	readonly stat: fs.BigIntStats | undefined;
	/** A rename changes the ctime, so the next one that is seen is the right one. */
	readonly isRenamed: boolean;
}

/** Reads a file again only when its inode, times, size, mode or owner changed. */
function cachedRead<T>(
	path: string,
	maxBytes: number,
	interpret: (file: FileRead, before: T | undefined) => T,
): CachedRead<T> {
	/** Undefined: it is to be read. */
	let seen: Seen | undefined;
	let result: T | undefined;
	return {
		read: () => {
			let stat: fs.BigIntStats | undefined;
			try {
				stat = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
			} catch (error) {
				result = interpret({ ...nothing, ...unreadable(error) }, result);
				seen = undefined;
				return result;
			}
			if (
				result !== undefined &&
				seen !== undefined &&
				isSame(stat, seen.stat, { butCtime: seen.isRenamed })
			) {
				if (seen.isRenamed) seen = { stat, isRenamed: false };
				return result;
			}
			const file = { ...nothing, ...(stat && readFile(path, maxBytes)) };
			result = interpret(file, result);
			seen = file.unreadable ? undefined : { stat, isRenamed: false };
			return result;
		},
		wasThere: () => seen?.stat !== undefined,
		learn: (stat, known, { isRenamed } = { isRenamed: false }) => {
			result = known;
			seen = { stat, isRenamed };
		},
	};
}

const nothing: FileRead = {
	stat: undefined,
	text: undefined,
	problem: undefined,
	unreadable: false,
};

/** Nothing there, or the same file, which nobody touched. */
function isSame(
	one: fs.BigIntStats | undefined,
	other: fs.BigIntStats | undefined,
	{ butCtime }: { readonly butCtime: boolean },
): boolean {
	if (one === undefined || other === undefined) return one === other;
	return (
		one.ino === other.ino &&
		(butCtime || one.ctimeNs === other.ctimeNs) &&
		one.mtimeNs === other.mtimeNs &&
		one.size === other.size &&
		one.mode === other.mode &&
		one.uid === other.uid &&
		one.gid === other.gid
	);
}

function unreadable(error: unknown): Partial<FileRead> {
	return {
		problem: `unreadable: ${inWords(errnoOf(error))}`,
		unreadable: true,
	};
}

function readFile(path: string, maxBytes: number): Partial<FileRead> {
	let descriptor: number;
	try {
		const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
		// Non-blocking, because a fifo would hold up the whole daemon.
		descriptor = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
	} catch (error) {
		const errno = errnoOf(error);
		if (errno === "ENOENT") return {};
		if (errno === "ELOOP") return { problem: "a symbolic link" };
		if (errno === "ENXIO") return { problem: "not a plain file" };
		return unreadable(error);
	}
	try {
		const stat = fs.fstatSync(descriptor, { bigint: true });
		if (!stat.isFile()) return { stat, problem: "not a plain file" };
		if (stat.size > maxBytes)
			return { stat, problem: `${stat.size} bytes long` };
		return { stat, text: fs.readFileSync(descriptor, "utf8") };
	} catch (error) {
		return unreadable(error);
	} finally {
		fs.closeSync(descriptor);
	}
}

function ownerOf(
	stat: fs.BigIntStats | undefined,
	before: FileOwner | undefined,
): FileOwner | undefined {
	if (stat === undefined) return before;
	const inode = Number(stat.ino);
	const bornAt = Number(stat.birthtimeNs / 1_000n) / 1_000;
	return inode === before?.inode && bornAt === before.bornAt
		? before
		: { inode, bornAt, uid: Number(stat.uid), gid: Number(stat.gid) };
}

function readingIn(
	{ stat, text, problem }: FileRead,
	{ mode, gid }: FileAttributes,
	owner: FileOwner | undefined,
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
		(Number(stat.mode) & 0o7777) === mode &&
		(gid === undefined || Number(stat.gid) === gid) &&
		// Another keeper may publish as another user; nobody else changes owners.
		Number(stat.uid) === owner?.uid &&
		Number(stat.gid) === owner.gid;
	return { kind: "token", token, exact };
}

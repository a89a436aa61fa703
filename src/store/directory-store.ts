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
 *   what it wrote for the newest. A record that was added so does not count: its
 *   fence is below that of the process which took the lock over.
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
import type { Clock } from "../core/clock.ts";
import type { Reading } from "../core/decide.ts";
import { errnoOf, StoreError } from "../core/errors.ts";
import {
	type AccountState,
	decodeState,
	emptyState,
	encodeState,
	fenceOf,
	type ProcessName,
	stateNameOf,
} from "../core/record.ts";
import { decodeToken, encodeToken, type Token } from "../core/token.ts";
import {
	type Draft,
	draftFile,
	type FileAttributes,
	publishFile,
} from "./atomic-write.ts";
import {
	cachedRead,
	type FileRead,
	type KnownFile,
	nothing,
	readSmallFile,
	type SeenFile,
	seenIn,
} from "./cached-read.ts";
import { createLock, type HeldLock, isRightToBreak } from "./lock.ts";
import type { OutputDirectory } from "./output-directory.ts";
import { openRecords, type Records } from "./record-file.ts";
import { storeError } from "./store-error.ts";

export interface TokenStore {
	read(): Reading;
	recall(): AccountState;
	/** Waits up to `patienceMs` for the lock (0: one try); undefined: another process has it. */
	acquire(patienceMs: number): Promise<LockedStore | undefined>;
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
	/** From the last store of the file, if it held this token just as it should. */
	readonly known?: KnownFile<Token> | undefined;
}

export interface TokenFile extends TokenStore {
	/**
	 * The file at the last look, for a later store of it; undefined unless it held
	 * just that token.
	 */
	seenWith(token: Token): SeenFile | undefined;
}

export function createTokenFile(options: TokenFileOptions): TokenFile {
	const { directory, file, random } = options;
	const path = `${directory.path}/${file}`;
	const statePath = `${directory.path}/${stateNameOf(file)}`;
	const { known } = options;
	let owner: SeenFile | undefined = known?.file;
	/** While the lock is held. */
	let records: Records | undefined;
	const isPlanted = ({ stat }: FileRead) =>
		stat !== undefined && !directory.trusts(stat.uid);
	const readingOf = (found: FileRead): Reading => {
		if (isPlanted(found))
			return { kind: "unusable", problem: "put there by another user" };
		owner = ownerOf(found.stat, owner);
		return readingIn(found, options, owner);
	};
	const token = cachedRead(path, {
		interpret: readingOf,
		readFile: () => readSmallFile(path, maxTokenBytes),
		known: known && {
			file: known.file,
			content: { kind: "token", token: known.content, exact: true },
		},
		isExpected: false,
	});
	const state = cachedRead<AccountState>(statePath, {
		interpret: (found, before = emptyState) => {
			const { text, unreadable } = found;
			if (unreadable) return before;
			return text === undefined || isPlanted(found)
				? emptyState
				: decodeState(text);
		},
		// Whoever holds the lock will add to it.
		readFile: () =>
			records?.read(maxStateBytes) ?? readSmallFile(statePath, maxStateBytes),
		isExpected: known !== undefined,
	});
	const tryLock = createLock({
		...options,
		path: lockPathOf(path),
		lastMark: () => state.read().inFlight,
	});

	const lockedStore = (lock: HeldLock): LockedStore => {
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
		const fenced = (content: AccountState): AccountState => {
			fence ??= Math.max(fenceOf(content), takenAt) + 1;
			return { ...content, fence };
		};
		const { mode, gid } = options;
		const held = openRecords(statePath, { mode, gid, stillOurs });
		records = held;
		/** Of the token's next file. */
		let draft: Draft | undefined;
		const makeDraft = () => {
			if (draft !== undefined) return;
			draft = draftFile(path, options, directory);
			draft.reserve();
		};
		/** Whether by the last look no state is there: an error costs more than all the rest. */
		const isNew = () => state.wasAbsent();
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
			state.learn(seenIn(stat, { isRenamed: true }), content);
		};
		return {
			lock: lock.instance,
			remember: async (told, { isPassing } = { isPassing: false }) => {
				const content = fenced(told);
				const isAdded = await held.add(content, {
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
			publish: async (content, vouching) => {
				if (vouching !== undefined) {
					const voucher = fenced(vouching);
					if (await held.add(voucher, { isNew: isNew() })) {
						const stat = held.look();
						if (stat !== undefined) state.learn(seenIn(stat), voucher);
					} else await rememberAnew(voucher);
				}
				const text = encodeToken(content);
				const made = draft ?? draftFile(path, options, directory);
				draft = undefined;
				const stat = await made.publish(text, stillOurs).catch(orLost);
				stillOurs();
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
		seenWith: (expected) => {
			const { file, content } = token.last() ?? {};
			return content?.kind === "token" &&
				content.exact &&
				encodeToken(content.token) === encodeToken(expected)
				? file
				: undefined;
		},
		recall: state.read,
		acquire: async (patienceMs) => {
			const { clock } = options;
			const giveUpAt = clock.monotonic() + patienceMs;
			for (let waits = 0; ; waits++) {
				const lock = await inDirectory(options, tryLock);
				if (lock !== undefined) {
					if (lock.isTakenOver) sweepAfterDead();
					return lockedStore(lock);
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

/**
 * A giant is not read. A token file is some 200 bytes, a state some 2 KiB; but 140
 * KiB after the 10,000 calls that the largest `budget` allows.
 */
const maxTokenBytes = 65_536;
const maxStateBytes = 1_048_576;

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

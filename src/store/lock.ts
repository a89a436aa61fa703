/**
 * The writers' lock of one account: the directory `<file>.lock`, made and kept
 * fresh by proper-lockfile, so that it works on every file system with mkdir.
 *
 * Promised: among processes that use this module at most one holds the lock,
 * also when many find the lock of a dead holder at the same moment: a stale lock
 * is broken only by the one that first made the `.break` directory named after
 * that very instance of it. A holder is taken for dead
 * - at once, if its process is gone (same machine, boot and pid namespace);
 * - if it lives, after its lock was watched for `staleMs` without a heartbeat;
 * - if it is a process that nobody can look at (of another machine, boot or
 *   container), once the lock's mtime is `staleMs` old, or after watching it so long;
 * - if it has not said who it is, likewise after `unnamedMs`: it says so within
 *   milliseconds, and until then nothing has been asked for or written.
 * A file, a link or a folder with content that stands in the lock's place is
 * treated as a lock of nobody, and moved aside, not deleted. So is whatever a user
 * made there who is not trusted; and his break markers keep nobody from breaking it.
 *
 * Not promised: exclusion against a process that was stopped for longer than
 * `staleMs` between its last look, or the clock after it, and the system call that
 * it looked for, and then goes on: a holder, or one that was just breaking a stale
 * lock. So a holder must ask `isHeld` before each effect,
 * and after a rename, and keep what it does harmless if the answer comes too
 * late. Nor, if the holder is unknown (another machine or container), exclusion
 * across a step of the wall clock.
 *
 * `isHeld` looks at the directory, unless it did so within the last 10 ms: whoever
 * breaks a lock waits for 50 before it reads or does anything, so what happened in
 * those ten it sees afterwards.
 */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { lock as lockDirectory } from "proper-lockfile";
import type { Clock } from "../core/clock.ts";
import { errnoOf, StoreError } from "../core/errors.ts";
import type { Intent, ProcessName } from "../core/record.ts";
import { whyNotBelieved } from "./found-entry.ts";
import { ownUid } from "./output-directory.ts";
import { livenessOf } from "./process-name.ts";
import { storeError } from "./store-error.ts";

export interface LockOptions {
	/** `<file>.lock`. */
	readonly path: string;
	readonly staleMs: number;
	readonly self: ProcessName;
	readonly clock: Clock;
	/** The last intent that a holder wrote; tells who holds the lock, if it names this instance of it. */
	readonly lastIntent: () => Intent | undefined;
	/** Whether what that user made may be a keeper's; by default of everybody. */
	readonly trusts?: (uid: number) => boolean;
}

export interface HeldLock {
	/** Names this instance of the lock directory. */
	readonly instance: string;
	/** It was another holder's, who is taken for dead and may have left files behind. */
	readonly isTakenOver: boolean;
	/**
	 * False as soon as another process has taken the lock over (a look counts for
	 * 10 ms). Throws `StoreError` (io).
	 */
	isHeld(): boolean;
	/**
	 * Never throws. A directory that cannot be removed now is nobody's: the next
	 * try for the lock breaks it, or says why it cannot.
	 */
	release(): Promise<void>;
}

/** One try; undefined: another process holds it. Throws `StoreError` (io). */
export type TryLock = () => Promise<HeldLock | undefined>;

export function createLock(options: LockOptions): TryLock {
	const { path, clock } = options;
	let watched: Watched = { lock: undefined, since: 0 };
	/** The last one that we gave up, but could not remove. */
	let orphan: FoundLock | undefined;
	const acquire = () =>
		makeLock(options, (left) => {
			orphan = left;
		});

	return async () => {
		// Mostly it is free. Once it was not, a look is cheaper: fifty processes that
		// wait for one lock do nothing else.
		if (watched.lock === undefined) {
			const taken = await acquire();
			if (taken !== undefined) return taken;
		}
		const found = inspect(path);
		if (found === undefined) {
			watched = { lock: undefined, since: 0 };
			return acquire();
		}
		if (!isSame(found, watched.lock))
			watched = { lock: found, since: clock.monotonic() };
		const watchedMs = clock.monotonic() - watched.since;
		if (!isSame(found, orphan) && !isAbandoned(found, watchedMs, options))
			return undefined;
		if (!breakLock(found, options)) return undefined;
		const taken = await acquire();
		if (taken === undefined) return undefined;
		// Whoever looked at the dead lock just before us has acted on it by now.
		await sleep(settleMs);
		if (taken.isHeld()) return { ...taken, isTakenOver: true };
		await taken.release();
		return undefined;
	};
}

/** Whether a name beside `<file>.lock` (`lock`) is the break marker an instance of it. */
export function isBreakMarker(name: string, lock: string): boolean {
	return (
		name.startsWith(`${lock}.`) &&
		/^\.[0-9a-z]+-[0-9a-z]+\.break$/.test(name.slice(lock.length))
	);
}

/** Long enough for a process between two system calls on a loaded machine. */
const settleMs = 50;

/** For how long a look at our own lock counts; far less than `settleMs`. */
const lookCountsMs = 10;

/** Where each look takes longer than it counts, the last one does. */
const maxLooks = 3;

/** How often a holder touches its lock; the library does not do it more often. */
const heartbeatMs = 1_000;

/** An inode number may be used again; together with its birth it is unique. */
interface FoundLock {
	readonly inode: bigint;
	readonly bornAtNs: bigint;
	readonly mtimeMs: number;
	readonly uid: number;
}

function instanceOf({ inode, bornAtNs }: FoundLock): string {
	return `${inode.toString(36)}-${bornAtNs.toString(36)}`;
}

interface Watched {
	readonly lock: FoundLock | undefined;
	/** By the monotonic clock. */
	readonly since: number;
}

/** The same instance, without a heartbeat in between. */
function isSame(one: FoundLock, other: FoundLock | undefined): boolean {
	return isInstance(one, other) && one.mtimeMs === other?.mtimeMs;
}

function isInstance(one: FoundLock, other: FoundLock | undefined): boolean {
	return one.inode === other?.inode && one.bornAtNs === other.bornAtNs;
}

function isAbandoned(
	found: FoundLock,
	watchedMs: number,
	{ staleMs, self, clock, lastIntent, trusts = () => true }: LockOptions,
): boolean {
	if (!trusts(found.uid)) return true;
	const isSilentFor = (ms: number) =>
		watchedMs >= ms || clock.now() - found.mtimeMs > ms;
	const intent = lastIntent();
	if (intent?.lock !== instanceOf(found))
		return isSilentFor(Math.min(staleMs, unnamedMs));
	switch (livenessOf(intent.by, self)) {
		case "dead":
			return true;
		case "alive":
			return watchedMs >= staleMs;
		case "unknown":
			return isSilentFor(staleMs);
	}
}

/** Some heartbeats long, as a disk may be slow to take the name. */
const unnamedMs = 5 * heartbeatMs;

/** Removes that instance of a lock; true if nothing stands in the way any more. */
function breakLock(stale: FoundLock, options: LockOptions): boolean {
	const { path } = options;
	const right = `${path}.${instanceOf(stale)}.break`;
	try {
		fs.mkdirSync(right, 0o700);
	} catch (error) {
		if (errnoOf(error) !== "EEXIST") throw storeError("create", right, error);
		dropAbandonedMarker(right, options);
		return false;
	}
	try {
		// The right outlives the instance: who comes late finds another one here.
		if (isInstance(stale, inspect(path))) clear(path, stale.uid);
		return true;
	} finally {
		// What stays is in nobody's way: no other lock ever has this name.
		attempt(() => fs.rmdirSync(right));
	}
}

/** A lock is an empty directory; whatever else was put there may be of use to somebody. */
function clear(path: string, uid: number): void {
	try {
		fs.rmdirSync(path);
	} catch (error) {
		switch (errnoOf(error)) {
			case "EPERM":
			case "EACCES":
				if (uid !== ownUid) throw foreignLock(path, uid, error);
				throw storeError("remove the stale lock", path, error);
			case "ENOENT":
				return;
			case "EEXIST":
			case "ENOTDIR":
			case "ENOTEMPTY":
				moveAside(path);
				return;
			default:
				throw storeError("remove the stale lock", path, error);
		}
	}
}

function foreignLock(path: string, uid: number, cause: unknown): StoreError {
	return new StoreError(
		"io",
		`could not remove the lock ${path}: it belongs to uid ${uid}, and this process, which runs as uid ${ownUid}, may not remove it in a sticky directory`,
		"keep the tokens in a directory of the daemon's own (`directory`), or let the owner of that lock remove it",
		cause,
	);
}

function moveAside(path: string): void {
	try {
		fs.renameSync(path, `${path}.set-aside-${randomBytes(4).toString("hex")}`);
	} catch (error) {
		throw storeError("move aside what stands in place of", path, error);
	}
}

/** A breaker that was killed in the middle leaves its right behind. */
function dropAbandonedMarker(
	right: string,
	{ staleMs, clock, trusts = () => true }: LockOptions,
): void {
	try {
		const found = fs.lstatSync(right);
		const isKeepers =
			whyNotBelieved(found, "directory", {
				trusts,
				isShared: () => false,
			}) === undefined;
		// One from the future was made before the clock was set back.
		const isOld = Math.abs(clock.now() - found.mtimeMs) > staleMs;
		if (isKeepers && !isOld) return;
		if (found.isDirectory()) fs.rmdirSync(right);
		else moveAside(right);
	} catch (error) {
		if (error instanceof StoreError) throw error;
		if (errnoOf(error) !== "ENOENT") throw storeError("remove", right, error);
	}
}

async function makeLock(
	options: LockOptions,
	onOrphan: (left: FoundLock | undefined) => void,
): Promise<HeldLock | undefined> {
	const { path } = options;
	const own = ownDirectory(options);
	let isGivenUp = false;
	let release: () => Promise<void>;
	try {
		release = await lockDirectory(path, {
			lockfilePath: path,
			realpath: false,
			// The library breaks stale locks with rmdir and mkdir, which two can do
			// at once. So to it no lock is ever stale; see `breakLock`.
			stale: Number.MAX_SAFE_INTEGER,
			update: heartbeatMs,
			retries: 0,
			fs: own.fs,
			onCompromised: () => {
				isGivenUp = true;
			},
		});
	} catch (error) {
		if (errnoOf(error) === "ELOCKED") return undefined;
		throw storeError("lock", path, error);
	}
	const made = own.found();
	return {
		instance: made === undefined ? "" : instanceOf(made),
		isTakenOver: false,
		isHeld: () => !isGivenUp && own.isThere(),
		release: async () => {
			isGivenUp = true;
			try {
				// Not after a loss: to the library all locks of a path are the same.
				// The timer of a lost one notices the loss, and ends by itself.
				if (own.look()) await release();
			} catch {
				onOrphan(own.found());
			}
		},
	};
}

/**
 * The file system for one lock of proper-lockfile. The library knows a lock only
 * by its path, and would touch and remove what another process has made there
 * meanwhile; here each call acts only on the very directory that it made, and
 * looks right before.
 */
function ownDirectory({ path, staleMs, clock }: LockOptions) {
	let own: FoundLock | undefined;
	/** The last heartbeat, by the library's word. */
	let heartbeat: Date | undefined;
	/** In the same breath the library tries how exact times are: only it would care. */
	let isNew = false;
	/** The last look that found it there, by both clocks: one of them stands still in a suspend. */
	let seenAt = { monotonic: Number.NEGATIVE_INFINITY, wall: 0 };
	const instant = () => ({ monotonic: clock.monotonic(), wall: clock.now() });
	const look = () => {
		const at = instant();
		const found = inspect(path);
		// Where files have no birth time, an inode's number alone tells too little;
		// with the mtime of the last heartbeat it is enough.
		const isOurs = found !== undefined && isSame(found, own);
		if (isOurs) seenAt = at;
		return isOurs;
	};
	const isFresh = () => {
		const { monotonic, wall } = instant();
		return (
			monotonic - seenAt.monotonic < lookCountsMs &&
			Math.abs(wall - seenAt.wall) <= lookCountsMs
		);
	};
	/**
	 * The clock is asked after the look, too: a process is mostly stopped as it comes
	 * back from a system call, and then the look is as old as the stop was long.
	 */
	const isThere = () => {
		for (let looks = 0; looks < maxLooks && !isFresh(); looks += 1)
			if (!look()) return false;
		return true;
	};
	const mustBeThere = () => {
		if (!look()) throw systemError("ENOENT");
	};
	return {
		isThere,
		look,
		found: () => own,
		fs: {
			// Not by a worker thread: the way there takes longer than all the rest.
			stat: (_path: string, done: Done) =>
				answer(done, () => {
					if (own === undefined) return fs.statSync(path);
					if (!isNew) mustBeThere();
					return { mtime: heartbeat };
				}),
			mkdir: (_path: string, done: Done) => {
				answer(done, () => {
					const since = instant();
					fs.mkdirSync(path);
					const made = inspect(path);
					// Stopped in between, it may be another one's by now; if it is ours
					// after all, it is the lock of nobody.
					const tookMs = clock.monotonic() - since.monotonic;
					if (tookMs > Math.min(staleMs, unnamedMs) / 2)
						throw systemError("EEXIST");
					own = made;
					seenAt = since;
					isNew = true;
				});
				isNew = false;
			},
			utimes: (_path: string, atime: Date, mtime: Date, done: Done) =>
				answer(done, () => {
					if (!isNew) {
						mustBeThere();
						fs.utimesSync(path, atime, mtime);
						const touched = inspect(path);
						if (own !== undefined && touched !== undefined)
							own = { ...own, mtimeMs: touched.mtimeMs };
					}
					// The library takes it for said only if all of that went well.
					heartbeat = mtime;
				}),
			/** Only `release` asks for it, which has just looked. */
			rmdir: (_path: string, done: Done) =>
				answer(done, () => fs.rmdirSync(path)),
			/** At the end of the process. */
			rmdirSync: () => {
				mustBeThere();
				fs.rmdirSync(path);
			},
		},
	};
}

type Done = (error: unknown, result?: unknown) => void;

function answer(done: Done, act: () => unknown): void {
	let result: unknown;
	const error = attempt(() => {
		result = act();
	});
	done(error, result);
}

/** What `act` threw, or null. */
function attempt(act: () => void): unknown {
	try {
		act();
		return null;
	} catch (error) {
		return error;
	}
}

function systemError(code: string): Error {
	return Object.assign(new Error(code), { code });
}

function inspect(path: string): FoundLock | undefined {
	let found: fs.BigIntStats | undefined;
	try {
		found = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false });
	} catch (error) {
		throw storeError("look at the lock", path, error);
	}
	if (found === undefined) return undefined;
	const { ino, birthtimeNs, mtimeMs, uid } = found;
	return {
		inode: ino,
		bornAtNs: birthtimeNs,
		mtimeMs: Number(mtimeMs),
		uid: Number(uid),
	};
}

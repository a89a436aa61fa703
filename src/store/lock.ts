/**
 * The writers' lock of one token file: the directory `<file>.lock`. It needs only
 * mkdir, so it works on every file system. proper-lockfile makes it and gives its
 * heartbeat (lock-heartbeat.ts).
 *
 * Promised: among the processes that use this module at most one holds the lock,
 * also when many of them find the lock of a dead holder at the same moment
 * (break-lock.ts). What a process holds itself it never takes for dead, whatever the
 * times on a file system of another clock say. Another holder is taken for dead
 * - at once, if its process is gone (same machine, boot and pid namespace);
 * - if its process lives: after its lock was watched for `staleMs` without a heartbeat;
 * - if its process cannot be checked (another machine, boot or container): once the
 *   mtime of the lock is `staleMs` old, or after the lock was watched for that long;
 * - if no intent names the holder: likewise, but after `unnamedMs`. A holder writes its
 *   intent within milliseconds, and before that it has asked for nothing and written
 *   nothing.
 * A file, a link or a folder with content in the place of the lock counts as a lock
 * without a holder. It is moved aside, not deleted. The same goes for what a user who
 * is not trusted made there, and no break marker of such a user keeps it from being
 * broken.
 *
 * Not promised: exclusion of a process that was stopped for longer than `staleMs`
 * between its last look at the lock (or at the clock after that) and the system call
 * that followed, and then goes on. This holds for holders and for breakers. So a
 * holder must ask `isHeld` before each effect and after a rename, and what it does
 * must be harmless if the answer comes too late. Nor is exclusion promised across a
 * step of the wall clock, if the holder cannot be checked.
 *
 * `isHeld` looks at the directory, unless it did so within the last 10 ms. That is
 * safe: the process that breaks a lock waits 50 ms before it reads or does anything,
 * so it sees all that the former holder did in those 10 ms.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import type { Intent, ProcessName } from "../core/record.ts";
import { breakLock } from "./break-lock.ts";
import {
	type FoundLock,
	inspectLock,
	instanceOf,
	isUnchanged,
	trackOwnLock,
} from "./lock-directory.ts";
import { heartbeatMs, makeLockDirectory } from "./lock-heartbeat.ts";
import { livenessOf } from "./process-name.ts";
import { storeError } from "./store-error.ts";

/** Which lock, and how dead holders are recognized. */
export interface LockOptions {
	/** `<file>.lock`. */
	readonly path: string;
	/** After so long without a heartbeat the holder has lost the lock. */
	readonly staleMs: number;
	readonly self: ProcessName;
	readonly clock: Clock;
	/**
	 * The last intent that a holder wrote. It names the present holder if it names the
	 * present instance of the lock.
	 */
	readonly lastIntent: () => Intent | undefined;
	/** Whether what that user made may be of a keeper; by default every user is trusted. */
	readonly trusts?: (uid: number) => boolean;
}

/** A lock that this process has taken. */
export interface HeldLock {
	/** Names this instance of the lock directory. */
	readonly instance: string;
	/** The lock of a dead holder was broken for it: that holder may have left files. */
	readonly isTakenOver: boolean;
	/**
	 * False as soon as another process has taken the lock over (a look counts for
	 * 10 ms). Throws `StoreError` (io).
	 */
	isHeld(): boolean;
	/**
	 * Never throws. If the directory cannot be removed now, the next try for the lock
	 * breaks it, or throws why it cannot.
	 */
	release(): Promise<void>;
}

/** One try; undefined: another process holds the lock. Throws `StoreError` (io). */
export type TryLock = () => Promise<HeldLock | undefined>;

/** The path (or name) of the lock of a file at that path (or of that name). */
export function lockPathOf(path: string): string {
	return `${path}.lock`;
}

/** Makes nothing yet. The result remembers for how long it has watched the lock of another. */
export function createLock(options: LockOptions): TryLock {
	const { path, clock } = options;
	let watched: Watched = { lock: undefined, since: 0 };
	/** The last lock that we gave up, but could not remove. */
	let orphan: FoundLock | undefined;
	const acquire = () =>
		makeLock(options, (left) => {
			orphan = left;
		});

	return async () => {
		// Mostly the lock is free, and taking it costs least. Once it was not, a look
		// costs less: fifty processes that wait for one lock do nothing else.
		if (watched.lock === undefined) {
			const taken = await acquire();
			if (taken !== undefined) return taken;
		}
		const found = inspectLock(path);
		if (found === undefined) {
			watched = { lock: undefined, since: 0 };
			return acquire();
		}
		if (heldHere.has(nameOf(options, found))) return undefined;
		if (!isUnchanged(found, watched.lock))
			watched = { lock: found, since: clock.monotonic() };
		const watchedMs = clock.monotonic() - watched.since;
		if (!isUnchanged(found, orphan) && !isAbandoned(found, watchedMs, options))
			return undefined;
		if (!breakLock(found, options)) return undefined;
		const taken = await acquire();
		if (taken === undefined) return undefined;
		// A process that looked at the dead lock just before us has acted on it by now.
		await sleep(settleMs);
		if (taken.isHeld()) return { ...taken, isTakenOver: true };
		await taken.release();
		return undefined;
	};
}

/** What this process holds: in a fleet a refresh may meet what it takes over from others. */
const heldHere = new Set<string>();

function nameOf({ self, path }: LockOptions, lock: FoundLock): string {
	return `${self.instance} ${instanceOf(lock)} ${path}`;
}

/** Long enough for a process between two system calls on a loaded machine. */
const settleMs = 50;

/** Some heartbeats long, as a slow disk may take that long to write an intent. */
const unnamedMs = 5 * heartbeatMs;

interface Watched {
	readonly lock: FoundLock | undefined;
	/** By the monotonic clock. */
	readonly since: number;
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

async function makeLock(
	options: LockOptions,
	onOrphan: (left: FoundLock | undefined) => void,
): Promise<HeldLock | undefined> {
	const { path, clock, staleMs } = options;
	const own = trackOwnLock(path, clock);
	let isGivenUp = false;
	let release: (() => Promise<void>) | undefined;
	try {
		release = await makeLockDirectory(own, {
			path,
			maxMakingMs: Math.min(staleMs, unnamedMs) / 2,
			onLost: () => {
				isGivenUp = true;
			},
		});
	} catch (error) {
		throw storeError("lock", path, error);
	}
	if (release === undefined) return undefined;
	const made = own.found();
	const name = made === undefined ? "" : nameOf(options, made);
	heldHere.add(name);
	return {
		instance: made === undefined ? "" : instanceOf(made),
		isTakenOver: false,
		isHeld: () => !isGivenUp && own.isThere(),
		release: async () => {
			isGivenUp = true;
			try {
				// Not after a loss: the library would remove the lock of another process, as
				// it knows only the path. Its timer for the lost lock ends by itself.
				if (own.look()) await release();
			} catch {
				onOrphan(own.found());
			}
			heldHere.delete(name);
		},
	};
}

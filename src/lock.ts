/**
 * The writers' lock of one account: the directory `<file>.lock`, made and kept
 * fresh by proper-lockfile, so that it works on every file system with mkdir.
 *
 * Promised: among processes that use this module at most one holds the lock,
 * also when many find the lock of a dead holder at the same moment: a stale lock
 * is broken only by the one that first made the `.break` directory named after
 * that very instance of it. A holder is taken for dead
 * - at once, if its process is gone (same machine, boot and pid namespace);
 * - if it lives, after its lock was watched for `staleMs` without a sign of life;
 * - if nobody knows who it is, once the lock's mtime is `staleMs` old, or after
 *   watching it for that long.
 *
 * Not promised: exclusion against a holder that was suspended for longer than
 * `staleMs` and then goes on. It must ask `isHeld` before each effect, and after
 * a rename, and keep what it does harmless if the answer comes too late.
 */
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { lock as lockDirectory } from "proper-lockfile";
import type { InFlight, ProcessName } from "./account-state.ts";
import { storeError } from "./atomic-write.ts";
import type { Clock } from "./clock.ts";
import { errnoOf } from "./errors.ts";
import { fateOf } from "./process-name.ts";

export interface LockOptions {
	/** `<file>.lock`. */
	readonly path: string;
	readonly staleMs: number;
	readonly self: ProcessName;
	readonly clock: Clock;
	/** The last mark that a holder left; tells who holds the lock, if it names this instance of it. */
	readonly lastMark: () => InFlight | undefined;
}

export interface HeldLock {
	/** Names this instance of the lock directory. */
	readonly instance: string;
	/** False as soon as another process has taken the lock over. */
	isHeld(): boolean;
	release(): Promise<void>;
}

/** One try; undefined: another process holds it. Throws `StoreError` (io). */
export type TryLock = () => Promise<HeldLock | undefined>;

export function createLock(options: LockOptions): TryLock {
	const { path, staleMs, clock } = options;
	let watched = { instance: "", since: 0 };

	return async () => {
		const held = await acquire(path, staleMs);
		if (held !== undefined) return held;
		const found = inspect(path);
		if (found === undefined) return acquire(path, staleMs);
		const seen = `${found.instance} ${found.mtimeMs}`;
		if (watched.instance !== seen)
			watched = { instance: seen, since: clock.monotonic() };
		const watchedMs = clock.monotonic() - watched.since;
		if (!isAbandoned(found, watchedMs, options)) return undefined;
		if (!breakLock(path, found.instance, staleMs)) return undefined;
		const taken = await acquire(path, staleMs);
		if (taken === undefined) return undefined;
		// Whoever looked at the dead lock just before us has acted on it by now.
		await sleep(settleMs);
		if (taken.isHeld()) return taken;
		await taken.release();
		return undefined;
	};
}

/** Long enough for a process between two system calls on a loaded machine. */
const settleMs = 50;

interface FoundLock {
	readonly instance: string;
	readonly mtimeMs: number;
}

function isAbandoned(
	found: FoundLock,
	watchedMs: number,
	{ staleMs, self, clock, lastMark }: LockOptions,
): boolean {
	if (watchedMs >= staleMs) return true;
	const mark = lastMark();
	const holder = mark?.lock === found.instance ? mark.by : undefined;
	switch (holder === undefined ? "unknown" : fateOf(holder, self)) {
		case "dead":
			return true;
		case "alive":
			return false;
		case "unknown":
			return clock.now() - found.mtimeMs > staleMs;
	}
}

/** Removes that instance of a lock; true if nothing stands in the way any more. */
function breakLock(path: string, instance: string, staleMs: number): boolean {
	const right = `${path}.${instance}.break`;
	try {
		fs.mkdirSync(right, 0o700);
	} catch (error) {
		if (errnoOf(error) !== "EEXIST") throw storeError("create", right, error);
		dropAbandonedRight(right, staleMs);
		return false;
	}
	try {
		// The right outlives the instance: who comes late finds another one here.
		if (inspect(path)?.instance === instance) fs.rmdirSync(path);
		return true;
	} catch (error) {
		if (errnoOf(error) === "ENOENT") return true;
		throw storeError("remove the stale lock", path, error);
	} finally {
		fs.rmdirSync(right);
	}
}

/** A breaker that was killed in the middle leaves its right behind. */
function dropAbandonedRight(right: string, staleMs: number): void {
	try {
		if (Date.now() - fs.lstatSync(right).mtimeMs > staleMs) fs.rmdirSync(right);
	} catch (error) {
		if (errnoOf(error) !== "ENOENT") throw storeError("remove", right, error);
	}
}

/** What proper-lockfile needs; an own object, because it marks it as its own. */
const lockFs = {
	mkdir: fs.mkdir,
	stat: fs.stat,
	utimes: fs.utimes,
	rmdir: fs.rmdir,
	rmdirSync: fs.rmdirSync,
};

async function acquire(
	path: string,
	staleMs: number,
): Promise<HeldLock | undefined> {
	let compromised = false;
	let release: () => Promise<void>;
	try {
		release = await lockDirectory(path, {
			lockfilePath: path,
			realpath: false,
			// The library breaks stale locks with rmdir and mkdir, which two can do
			// at once. So to it no lock is ever stale; see `breakLock`.
			stale: Number.MAX_SAFE_INTEGER,
			update: Math.max(1_000, staleMs / 4),
			retries: 0,
			fs: lockFs,
			onCompromised: () => {
				compromised = true;
			},
		});
	} catch (error) {
		if (errnoOf(error) === "ELOCKED") return undefined;
		throw storeError("lock", path, error);
	}
	const instance = inspect(path)?.instance ?? "";
	const isHeld = () =>
		!compromised && instance !== "" && inspect(path)?.instance === instance;
	return {
		instance,
		isHeld,
		release: async () => {
			// The library removes whatever directory is there, so it is not asked to
			// when the lock was lost; its timer notices the loss and ends by itself.
			if (isHeld()) await release();
		},
	};
}

/** An inode number may be used again; together with its birth it is unique. */
function inspect(path: string): FoundLock | undefined {
	try {
		const { ino, birthtimeNs, mtimeMs } = fs.lstatSync(path, { bigint: true });
		return {
			instance: `${ino.toString(36)}-${birthtimeNs.toString(36)}`,
			mtimeMs: Number(mtimeMs),
		};
	} catch (error) {
		if (errnoOf(error) === "ENOENT") return undefined;
		throw storeError("look at the lock", path, error);
	}
}

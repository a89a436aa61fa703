/**
 * Breaking a stale lock. Many processes may find the same stale lock at once, but only
 * one may break it: the one that first makes the break marker, a directory
 * `<file>.lock.<instance>.break` that is named after this very instance of the lock.
 */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import type { Clock } from "../core/clock.ts";
import { errnoOf, StoreError } from "../core/errors.ts";
import { whyNotBelieved } from "./found-entry.ts";
import {
	type FoundLock,
	inspectLock,
	instanceOf,
	isSameInstance,
} from "./lock-directory.ts";
import { ownUid } from "./output-directory.ts";
import { storeError } from "./store-error.ts";

/** Of the lock that is broken. */
export interface BreakOptions {
	/** `<file>.lock`. */
	readonly path: string;
	/** An older break marker was left by a process that was killed. */
	readonly staleMs: number;
	readonly clock: Clock;
	/** As in `LockOptions`. */
	readonly trusts?: (uid: number) => boolean;
}

/**
 * Removes that instance of a lock. True: the lock may be taken now; false: another
 * process is breaking it. Throws `StoreError` (io).
 */
export function breakLock(stale: FoundLock, options: BreakOptions): boolean {
	const { path } = options;
	const marker = `${path}.${instanceOf(stale)}.break`;
	try {
		fs.mkdirSync(marker, 0o700);
	} catch (error) {
		if (errnoOf(error) !== "EEXIST") throw storeError("create", marker, error);
		removeAbandonedMarker(marker, options);
		return false;
	}
	try {
		// A late breaker, which makes the marker again, finds another instance here.
		if (isSameInstance(stale, inspectLock(path))) clear(path, stale.uid);
		return true;
	} finally {
		try {
			fs.rmdirSync(marker);
		} catch {
			// It does no harm: no other instance ever gets this name.
		}
	}
}

/** Whether `name` is the break marker of an instance of the lock named `lock`. */
export function isBreakMarker(name: string, lock: string): boolean {
	return (
		name.startsWith(`${lock}.`) &&
		/^\.[0-9a-z]+-[0-9a-z]+\.break$/.test(name.slice(lock.length))
	);
}

/** A lock is an empty directory. Anything else may be of use, so it is moved aside. */
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

/**
 * A process that was killed while it broke a lock leaves its break marker behind. What
 * is not of a keeper is removed at once.
 */
function removeAbandonedMarker(
	marker: string,
	{ staleMs, clock, trusts = () => true }: BreakOptions,
): void {
	try {
		const found = fs.lstatSync(marker);
		const believing = { trusts, isShared: () => false };
		const isOfKeeper =
			whyNotBelieved(found, "directory", believing) === undefined;
		// A marker from the future was made before the clock was set back.
		const isOld = Math.abs(clock.now() - found.mtimeMs) > staleMs;
		if (isOfKeeper && !isOld) return;
		if (found.isDirectory()) fs.rmdirSync(marker);
		else moveAside(marker);
	} catch (error) {
		if (error instanceof StoreError) throw error;
		if (errnoOf(error) !== "ENOENT") throw storeError("remove", marker, error);
	}
}

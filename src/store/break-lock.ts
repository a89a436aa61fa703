/**
 * Breaking a stale lock. Many processes may find the same stale lock at once, but only
 * one may break it: the one that first makes the break marker, a directory
 * `<file>.lock.<instance>.break` that is named after this very instance of the lock.
 */
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import type { Clock } from "../core/clock.ts";
import { errnoOf } from "../core/errors.ts";
import {
	type FoundLock,
	inspectLock,
	instanceOf,
	isSameInstance,
} from "./lock-directory.ts";
import { storeError } from "./store-error.ts";

/** Of the lock that is broken. */
export interface BreakOptions {
	/** `<file>.lock`. */
	readonly path: string;
	/** An older break marker was left by a process that was killed. */
	readonly staleMs: number;
	readonly clock: Clock;
}

/**
 * Removes that instance of a lock. True: the lock may be taken now; false: another
 * process is breaking it. Throws `StoreError` (io).
 */
export function breakLock(
	stale: FoundLock,
	{ path, staleMs, clock }: BreakOptions,
): boolean {
	const marker = `${path}.${instanceOf(stale)}.break`;
	try {
		fs.mkdirSync(marker, 0o700);
	} catch (error) {
		if (errnoOf(error) !== "EEXIST") throw storeError("create", marker, error);
		removeAbandonedMarker(marker, staleMs, clock.now());
		return false;
	}
	try {
		// A late breaker, which makes the marker again, finds another instance here.
		if (isSameInstance(stale, inspectLock(path))) clear(path);
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
function clear(path: string): void {
	try {
		fs.rmdirSync(path);
	} catch (error) {
		switch (errnoOf(error)) {
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

function moveAside(path: string): void {
	try {
		fs.renameSync(path, `${path}.set-aside-${randomBytes(4).toString("hex")}`);
	} catch (error) {
		throw storeError("move aside what stands in place of", path, error);
	}
}

/** A process that was killed while it broke a lock leaves its break marker behind. */
function removeAbandonedMarker(
	marker: string,
	staleMs: number,
	now: number,
): void {
	try {
		const { mtimeMs } = fs.lstatSync(marker);
		// A marker from the future was made before the clock was set back.
		if (Math.abs(now - mtimeMs) > staleMs) fs.rmdirSync(marker);
	} catch (error) {
		if (errnoOf(error) !== "ENOENT") throw storeError("remove", marker, error);
	}
}

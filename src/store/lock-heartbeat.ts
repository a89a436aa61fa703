/**
 * proper-lockfile makes the lock directory and gives its heartbeat, through the file
 * system that is given to it here. The library knows a lock only by its path: it would
 * also touch and remove a directory that another process has made there since. So each
 * of these calls looks first, and acts only on the directory that this process made.
 */
import fs from "node:fs";
import { lock as lockDirectory } from "proper-lockfile";
import { errnoOf } from "../core/errors.ts";
import { inspectLock, type OwnLock } from "./lock-directory.ts";

/** How often a holder touches its lock; the library does not do it more often. */
export const heartbeatMs = 1_000;

/** Of one lock directory. */
export interface HeartbeatOptions {
	/** `<file>.lock`. */
	readonly path: string;
	/** If making the directory and looking at it took longer, it may be another's. */
	readonly maxMakingMs: number;
	/** Called when a heartbeat finds that the directory is not ours any more. */
	readonly onLost: () => void;
}

/**
 * Makes the lock directory and begins its heartbeat. Resolves with what ends both;
 * undefined: something stands there already. Throws what the system calls throw.
 */
export async function makeLockDirectory(
	own: OwnLock,
	{ path, maxMakingMs, onLost }: HeartbeatOptions,
): Promise<(() => Promise<void>) | undefined> {
	try {
		return await lockDirectory(path, {
			lockfilePath: path,
			realpath: false,
			// The library breaks stale locks by rmdir and mkdir, which two processes can
			// do at once. So for the library no lock is ever stale; see break-lock.ts.
			stale: Number.MAX_SAFE_INTEGER,
			update: heartbeatMs,
			retries: 0,
			fs: fileSystemFor(own, path, maxMakingMs),
			onCompromised: onLost,
		});
	} catch (error) {
		if (errnoOf(error) === "ELOCKED") return undefined;
		throw error;
	}
}

/**
 * The calls are synchronous, although the library expects callbacks: the way to a
 * worker thread and back takes longer than the call.
 */
function fileSystemFor(own: OwnLock, path: string, maxMakingMs: number) {
	/** The last heartbeat, as the library gave it. */
	let heartbeat: Date | undefined;
	/**
	 * True while the library tries how exact times are on this file system. It does so
	 * right after it made the directory; the answer matters to nothing else.
	 */
	let isNew = false;
	const mustBeThere = () => {
		if (!own.look()) throw systemError("ENOENT");
	};
	return {
		stat: (_path: string, done: Done) =>
			answer(done, () => {
				if (own.found() === undefined) return fs.statSync(path);
				if (!isNew) mustBeThere();
				return { mtime: heartbeat };
			}),
		mkdir: (_path: string, done: Done) => {
			answer(done, () => {
				makeAndTrack(own, path, maxMakingMs);
				isNew = true;
			});
			isNew = false;
		},
		utimes: (_path: string, atime: Date, mtime: Date, done: Done) =>
			answer(done, () => {
				if (!isNew) {
					mustBeThere();
					fs.utimesSync(path, atime, mtime);
					own.touched();
				}
				// Only now: if a call above failed, the library tries this heartbeat again.
				heartbeat = mtime;
			}),
		/** Only the release calls it, and it has just looked. */
		rmdir: (_path: string, done: Done) =>
			answer(done, () => fs.rmdirSync(path)),
		/** At the end of the process. */
		rmdirSync: () => {
			mustBeThere();
			fs.rmdirSync(path);
		},
	};
}

/**
 * If this process was stopped between mkdir and the look, others may have broken the
 * new lock, and the directory may be theirs. Then it is not taken; if it was ours
 * after all, it is an unnamed lock, and is broken as one.
 */
function makeAndTrack(own: OwnLock, path: string, maxMakingMs: number): void {
	const since = own.now();
	fs.mkdirSync(path);
	const made = inspectLock(path);
	if (own.now().monotonic - since.monotonic > maxMakingMs)
		throw systemError("EEXIST");
	own.made(made, since);
}

type Done = (error: unknown, result?: unknown) => void;

function answer(done: Done, act: () => unknown): void {
	let result: unknown;
	let thrown: unknown = null;
	try {
		result = act();
	} catch (error) {
		thrown = error;
	}
	done(thrown, result);
}

function systemError(code: string): Error {
	return Object.assign(new Error(code), { code });
}

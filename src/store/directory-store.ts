/**
 * The store in a directory: one file for each value. Beside it lie the records that
 * the keepers of all processes share (`.<file>.state`), and their lock (`<file>.lock`).
 * See `Slot` in core/ports.ts for the contract.
 */
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import { lockStaleOf } from "../core/limits.ts";
import type { Purpose, Remembered, Slot, Store } from "../core/ports.ts";
import { type ProcessName, tokenFileOf } from "../core/record.ts";
import { haveSameFile } from "../core/token.ts";
import type { Location } from "./atomic-write.ts";
import { isUntouched, type SeenFile } from "./cached-read.ts";
import { type Contested, type Contests, createContests } from "./contest.ts";
import { openLease } from "./directory-lease.ts";
import { watchFiles } from "./file-watch.ts";
import { isLeftover, removeLeftovers } from "./leftovers.ts";
import { createLock, lockPathOf, type TryLock } from "./lock.ts";
import { openSlotFiles } from "./slot-files.ts";

/** The directory, and what its locks need. */
export interface DirectoryStoreOptions extends Location {
	readonly self: ProcessName;
	readonly clock: Clock;
	/** 0 to 1. */
	readonly random: () => number;
	/** Once aborted, nothing waits for a lock any more. */
	readonly stopping: AbortSignal;
	/** Another keeper publishes with other attributes; called once for each kind of them. */
	readonly onContested?: (contested: Contested) => void;
}

/** A store whose slots are files of that directory. Nothing is read or made yet. */
export function createDirectoryStore(options: DirectoryStoreOptions): Store {
	const { directory } = options;
	const contests = createContests(options, options.onContested);
	const pathOf = ({ file }: Credential) => `${directory.path}/${file}`;
	return {
		pathOf,
		open: (credential, remembered) =>
			openSlot(options, contests, credential, remembered),
		isTouched: (credential, snapshot) => {
			const path = pathOf(credential);
			try {
				const found = fs.lstatSync(path, { throwIfNoEntry: false });
				return found === undefined || !isUntouched(found, snapshot as SeenFile);
			} catch {
				return true; // The keeper reads the file next, and reports the error.
			}
		},
		watch: (onTouched) =>
			watchFiles(directory.path, (name) => {
				const file = tokenFileOf(name);
				onTouched(file);
				if (file.endsWith(".php")) onTouched(file.slice(0, -".php".length));
			}),
	};
}

function openSlot(
	options: DirectoryStoreOptions,
	contests: Contests,
	credential: Credential,
	remembered: Remembered | undefined,
): Slot {
	const files = openSlotFiles(options, contests, credential, remembered);
	const { token, record, path, copies } = files;
	/** Most slots are only looked at. */
	let tryLock: TryLock | undefined;
	return {
		read: () => {
			const found = token.read();
			return found.kind === "token" &&
				found.exact &&
				!copies.areIntact(found.token)
				? { ...found, exact: false }
				: found;
		},
		record: record.read,
		snapshot: (expected) => {
			const { file, content } = token.last() ?? {};
			return content?.kind === "token" &&
				content.exact &&
				haveSameFile(content.token, expected)
				? file
				: undefined;
		},
		acquire: async (timeoutMs, purpose) => {
			tryLock ??= createLock({
				self: options.self,
				clock: options.clock,
				path: lockPathOf(path),
				staleMs: lockStaleOf(credential),
				trusts: options.directory.trusts,
				lastIntent: () => record.read().inFlight,
			});
			const lock = await waitForLock(options, tryLock, timeoutMs, purpose);
			if (lock === undefined) return undefined;
			if (lock.isTakenOver)
				removeLeftoversOfDead(path, options.directory.path, credential.file);
			const { clock } = options;
			const lease = openLease({ location: options, files, lock, clock });
			// What cannot be read is not absent: another keeper has put it there.
			const blocked = files.whyBlocked();
			if (blocked === undefined) return lease;
			await lease.release();
			throw blocked;
		},
	};
}

async function waitForLock(
	options: DirectoryStoreOptions,
	tryLock: TryLock,
	timeoutMs: number,
	purpose: Purpose | undefined,
) {
	const isWanted =
		(purpose?.kind === "refresh" ? purpose.isWanted : undefined) ?? always;
	const { clock, random, stopping } = options;
	const giveUpAt = clock.monotonic() + timeoutMs;
	for (let waits = 0; ; waits++) {
		const lock = await inDirectory(options, tryLock);
		if (lock !== undefined) return lock;
		const leftMs = giveUpAt - clock.monotonic();
		if (leftMs <= 0 || stopping.aborted) return undefined;
		// Once, as a look costs more than a try: the next holder finds out by itself.
		if (waits === 0 && !isWanted()) return undefined;
		await sleep(Math.min(leftMs, pollDelayMs(waits) * (0.5 + random())));
	}
}

const always = () => true;

/**
 * Most refreshes are over soon, so the first looks follow quickly. During a slow one
 * many processes may wait, and must not use up the machine.
 */
function pollDelayMs(waits: number): number {
	return Math.min(400, 20 * 1.5 ** waits);
}

/** Of the dead holder of the lock. What cannot be removed is reported at the next start. */
function removeLeftoversOfDead(
	path: string,
	directory: string,
	file: string,
): void {
	try {
		const names = fs.readdirSync(directory);
		removeLeftovers(
			path,
			names.filter((name) => isLeftover(name, file)),
		);
	} catch {}
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

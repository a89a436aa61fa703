/** The directory that is a lock: which instance of it stands there, and whether that is ours. */
import fs from "node:fs";
import type { Clock } from "../core/clock.ts";
import { storeError } from "./store-error.ts";

/**
 * One instance of a lock directory. An inode number may be used again; together
 * with the time of birth it is unique.
 */
export interface FoundLock {
	readonly inode: bigint;
	readonly bornAtNs: bigint;
	/** The last heartbeat, epoch ms. */
	readonly mtimeMs: number;
	/** Who made it. */
	readonly uid: number;
}

/** What stands at the path of a lock; undefined: nothing. Throws `StoreError` (io). */
export function inspectLock(path: string): FoundLock | undefined {
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

/** The name of an instance, as intents and break markers have it. */
export function instanceOf({ inode, bornAtNs }: FoundLock): string {
	return `${inode.toString(36)}-${bornAtNs.toString(36)}`;
}

/** The same instance, with or without a heartbeat in between. */
export function isSameInstance(
	one: FoundLock,
	other: FoundLock | undefined,
): boolean {
	return one.inode === other?.inode && one.bornAtNs === other.bornAtNs;
}

/** The same instance, without a heartbeat in between. */
export function isUnchanged(
	one: FoundLock,
	other: FoundLock | undefined,
): boolean {
	return isSameInstance(one, other) && one.mtimeMs === other?.mtimeMs;
}

/** For how long a look at our own lock counts; far less than `settleMs` in lock.ts. */
const lookCountsMs = 10;

/** If each look takes longer than it counts, the last one counts. */
const maxLooks = 3;

/** An instant by both clocks: in a suspend one of them may stand still. */
export interface LockInstant {
	readonly monotonic: number;
	/** Epoch ms. */
	readonly wall: number;
}

/** The lock directory that this process made. */
export interface OwnLock {
	/** Undefined until it is made. */
	found(): FoundLock | undefined;
	now(): LockInstant;
	/** It was made, after `since`; undefined: it was gone at once. */
	made(lock: FoundLock | undefined, since: LockInstant): void;
	/** Its mtime was changed by us. */
	touched(): void;
	/** Looks now. True: it is still there. Throws `StoreError` (io). */
	look(): boolean;
	/** As `look`, but a look of the last 10 ms counts. Throws `StoreError` (io). */
	isThere(): boolean;
}

/** Keeps track of the lock directory at `path`; creates nothing. */
export function trackOwnLock(path: string, clock: Clock): OwnLock {
	let own: FoundLock | undefined;
	/** Before the last look that found it. */
	let seenAt: LockInstant = { monotonic: Number.NEGATIVE_INFINITY, wall: 0 };
	const now = () => ({ monotonic: clock.monotonic(), wall: clock.now() });

	const look = () => {
		const at = now();
		const found = inspectLock(path);
		// Some file systems have no birth time. There the inode number alone says too
		// little; together with the mtime of the last heartbeat it is enough.
		const isOurs = found !== undefined && isUnchanged(found, own);
		if (isOurs) seenAt = at;
		return isOurs;
	};
	const isFresh = () => {
		const { monotonic, wall } = now();
		return (
			monotonic - seenAt.monotonic < lookCountsMs &&
			Math.abs(wall - seenAt.wall) <= lookCountsMs
		);
	};

	return {
		found: () => own,
		now,
		made: (lock, since) => {
			own = lock;
			seenAt = since;
		},
		touched: () => {
			const touched = inspectLock(path);
			if (own !== undefined && touched !== undefined)
				own = { ...own, mtimeMs: touched.mtimeMs };
		},
		look,
		// The clock is asked again after the look. A process is mostly stopped when it
		// returns from a system call, and then its look is as old as the stop was long.
		isThere: () => {
			for (let looks = 0; looks < maxLooks && !isFresh(); looks += 1)
				if (!look()) return false;
			return true;
		},
	};
}

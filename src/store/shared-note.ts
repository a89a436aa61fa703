/** A small file of the directory by which its processes tell each other something. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { SharedNote } from "../core/ports.ts";
import type { ProcessName } from "../core/record.ts";
import { type Location, publishFile } from "./atomic-write.ts";
import { readSmallFile } from "./cached-read.ts";
import { createLock, type HeldLock, lockPathOf } from "./lock.ts";

const attributes = { mode: 0o600, gid: undefined };

/** Ten thousand wrong secrets would fit. */
const maxBytes = 1_048_576;

/**
 * The note of that name. What cannot be read or written is as good as not there: the
 * process that wrote it last still knows it.
 */
export function openNote(
	{ directory }: Location,
	name: string,
	{ self, clock }: { readonly self: ProcessName; readonly clock: Clock },
): SharedNote {
	const path = join(directory.path, name);
	const tryLock = createLock({
		...{ path: lockPathOf(path), staleMs, self, clock },
		lastIntent: () => undefined,
	});
	const lock = () => lockWithin(tryLock, clock);
	let turn: Promise<unknown> = Promise.resolve();
	let writing = Promise.resolve();
	let last: string | undefined;
	return {
		// What is being written, or could not be, is newer than what can be read.
		read: () => last ?? readSmallFile(path, maxBytes, directory).text,
		write: (text) => {
			last = text;
			writing = writing
				.then(() => publishFile(path, text, attributes, undefined, directory))
				.then(() => {
					if (last === text) last = undefined;
				})
				.catch(() => {});
			return writing;
		},
		alone: (work) => {
			const mine = turn.then(async () => {
				const held = await lock();
				try {
					return await work();
				} finally {
					await held?.release();
				}
			});
			turn = mine.catch(() => {});
			return mine;
		},
	};
}

/** A holder writes two small files. */
const staleMs = 5_000;
/** Long enough to see that a holder is dead. */
const maxWaitMs = 2 * staleMs;

/** Undefined: it cannot be had, as on a full or read-only disk. */
async function lockWithin(
	tryLock: () => Promise<HeldLock | undefined>,
	clock: Clock,
): Promise<HeldLock | undefined> {
	const beganAt = clock.monotonic();
	try {
		while (clock.monotonic() - beganAt < maxWaitMs) {
			const held = await tryLock();
			if (held !== undefined) return held;
			await sleep(20);
		}
	} catch (error) {
		if (!(error instanceof StoreError)) throw error;
	}
	return undefined;
}

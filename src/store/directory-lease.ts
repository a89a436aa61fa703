/**
 * The right to write the files of one credential in a directory, while its lock is
 * held: records into the record file, and the token file. See `Lease` in core/ports.ts.
 */
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { Lease } from "../core/ports.ts";
import { encodeRecord, fenceOf, type SharedRecord } from "../core/record.ts";
import { encodeToken } from "../core/token.ts";
import type { Location } from "./atomic-write.ts";
import { type Draft, draftFile, publishFile } from "./atomic-write.ts";
import { nothing, seenIn } from "./cached-read.ts";
import type { HeldLock } from "./lock.ts";
import { openRecords } from "./record-file.ts";
import type { SlotFiles } from "./slot-files.ts";

/** What a lease writes to, and the lock that allows it. */
export interface LeaseParts {
	readonly location: Location;
	readonly files: SlotFiles;
	readonly lock: HeldLock;
	readonly clock: Pick<Clock, "now">;
}

/** The lease ends with its `release`, which also releases the lock. */
export function openLease(parts: LeaseParts): Lease {
	const { location, files, lock, clock } = parts;
	const { directory } = location;
	const { mode, gid } = files.attributes();
	const mustBeHeld = () => {
		if (!lock.isHeld()) throw lost(files.path);
	};
	/** If the lock is lost, the error says that, and not what failed because of it. */
	const orLost = (error: unknown): never => {
		mustBeHeld();
		throw error;
	};
	const fenced = createFence(clock.now());
	const records = openRecords(files.recordPath, { mode, gid, mustBeHeld });
	files.records = records;
	/** The next token file, made before WeChat is asked. */
	let draft: Draft | undefined;
	const makeDraft = () => {
		if (draft !== undefined) return;
		draft = draftFile(files.path, files.attributes(), directory);
		draft.reserve();
	};
	// By the last look: to try and fail would cost more than all the rest.
	const isNew = () => files.record.wasAbsent();
	const replaceRecords = async (record: SharedRecord, changedAt?: number) => {
		const stat = await publishFile(
			files.recordPath,
			encodeRecord(record),
			files.attributes(),
			mustBeHeld,
			directory,
			changedAt,
		);
		mustBeHeld();
		files.record.learn(seenIn(stat, { isRenamed: true }), record);
	};
	/** Writes the record of the publication, just before the token. */
	const recordPublication = async (record: SharedRecord, changedAt: number) => {
		if (!(await records.add(record, { isNew: isNew(), changedAt })))
			return replaceRecords(record, changedAt);
		const stat = records.look();
		if (stat !== undefined) files.record.learn(seenIn(stat), record);
	};
	return {
		id: lock.instance,
		write: async (record, { durable } = { durable: true }) => {
			const content = fenced(record);
			const isAdded = await records.add(content, {
				isNew: isNew(),
				isFollowed: true,
				before: makeDraft,
				sync: async (file) => {
					if (!durable) return;
					await directory.sync(file);
					if (isNew()) await directory.syncNames();
				},
			});
			if (isAdded) mustBeHeld();
			// Without a draft, as a new record file also shows that files can be made here.
			else await replaceRecords(content);
		},
		publish: async (token, record) => {
			const changedAt = record === undefined ? undefined : clock.now();
			if (record !== undefined && changedAt !== undefined)
				await recordPublication(fenced(record), changedAt);
			const text = encodeToken(token);
			const made =
				draft ?? draftFile(files.path, files.attributes(), directory);
			draft = undefined;
			const stat = await made
				.publish(text, mustBeHeld, changedAt)
				.catch(orLost);
			mustBeHeld();
			files.published(token.value, stat);
			const reading = files.readingOf({ ...nothing, stat, text });
			files.token.learn(seenIn(stat, { isRenamed: true }), reading);
			await files.copies.publish(token, mustBeHeld).catch(orLost);
		},
		release: async () => {
			draft?.discard();
			draft = undefined;
			files.records = undefined;
			records.close();
			await lock.release();
		},
	};
}

/**
 * Gives all records of one lease the same fence. It follows from what was known when
 * the lock was taken, not from records that another process writes after a takeover:
 * so a late record of this lease always has the lower fence.
 */
function createFence(takenAt: number): (record: SharedRecord) => SharedRecord {
	let fence: number | undefined;
	return (record) => {
		fence ??= Math.max(fenceOf(record), takenAt) + 1;
		return { ...record, fence };
	};
}

function lost(path: string): StoreError {
	return new StoreError(
		"lost",
		`could not keep the lock of ${path}: another process took it over, because this process was stopped for too long`,
		"nothing to do: the refresh starts over",
	);
}

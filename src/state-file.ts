/**
 * Adding to the state of an account: a record stands behind the last one, and the
 * last one counts (`decodeState`). It costs one write, where a new file costs a
 * rename and two syncs; and it begins with the end of the line before, so that a
 * torn one spoils nothing.
 */
import fs from "node:fs";
import { type AccountState, encodeState } from "./account-state.ts";
import type { FileAttributes } from "./atomic-write.ts";
import { StoreError } from "./errors.ts";

/** More is written anew: the kernel writes a page as a whole. */
const mostBytes = 4_096;

export interface AddOptions extends FileAttributes {
	/** Looks at the lock, right before the record is written; throws `StoreError`. */
	readonly stillOurs: () => void;
	/** Another one of about its size must fit behind it. */
	readonly isFollowed?: boolean;
	/** What must be done before, if the record can be added; throws `StoreError`. */
	readonly before?: () => Promise<void>;
	/** Makes the record survive the machine, too. */
	readonly sync?: (file: number) => void | Promise<void>;
}

/**
 * The file as it is then. Undefined if it must be written anew: it is not there,
 * full, not as we publish files, or anything went wrong. Throws what `stillOurs`
 * and `before` throw: then the record is not to be written.
 */
export async function addRecord(
	path: string,
	state: AccountState,
	{ stillOurs, isFollowed = false, before, sync, ...attributes }: AddOptions,
): Promise<fs.BigIntStats | undefined> {
	const { O_WRONLY, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
	const record = `\n${encodeState(state)}`;
	let file: number | undefined;
	try {
		file = fs.openSync(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
		const found = fs.fstatSync(file);
		const bytes = Buffer.byteLength(record);
		const size = found.size + (isFollowed ? 2 * bytes + 256 : bytes);
		if (!isOurKind(found, attributes) || size > mostBytes) return undefined;
		await before?.();
		stillOurs();
		fs.writeFileSync(file, record);
		await sync?.(file);
		return fs.fstatSync(file, { bigint: true });
	} catch (error) {
		if (error instanceof StoreError) throw error;
		return undefined;
	} finally {
		if (file !== undefined) fs.closeSync(file);
	}
}

const ownUid = process.geteuid?.();

/** As this process publishes files, and by no other name. */
function isOurKind(found: fs.Stats, { mode, gid }: FileAttributes): boolean {
	return (
		found.isFile() &&
		found.nlink === 1 &&
		(found.mode & 0o7777) === mode &&
		found.uid === ownUid &&
		(gid === undefined || found.gid === gid)
	);
}

/**
 * Adding to the state of an account: a record stands behind the last one, and the
 * last one counts (`decodeState`). It costs one write, where a new file costs a
 * rename and two syncs; and it begins with the end of the line before, so that a
 * torn one spoils nothing. It survives the process, and not surely the machine.
 */
import fs from "node:fs";
import { type AccountState, encodeState } from "./account-state.ts";
import type { FileAttributes } from "./atomic-write.ts";
import { StoreError } from "./errors.ts";

/** More is written anew: the kernel writes a page as a whole. */
const mostBytes = 4_096;

/**
 * The file as it is then. Undefined if it must be written anew: it is not there,
 * full, not as we publish files, or anything went wrong. Throws what `stillOurs`
 * throws, a `StoreError`: then the file is no longer ours to write.
 */
export function addRecord(
	path: string,
	state: AccountState,
	attributes: FileAttributes,
	stillOurs: () => void,
): fs.BigIntStats | undefined {
	const { O_WRONLY, O_APPEND, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
	const record = `\n${encodeState(state)}`;
	let file: number | undefined;
	try {
		file = fs.openSync(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK);
		const before = fs.fstatSync(file);
		const size = before.size + Buffer.byteLength(record);
		if (!isOurKind(before, attributes) || size > mostBytes) return undefined;
		stillOurs();
		fs.writeFileSync(file, record);
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

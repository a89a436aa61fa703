/** What a dead writer may leave beside its token file, and its removal. */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { errnoOf } from "../core/errors.ts";
import { recordNameOf } from "../core/record.ts";
import { isBreakMarker } from "./break-lock.ts";
import { phpCopyOf } from "./copies.ts";
import { lockPathOf } from "./lock.ts";
import { storeError } from "./store-error.ts";

/**
 * Whether a dead writer of the token file `file` may have left the entry `name` of the
 * directory: a temporary file, a lock or a break marker.
 */
export function isLeftover(name: string, file: string): boolean {
	return (
		name === lockPathOf(file) ||
		isBreakMarker(name, lockPathOf(file)) ||
		isTemporary(name, file)
	);
}

function isTemporary(name: string, file: string): boolean {
	return [file, recordNameOf(file), phpCopyOf(file)].some(
		(target) =>
			name.startsWith(`.${target}.`) &&
			/^[0-9a-f]{12}\.tmp$/.test(name.slice(target.length + 2)),
	);
}

/**
 * Removes those of `names` that are leftovers of the token file at `path`, beside which
 * they lie. Only for the holder of the lock, as then no living writer needs them. A
 * folder with such a name stays, and so does a break marker with content. Throws
 * `StoreError` (io).
 */
export function removeLeftovers(path: string, names: readonly string[]): void {
	const file = basename(path);
	for (const name of names) {
		const leftover = join(dirname(path), name);
		try {
			if (isTemporary(name, file)) fs.unlinkSync(leftover);
			else if (isBreakMarker(name, lockPathOf(file))) fs.rmdirSync(leftover);
		} catch (error) {
			if (!isNotOurs.has(errnoOf(error) ?? ""))
				throw storeError("remove the leftover", leftover, error);
		}
	}
}

/** Gone already, a folder, no folder, a folder with content. */
const isNotOurs: ReadonlySet<string> = new Set([
	"ENOENT",
	"EISDIR",
	"EPERM",
	"ENOTDIR",
	"ENOTEMPTY",
	"EEXIST",
]);

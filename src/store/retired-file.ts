/** The end of a credential: its files leave the directory. */
import fs from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Slot } from "../core/ports.ts";
import { recordNameOf } from "../core/record.ts";
import { phpCopyOf } from "./copies.ts";
import { storeError } from "./store-error.ts";

/**
 * Removes a published file with its copies and its record, under its lock. False:
 * another process has the lock. Throws `StoreError`.
 */
export async function removePublished(
	path: string,
	slot: Slot,
): Promise<boolean> {
	// It is a matter of this host alone.
	const lease = await slot.acquire(0, { kind: "repair" });
	if (lease === undefined) return false;
	try {
		const file = basename(path);
		for (const name of [file, phpCopyOf(file), recordNameOf(file)])
			fs.rmSync(join(dirname(path), name), { force: true });
		return true;
	} catch (error) {
		throw storeError("remove", path, error);
	} finally {
		await lease.release();
	}
}

/** A credential and its slot in a real directory, with what most tests need of both. */
import { systemClock } from "../../src/core/clock.ts";
import type { Credential } from "../../src/core/credential.ts";
import type { Remembered, Slot, Store } from "../../src/core/ports.ts";
import {
	createDirectoryStore,
	type DirectoryStoreOptions,
} from "../../src/store/directory-store.ts";
import { createOutputDirectory } from "../../src/store/output-directory.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";

/** The slot of that credential in a directory, as a store of this process opens it. */
export function slotIn(
	directory: string,
	credential: Credential,
	options: Partial<DirectoryStoreOptions> = {},
	remembered?: Remembered,
): Slot {
	return storeIn(directory, options).open(credential, remembered);
}

/** A store of this process in that directory. */
export function storeIn(
	directory: string,
	options: Partial<DirectoryStoreOptions> = {},
): Store {
	return createDirectoryStore({
		directory: createOutputDirectory(directory),
		mode: 0o640,
		gid: undefined,
		self: nameThisProcess(),
		clock: systemClock,
		random: Math.random,
		stopping: new AbortController().signal,
		...options,
	});
}

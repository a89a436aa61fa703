/** What the disk can be asked, and what it answers. */
import type { FoundName } from "../config/files.ts";
import type { FoundText } from "../config/lookup.ts";

/** What each question is answered with. */
export interface DiskValues {
	/** As `findText`; a pipe that a shell hands over was read at the start. */
	readonly text: FoundText;
	readonly names: readonly FoundName[];
	readonly realPath: string;
	/** Only whether there is an answer. */
	readonly touch: undefined;
	/** Undefined: nothing is there. A link is not followed. */
	readonly entry: EntryIdentity | undefined;
}

/** What one entry of a directory has and no other one. */
export interface EntryIdentity {
	readonly device: number;
	readonly inode: number;
}

export interface DiskQuestion {
	readonly kind: keyof DiskValues;
	readonly path: string;
	/** Of a text. */
	readonly maxBytes: number;
}

/** `reason`: what was thrown. */
export type DiskAnswer = PromiseSettledResult<DiskValues[keyof DiskValues]>;

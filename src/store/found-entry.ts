/**
 * The look that comes before anything in the directory of tokens is believed: of
 * which type it is, whose, and whether it has another name. One function for tokens,
 * records, locks, break markers, the mark of a simulation and sockets; docs/trust.md
 * has the table. Files are opened with `O_NOFOLLOW | O_NONBLOCK` and looked at through
 * the descriptor (`readSmallFile`), so that nothing can be swapped in between.
 */
import type { Stats } from "node:fs";
import { errnoOf, inWords, StoreError } from "../core/errors.ts";
import { type OutputDirectory, ownUid } from "./output-directory.ts";

export type EntryKind = "file" | "directory" | "socket";

type Typed = Pick<
	Stats,
	| "isFile"
	| "isDirectory"
	| "isSymbolicLink"
	| "isFIFO"
	| "isSocket"
	| "isCharacterDevice"
	| "isBlockDevice"
>;

/** What it is, in words: `a pipe`. */
export function typeInWords(found: Typed): string {
	if (found.isFile()) return "a plain file";
	if (found.isDirectory()) return "a folder";
	if (found.isSymbolicLink()) return "a symbolic link";
	if (found.isFIFO()) return "a pipe";
	if (found.isSocket()) return "a socket";
	return "a device";
}

/**
 * Why what was found is not taken for a keeper's; undefined: it may be one.
 * `directory` undefined: for a reader, who cannot know which users are keepers.
 */
export function whyNotBelieved(
	found: Typed & Pick<Stats, "uid" | "nlink">,
	kind: EntryKind,
	directory: Pick<OutputDirectory, "isShared" | "trusts"> | undefined,
): string | undefined {
	const isOfKind =
		(kind === "file" && found.isFile()) ||
		(kind === "directory" && found.isDirectory()) ||
		(kind === "socket" && found.isSocket());
	if (!isOfKind) return typeInWords(found);
	if (directory === undefined) return undefined;
	if (!directory.trusts(found.uid)) return "put there by another user";
	// A link to a file of ours bears our name, whoever made it.
	return kind === "file" && found.nlink > 1 && directory.isShared()
		? "a hard link"
		: undefined;
}

/** What was found in the place of a file that is to be published. */
export interface FoundInPlace {
	readonly stat: Pick<Stats, "uid" | "mode"> | undefined;
	/** What open(2) said, if this process may not read it. */
	readonly denied?: unknown;
}

/**
 * Why nothing may be published over it: this process may not read it, so it cannot
 * know whether it is newer than its own; or may not replace it, as the directory is
 * sticky. Undefined: it may.
 */
export function whyNotReplaced(
	path: string,
	{ stat, denied }: FoundInPlace,
	directory: Pick<OutputDirectory, "mayReplace">,
): StoreError | undefined {
	if (stat === undefined || stat.uid === ownUid) return undefined;
	const mode = (stat.mode & 0o7777).toString(8).padStart(4, "0");
	const whose = `it belongs to uid ${stat.uid} (mode ${mode}), and this process runs as uid ${ownUid}`;
	if (!directory.mayReplace(stat.uid))
		return new StoreError(
			"refused",
			`could not replace ${path}: ${whose}, which may not replace it in a sticky directory`,
			"keep the tokens in a directory of the daemon's own (`directory`), or let the owner of that file remove it",
		);
	return denied === undefined
		? undefined
		: new StoreError(
				"io",
				`could not read ${path}: ${inWords(errnoOf(denied))}: ${whose}`,
				'run all keepers of this directory as one user; or give all of them mode = "0640" and the same `group`, with each user as a member, and remove that file',
				denied,
			);
}

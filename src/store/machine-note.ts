/**
 * A note that all processes of one user on this machine share, whatever directories they
 * keep. It lies in a directory of that user in /dev/shm, where every user may make files:
 * so nothing there is believed but what is ours alone. Another user's processes cannot
 * share it, as neither could believe what the other one may write.
 */
import fs from "node:fs";
import { join } from "node:path";
import type { Clock } from "../core/clock.ts";
import { errnoOf, inWords } from "../core/errors.ts";
import type { SharedNote } from "../core/ports.ts";
import type { ProcessName } from "../core/record.ts";
import { createOutputDirectory, ownUid } from "./output-directory.ts";
import { openNote } from "./shared-note.ts";

/** On each Linux, in memory, and also in the sandbox of a systemd unit. */
export const placeOfNotes = "/dev/shm";

export interface MachineNoteParts {
	readonly self: ProcessName;
	readonly clock: Clock;
	/** Where users have their directories; by default `placeOfNotes`. */
	readonly place?: string | undefined;
	/** Why the note is not used; called once for each reason. */
	readonly onUnused: (why: string) => void;
}

/**
 * The note of that name. Where there is no place for it, or a strange one, it is always
 * empty, and what is written is not kept.
 */
export function openMachineNote(
	name: string,
	{ self, clock, place = placeOfNotes, onUnused }: MachineNoteParts,
): SharedNote {
	const path = join(place, `wxtokend-${ownUid}`);
	const directory = createOutputDirectory(path);
	const location = { directory, mode: 0o600, gid: undefined };
	const note = openNote(location, name, { self, clock });
	const told = new Set<string>();
	/** Looked at each time: it may be removed, and then made by somebody else. */
	const isOurs = (isToBeMade: boolean) => {
		const why = whyNotOurs(place, path, isToBeMade);
		if (why !== undefined && why !== "" && !told.has(why)) {
			told.add(why);
			onUnused(why);
		}
		return why === undefined;
	};
	return {
		read: () => (isOurs(false) ? note.read() : undefined),
		write: async (text) => {
			if (isOurs(true)) await note.write(text);
		},
		alone: (work) => (isOurs(true) ? note.alone(work) : work()),
	};
}

/** Undefined: it can be used; "": it is not there, which needs no word. */
function whyNotOurs(
	place: string,
	path: string,
	isToBeMade: boolean,
): string | undefined {
	try {
		const around = fs.lstatSync(place, { throwIfNoEntry: false });
		if (ownUid === undefined || !around?.isDirectory()) return "";
		const isOpen = (around.mode & 0o022) !== 0;
		const isSticky = (around.mode & 0o1000) !== 0;
		if ((around.uid !== 0 && around.uid !== ownUid) || (isOpen && !isSticky))
			return `other users may replace what is in ${place}`;
		let found = fs.lstatSync(path, { throwIfNoEntry: false });
		if (found === undefined && isToBeMade) {
			fs.mkdirSync(path, { mode: 0o700, recursive: true });
			found = fs.lstatSync(path, { throwIfNoEntry: false });
		}
		if (found === undefined) return "";
		if (!found.isDirectory()) return `${path} is not a directory`;
		if (found.uid !== ownUid) return `${path} belongs to user ${found.uid}`;
		return (found.mode & 0o077) === 0
			? undefined
			: `other users may write in ${path}, or read there`;
	} catch (error) {
		const errno = errnoOf(error);
		if (errno === undefined) throw error;
		return `${path} cannot be made: ${inWords(errno)}`;
	}
}

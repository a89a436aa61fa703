/**
 * Two keepers of a directory with another `mode` or `group` each: each of them would
 * repair what the other one publishes, at every tick and for ever, and readers would be
 * shut out half of the time. So a repair that was undone twice is told, once, and of
 * both attributes the wider ones stay: the keeper with the narrower ones gives in.
 */
import type { Stats } from "node:fs";
import type { FileAttributes, Location } from "./atomic-write.ts";

/** What another keeper publishes with, in place of ours. */
export interface Contested {
	readonly path: string;
	readonly ours: FileAttributes;
	readonly theirs: {
		readonly mode: number;
		readonly gid: number;
		readonly uid: number;
	};
	/** Theirs stay. */
	readonly isYielded: boolean;
}

type Found = Pick<Stats, "ino" | "birthtimeMs" | "mode" | "gid" | "uid">;

/** Whose attributes a file keeps. */
export interface Contest {
	/** This process has published that value, as this file. */
	published(value: string, file: Found): void;
	/** That value was found, in the right form, with attributes that are not ours. */
	found(value: string, file: Found): void;
	/** Whether the file is to stay as it is, though it is not as configured. */
	accepts(file: Pick<Found, "mode" | "gid">): boolean;
	/** What to publish with. */
	attributes(): FileAttributes;
}

/** So often a repair is undone before it is no chance. */
const maxUndone = 2;

function createContest(
	path: string,
	ours: FileAttributes,
	onContested: (contested: Contested) => void,
): Contest {
	let own: { readonly value: string; readonly file: Found } | undefined;
	let undone = 0;
	/** The last file of another one that was counted. */
	let counted: Found | undefined;
	let theirs: Contested["theirs"] | undefined;
	let isTold = false;

	const isSame = (one: Found, other: Found | undefined) =>
		one.ino === other?.ino && one.birthtimeMs === other.birthtimeMs;
	const modeOf = ({ mode }: Pick<Found, "mode">) => mode & 0o7777;

	return {
		published: (value, file) => {
			own = { value, file };
		},
		found: (value, file) => {
			// The same file with another mode: a person did that, and no keeper.
			if (own?.value !== value || isSame(file, own.file)) return;
			if (isSame(file, counted)) return;
			counted = file;
			undone += 1;
			if (undone < maxUndone || isTold) return;
			isTold = true;
			const { gid, uid } = file;
			const rival = { mode: modeOf(file), gid, uid };
			const isYielded = isWider(rival, {
				mode: ours.mode,
				gid: ours.gid ?? own.file.gid,
			});
			if (isYielded) theirs = rival;
			onContested({ path, ours, theirs: rival, isYielded });
		},
		accepts: (file) =>
			theirs !== undefined &&
			modeOf(file) === theirs.mode &&
			file.gid === theirs.gid,
		// Only the mode: this process need not be a member of that group.
		attributes: () =>
			theirs === undefined ? ours : { ...ours, mode: theirs.mode },
	};
}

/** Those of a store. There are few, and they outlive a slot. */
export interface Contests {
	/** The one of that file, if another keeper was met there. */
	known(file: string): Contest | undefined;
	/** Begins one, if there is none. */
	of(file: string): Contest;
}

/** `onContested` is called once for each kind of attributes: one of many accounts is enough. */
export function createContests(
	{ directory, mode, gid }: Location,
	onContested: (contested: Contested) => void = () => {},
): Contests {
	const contests = new Map<string, Contest>();
	const reported = new Set<string>();
	const report = (contested: Contested) => {
		const { theirs } = contested;
		const key = `${theirs.mode} ${theirs.gid}`;
		if (!reported.has(key)) onContested(contested);
		reported.add(key);
	};
	return {
		known: (file) => contests.get(file),
		of: (file) => {
			const path = `${directory.path}/${file}`;
			const contest =
				contests.get(file) ?? createContest(path, { mode, gid }, report);
			contests.set(file, contest);
			return contest;
		},
	};
}

/** Both keepers must agree which is the wider one, so there are no ties but for equals. */
function isWider(
	one: { readonly mode: number; readonly gid: number },
	other: { readonly mode: number; readonly gid: number },
): boolean {
	const order =
		readersOf(one.mode) - readersOf(other.mode) ||
		one.mode - other.mode ||
		one.gid - other.gid;
	return order > 0;
}

/** How many of owner, group and others may read. */
function readersOf(mode: number): number {
	return [0o400, 0o040, 0o004].filter((bit) => (mode & bit) !== 0).length;
}

/**
 * What a configuration takes from the disk. A command, and a daemon at its start, ask the
 * disk and wait for it; a daemon that runs must not, and hands over what it has read.
 */
import { type Dirent, readdirSync, realpathSync } from "node:fs";
import { type FoundText, findText } from "./lookup.ts";

/** An entry of a directory. */
export interface FoundName {
	readonly name: string;
	readonly isLink: boolean;
}

/** Each one throws what Node.js throws for it, and `NotReadYet` if `lacksSome` by then. */
export interface Files {
	/** As `findText`, with its errors. */
	text(path: string, maxBytes?: number): FoundText;
	names(directory: string): readonly FoundName[];
	realPath(path: string): string;
	/** Makes sure that the disk at that path answers, with an error or without. */
	touch(path: string): void;
	/** Something that was asked for was not read before: whatever was made of it counts for nothing. */
	lacksSome(): boolean;
}

/** It was not read before. */
export class NotReadYet extends Error {}

/** The disk itself. */
export const disk: Files = {
	text: findText,
	names: (directory) =>
		foundNames(readdirSync(directory, { withFileTypes: true })),
	realPath: (path) => realpathSync(path),
	// A later call would wait for a hung disk just the same.
	touch: () => {},
	lacksSome: () => false,
};

/** As `Files.names` gives them. */
export function foundNames(entries: readonly Dirent[]): readonly FoundName[] {
	return entries.map((one) => ({
		name: one.name,
		isLink: one.isSymbolicLink(),
	}));
}

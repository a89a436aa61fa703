/** A small file of the directory by which its processes tell each other something. */
import { join } from "node:path";
import type { SharedNote } from "../core/ports.ts";
import { type Location, publishFile } from "./atomic-write.ts";
import { readSmallFile } from "./cached-read.ts";

const attributes = { mode: 0o600, gid: undefined };

/** Ten thousand wrong secrets would fit. */
const maxBytes = 1_048_576;

/**
 * The note of that name. What cannot be read or written is as good as not there: the
 * process that wrote it last still knows it.
 */
export function openNote({ directory }: Location, name: string): SharedNote {
	const path = join(directory.path, name);
	let writing = Promise.resolve();
	let last: string | undefined;
	return {
		// What is being written, or could not be, is newer than what can be read.
		read: () => last ?? readSmallFile(path, maxBytes, directory).text,
		write: (text) => {
			last = text;
			writing = writing
				.then(() => publishFile(path, text, attributes, undefined, directory))
				.then(() => {
					if (last === text) last = undefined;
				})
				.catch(() => {});
			return writing;
		},
	};
}

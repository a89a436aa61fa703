import { type FSWatcher, statSync, watch } from "node:fs";
import { errnoOf } from "../core/errors.ts";
import type { Watch } from "../core/ports.ts";

/** Tells the names of files in a directory that were touched, by inotify. */
export function watchFiles(
	directory: string,
	onTouched: (name: string) => void,
): Watch {
	let watcher: FSWatcher | undefined;
	let watched = "";
	let isNotWatching = false;

	const stop = () => {
		watcher?.close();
		watcher = undefined;
	};

	const open = () => {
		try {
			watcher = watch(directory, { persistent: false }, (_event, name) => {
				if (name !== null) onTouched(name);
			});
			watcher.on("error", stop);
		} catch (error) {
			// Gone, or no watches left on this machine: it is tried again.
			if (errnoOf(error) === undefined) throw error;
		}
	};

	return {
		listen: () => {
			const found = identityOf(directory);
			if (watcher !== undefined && found === watched) return true;
			stop();
			watched = found;
			open();
			isNotWatching = watcher === undefined;
			return false;
		},
		isNotWatching: () => isNotWatching,
		stop,
	};
}

/** The path may lead to another directory by now. */
function identityOf(directory: string): string {
	try {
		const found = statSync(directory, { bigint: true, throwIfNoEntry: false });
		return found === undefined ? "" : `${found.dev} ${found.ino}`;
	} catch (error) {
		if (errnoOf(error) === undefined) throw error;
		return "";
	}
}

import { type FSWatcher, statSync, watch } from "node:fs";
import { errnoOf } from "./errors.ts";

export interface FileWatch {
	/**
	 * Whether changes since the last call were heard of. False at first, after the
	 * directory was replaced, and where watching does not work: look for yourself.
	 */
	isReliable(): boolean;
	/** Whether changes from now on will be heard of. */
	isOpen(): boolean;
	stop(): void;
}

/**
 * Tells the names of files in a directory that somebody touched (inotify). It is
 * a hint: what another machine does on a shared file system is not heard of,
 * nor what happens while the kernel's queue is full.
 */
export function watchFiles(
	directory: string,
	onTouched: (name: string) => void,
): FileWatch {
	let watcher: FSWatcher | undefined;
	let watched = "";

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
		isReliable: () => {
			const found = identityOf(directory);
			if (watcher !== undefined && found === watched) return true;
			stop();
			watched = found;
			if (found !== "") open();
			return false;
		},
		isOpen: () => watcher !== undefined,
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

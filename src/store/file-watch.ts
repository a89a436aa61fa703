import { type FSWatcher, statSync, watch } from "node:fs";
import { errnoOf } from "../core/errors.ts";

export interface FileWatch {
	/**
	 * Listens from now on, if it did not. True: it has listened since the last call
	 * without a gap. False: look for yourself, once.
	 */
	listen(): boolean;
	/** The last try to listen did not work. */
	isDeaf(): boolean;
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
	let deaf = false;

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
			deaf = watcher === undefined;
			return false;
		},
		isDeaf: () => deaf,
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

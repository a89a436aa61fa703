/** Changes in a directory, as the kernel reports them. */
import { type FSWatcher, statfsSync, statSync, watch } from "node:fs";
import { errnoOf } from "../core/errors.ts";
import type { Watch } from "../core/ports.ts";

/**
 * Watches a directory by inotify: `onTouched` gets the name of each file that changed.
 * Watches nothing until `listen` is called.
 */
export function watchFiles(
	directory: string,
	onTouched: (name: string) => void,
): Watch {
	let watcher: FSWatcher | undefined;
	let watched = "";
	let isNotWatching = false;
	let isShared = false;

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
			// The directory is gone, or this machine has no watches left: `listen` tries again.
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
			isShared = isOnNetwork(directory);
			return false;
		},
		isNotWatching: () => isNotWatching,
		isShared: () => isShared,
		stop,
	};
}

/** As statfs(2) names them: NFS, the three of Windows shares, FUSE, 9P, Ceph, AFS, Lustre, GFS2, OCFS2. */
const networkTypes = new Set([
	0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x65735546, 0x01021997, 0x00c36400,
	0x5346414f, 0x0bd00bd0, 0x01161970, 0x7461636f,
]);

function isOnNetwork(directory: string): boolean {
	try {
		return networkTypes.has(statfsSync(directory).type);
	} catch {
		return true; // Nothing is known of it.
	}
}

/** Tells whether the path still leads to the directory that is watched. */
function identityOf(directory: string): string {
	try {
		const found = statSync(directory, { bigint: true, throwIfNoEntry: false });
		return found === undefined ? "" : `${found.dev} ${found.ino}`;
	} catch (error) {
		if (errnoOf(error) === undefined) throw error;
		return "";
	}
}

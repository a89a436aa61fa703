import {
	chmodSync,
	existsSync,
	mkdtempSync,
	renameSync,
	rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atEnd } from "./lifetime.ts";

/** A directory of its own for a test, gone after it. */
export function newDirectory(): string {
	return newDirectoryIn(tmpdir());
}

/**
 * The same in memory, as /run is: for tests that write thousands of files and are
 * not about the disk, which others keep busy.
 */
export function newDirectoryInMemory(): string {
	return newDirectoryIn(existsSync("/dev/shm") ? "/dev/shm" : tmpdir());
}

function newDirectoryIn(place: string): string {
	const directory = mkdtempSync(join(place, "wxtokend-test-"));
	chmodSync(directory, 0o755);
	atEnd(() => rmSync(directory, { recursive: true, force: true }));
	return directory;
}

/** Removes all of it in one instant: a daemon that works in it writes nothing in between. */
export function removeInUse(path: string): void {
	const gone = `${path}.gone`;
	renameSync(path, gone);
	rmSync(gone, { recursive: true });
}

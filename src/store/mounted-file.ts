/** Files that are mount points of their own, as `docker run -v FILE:FILE` makes them. */
import { readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { StoreError } from "../core/errors.ts";

/**
 * Throws `StoreError` if something is mounted on one of these files of the directory: a
 * mounted file cannot be replaced by a rename, and who mounted it sees the old one for
 * ever. Where there is no /proc nobody can tell. `names`: asked for only if anything is
 * mounted in the directory.
 */
export function refuseMountedFiles(
	directory: string,
	names: () => Iterable<string>,
): void {
	const points = mountPointsIn(directory);
	if (points.size === 0) return;
	for (const name of names())
		if (points.has(name)) throw mountedOn(join(directory, name), directory);
}

function mountedOn(path: string, directory: string): StoreError {
	return new StoreError(
		"refused",
		`could not use ${path}: a single file is mounted there, and a mounted file cannot be replaced`,
		`mount the directory instead: ${directory}`,
	);
}

/** The names in the directory on which something is mounted. */
function mountPointsIn(directory: string): ReadonlySet<string> {
	try {
		const real = realpathSync(directory);
		const points = pointsIn(readFileSync("/proc/self/mountinfo", "utf8"));
		return new Set(
			points.filter((one) => dirname(one) === real).map((one) => basename(one)),
		);
	} catch {
		return new Set();
	}
}

/** The fifth field, in which blanks and a few others are octal. */
function pointsIn(mountinfo: string): readonly string[] {
	const points = mountinfo.split("\n").map((line) => line.split(" ")[4] ?? "");
	return points.map((point) =>
		point.replace(/\\([0-7]{3})/g, (_, octal: string) =>
			String.fromCharCode(Number.parseInt(octal, 8)),
		),
	);
}

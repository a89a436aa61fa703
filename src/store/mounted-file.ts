/** Files that are mount points of their own, as `docker run -v FILE:FILE` makes them. */
import { readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { StoreError } from "../core/errors.ts";

/**
 * Throws `StoreError` if something is mounted on one of these files of the directory: a
 * mounted file cannot be replaced by a rename, and who mounted it sees the old one for
 * ever. Where there is no /proc nobody can tell.
 */
export function refuseMountedFiles(
	directory: string,
	names: readonly string[],
): void {
	let points: ReadonlySet<string>;
	let real: string;
	try {
		points = mountPointsIn(readFileSync("/proc/self/mountinfo", "utf8"));
		real = realpathSync(directory);
	} catch {
		return;
	}
	const mounted = names.find((name) => points.has(join(real, name)));
	if (mounted === undefined) return;
	throw new StoreError(
		"refused",
		`could not use ${join(directory, mounted)}: a single file is mounted there, and a mounted file cannot be replaced`,
		`mount the directory instead: ${directory}`,
	);
}

/** The fifth field, in which blanks and a few others are octal. */
function mountPointsIn(mountinfo: string): ReadonlySet<string> {
	const points = mountinfo.split("\n").map((line) => line.split(" ")[4] ?? "");
	return new Set(
		points.map((point) =>
			point.replace(/\\([0-7]{3})/g, (_, octal: string) =>
				String.fromCharCode(Number.parseInt(octal, 8)),
			),
		),
	);
}

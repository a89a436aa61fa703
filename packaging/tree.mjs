// A tree of files that becomes a package: every mode and every time in it is set
// here, so that the same sources make the same bytes, whatever the umask.
import { execFileSync } from "node:child_process";
import {
	chmodSync,
	copyFileSync,
	cpSync,
	lutimesSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** The tree of the sources. */
export const sources = join(dirname(fileURLToPath(import.meta.url)), "..");

/** What package.json says. */
export const manifest = JSON.parse(
	readFileSync(join(sources, "package.json"), "utf8"),
);

/** The time that all files get, in seconds: `SOURCE_DATE_EPOCH`, else that of the last commit, else that of package.json. */
export function sourceDate() {
	const given = Number(process.env.SOURCE_DATE_EPOCH);
	if (given > 0) return given;
	try {
		return Number(
			execFileSync("git", ["log", "-1", "--format=%ct"], {
				cwd: sources,
				encoding: "utf8",
				stdio: ["ignore", "pipe", "ignore"],
			}),
		);
	} catch {
		const { mtimeMs } = statSync(join(sources, "package.json"));
		return Math.floor(mtimeMs / 1000);
	}
}

/** A new, empty tree. `from` is absolute, or relative to the sources; `to` is relative to the tree. */
export function newTree() {
	process.umask(0o022);
	const stage = mkdtempSync(join(tmpdir(), "wxtokend-package-"));
	chmodSync(stage, 0o755);

	function target(to) {
		const path = join(stage, to);
		mkdirSync(dirname(path), { recursive: true });
		return path;
	}

	function write(to, text, mode = 0o644) {
		const path = target(to);
		writeFileSync(path, text);
		chmodSync(path, mode);
	}

	return {
		stage,
		write,

		copy(from, to, mode = 0o644) {
			const path = target(to);
			copyFileSync(resolve(sources, from), path);
			chmodSync(path, mode);
		},

		/** A folder with all that is in it. */
		tree(from, to, isWanted = () => true) {
			const path = target(to);
			cpSync(join(sources, from), path, {
				recursive: true,
				filter: isWanted,
			});
			for (const name of ["", ...readdirSync(path, { recursive: true })]) {
				const inside = join(path, name);
				// A checkout under a strict umask must not shut the daemon's user out.
				chmodSync(
					inside,
					(statSync(inside).mode & 0o100) === 0 ? 0o644 : 0o755,
				);
			}
		},

		compressed(from, to) {
			write(to, gzipSync(readFileSync(join(sources, from)), { level: 9 }));
		},

		link(text, to) {
			symlinkSync(text, target(to));
		},

		/** Nothing may be written after this. */
		setTimes() {
			const seconds = sourceDate();
			for (const name of ["", ...readdirSync(stage, { recursive: true })])
				lutimesSync(join(stage, name), seconds, seconds);
		},

		/** Kibibytes, as dpkg wants them. */
		size() {
			const [size = "0"] = execFileSync("du", ["-sk", stage], {
				encoding: "utf8",
			}).split("\t");
			return Number(size);
		},

		remove() {
			rmSync(stage, { recursive: true, force: true });
		},
	};
}

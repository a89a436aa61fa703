/**
 * A disk that loses its power, from a trace of system calls: what of a directory is on the
 * medium for certain, and what may be, at each instant of the trace. Content is certain
 * once its file was synced, a name once its directory was. Whatever is not certain may be
 * there or not; both are looked at.
 */
import { dirname } from "node:path";

/** A call that is over, as strace -f -y prints it. */
interface Call {
	readonly name: string;
	/** All between the parentheses. */
	readonly args: string;
	/** What it returned; of a file with its path. */
	readonly result: string;
}

/** The calls that succeeded, in the order of their ends. */
export function callsIn(trace: string): readonly Call[] {
	const begun = new Map<string, string>();
	return trace.split("\n").flatMap((line) => {
		const [, thread = "", text = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
		const [, start] = /^(.*) <unfinished \.\.\.>$/.exec(text) ?? [];
		if (start !== undefined) {
			begun.set(thread, start);
			return [];
		}
		const [, rest] = /^<\.\.\. \w+ resumed>(.*)$/.exec(text) ?? [];
		const whole = rest === undefined ? text : `${begun.get(thread)}${rest}`;
		const [, name = "", args = "", result = "-1"] =
			/^(\w+)\((.*)\)\s+= (.*)$/.exec(whole) ?? [];
		return name === "" || result.startsWith("-1")
			? []
			: [{ name, args, result }];
	});
}

interface Inode {
	content: string;
	/** Of the last sync. */
	synced: string;
}

/** The names of a directory, or of what was made in it. */
type Names = Map<string, Inode>;

/** What is left after the power was lost. */
export interface Remains {
	/** Of the file at that path; undefined: there is none. */
	read(path: string): string | undefined;
}

export interface DiskModel {
	take(call: Call): void;
	/** All combinations of what may be left now: of names, and of contents. */
	remains(): readonly Remains[];
}

/**
 * A disk on which everything but what is below `root` was there before, and is not looked
 * at. `files`: what was below it, all synced.
 */
export function createDiskModel(
	root: string,
	files: Readonly<Record<string, string>> = {},
): DiskModel {
	const now: Names = new Map();
	for (const [path, content] of Object.entries(files))
		now.set(path, { content, synced: content });
	/** Names that were synced, directories included. */
	const certain: Names = new Map(now);
	for (const path of Object.keys(files))
		for (let at = dirname(path); isBelow(at); at = dirname(at))
			addDirectory(at, now, certain);

	function isBelow(path: string): boolean {
		return path === root || path.startsWith(`${root}/`);
	}
	const inodeAt = (path: string): Inode => {
		const known = now.get(path);
		if (known !== undefined) return known;
		const made = { content: "", synced: "" };
		now.set(path, made);
		return made;
	};
	const syncDirectory = (directory: string) => {
		const isIn = (path: string) => dirname(path) === directory;
		for (const path of [...certain.keys()])
			if (isIn(path) && !now.has(path)) certain.delete(path);
		for (const [path, inode] of now) if (isIn(path)) certain.set(path, inode);
	};

	return {
		take: ({ name, args, result }) => {
			const [path = ""] = pathsIn(args);
			if (/sync$/.test(name)) syncDirectory(path);
			if (!isBelow(path)) return;
			switch (name) {
				case "openat":
				case "open":
					if (args.includes("O_CREAT")) inodeAt(path);
					return;
				case "mkdir":
				case "mkdirat":
					inodeAt(path);
					return;
				case "write":
				case "pwrite64":
					// All files here are appended to.
					inodeAt(path).content += textIn(args).slice(0, Number(result));
					return;
				case "ftruncate": {
					const [, size = "0"] = /, (\d+)$/.exec(args) ?? [];
					const inode = inodeAt(path);
					inode.content = inode.content.slice(0, Number(size));
					return;
				}
				case "fsync":
				case "fdatasync":
					inodeAt(path).synced = inodeAt(path).content;
					return;
				case "rename": {
					const [, to = ""] = pathsIn(args);
					now.set(to, inodeAt(path));
					now.delete(path);
					return;
				}
				case "unlink":
				case "rmdir":
					now.delete(path);
					return;
				default:
					throw new Error(`what does ${name}(${args}) do to the disk?`);
			}
		},
		remains: () =>
			[certain, now].flatMap((names) =>
				(["content", "synced"] as const).map((part) => ({
					read: (path: string) => {
						for (let at = dirname(path); isBelow(at); at = dirname(at))
							if (!names.has(at)) return undefined;
						return names.get(path)?.[part];
					},
				})),
			),
	};
}

function addDirectory(path: string, ...all: readonly Names[]): void {
	for (const names of all) names.set(path, { content: "", synced: "" });
}

/** Paths in quotes, or behind a descriptor. */
function pathsIn(args: string): readonly string[] {
	if (/^\d+</.test(args)) {
		const [, path] = /^\d+<(\/[^>]*)>/.exec(args) ?? [];
		return path === undefined ? [] : [path];
	}
	return [...args.matchAll(/"(\/[^"]*)"/g)].map(([, path = ""]) => path);
}

const escapes: Readonly<Record<string, string>> = {
	...{ n: "\n", r: "\r", t: "\t", v: "\v", f: "\f" },
};

/** The first text in quotes, byte by byte. */
export function textIn(args: string): string {
	const [, quoted = ""] = /"((?:[^"\\]|\\.)*)"/.exec(args) ?? [];
	return quoted.replace(/\\([0-7]{1,3}|.)/g, (_, escaped: string) =>
		/^[0-7]/.test(escaped)
			? String.fromCharCode(Number.parseInt(escaped, 8))
			: (escapes[escaped] ?? escaped),
	);
}

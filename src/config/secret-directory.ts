/**
 * A directory of secrets: what systemd hands over as credentials, or the directory that
 * it takes them from, for a command that is run by hand. A secret has a file of its
 * own there, or a line in the file `accounts.list`.
 */
import { dirname, join, resolve } from "node:path";
import { type ConfigProblem, errnoOf, inWords } from "../core/errors.ts";
import type { Files } from "./files.ts";
import type { Input } from "./inputs.ts";
import type { ConfigOptions, ConfigSource } from "./source.ts";

/** The file that holds many secrets, a line `name secret` for each. No appid has a dot. */
const listName = "accounts.list";

/** systemd 257 gives credentials a tmpfs of 1 MiB, and each file takes a page of it. */
const maxFiles = 256;

/** 1 MiB is the most that systemd takes for one credential. */
export const maxListBytes = 1_048_576;

/** What is found for a name. */
export type FoundSecret =
	| { readonly kind: "file"; readonly file: string; readonly label: string }
	/** The text as it stands in the list. */
	| {
			readonly kind: "line";
			readonly text: string;
			readonly file: string;
			readonly label: string;
	  };

/** Finds secrets by their names. */
export interface SecretDirectory {
	/** Undefined: there is none. */
	find(name: string): FoundSecret | undefined;
	/** Where it was looked for in vain: a phrase with the whole paths. */
	missing(name: string): string;
}

/** What the directory needs from outside. */
export interface SecretDirectoryParts {
	readonly source: ConfigSource;
	readonly env: ConfigOptions["env"];
	readonly input: Input;
	readonly problems: ConfigProblem[];
	/** The text of a list; undefined: it cannot be read, and a problem says so. */
	readonly readList: (file: string, label: string) => string | undefined;
}

/**
 * From $CREDENTIALS_DIRECTORY; without it, `secrets` beside the configuration file,
 * which the unit hands over. Undefined: there is neither.
 */
export function secretDirectory(
	parts: SecretDirectoryParts,
): SecretDirectory | undefined {
	const { source, env, input, problems } = parts;
	const beside = source.isEnvironment
		? undefined
		: join(dirname(resolve(source.name)), "secrets");
	const directory = env.CREDENTIALS_DIRECTORY || beside;
	if (directory === undefined) return undefined;
	const isBeside = resolve(directory) === beside;
	const { files, links, errno } = input((files) => entriesOf(directory, files));
	const names = new Set([...files, ...links]);
	if (isBeside && files.length > maxFiles)
		problems.push(tooMany(directory, files.length));
	// In other directories links are usual: the secrets of a container are made of them.
	const refuseLink = (name: string) => {
		if (isBeside && links.includes(name))
			problems.push({
				path: join(directory, name),
				message:
					"is a symbolic link, which systemd leaves out of the unit's credentials; expected the file itself",
			});
	};

	let list: ReadonlyMap<string, FoundSecret> | undefined;
	const fromList = (name: string) => {
		if (list === undefined) {
			spellings(listName).forEach(refuseLink);
			list = linesAt(directory, names, parts);
		}
		return list.get(name);
	};
	// `LoadCredential=secret:DIRECTORY` puts `secret_` before the name of each file.
	const spellings = (name: string) =>
		isBeside ? [name] : [name, `secret_${name}`];
	return {
		find: (name) => {
			const own = spellings(name).find((one) => names.has(one));
			if (own === undefined) return fromList(name);
			refuseLink(own);
			const file = join(directory, own);
			return { kind: "file", file, label: labelOf(own, file, isBeside) };
		},
		missing: (name) => {
			const looked = [...spellings(name), ...spellings(listName)]
				.map((one) => join(directory, one))
				.join(", ");
			if (errno === undefined || errno === "ENOENT")
				return `looked for ${looked}`;
			const who = isBeside
				? ": run it as root (the unit reads it when it starts)"
				: "";
			return `could not look for ${looked}: ${inWords(errno)}${who}`;
		},
	};
}

/** What the operator calls it: the credential, or the file that will be one. */
function labelOf(name: string, file: string, isBeside: boolean): string {
	return isBeside ? file : `credential ${name}`;
}

/** `errno`: why there is nothing. */
interface Entries {
	readonly files: readonly string[];
	readonly links: readonly string[];
	readonly errno: string | undefined;
}

function entriesOf(directory: string, { names }: Files): Entries {
	try {
		const entries = names(directory);
		const namesOf = (isLink: boolean) =>
			entries
				.filter((one) => one.isLink === isLink)
				.map(({ name }) => name)
				.sort();
		return { files: namesOf(false), links: namesOf(true), errno: undefined };
	} catch (error) {
		return { files: [], links: [], errno: errnoOf(error) };
	}
}

function tooMany(directory: string, count: number): ConfigProblem {
	const list = join(directory, listName);
	return {
		path: directory,
		message: `holds ${count} files; expected at most ${maxFiles}, as systemd 257 starts no unit with more credentials (243/CREDENTIALS): put them into one file, ${list}, with a line for each: APPID SECRET`,
	};
}

/** The secrets of the list; none if there is no list. */
function linesAt(
	directory: string,
	names: ReadonlySet<string>,
	{ problems, readList }: SecretDirectoryParts,
): ReadonlyMap<string, FoundSecret> {
	const found = new Map<string, FoundSecret>();
	const name = [listName, `secret_${listName}`].find((one) => names.has(one));
	if (name === undefined) return found;
	const file = join(directory, name);
	const text = readList(file, file) ?? "";
	for (const [index, raw] of text.split("\n").entries()) {
		const line = raw.trim();
		if (line === "" || line.startsWith("#")) continue;
		const where = `line ${index + 1}`;
		const [name = "", secret = "", ...more] = line.split(/\s+/);
		// A line is never shown: it may hold a secret in any place.
		const isName = /^[\w-]{1,129}$/.test(name);
		if (!isName || secret === "" || more.length > 0)
			problems.push({
				path: `${file}, ${where}`,
				message: `${where} holds no name and secret; expected two words: APPID SECRET`,
			});
		else if (found.has(name))
			problems.push({
				path: `${file}, ${where}`,
				message: `${where} names ${name} a second time; expected each name once`,
			});
		else found.set(name, { kind: "line", text: secret, file, label: file });
	}
	return found;
}

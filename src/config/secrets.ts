/**
 * The secrets of the entries: in the configuration, in files of their own, or from systemd. No
 * problem and no warning ever quotes one, or what may be one.
 */
import { isAbsolute } from "node:path";
import { type ConfigProblem, errnoOf, inWords } from "../core/errors.ts";
import { mapInSteps, type Steps } from "../core/steps.ts";
import type { EntrySecrets } from "./entry.ts";
import {
	type EntryTableName,
	entryTables,
	secretNameOf,
} from "./entry-names.ts";
import type { Input } from "./inputs.ts";
import { invisibleIn, messageOf } from "./invisible.ts";
import {
	maxListBytes,
	type SecretDirectory,
	secretDirectory,
} from "./secret-directory.ts";
import {
	confusionIn,
	doubtAbout,
	type SecretWords,
	secretWords,
} from "./secret-words.ts";
import type { ConfigOptions, ConfigSource } from "./source.ts";

/** The secrets of a configuration, and what is wrong with them. */
export interface FoundSecrets {
	readonly secrets: EntrySecrets;
	readonly problems: readonly ConfigProblem[];
	/** What works, but is not safe: sentences for the operator. */
	readonly warnings: readonly string[];
}

/** Of every entry. What else is wrong with the content does not matter here. */
export function* findSecrets(
	source: ConfigSource,
	env: ConfigOptions["env"],
	input: Input,
): Steps<FoundSecrets> {
	const problems: ConfigProblem[] = [];
	const warnings: string[] = [];
	// Looked into once, and only if an entry needs it.
	let directory: { readonly found: SecretDirectory | undefined } | undefined;
	const openDirectory = () => {
		const readList = (file: string, label: string) =>
			readText(file, label, maxListBytes, { input, problems, warnings });
		const parts = { source, env, input, problems, readList };
		directory ??= { found: secretDirectory(parts) };
		return directory.found;
	};
	const isFollower = isFollowing(source.content.fleet);
	const search = { source, openDirectory, input, problems, warnings };
	const secretsIn = (table: EntryTableName): Steps<readonly string[]> => {
		const { [table]: listed } = source.content;
		const entries: readonly unknown[] = Array.isArray(listed) ? listed : [];
		return mapInSteps(entries, (entry, index) => {
			const isTable = typeof entry === "object" && !Array.isArray(entry);
			if (!isTable || entry === null) return "";
			const path = `${table}[${index}]`;
			const isOptional = isFollower && Object(entry).fleet !== false;
			const place = { ...search, table, isOptional };
			const keys: Entry = Object(entry);
			const secret = secretOf(keys, path, place) ?? "";
			const mixed = confusionIn(table, keys, secret);
			// Neither is shown: the id may be the secret.
			if (mixed !== undefined)
				problems.push({ path: `${path}.${mixed.key}`, message: mixed.message });
			const doubt = mixed ?? doubtAbout(keys, secret);
			if (typeof doubt === "string") warnings.push(doubt);
			return secret;
		});
	};
	const secrets = {
		account: yield* secretsIn("account"),
		wecom: yield* secretsIn("wecom"),
		provider: yield* secretsIn("provider"),
		component: yield* secretsIn("component"),
		suite: yield* secretsIn("suite"),
	};
	return { secrets, problems, warnings };
}

/** Whether this host asks WeChat for nothing: then it needs no secret. */
function isFollowing(fleet: unknown): boolean {
	const { role, url } = Object(fleet) as Record<string, unknown>;
	return (
		role === "follower" || (typeof url === "string" && /^https?:/.test(url))
	);
}

/** What a search reads from, and where it puts what it finds. */
interface Search {
	/** That there is none is no problem. */
	readonly isOptional: boolean;
	readonly table: EntryTableName;
	readonly source: ConfigSource;
	readonly openDirectory: () => SecretDirectory | undefined;
	readonly input: Input;
	readonly problems: ConfigProblem[];
	readonly warnings: string[];
}

/** An entry as it was written: every key may be of any type. */
type Entry = Readonly<Record<string, unknown>>;

/** Undefined: there is none, or it is wrong; then a problem says so. */
function secretOf(
	entry: Entry,
	path: string,
	search: Search,
): string | undefined {
	const { secret, secret_file: file } = entry;
	const { table, source, problems, warnings } = search;
	const wrong = (key: string, message: string) => {
		problems.push({ path: `${path}.${key}`, message });
		return undefined;
	};
	// With both it would be unclear which one is used after a rotation.
	if (secret !== undefined && file !== undefined) {
		const other = source.isEnvironment ? "WECHAT_SECRET_FILE" : "secret_file";
		return wrong("secret", `stands beside ${other}; expected one of the two`);
	}
	if (typeof secret === "string") {
		if (source.isOpenToAll)
			warnings.push(
				`${source.name} holds ${secretWords[table].one} and is readable by all users of this machine: chmod 0640 ${source.name}`,
			);
		// A variable has no line end, as a file has.
		const odd = source.isEnvironment ? invisibleIn(secret) : undefined;
		if (odd !== undefined) return wrong("secret", messageOf(odd));
		return checked(secret, `${path}.secret`, "", search);
	}
	if (secret !== undefined) return undefined; // The shape says what is wrong.
	if (typeof file === "string" && file !== "") {
		// Its value is not shown: it may be the secret itself.
		if (isAbsolute(file))
			return readSecret(file, `${path}.secret_file`, search);
		const other = source.isEnvironment ? "WECHAT_SECRET" : "`secret`";
		return wrong(
			"secret_file",
			`is not an absolute path (it is not shown here: it may be the ${secretWords[table].name} itself); expected one, or did you mean ${other}?`,
		);
	}
	if (file !== undefined) return undefined;
	const ids = entryTables[table].idKeys.map((key) => String(entry[key] ?? ""));
	const isNamed = ids.every((id) => /^[\w-]+$/.test(id));
	const name = isNamed ? secretNameOf(ids) : "";
	const directory = name === "" ? undefined : search.openDirectory();
	const found = directory?.find(name);
	if (found?.kind === "file")
		return readSecret(found.file, found.label, search);
	if (found !== undefined)
		return checked(found.text, found.label, `for ${name} it `, search);
	if (search.isOptional) return undefined;
	const ways = source.isEnvironment
		? "WECHAT_SECRET_FILE, WECHAT_SECRET"
		: 'secret_file = "…", secret = "…"';
	const where = directory === undefined ? "" : `; ${directory.missing(name)}`;
	return wrong(
		"secret_file",
		`is missing; expected ${ways}, or a systemd credential named ${name || `after the ${entryTables[table].idKeys.join(" and the ")}`}${where}`,
	);
}

/** No secret has more than 512 characters. A file that is much longer was named by mistake. */
const maxBytes = 4_096;

function readSecret(
	file: string,
	path: string,
	reading: Pick<Search, "table" | "input" | "problems" | "warnings">,
): string | undefined {
	const { name } = secretWords[reading.table];
	const expected = `a file with the ${name} that the daemon's user can read`;
	const text = readText(file, path, maxBytes, { ...reading, expected });
	if (text === undefined) return undefined;
	const { table, warnings } = reading;
	const secret = checked(text, path, `${file} `, reading);
	const { one, looks, characters }: SecretWords = secretWords[table];
	if (secret !== undefined && looks?.test(secret) === false)
		warnings.push(
			`what stands in secret file ${file} does not look like ${one}, which has ${characters}: compare it with the console`,
		);
	return secret;
}

/**
 * The text of a file with secrets, at most `limit` bytes. Undefined: a problem at `path`
 * says why, and what was `expected`.
 */
export function readText(
	file: string,
	path: string,
	limit: number,
	{
		input,
		problems,
		warnings,
		expected = "a file with secrets that the daemon's user can read",
	}: Pick<Search, "input" | "problems" | "warnings"> & {
		readonly expected?: string;
	},
): string | undefined {
	const wrong = (what: string) => {
		problems.push({ path, message: `${file} ${what}; expected ${expected}` });
		return undefined;
	};
	try {
		const { text, mode } = input((files) => files.text(file, limit));
		if ((mode & 0o004) !== 0)
			warnings.push(
				`secret file ${file} is readable by all users of this machine: chmod 0600 ${file}`,
			);
		// The mark of the encoding is no part of what stands in a file.
		return text.replace(/^\ufeff/, "");
	} catch (error) {
		return wrong(whyUnread(error));
	}
}

function whyUnread(error: unknown): string {
	const errno = errnoOf(error);
	switch (errno) {
		case "fifo":
		case "socket":
		case "device":
			return "is not a plain file";
		case "large":
			return `is ${Object(error).size} bytes long`;
		default:
			return `could not be read: ${inWords(errno)}`;
	}
}

/**
 * The secret without blanks and line ends around it, which editors and `echo` leave.
 * Undefined: it is none, and a problem at `path` says so. `where`: a file's name with a
 * blank behind it, or "".
 */
function checked(
	text: string,
	path: string,
	where: string,
	{ table, problems }: Pick<Search, "table" | "problems">,
): string | undefined {
	const { name, looks, characters }: SecretWords = secretWords[table];
	const secret = text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
	if (/^(["']).*\1$/.test(secret) && secret.length > 1) {
		const message = `${where}holds the ${name} in quotes; expected it without them`;
		problems.push({ path, message });
		return undefined;
	}
	if (/^[\x21-\x7e]{1,512}$/.test(secret)) return secret;
	const odd = invisibleIn(secret);
	const message =
		secret === ""
			? `is empty; expected the ${name}`
			: odd !== undefined
				? messageOf(odd)
				: `holds blanks or characters that no ${name} has, or too many; expected its ${looks === undefined ? "characters" : characters.replace(/ of .*/, "")}`;
	problems.push({ path, message: where + message });
	return undefined;
}

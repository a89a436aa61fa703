/**
 * Where token files and the control socket are, for commands that need nothing else of
 * the configuration. Such a command shall be fast, and its user may not be allowed to
 * read the configuration. So this file loads no validation.
 */
import {
	closeSync,
	constants,
	existsSync,
	fstatSync,
	openSync,
	readSync,
	type Stats,
	statSync,
} from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { parse } from "smol-toml";
import {
	ConfigError,
	type ConfigProblem,
	errnoOf,
	inWords,
} from "../core/errors.ts";
import { defaultTokenFile, isPublishedFile, namesIn } from "./entry-names.ts";
import { invisibleIn, messageOf } from "./invisible.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Read unless `--config` or $WXTOKEND_CONFIG names another one. */
export const defaultConfigFile = "/etc/wxtokend/config.toml";

/** The directory of token files, unless the configuration names another one. systemd sets $RUNTIME_DIRECTORY, perhaps to several. */
export function defaultDirectory(env: Environment): string {
	return env.RUNTIME_DIRECTORY?.split(":")[0] || "/run/wxtokend";
}

/** Where a token file is. */
export interface TokenLocation {
	readonly path: string;
	/** Why the path is only a guess: the problem that hides the configuration. */
	readonly guessed?: ConfigProblem;
}

/**
 * Where the token file of an account is. Undefined: only the whole configuration,
 * validated, can tell, or say what is wrong with it. Throws what `guessedDirectory`
 * throws.
 */
export function findToken(
	appid: string,
	file: string | undefined,
	env: Environment,
): TokenLocation | undefined {
	if (!isPublishedFile(appid) && !/^[A-Za-z0-9_-]{1,64}$/.test(appid))
		return undefined;
	if (invisibleIn(file ?? env.WXTOKEND_CONFIG ?? "") !== undefined)
		return undefined;
	const text = readConfigText(file, env);
	if (typeof text === "string") return locationIn(text, appid, env);
	if (text === undefined) return undefined;
	return { ...guessedToken(appid, env), guessed: text.hidden };
}

/** Where the token file is by default. Throws what `guessedDirectory` throws. */
export function guessedToken(appid: string, env: Environment): TokenLocation {
	const file = isPublishedFile(appid) ? appid : defaultTokenFile(appid);
	return { path: join(guessedDirectory(env), file) };
}

/**
 * Where the token file probably is, if the configuration is not TOML. Throws what
 * `guessedDirectory` throws.
 */
export function likelyToken(
	appid: string,
	file: string | undefined,
	env: Environment,
): TokenLocation {
	const guess = guessedToken(appid, env);
	const text = readConfigText(file, env);
	const { directory = undefined } =
		typeof text === "string" ? topLinesOf(text) : {};
	if (typeof directory !== "string" || invisibleIn(directory) !== undefined)
		return guess;
	const path = join(directory, basename(guess.path));
	return isAbsolute(directory) && existsSync(path) ? { path } : guess;
}

/**
 * Where the control socket probably is, if the configuration cannot be read, or is
 * wrong. Throws what `guessedDirectory` throws.
 */
export function likelySocket(
	file: string | undefined,
	env: Environment,
): string {
	const usual = usualSocket(env);
	const text = readConfigText(file, env);
	if (typeof text !== "string") return usual;
	const { directory = guessedDirectory(env), socket = "control.sock" } =
		parsed(text) ?? topLinesOf(text);
	if (typeof directory !== "string" || typeof socket !== "string") return usual;
	const configured = resolve(directory, socket);
	// The daemon may still use the configuration from before the mistake.
	return socket === "" || !existsSync(configured) ? usual : configured;
}

/** Where the control socket is without a configuration. Throws what `guessedDirectory` throws. */
export function usualSocket(env: Environment): string {
	return join(guessedDirectory(env), "control.sock");
}

/**
 * Where the files are for a user who cannot read the configuration. Throws
 * `ConfigError` if a character of that path cannot be seen.
 */
export function guessedDirectory(env: Environment): string {
	const directory = env.WXTOKEND_DIRECTORY || defaultDirectory(env);
	const odd = invisibleIn(directory);
	if (odd === undefined) return directory;
	const path = env.WXTOKEND_DIRECTORY
		? "WXTOKEND_DIRECTORY"
		: "RUNTIME_DIRECTORY";
	throw new ConfigError("the environment", [{ path, message: messageOf(odd) }]);
}

/**
 * The text of the configuration file. `hidden`: why this user cannot read it.
 * Undefined: the configuration is in the environment, or the file that is named does
 * not exist or is no file, which the validation reports. Never throws.
 */
export function readConfigText(
	file: string | undefined,
	env: Environment,
): string | { readonly hidden: ConfigProblem } | undefined {
	const named = file ?? (env.WXTOKEND_CONFIG || undefined);
	const source = named ?? defaultConfigFile;
	try {
		return readText(source);
	} catch (error) {
		const errno = errnoOf(error);
		const isAbsent = errno === "ENOENT" && named === undefined;
		if (isAbsent ? env.WECHAT_APPID : errno !== "EACCES") return undefined;
		const message = `could not be read: ${inWords(errno)}`;
		return { hidden: { path: source, message } };
	}
}

/** The hint for a user who may not read a token file, or use the socket, at that path. */
export function readersHint(path: string): string {
	return `add this user to the group of the files (ls -ld ${dirname(path)} shows it: usermod -aG GROUP USER), then log in again, or restart the service that runs as it`;
}

/** Undefined at any doubt: the validation then reports what is wrong. */
function locationIn(
	text: string,
	appid: string,
	env: Environment,
): TokenLocation | undefined {
	const content = parsed(text);
	if (content === undefined) return undefined;
	const { directory = defaultDirectory(env), account } = content;
	if (typeof directory !== "string" || !isAbsolute(directory)) return undefined;
	if (invisibleIn(directory) !== undefined) return undefined;
	if (isPublishedFile(appid)) {
		const isOf = namesIn(content).some(
			({ file, ticketFiles }) => file === appid || ticketFiles.includes(appid),
		);
		// The file does not name the members of a platform.
		const isOfComponent =
			Array.isArray(content.component) && appid.startsWith("wx_");
		return isOf || isOfComponent || isOfSuite(content, appid)
			? { path: join(directory, appid) }
			: undefined;
	}
	const found = (Array.isArray(account) ? account : []).filter(
		(entry) => entry?.appid === appid,
	);
	const authorized = authorizedIn(content, appid);
	if (found.length === 0 && authorized !== undefined)
		return { path: join(directory, authorized) };
	const { file = defaultTokenFile(appid) } = found[0] ?? {};
	if (found.length !== 1 || typeof file !== "string" || /[/\0]/.test(file))
		return undefined;
	if (invisibleIn(file) !== undefined) return undefined;
	return { path: join(directory, file) };
}

/** Whether it is a file of a corp that may have authorised a suite. */
function isOfSuite(
	{ suite }: Readonly<Record<string, unknown>>,
	file: string,
): boolean {
	return (Array.isArray(suite) ? suite : []).some((one) => {
		const { suite_id: id } = Object(one);
		return typeof id === "string" && id !== "" && file.endsWith(`_${id}`);
	});
}

/** The file of an account that may have authorised a component; undefined: none can. */
function authorizedIn(
	{ component }: Readonly<Record<string, unknown>>,
	appid: string,
): string | undefined {
	if (!Array.isArray(component)) return undefined;
	for (const one of component) {
		const { authorizer, authorizers = "all" } = Object(one);
		const own = (Array.isArray(authorizer) ? authorizer : []).find(
			(entry) => entry?.appid === appid,
		);
		const isKept = authorizers === "all" || authorizers.includes?.(appid);
		if (!isKept) continue;
		const { file = defaultTokenFile(appid) } = Object(own);
		if (typeof file === "string" && /^[\w.-]+$/.test(file)) return file;
	}
	return undefined;
}

function parsed(text: string): Record<string, unknown> | undefined {
	try {
		return parse(text);
	} catch {
		return undefined;
	}
}

/**
 * The keys of whole lines at the top of a file that is not TOML: a mistake in another
 * line must not hide where the daemon is.
 */
function topLinesOf(text: string): Record<string, unknown> {
	const lines = text.split("\n");
	const end = lines.findIndex((line) => /^\s*\[/.test(line));
	const found: Record<string, unknown> = {};
	for (const line of end < 0 ? lines : lines.slice(0, end)) {
		const isWanted = /^\s*(directory|socket)\s*=/.test(line);
		if (isWanted) Object.assign(found, parsed(line));
	}
	return found;
}

/** A file that was read. */
export interface FoundText {
	readonly text: string;
	/** As `stat` has it: permission bits and kind of file. */
	readonly mode: number;
}

/** Far more than ten thousand accounts need. */
export const maxConfigBytes = 16 * 1_048_576;

/**
 * Reads a text file. Throws what Node.js throws, and errors with the codes `fifo` (a
 * named pipe: reading it would wait until another process writes to it), `device`,
 * `socket` and `large`, which has the `size` in bytes. A pipe that a shell hands over
 * (`--config <(…)`) has a writer, and is read: once, so `mayBeHandedOver` is false later.
 */
export function findText(
	path: string,
	maxBytes = maxConfigBytes,
	mayBeHandedOver = true,
): FoundText {
	const found = statSync(path);
	const isHandedOver =
		mayBeHandedOver && found.isFIFO() && /^\/(dev|proc)\//.test(path);
	if (!isHandedOver) refuseOddFile(found, maxBytes);
	// Another file may be there by now, and opening a pipe would wait for its writer.
	const flags = isHandedOver ? 0 : constants.O_NONBLOCK;
	const file = openSync(path, constants.O_RDONLY | flags);
	try {
		if (!isHandedOver) refuseOddFile(fstatSync(file), maxBytes);
		return { text: readBounded(file, maxBytes), mode: found.mode };
	} finally {
		closeSync(file);
	}
}

/** As `findText`, without the mode. */
export function readText(path: string): string {
	return findText(path).text;
}

/** Throws an error with one of the codes of `findText`. */
export function refuseOddFile(found: Stats, maxBytes: number): void {
	if (found.isFIFO()) throw refused("fifo");
	if (found.isSocket()) throw refused("socket");
	if (found.isCharacterDevice() || found.isBlockDevice())
		throw refused("device");
	if (found.size > maxBytes) throw tooLarge(found.size);
	// Reading a directory fails with an error that says what it is.
}

/** Of so many bytes, or of more. */
export function tooLarge(size: number): Error {
	return Object.assign(refused("large"), { size });
}

function refused(code: string): Error {
	return Object.assign(new Error(code), { code });
}

/** A file that says that it is empty may be endless. */
function readBounded(file: number, maxBytes: number): string {
	const parts: Buffer[] = [];
	let bytes = 0;
	for (;;) {
		const part = Buffer.alloc(65_536);
		const read = readSync(file, part);
		if (read === 0) return Buffer.concat(parts).toString("utf8");
		bytes += read;
		if (bytes > maxBytes) throw tooLarge(bytes);
		parts.push(part.subarray(0, read));
	}
}

/**
 * Where an account's token file lies, for readers who want to know nothing
 * else: they may be in a hurry, and may not be allowed to read the configuration.
 */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { parse } from "smol-toml";
import {
	ConfigError,
	type ConfigProblem,
	errnoOf,
	inWords,
} from "../core/errors.ts";
import { invisibleIn, messageOf } from "./invisible.ts";
import { readText } from "./read-text.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export const defaultConfigFile = "/etc/wxtokend/config.toml";

/** The directory of token files, unless the configuration names another. */
export function defaultDirectory(env: Environment): string {
	return env.RUNTIME_DIRECTORY?.split(":")[0] || "/run/wxtokend";
}

export function defaultTokenFile(appid: string): string {
	return `wx_access_token_${appid}`;
}

export interface TokenPlace {
	readonly path: string;
	/** If the path is a guess: why. */
	readonly guessed?: ConfigProblem;
}

/**
 * Undefined: only the whole configuration, validated, can tell, or say what is
 * wrong with it.
 */
export function findToken(
	appid: string,
	file: string | undefined,
	env: Environment,
): TokenPlace | undefined {
	if (!/^[A-Za-z0-9_-]{1,64}$/.test(appid)) return undefined;
	if (invisibleIn(file ?? env.WXTOKEND_CONFIG ?? "") !== undefined)
		return undefined;
	const text = readConfigText(file, env);
	if (typeof text === "string") return placeIn(text, appid, env);
	if (text === undefined) return undefined;
	return { ...guessedToken(appid, env), guessed: text.hidden };
}

/** Where it is by default. */
export function guessedToken(appid: string, env: Environment): TokenPlace {
	return { path: join(guessedDirectory(env), defaultTokenFile(appid)) };
}

/** Where the control socket probably is, if the configuration is not to be had, or wrong. */
export function likelySocket(
	file: string | undefined,
	env: Environment,
): string {
	const usual = join(guessedDirectory(env), "control.sock");
	const text = readConfigText(file, env);
	if (typeof text !== "string") return usual;
	const { directory = guessedDirectory(env), socket = "control.sock" } =
		parsed(text) ?? {};
	if (typeof directory !== "string" || typeof socket !== "string") return usual;
	const configured = resolve(directory, socket);
	// The daemon may run by an older one, from before somebody broke it.
	return socket === "" || !existsSync(configured) ? usual : configured;
}

/** Where the files are for a user who sees no configuration. Throws `ConfigError`. */
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
 * The text of the configuration file; or `hidden`, why this user sees none;
 * undefined if it is in the environment, or cannot be what was meant.
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

/** For a user who may not read or use a file of ours. */
export function readersHint(path: string): string {
	return `add this user to the group of the files (ls -ld ${dirname(path)} shows it: usermod -aG GROUP USER), then log in again, or restart the service that runs as it`;
}

/** Only what is plainly right; every doubt is left to the validation. */
function placeIn(
	text: string,
	appid: string,
	env: Environment,
): TokenPlace | undefined {
	const content = parsed(text);
	if (content === undefined) return undefined;
	const { directory = defaultDirectory(env), account } = content;
	if (typeof directory !== "string" || !isAbsolute(directory)) return undefined;
	if (!Array.isArray(account)) return undefined;
	const found = account.filter((entry) => entry?.appid === appid);
	const { file = defaultTokenFile(appid) } = found[0] ?? {};
	if (found.length !== 1 || typeof file !== "string" || /[/\0]/.test(file))
		return undefined;
	if (invisibleIn(directory) !== undefined || invisibleIn(file) !== undefined)
		return undefined;
	return { path: join(directory, file) };
}

function parsed(text: string): Record<string, unknown> | undefined {
	try {
		return parse(text);
	} catch {
		return undefined;
	}
}

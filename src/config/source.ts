/** Where a configuration comes from, before it is checked. */
import { TomlError } from "smol-toml";
import {
	ConfigError,
	type ConfigProblem,
	errnoOf,
	inWords,
} from "../core/errors.ts";
import { eachInSteps, type Steps } from "../core/steps.ts";
import { type Files, NotReadYet } from "./files.ts";
import type { Groups } from "./group.ts";
import type { Input } from "./inputs.ts";
import { invisibleIn, messageOf } from "./invisible.ts";
import { defaultConfigFile, type FoundText } from "./lookup.ts";
import { tomlInSteps } from "./toml-parts.ts";
import {
	causeIn,
	encodingProblem,
	lineFinder,
	remedyFor,
} from "./toml-words.ts";

/** Where the configuration is looked for, and how much of it is needed. */
export interface ConfigOptions {
	/** From `--config`. */
	readonly file: string | undefined;
	readonly env: Readonly<Record<string, string | undefined>>;
	/** Whether secrets are read, too. A command that only reads tokens may run as a user who must not read secrets. */
	readonly secrets: boolean;
	/** Take the environment unless a file is named, even if the default file exists. */
	readonly ignoreDefaultFile?: boolean;
	/** Default: each look-up is waited for, and one that gets no answer is a problem. */
	readonly groups?: Groups;
}

/** A configuration that was found, but not checked. */
export interface ConfigSource {
	/** A path, or "the environment". */
	readonly name: string;
	/** As a file has it; keys and types may be wrong. */
	readonly content: Readonly<Record<string, unknown>>;
	/** It comes from environment variables. */
	readonly isEnvironment: boolean;
	/** Every user of this machine can read it. */
	readonly isOpenToAll: boolean;
	/** The name that the operator knows for the key at a path: in the environment, a variable. */
	nameOf(path: string): string;
	/** The line of that key in the file, or of its table; undefined: there is none. */
	lineOf(path: string): number | undefined;
}

/** Every value with a character that cannot be seen; for those of secrets see secrets.ts. */
export function* findInvisible({
	content,
}: Pick<ConfigSource, "content">): Steps<readonly ConfigProblem[]> {
	const problems: ConfigProblem[] = [];
	const look = (value: unknown, path: () => string) => {
		if (typeof value === "string") {
			const odd = invisibleIn(value);
			if (odd !== undefined)
				problems.push({ path: path(), message: messageOf(odd) });
		} else if (Array.isArray(value))
			for (const [index, item] of value.entries())
				look(item, () => `${path()}[${index}]`);
		else if (typeof value === "object" && value !== null)
			for (const [key, item] of Object.entries(value))
				if (key !== "secret") look(item, () => `${path()}.${key}`);
	};
	for (const [key, value] of Object.entries(content))
		if (Array.isArray(value))
			yield* eachInSteps(value, (item, index) =>
				look(item, () => `${key}[${index}]`),
			);
		else look(value, () => key);
	return problems;
}

/**
 * By `--config`, $WXTOKEND_CONFIG, the default file, or the environment. Throws
 * `ConfigError` if there is none, or if it cannot be read or is not TOML.
 */
export function* findConfig(
	options: ConfigOptions,
	input: Input,
): Steps<ConfigSource> {
	const { env, ignoreDefaultFile = false } = options;
	const named = options.file ?? (env.WXTOKEND_CONFIG || undefined);
	if (named === undefined && ignoreDefaultFile) return fromEnvironment(env);
	const path = named ?? defaultConfigFile;
	const odd = invisibleIn(path);
	if (odd !== undefined)
		throw new ConfigError("", [
			{
				path: options.file === undefined ? "WXTOKEND_CONFIG" : "--config",
				message: messageOf(odd),
			},
		]);
	const found = input((files) => fileAt(path, named !== undefined, files));
	return found === undefined
		? fromEnvironment(env)
		: yield* fromFile(path, found);
}

function fileAt(
	path: string,
	required: boolean,
	files: Files,
): FoundText | undefined {
	try {
		return files.text(path);
	} catch (error) {
		if (error instanceof NotReadYet) throw error;
		const errno = errnoOf(error);
		if (errno === "ENOENT" && !required) return undefined;
		throw new ConfigError(path, [
			{
				path,
				message: `could not be read: ${inWords(errno)}; ${readHint(errno)}`,
			},
		]);
	}
}

/** What to do, in the operator's words. */
function readHint(errno: string | undefined): string {
	switch (errno) {
		case "ENOENT":
			return "create it, or give another one with --config or $WXTOKEND_CONFIG";
		case "EACCES":
			return "run this as root (sudo); if it is the daemon that says so, let its user read the file (chgrp, mode 0640)";
		case "EISDIR":
			return "name a file in it";
		case "device":
		case "fifo":
		case "large":
		case "socket":
			return "name a regular file, which holds the configuration in TOML";
		default:
			return "see errno(3)";
	}
}

function* fromFile(
	path: string,
	{ text, mode }: FoundText,
): Steps<ConfigSource> {
	return {
		name: path,
		content: yield* parseToml(path, text),
		isEnvironment: false,
		isOpenToAll: (mode & 0o004) !== 0,
		nameOf: (key) => key,
		// Only for a configuration with problems: most have none.
		lineOf: (path) => lineFinder(text)(path),
	};
}

/** What nobody sees in a line, wherever it stands; "" if there is nothing. */
function invisibleHint(line: string): string {
	const odd = invisibleIn(line.replace(/\t/g, " ").replace(/^ +|[ \r]+$/g, ""));
	return odd === undefined ? "" : `; this line holds ${odd}`;
}

function* parseToml(
	source: string,
	text: string,
): Steps<Readonly<Record<string, unknown>>> {
	try {
		const content = yield* tomlInSteps(text);
		// In a comment another encoding does no harm.
		const isBroken =
			text.includes("\ufffd") && JSON.stringify(content).includes("\ufffd");
		const problem = isBroken ? encodingProblem(text) : undefined;
		if (problem === undefined) return content;
		const line = text.slice(0, text.indexOf("\ufffd")).split("\n").length;
		throw new ConfigError(source, [{ path: `line ${line}`, message: problem }]);
	} catch (error) {
		if (!(error instanceof TomlError)) throw error;
		// Only the first line of the message: the rest quotes the file, which may hold a
		// secret.
		const [words = ""] = error.message.split("\n");
		const line = text.split("\n")[error.line - 1] ?? "";
		const what =
			causeIn(text, error.line) ??
			words.replace(/^Invalid TOML document: /, "") +
				(remedyFor(line) || invisibleHint(line));
		throw new ConfigError(source, [
			{
				path: `line ${error.line}, column ${error.column}`,
				message: `is not TOML: ${what}`,
			},
		]);
	}
}

/** Path of a key → the variable that stands for it. */
const variables: Readonly<Record<string, string>> = {
	directory: "WXTOKEND_DIRECTORY",
	schedule: "WXTOKEND_SCHEDULE",
	"wechat.interface": "WXTOKEND_INTERFACE",
	"wechat.base_urls": "WXTOKEND_BASE_URL",
	"account[0].appid": "WECHAT_APPID",
	"account[0].secret": "WECHAT_SECRET",
	"account[0].secret_file": "WECHAT_SECRET_FILE",
	"fleet.url": "WXTOKEND_FLEET_URL",
	"fleet.role": "WXTOKEND_FLEET_ROLE",
};

/** One account, from the variables that a container sets. */
function fromEnvironment(env: ConfigOptions["env"]): ConfigSource {
	const given = (key: string, name: string) =>
		env[name] ? { [key]: env[name] } : {};
	if (!env.WECHAT_APPID) {
		const half = env.WECHAT_SECRET || env.WECHAT_SECRET_FILE;
		throw new ConfigError("", [
			{
				path: half ? "WECHAT_APPID" : defaultConfigFile,
				message: half
					? "is missing; expected the appid to which the AppSecret belongs"
					: "there is no configuration: create this file, name another with --config or $WXTOKEND_CONFIG, or set WECHAT_APPID with WECHAT_SECRET or WECHAT_SECRET_FILE; to try without an account: wxtokend run --simulate",
			},
		]);
	}
	// Only plain blanks: what else stands at the ends is told.
	const urls = env.WXTOKEND_BASE_URL?.split(/ *, */);
	return {
		name: "the environment",
		content: {
			...given("directory", "WXTOKEND_DIRECTORY"),
			...given("schedule", "WXTOKEND_SCHEDULE"),
			wechat: {
				...given("interface", "WXTOKEND_INTERFACE"),
				...(env.WXTOKEND_BASE_URL ? { base_urls: urls } : {}),
			},
			...(env.WXTOKEND_FLEET_URL || env.WXTOKEND_FLEET_ROLE
				? {
						fleet: {
							...given("url", "WXTOKEND_FLEET_URL"),
							...given("role", "WXTOKEND_FLEET_ROLE"),
						},
					}
				: {}),
			account: [
				{
					...given("appid", "WECHAT_APPID"),
					...given("secret", "WECHAT_SECRET"),
					...given("secret_file", "WECHAT_SECRET_FILE"),
				},
			],
		},
		isEnvironment: true,
		isOpenToAll: false,
		nameOf: (path) =>
			variables[path] ?? variables[path.replace(/\[\d\]$/, "")] ?? path,
		lineOf: () => undefined,
	};
}

/**
 * Configuration: a TOML file, or one account from the environment. All mistakes
 * are found in one run, each with its path, what stands there (never a secret)
 * and what was expected.
 */
import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join, resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import * as v from "valibot";
import { ConfigError, type ConfigProblem, errnoOf } from "./errors.ts";
import { groupId } from "./group.ts";
import { type LogLevel, logLevels } from "./log-level.ts";
import { cronProblem } from "./schedule-expression.ts";
import {
	defaultConfigFile,
	defaultDirectory,
	defaultTokenFile,
} from "./token-path.ts";

export interface Account {
	readonly appid: string;
	/** Empty if secrets were not asked for. */
	readonly secret: string;
	/** The token file's name in the directory. */
	readonly file: string;
	readonly interface: "classic" | "stable";
	readonly baseUrls: readonly string[];
	readonly timeoutMs: number;
	readonly refreshBeforeMs: number;
	readonly cooldownMs: number;
	readonly budget: number;
}

export interface Config {
	/** Where it comes from: a path, or "the environment". */
	readonly source: string;
	readonly directory: string;
	readonly schedule: string;
	/** Permission bits of token files. */
	readonly mode: number;
	readonly gid: number | undefined;
	/** Absolute path; undefined: no control socket. */
	readonly socket: string | undefined;
	readonly logLevel: LogLevel;
	/** For node_exporter's textfile collector; absolute path. */
	readonly metricsFile: string | undefined;
	readonly accounts: readonly Account[];
	/** Sentences for the operator: works, but should not stay so. */
	readonly warnings: readonly string[];
}

export interface ConfigOptions {
	/** From `--config`. */
	readonly file: string | undefined;
	readonly env: Readonly<Record<string, string | undefined>>;
	/** False for commands that only read: they may run as a user who must not read secrets. */
	readonly secrets: boolean;
	/** Without a file by name, take the environment, even if the default file is there. */
	readonly ignoreDefaultFile?: boolean;
}

const defaultUrls = ["https://api.weixin.qq.com", "https://api2.weixin.qq.com"];

/** Throws `ConfigError` with every problem found. */
export function loadConfig(options: ConfigOptions): Config {
	const { env } = options;
	const file = options.file ?? (env.WXTOKEND_CONFIG || undefined);
	const text =
		file === undefined && options.ignoreDefaultFile
			? undefined
			: readConfigFile(file ?? defaultConfigFile, file !== undefined);
	const source =
		text === undefined ? "the environment" : (file ?? defaultConfigFile);
	const content =
		text === undefined ? fromEnvironment(env) : parseToml(source, text);
	const problems: ConfigProblem[] = [];
	const parsed = v.safeParse(fileSchema, content);
	if (!parsed.success) {
		problems.push(...parsed.issues.map((issue) => problemOf(issue, content)));
		// What is wrong with the secrets shall not wait for the next run.
		secretsOf(content, options, problems, []);
		throw new ConfigError(source, dedupe(problems));
	}
	const config = build(parsed.output, source, options, problems);
	if (problems.length > 0) throw new ConfigError(source, dedupe(problems));
	return config;
}

function readConfigFile(path: string, required: boolean): string | undefined {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		const errno = errnoOf(error);
		if (errno === "ENOENT" && !required) return undefined;
		throw new ConfigError(path, [
			{ path, message: `could not be read: ${errno}; ${readHint(errno)}` },
		]);
	}
}

function readHint(errno: string | undefined): string {
	switch (errno) {
		case "ENOENT":
			return "create it, or give another one with --config or $WXTOKEND_CONFIG";
		case "EACCES":
			return "let the daemon's user read it (chgrp, mode 0640)";
		case "EISDIR":
			return "it is a directory; give the file";
		default:
			return "see errno(3)";
	}
}

function parseToml(source: string, text: string): unknown {
	try {
		return parse(text);
	} catch (error) {
		if (!(error instanceof TomlError)) throw error;
		// Only the first line of the message: the rest quotes the file, and
		// perhaps a secret in it.
		const [what] = error.message.split("\n");
		throw new ConfigError(source, [
			{
				path: `line ${error.line}, column ${error.column}`,
				message: what?.replace(/^Invalid TOML document: /, "") ?? "not TOML",
			},
		]);
	}
}

/** The same shape as the file, from the variables that a container sets. */
function fromEnvironment(env: ConfigOptions["env"]): unknown {
	const given = (name: string, key: string) =>
		env[name] ? { [key]: env[name] } : {};
	if (!env.WECHAT_APPID) {
		throw new ConfigError("", [
			{
				path: defaultConfigFile,
				message:
					"there is no configuration: create this file, name another with --config or $WXTOKEND_CONFIG, or set WECHAT_APPID with WECHAT_SECRET or WECHAT_SECRET_FILE; to try without an account: wxtokend run --simulate",
			},
		]);
	}
	return {
		...given("WXTOKEND_DIRECTORY", "directory"),
		...given("WXTOKEND_SCHEDULE", "schedule"),
		wechat: {
			...given("WXTOKEND_INTERFACE", "interface"),
			...(env.WXTOKEND_BASE_URL
				? { base_urls: env.WXTOKEND_BASE_URL.split(",") }
				: {}),
		},
		account: [
			{
				appid: env.WECHAT_APPID,
				...given("WECHAT_SECRET", "secret"),
				...given("WECHAT_SECRET_FILE", "secret_file"),
			},
		],
	};
}

// --- The shape. Each rule's message says what was expected. ---

const text = (expected: string) => v.string(expected);

const seconds = (expected: string, least: number) =>
	v.pipe(
		v.number(expected),
		v.check((value) => value >= least && value <= 86_400, expected),
	);

const baseUrl = v.pipe(
	text("a URL such as https://api.weixin.qq.com"),
	v.check(isBaseUrl, "an https (or http) URL without user, query or fragment"),
);

const wechatKeys = {
	interface: v.optional(
		v.picklist(["classic", "stable"], '"classic" or "stable"'),
	),
	base_urls: v.optional(
		v.pipe(
			v.array(baseUrl, "an array of URLs"),
			v.minLength(1, "at least one URL"),
			v.maxLength(8, "at most 8 URLs"),
		),
	),
	timeout: v.optional(
		v.pipe(
			v.number("a number of seconds, 0.1 to 300"),
			v.check(
				(value) => value >= 0.1 && value <= 300,
				"a number of seconds, 0.1 to 300",
			),
		),
	),
	refresh_before: v.optional(seconds("a number of seconds, 1 to 86400", 1)),
	cooldown: v.optional(seconds("a number of seconds, 0 to 86400", 0)),
	budget: v.optional(
		v.pipe(
			v.number("a whole number, 1 to 10000"),
			v.check(
				(value) => Number.isInteger(value) && value >= 1 && value <= 10_000,
				"a whole number, 1 to 10000",
			),
		),
	),
};

const fileNameRule =
	'a bare file name: 1 to 200 of A–Z a–z 0–9 . _ -, not beginning with "." and not ending in ".lock"';

const accountSchema = v.strictObject(
	{
		appid: v.pipe(
			text("1 to 64 of A–Z a–z 0–9 _ -"),
			v.regex(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 of A–Z a–z 0–9 _ -"),
		),
		secret: v.optional(text("a string in quotes")),
		secret_file: v.optional(
			v.pipe(text("a path in quotes"), v.minLength(1, "a path")),
		),
		file: v.optional(
			v.pipe(
				text(fileNameRule),
				v.regex(/^(?!\.)(?!.*\.lock$)[A-Za-z0-9._-]{1,200}$/, fileNameRule),
			),
		),
		...wechatKeys,
	},
	"a table",
);

const octalRule = 'an octal string such as "0640", readable by its owner';

const fileSchema = v.strictObject(
	{
		directory: v.optional(
			v.pipe(
				text("an absolute path"),
				v.check(isAbsolute, "an absolute path, such as /run/wxtokend"),
			),
		),
		schedule: v.optional(
			v.pipe(
				text("a node-cron expression"),
				v.check(
					(expression) => cronProblem(expression) === undefined,
					({ input }) =>
						`a node-cron expression such as "*/5 * * * * *" (${cronProblem(String(input))})`,
				),
			),
		),
		mode: v.optional(
			v.pipe(
				text(octalRule),
				v.regex(/^0?[4-7][0-7]{2}$/, octalRule),
				v.check(
					(mode) => (Number.parseInt(mode, 8) & 0o133) === 0,
					"a mode without execute bits, writable by its owner at most",
				),
			),
		),
		group: v.optional(
			v.pipe(
				v.union([v.string(), v.number()], "a group's name or id"),
				v.check(
					(group) => groupId(group) !== undefined,
					"the name or id of a group on this machine",
				),
			),
		),
		socket: v.optional(text('a path, or "" for none')),
		log_level: v.optional(
			v.picklist(logLevels, `one of ${logLevels.join(", ")}`),
		),
		metrics_file: v.optional(
			v.pipe(
				text("an absolute path"),
				v.check(isAbsolute, "an absolute path ending in .prom"),
			),
		),
		wechat: v.optional(v.strictObject(wechatKeys, "a table [wechat]")),
		account: v.pipe(
			v.array(accountSchema, "an array of tables: [[account]]"),
			v.minLength(1, "at least one [[account]]"),
		),
	},
	"a table",
);

type FileContent = v.InferOutput<typeof fileSchema>;

function isBaseUrl(value: string): boolean {
	if (!URL.canParse(value)) return false;
	const { protocol, username, password, search, hash } = new URL(value);
	return (
		(protocol === "https:" || protocol === "http:") &&
		username + password + search + hash === ""
	);
}

// --- From the shape to the configuration. ---

function build(
	content: FileContent,
	source: string,
	options: ConfigOptions,
	problems: ConfigProblem[],
): Config {
	const { env } = options;
	const warnings: string[] = [];
	const directory = resolve(content.directory ?? defaultDirectory(env));
	const secrets = secretsOf(content, options, problems, warnings);
	const accounts = content.account.map((entry, index): Account => {
		const of = { ...content.wechat, ...entry };
		const wire = of.interface ?? "classic";
		return {
			appid: entry.appid,
			secret: secrets[index] ?? "",
			file: entry.file ?? defaultTokenFile(entry.appid),
			interface: wire,
			baseUrls: of.base_urls ?? defaultUrls,
			timeoutMs: (of.timeout ?? 10) * 1000,
			refreshBeforeMs: (of.refresh_before ?? 2400) * 1000,
			cooldownMs: (of.cooldown ?? 10) * 1000,
			budget: of.budget ?? 60,
		};
	});
	findTwins(accounts, problems);
	const socket = content.socket ?? "control.sock";
	const socketPath = socket === "" ? undefined : resolve(directory, socket);
	if (socketPath !== undefined && Buffer.byteLength(socketPath) > 107) {
		problems.push({
			path: "socket",
			message: `${show(socketPath)} is too long for a Unix socket; expected at most 107 bytes`,
		});
	}
	for (const { file } of accounts) {
		if (socketPath === join(directory, file))
			problems.push({
				path: "socket",
				message: `${show(socket)} is also the name of a token file; expected another name`,
			});
	}
	warnAboutPlainHttp(accounts, warnings);
	const mode = Number.parseInt(content.mode ?? "0640", 8);
	if ((mode & 0o004) !== 0)
		warnings.push(
			`mode = "${content.mode}": every user of this machine can read the tokens; "0640" with a group is enough`,
		);
	return {
		source,
		directory,
		schedule: content.schedule ?? "*/5 * * * * *",
		mode,
		gid: content.group === undefined ? undefined : groupId(content.group),
		socket: socketPath,
		logLevel: content.log_level ?? "info",
		metricsFile: content.metrics_file,
		accounts,
		warnings,
	};
}

function findTwins(
	accounts: readonly Account[],
	problems: ConfigProblem[],
): void {
	const appids = new Map<string, number>();
	const files = new Map<string, number>();
	for (const [index, { appid, file }] of accounts.entries()) {
		const twin = appids.get(appid);
		const sharer = files.get(file);
		if (twin !== undefined) {
			problems.push({
				path: `account[${index}].appid`,
				message: `${show(appid)} is account[${twin}] already; expected each appid once`,
			});
		} else if (sharer !== undefined) {
			problems.push({
				path: `account[${index}].file`,
				message: `${show(file)} is the file of account[${sharer}] already; expected a file for each account`,
			});
		}
		appids.set(appid, twin ?? index);
		files.set(file, sharer ?? index);
	}
}

function warnAboutPlainHttp(
	accounts: readonly Account[],
	warnings: string[],
): void {
	const urls = new Set(accounts.flatMap(({ baseUrls }) => baseUrls));
	for (const url of urls) {
		const { protocol, hostname } = new URL(url);
		const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
		if (protocol === "http:" && !loopback)
			warnings.push(
				`base URL ${url} is not encrypted: the AppSecret can be read on the way (only right inside 微信云托管)`,
			);
	}
}

/** The secrets of all accounts in `content`, as far as its shape allows. */
function secretsOf(
	content: unknown,
	{ env, secrets }: ConfigOptions,
	problems: ConfigProblem[],
	warnings: string[],
): readonly string[] {
	const { account } = content as { readonly account?: unknown };
	if (!secrets || !Array.isArray(account)) return [];
	return account.map((entry: unknown, index) => {
		const found = { ...(entry as Record<string, unknown>) };
		const path = `account[${index}]`;
		const secret = secretOf(found, path, env, problems, warnings);
		if (secret !== undefined && !/^[\x21-\x7e]{1,256}$/.test(secret)) {
			problems.push({
				path: `${path}.secret`,
				message:
					secret === ""
						? "is empty; expected the AppSecret"
						: "holds blanks or characters that no AppSecret has; expected its 32 characters",
			});
		}
		return secret ?? "";
	});
}

function secretOf(
	{ appid, secret, secret_file: file }: Readonly<Record<string, unknown>>,
	path: string,
	env: ConfigOptions["env"],
	problems: ConfigProblem[],
	warnings: string[],
): string | undefined {
	if (secret !== undefined && file !== undefined) {
		problems.push({
			path: `${path}.secret`,
			message: "stands beside secret_file; expected one of the two",
		});
		return undefined;
	}
	if (typeof secret === "string") return secret.trim();
	if (secret !== undefined) return undefined; // The shape says what is wrong.
	if (typeof file === "string" && file !== "") {
		if (!isAbsolute(file) && !env.WECHAT_SECRET_FILE) {
			problems.push({
				path: `${path}.secret_file`,
				message: `is ${show(file)}; expected an absolute path`,
			});
			return undefined;
		}
		return readSecret(file, `${path}.secret_file`, problems, warnings);
	}
	const credentials = env.CREDENTIALS_DIRECTORY;
	if (typeof appid === "string" && credentials && /^[\w-]+$/.test(appid)) {
		const credential = join(credentials, appid);
		if (statSync(credential, { throwIfNoEntry: false }) !== undefined)
			return readSecret(credential, `credential ${appid}`, problems, warnings);
	}
	problems.push({
		path: `${path}.secret_file`,
		message: `is missing; expected secret_file = "…", secret = "…", or a systemd credential named ${typeof appid === "string" ? appid : "after the appid"}`,
	});
	return undefined;
}

function readSecret(
	file: string,
	path: string,
	problems: ConfigProblem[],
	warnings: string[],
): string | undefined {
	try {
		const { mode } = statSync(file);
		if ((mode & 0o004) !== 0)
			warnings.push(
				`secret file ${file} is readable by all users of this machine: chmod 0600 ${file}`,
			);
		const secret = readFileSync(file, "utf8").trim();
		if (secret !== "") return secret;
		problems.push({
			path,
			message: `${file} is empty; expected the AppSecret`,
		});
	} catch (error) {
		problems.push({
			path,
			message: `${file} could not be read: ${errnoOf(error)}; expected a file with the AppSecret that the daemon's user can read`,
		});
	}
	return undefined;
}

// --- Problems in words. ---

function problemOf(
	issue: v.BaseIssue<unknown>,
	_content: unknown,
): ConfigProblem {
	const keys = issue.path?.map(({ key }) => key) ?? [];
	const path = keys.reduce<string>(
		(before, key) =>
			typeof key === "number"
				? `${before}[${key}]`
				: `${before}${before === "" ? "" : "."}${String(key)}`,
		"",
	);
	const key = String(keys.at(-1) ?? "");
	if (issue.type === "strict_object" && issue.expected === "never") {
		const known = knownKeysAt(keys);
		return {
			path,
			message: `is not a key that wxtokend knows; expected one of ${known.join(", ")}`,
		};
	}
	if (issue.input === undefined)
		return { path, message: `is missing; expected ${issue.message}` };
	const value = /secret/.test(key) ? "not usable" : show(issue.input);
	return {
		path: path || "the file",
		message: `is ${value}; expected ${issue.message}`,
	};
}

function knownKeysAt(keys: readonly unknown[]): readonly string[] {
	if (keys[0] === "account" && keys.length > 1)
		return Object.keys(accountSchema.entries);
	if (keys[0] === "wechat" && keys.length > 1) return Object.keys(wechatKeys);
	return Object.keys(fileSchema.entries);
}

/** A value as it stands in the file, short. */
function show(value: unknown): string {
	const text =
		typeof value === "object" && value !== null
			? Array.isArray(value)
				? "an array"
				: "a table"
			: (JSON.stringify(value) ?? String(value));
	return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

function dedupe(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
	const seen = new Set<string>();
	return problems.filter(({ path }) => !seen.has(path) && seen.add(path));
}

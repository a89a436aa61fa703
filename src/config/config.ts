/**
 * Configuration: a TOML file, or one account from the environment. All mistakes are
 * found in one run, each with its path, what stands there (never a secret) and what
 * was expected.
 */
import { resolve } from "node:path";
import { ConfigError, type ConfigProblem } from "../core/errors.ts";
import type { LogLevel } from "../core/log-level.ts";
import { findCrossProblems, namesIn, socketPath } from "./cross-checks.ts";
import { type GroupAnswer, groupLimitMs, waitingGroups } from "./group.ts";
import { findHttp, type HttpSettings } from "./http-settings.ts";
import { escapeInvisible, invisibleIn, messageOf } from "./invisible.ts";
import {
	defaultDirectory,
	defaultTokenFile,
	type TicketName,
} from "./lookup.ts";
import { findSecrets, looksLikeSecret } from "./secrets.ts";
import {
	type ConfigContent,
	checkShape,
	groupRule,
	type LogFormat,
	show,
} from "./shape.ts";
import {
	type ConfigOptions,
	type ConfigSource,
	findConfig,
	findInvisible,
	type Input,
	rememberInputs,
} from "./source.ts";
import { findWarnings } from "./warnings.ts";

/** An account, with the defaults filled in. */
export interface Account {
	readonly appid: string;
	/** The AppSecret; "" if secrets were not asked for. */
	readonly secret: string;
	/** The token file's name in the directory, unique among the accounts. */
	readonly file: string;
	readonly interface: "classic" | "stable";
	/** The tickets that are kept beside its token. */
	readonly tickets: readonly TicketName[];
	/** Copies of each of its files: "php" as the sample of WeChat's JS-SDK reads them. */
	readonly formats: readonly "php"[];
	/** In the order in which they are tried; at least one. */
	readonly baseUrls: readonly string[];
	/** For a whole request. */
	readonly timeoutMs: number;
	/** How long before its end a token becomes due. */
	readonly refreshBeforeMs: number;
	/** As in `Limits`; only `once` sets it. */
	readonly refreshEarly?: boolean;
	/** Between two forced refreshes. */
	readonly cooldownMs: number;
	/** The most calls to WeChat in one token lifetime. */
	readonly budget: number;
}

/** A configuration without mistakes. */
export interface Config {
	/** Where it comes from: a path, or "the environment". */
	readonly source: string;
	/** Of the token files; absolute path. */
	readonly directory: string;
	/** A cron expression: when due tokens are looked for. */
	readonly schedule: string;
	/** Permission bits of token files. */
	readonly mode: number;
	/** The group of token files by number; undefined: none is configured, see `groupFor`. */
	readonly gid: number | undefined;
	/** Absolute path; undefined: no control socket. */
	readonly socket: string | undefined;
	readonly logLevel: LogLevel;
	/** Undefined: text for systemd's journal or a terminal, else JSON. */
	readonly logFormat: LogFormat | undefined;
	/** For node_exporter's textfile collector; absolute path. */
	readonly metricsFile: string | undefined;
	/** Undefined: only the control socket is listened on. */
	readonly http: HttpSettings | undefined;
	/** In the order of the file; at least one. */
	readonly accounts: readonly Account[];
	/** Its tokens are the simulator's. */
	readonly isSimulated?: boolean;
	/** What works, but should not stay so: sentences for the operator. */
	readonly warnings: readonly string[];
}

/** The longest time that a request of any account may take, ms. */
export function longestTimeoutMs({
	accounts,
}: Pick<Config, "accounts">): number {
	return Math.max(...accounts.map(({ timeoutMs }) => timeoutMs));
}

/**
 * Loads the configuration at each call. While files, secrets and groups are the same,
 * it returns the same object, so a burst of SIGHUPs costs little. The function throws
 * `ConfigError`.
 */
export function createConfigLoader(options: ConfigOptions): () => Config {
	return rememberInputs((input) => loadFrom(options, input));
}

/** Loads the configuration once. Throws `ConfigError` with every problem. */
export function loadConfig(options: ConfigOptions): Config {
	return loadFrom(options, (take) => take());
}

function loadFrom(options: ConfigOptions, input: Input): Config {
	const { env } = options;
	const source = findConfig(options, input);
	const shape = checkShape(source.content);
	// These look at the raw content, so that their problems are reported together with
	// those of the shape.
	const { secrets, problems, warnings } = options.secrets
		? findSecrets(source, env, input)
		: { secrets: [], problems: [], warnings: [] };
	const http = findHttp(source, env, input, options.secrets);
	const { group } = source.content;
	const found = input(() => findGroup(group, options));
	const all = [
		...findInvisible(source),
		...invisibleDirectory(source, env),
		...shape.problems,
		...problems,
		...http.problems,
		...findCrossProblems(source, env, input),
		...groupProblems(group, found, options),
	];
	const { content } = shape;
	const gid = typeof found === "number" ? found : undefined;
	const config =
		content &&
		build(content, source.name, env, gid, http.settings, secrets, [
			...warnings,
			...http.warnings,
		]);
	if (config === undefined || all.length > 0)
		throw new ConfigError(
			source.name,
			inWordsOf(source, all),
			config?.warnings ?? warnings,
		);
	return config;
}

/** Undefined: none is configured, or it is a problem of the shape. */
function findGroup(
	group: unknown,
	{ groups = waitingGroups, secrets }: ConfigOptions,
): GroupAnswer | undefined {
	// A command that only reads tokens need not wait for a directory of users.
	if (!secrets) return undefined;
	return typeof group === "string" || typeof group === "number"
		? groups.find(group)
		: undefined;
}

function groupProblems(
	group: unknown,
	found: GroupAnswer | undefined,
	{ groups }: ConfigOptions,
): readonly ConfigProblem[] {
	const path = "group";
	if (found === "absent")
		return [{ path, message: `is ${show(group)}; expected ${groupRule}` }];
	// A daemon asks again.
	if (found !== "silent" || groups !== undefined) return [];
	const seconds = groupLimitMs / 1000;
	return [
		{
			path,
			message: `is ${show(group)}, which could not be looked up within ${seconds} s ("getent group" does not answer: LDAP or SSSD may be down); expected ${groupRule}`,
		},
	];
}

/**
 * The first problem of each key, with the name that the operator gave the key; a
 * second problem of the same key is mostly caused by the first.
 */
function inWordsOf(
	{ nameOf, lineOf, content, isEnvironment }: ConfigSource,
	problems: readonly ConfigProblem[],
): readonly ConfigProblem[] {
	const paths = problems.map(({ path }) => path);
	const accounts = namesIn(content);
	/** Among many tables an index says little; but an appid may be a misplaced secret. */
	const placeOf = (path: string) => {
		const [, index, key] = /^account\[(\d+)\]\.(.*)/.exec(path) ?? [];
		const { appid = "" } = accounts[Number(index ?? -1)] ?? {};
		const isClear = /^[\w-]{1,64}$/.test(appid) && !looksLikeSecret(appid);
		const owner =
			isClear && key !== "appid" && !isEnvironment ? [`account ${appid}`] : [];
		const line = lineOf(path);
		const all = line === undefined ? owner : [...owner, `line ${line}`];
		return all.length === 0 ? "" : ` (${all.join(", ")})`;
	};
	return problems
		.filter(({ path }, index) => paths.indexOf(path) === index)
		.map(({ path, message }) => ({
			path: escapeInvisible(nameOf(path)),
			message: message + placeOf(path),
		}));
}

/** The directory that systemd gives, if no other is configured. */
function invisibleDirectory(
	{ content }: ConfigSource,
	env: ConfigOptions["env"],
): readonly ConfigProblem[] {
	const odd =
		content.directory === undefined
			? invisibleIn(defaultDirectory(env))
			: undefined;
	return odd === undefined
		? []
		: [{ path: "RUNTIME_DIRECTORY", message: messageOf(odd) }];
}

/** From content of the right shape, with the defaults filled in. */
function build(
	content: ConfigContent,
	source: string,
	env: ConfigOptions["env"],
	gid: number | undefined,
	http: HttpSettings | undefined,
	secrets: readonly string[],
	warnings: readonly string[],
): Config {
	const directory = resolve(content.directory ?? defaultDirectory(env));
	const accounts = content.account.map((entry, index): Account => {
		const of = { ...content.wechat, ...entry };
		return {
			appid: entry.appid,
			secret: secrets[index] ?? "",
			file: entry.file ?? defaultTokenFile(entry.appid),
			tickets: entry.tickets ?? none,
			formats: entry.formats ?? none,
			interface: of.interface ?? "classic",
			baseUrls: of.base_urls ?? defaultUrls,
			timeoutMs: (of.timeout ?? 10) * 1000,
			refreshBeforeMs: (of.refresh_before ?? 2400) * 1000,
			cooldownMs: (of.cooldown ?? 10) * 1000,
			budget: of.budget ?? 60,
		};
	});
	const { schedule = "*/5 * * * * *" } = content;
	const mode = Number.parseInt(content.mode ?? "0640", 8);
	return {
		source,
		directory,
		schedule,
		mode,
		gid,
		socket: socketPath(directory, content.socket),
		logLevel: content.log_level ?? "info",
		logFormat: content.log_format,
		metricsFile: content.metrics_file,
		http,
		accounts,
		warnings: [
			...new Set(warnings),
			...findWarnings({ schedule, mode, accounts }, content),
		],
	};
}

/** The second one is only tried if the link to the first one fails. */
const defaultUrls = ["https://api.weixin.qq.com", "https://api2.weixin.qq.com"];

/** One array for all: most of ten thousand accounts have neither tickets nor formats. */
const none: readonly never[] = [];

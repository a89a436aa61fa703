/**
 * Configuration: a TOML file, or one account from the environment. All mistakes
 * are found in one run, each with its path, what stands there (never a secret)
 * and what was expected.
 */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { ConfigError, type ConfigProblem } from "../core/errors.ts";
import type { LogLevel } from "../core/log-level.ts";
import { longestGapMs } from "./cron.ts";
import { groupId } from "./group.ts";
import { type Input, rememberInputs } from "./inputs.ts";
import { escapeInvisible, invisibleIn, messageOf } from "./invisible.ts";
import { defaultDirectory, defaultTokenFile } from "./lookup.ts";
import { findSecrets, looksLikeSecret } from "./secrets.ts";
import { type ConfigContent, checkShape, show } from "./shape.ts";
import {
	type ConfigOptions,
	type ConfigSource,
	findConfig,
	findInvisible,
} from "./source.ts";

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
	/** undefined: none is configured; see `groupFor`. */
	readonly gid: number | undefined;
	/** Absolute path; undefined: no control socket. */
	readonly socket: string | undefined;
	readonly logLevel: LogLevel;
	/** For node_exporter's textfile collector; absolute path. */
	readonly metricsFile: string | undefined;
	readonly accounts: readonly Account[];
	/** Its tokens are the simulator's. */
	readonly isSimulated?: boolean;
	/** Sentences for the operator: works, but should not stay so. */
	readonly warnings: readonly string[];
}

/** The longest time that one request of an account may take. */
export function longestTimeoutMs({
	accounts,
}: Pick<Config, "accounts">): number {
	return Math.max(...accounts.map(({ timeoutMs }) => timeoutMs));
}

/**
 * Loads it each time it is called; as long as nothing has changed of what it was
 * made from, that is the very same object. Throws `ConfigError`.
 */
export function createConfigLoader(options: ConfigOptions): () => Config {
	return rememberInputs((input) => loadFrom(options, input));
}

/** Throws `ConfigError` with every problem found. */
export function loadConfig(options: ConfigOptions): Config {
	return loadFrom(options, (take) => take());
}

function loadFrom(options: ConfigOptions, input: Input): Config {
	const { env } = options;
	const source = findConfig(options, input);
	const shape = checkShape(source.content);
	// What else is wrong shall not wait until the shape is right.
	const { secrets, problems, warnings } = options.secrets
		? findSecrets(source, env, input)
		: { secrets: [], problems: [], warnings: [] };
	const all = [
		...findInvisible(source),
		...invisibleDirectory(source, env),
		...shape.problems,
		...problems,
		...findTwins(source),
		...findSocketProblems(source, env),
		...findMetricsProblems(source, env, input),
	];
	const { content } = shape;
	const group = content?.group;
	const gid = input(() => (group === undefined ? group : groupId(group)));
	const config =
		content && build(content, source.name, env, gid, secrets, warnings);
	if (config === undefined || all.length > 0)
		throw new ConfigError(
			source.name,
			inWordsOf(source, all),
			config?.warnings ?? warnings,
		);
	return config;
}

/** One problem per key is enough to mend it. */
function inWordsOf(
	{ nameOf, content, isEnvironment }: ConfigSource,
	problems: readonly ConfigProblem[],
): readonly ConfigProblem[] {
	const paths = problems.map(({ path }) => path);
	const accounts = namesIn(content);
	/** Nobody counts tables from 0, if there are many. */
	const ownerOf = (path: string) => {
		const [, index, key] = /^account\[(\d+)\]\.(.*)/.exec(path) ?? [];
		const { appid = "" } = accounts[Number(index ?? -1)] ?? {};
		const isClear = /^[\w-]{1,64}$/.test(appid) && !looksLikeSecret(appid);
		return isClear && key !== "appid" && !isEnvironment
			? ` (account ${appid})`
			: "";
	};
	return problems
		.filter(({ path }, index) => paths.indexOf(path) === index)
		.map(({ path, message }) => ({
			path: escapeInvisible(nameOf(path)),
			message: message + ownerOf(path),
		}));
}

// --- What no key can tell alone. The content may still be of any shape. ---

function findTwins({ content }: ConfigSource): readonly ConfigProblem[] {
	const problems: ConfigProblem[] = [];
	const appids = new Map<string, number>();
	const files = new Map<string, number>();
	for (const [index, { appid, file }] of namesIn(content).entries()) {
		const twin = appid === undefined ? undefined : appids.get(appid);
		const sharer = file === undefined ? undefined : files.get(file);
		if (twin !== undefined) {
			problems.push({
				path: `account[${index}].appid`,
				message: `is ${show(appid, "appid")}, as account[${twin}].appid already; expected each appid once`,
			});
		} else if (sharer !== undefined) {
			problems.push({
				path: `account[${index}].file`,
				message: `is ${show(file)}, the file of account[${sharer}] already; expected a file for each account`,
			});
		}
		if (appid !== undefined) appids.set(appid, twin ?? index);
		if (file !== undefined) files.set(file, sharer ?? index);
	}
	return problems;
}

function findSocketProblems(
	{ content }: ConfigSource,
	env: ConfigOptions["env"],
): readonly ConfigProblem[] {
	const { directory = defaultDirectory(env), socket } = content;
	if (typeof directory !== "string") return [];
	const path = socketPath(directory, socket);
	if (path === undefined) return [];
	if (Buffer.byteLength(path) > 107)
		return [
			{
				path: "socket",
				message: `is ${show(path)}, too long for a Unix socket; expected at most 107 bytes`,
			},
		];
	if (`${resolve(directory)}/`.startsWith(path === "/" ? path : `${path}/`))
		return [
			{
				path: "socket",
				message: `is ${show(socket)}, which is a directory; expected the path of a file`,
			},
		];
	const name = basename(path);
	const isOurs = dirname(path) === resolve(directory);
	if (isOurs && (name.startsWith(".") || name.endsWith(".lock")))
		return [
			{
				path: "socket",
				message: `is ${show(socket)}, as what lies beside token files is called; expected another name`,
			},
		];
	const files = namesIn(content).map(({ file = "" }) =>
		resolve(directory, file),
	);
	const index = files.indexOf(path);
	if (index < 0) return [];
	return socket === undefined
		? [
				{
					path: `account[${index}].file`,
					message: `is ${show(basename(path))}, the default name of the control socket (\`socket\`); expected another name`,
				},
			]
		: [
				{
					path: "socket",
					message: `is ${show(socket)}, the name of the token file of account[${index}]; expected another name`,
				},
			];
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

/** The metrics are published over whatever lies at their path. */
function findMetricsProblems(
	{ content, name, isEnvironment }: ConfigSource,
	env: ConfigOptions["env"],
	input: Input,
): readonly ConfigProblem[] {
	const { directory = defaultDirectory(env), metrics_file, socket } = content;
	if (typeof metrics_file !== "string" || typeof directory !== "string")
		return [];
	const path = realPlace(metrics_file, input);
	const over = (other: string, what: string) =>
		basename(other) === basename(path) && realPlace(other, input) === path
			? what
			: undefined;
	const listed = Array.isArray(content.account) ? content.account : [];
	const isAbove = `${realPlace(directory, input)}/`.startsWith(`${path}/`);
	const socketAt = socketPath(directory, socket);
	const ofAccount = ({ file }: AccountNames, index: number) => {
		const { secret_file: secret } = Object(listed[index]);
		return (
			(file &&
				over(join(directory, file), `the token file of account[${index}]`)) ||
			(typeof secret === "string" &&
				over(secret, `the secret file of account[${index}]`))
		);
	};
	// Locks, records and drafts do not end in .prom.
	const what =
		(isAbove && "the directory of the tokens, or one above it") ||
		(!isEnvironment && over(name, "this configuration file")) ||
		(socketAt && over(socketAt, "the control socket")) ||
		namesIn(content).map(ofAccount).find(Boolean) ||
		undefined;
	return what === undefined
		? []
		: [
				{
					path: "metrics_file",
					message: `is ${show(metrics_file)}, ${what}; expected a file of its own, as the metrics are published over what lies there`,
				},
			];
}

/** By the directory's real path: a link may lead to the same place. */
function realPlace(path: string, input: Input): string {
	const directory = dirname(resolve(path));
	const real = input(() => {
		try {
			return realpathSync(directory);
		} catch {
			return directory; // Not there yet, so no file of ours is there.
		}
	});
	return join(real, basename(path));
}

function socketPath(
	directory: string,
	socket: unknown = "control.sock",
): string | undefined {
	return typeof socket === "string" && socket !== ""
		? resolve(directory, socket)
		: undefined;
}

interface AccountNames {
	readonly appid: string | undefined;
	readonly file: string | undefined;
}

function namesIn({
	account,
}: ConfigSource["content"]): readonly AccountNames[] {
	const text = (value: unknown) =>
		typeof value === "string" ? value : undefined;
	return (Array.isArray(account) ? account : []).map((entry: unknown) => {
		const { appid, file } = (entry ?? {}) as Record<string, unknown>;
		const name = text(appid);
		return {
			appid: name,
			file:
				text(file) ?? (name === undefined ? undefined : defaultTokenFile(name)),
		};
	});
}

// --- From a right shape to the configuration. ---

function build(
	content: ConfigContent,
	source: string,
	env: ConfigOptions["env"],
	gid: number | undefined,
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
		metricsFile: content.metrics_file,
		accounts,
		warnings: [
			...new Set(warnings),
			...plainHttpWarnings(accounts),
			...scheduleWarnings(schedule, accounts),
			...cooldownWarnings(content),
			...((mode & 0o004) === 0
				? []
				: [
						`mode = "${content.mode}": every user of this machine can read the tokens; "0640" with a group is enough`,
					]),
		],
	};
}

const defaultUrls = ["https://api.weixin.qq.com", "https://api2.weixin.qq.com"];

function plainHttpWarnings(accounts: readonly Account[]): readonly string[] {
	const urls = new Set(accounts.flatMap(({ baseUrls }) => baseUrls));
	return [...urls]
		.filter((url) => {
			const { protocol, hostname } = new URL(url);
			const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
			return protocol === "http:" && !loopback.test(hostname);
		})
		.map(
			(url) =>
				`base URL ${url} is not encrypted: the AppSecret can be read on the way (only right inside 微信云托管)`,
		);
}

/** WeChat takes two forces 30 s apart; so `cooldown` is raised. */
function cooldownWarnings({
	wechat,
	account,
}: ConfigContent): readonly string[] {
	const raised = account
		.map((entry) => ({ ...wechat, ...entry }))
		.filter((of) => of.interface === "stable" && (of.cooldown ?? 31) < 31);
	const [first, ...others] = raised;
	if (first === undefined) return [];
	const more = others.length === 0 ? "" : ` and ${others.length} more`;
	return [
		`cooldown = ${first.cooldown} (account ${first.appid}${more}) is taken as 31, because interface = "stable" can be forced each 30 s only`,
	];
}

/** A token that becomes due just after a slot must live until the next one. */
function scheduleWarnings(
	schedule: string,
	accounts: readonly Account[],
): readonly string[] {
	const gapMs = longestGapMs(schedule);
	const marginMs = Math.min(
		...accounts.map(({ refreshBeforeMs, interface: wire }) =>
			wire === "stable" ? Math.min(refreshBeforeMs, 270_000) : refreshBeforeMs,
		),
	);
	return gapMs === undefined || gapMs <= marginMs
		? []
		: [
				`schedule = ${show(schedule)} lets up to ${Math.round(gapMs / 60_000)} minutes pass between two looks, and a token has ${Math.round(marginMs / 60_000)} minutes left when it becomes due: it can end before it is renewed; "*/5 * * * * *" looks every 5 s, which costs next to nothing`,
			];
}

/**
 * Configuration: a TOML file, or one account from the environment. All mistakes are
 * found in one run, each with its path, what stands there (never a secret) and what
 * was expected.
 */
import { dirname, resolve } from "node:path";
import { ConfigError, type ConfigProblem } from "../core/errors.ts";
import type { LogLevel } from "../core/log-level.ts";
import { atOnce, type Steps } from "../core/steps.ts";
import { type FoundAlert, findAlert } from "./alert.ts";
import { type AlertSettings, settingsFor } from "./alert-settings.ts";
import { findCrossProblems, socketPath } from "./cross-checks.ts";
import {
	type ConfiguredEntry,
	type EntryPushes,
	type EntrySecrets,
	entriesIn,
} from "./entry.ts";
import { type EntryTableName, entryTables, namesIn } from "./entry-names.ts";
import { disk, type Files, NotReadYet } from "./files.ts";
import { type FleetConfig, findFleet } from "./fleet.ts";
import { type GroupAnswer, groupLimitMs, waitingGroups } from "./group.ts";
import { findHttp, type HttpSettings } from "./http-settings.ts";
import {
	type Input,
	inputFrom,
	refuseIfLacking,
	rememberInputs,
} from "./inputs.ts";
import { escapeInvisible, invisibleIn, messageOf } from "./invisible.ts";
import { defaultDirectory } from "./lookup.ts";
import { isPlatform } from "./platform.ts";
import { findPushSecrets } from "./push-secrets.ts";
import {
	findPlatformProblems,
	type ReceiverSettings,
	receiverIn,
	stateDirectoryIn,
} from "./receiver.ts";
import { withoutSecrets } from "./secret-words.ts";
import { findSecrets } from "./secrets.ts";
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
} from "./source.ts";
import { findWarnings } from "./warnings.ts";

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
	/** Whom to tell of troubles; undefined: nobody. Only if secrets were asked for. */
	readonly alert: AlertSettings | undefined;
	/** The hosts that keep the same entries together; undefined: this one is alone. */
	readonly fleet?: FleetConfig;
	/** Table by table, each in the order of the file; at least one. */
	readonly entries: readonly ConfiguredEntry[];
	/** Of what must outlive a reboot; absolute path. Undefined: nothing must. */
	readonly stateDirectory: string | undefined;
	/** Undefined: pushes are handed over by the admin socket. */
	readonly receiver: ReceiverSettings | undefined;
	/** Its tokens are the simulator's. */
	readonly isSimulated?: boolean;
	/** What works, but should not stay so: sentences for the operator. */
	readonly warnings: readonly string[];
}

/** The longest time that a request of any entry may take, ms. */
export function longestTimeoutMs({ entries }: Pick<Config, "entries">): number {
	// Not `Math.max(...)`: a hundred thousand arguments are more than the stack holds.
	return entries.reduce((most, { timeoutMs }) => Math.max(most, timeoutMs), 0);
}

/**
 * Loads the configuration at each call, in steps. While files, secrets and groups are the
 * same, it returns the same object, so a burst of SIGHUPs costs little. The steps throw
 * `ConfigError`, and `NotReadYet` if `files` lacks something; without `files` the disk is
 * read. One call must have ended before the next one.
 */
export function createConfigLoader(
	options: ConfigOptions,
): (files?: Files) => Steps<Config> {
	return rememberInputs((input) => loadFrom(options, input));
}

/**
 * Loads the configuration once. Throws `ConfigError` with every problem, and `NotReadYet`
 * if `files` lacks something.
 */
export function loadConfig(options: ConfigOptions, files = disk): Config {
	return atOnce(loadFrom(options, inputFrom(files)));
}

function* loadFrom(options: ConfigOptions, input: Input): Steps<Config> {
	const { env } = options;
	const source = yield* findConfig(options, input);
	const shape = yield* checkShape(source.content);
	// These look at the raw content, so that their problems are reported together with
	// those of the shape.
	const { secrets, problems, warnings } = options.secrets
		? yield* findSecrets(source, env, input)
		: { secrets: noSecrets, problems: [], warnings: [] };
	const pushes = options.secrets
		? findPushSecrets(source, env, input)
		: { settings: noPushes, problems: [], warnings: [] };
	const http = findHttp(source, env, input, options.secrets);
	const fleet = findFleet(shape.content, source, options, input);
	const alert = options.secrets ? findAlert(source, env, input) : noAlert;
	const { group } = source.content;
	const found = takeGroup(group, options, input);
	const crossProblems = yield* findCrossProblems(source, env, input);
	touchOutputs(source, env, input);
	// To tell of ten thousand files that they were not read yet would take seconds.
	refuseIfLacking(input);
	const all = [
		...(yield* findInvisible(source)),
		...invisibleDirectory(source, env),
		...shape.problems,
		...problems,
		...pushes.problems,
		...http.problems,
		...alert.problems,
		...fleet.problems,
		...findPlatformProblems(source, env),
		...crossProblems,
		...groupProblems(group, found, options),
	];
	const { content } = shape;
	const gid = typeof found === "number" ? found : undefined;
	const config =
		content &&
		(yield* build(content, source.name, env, gid, {
			...{ secrets, alert, http: http.settings, fleet: fleet.settings },
			pushes: pushes.settings,
			warnings: [
				...warnings,
				...pushes.warnings,
				...http.warnings,
				...alert.warnings,
				...fleet.warnings,
			],
		}));
	if (config === undefined || all.length > 0)
		throw new ConfigError(
			source.name,
			inWordsOf(source, all),
			// Of three hundred accounts each one says the same.
			config?.warnings ?? [...new Set(warnings)],
		);
	return config;
}

/** Undefined: none is configured, it is a problem of the shape, or not known yet. */
function takeGroup(
	group: unknown,
	{ groups = waitingGroups, secrets }: ConfigOptions,
	input: Input,
): GroupAnswer | undefined {
	// A command that only reads tokens need not wait for a directory of users.
	if (!secrets) return undefined;
	if (typeof group !== "string" && typeof group !== "number") return undefined;
	try {
		return input((files) => groups.find(group, files));
	} catch (error) {
		if (error instanceof NotReadYet) return undefined;
		throw error;
	}
}

/** Where a daemon writes from now on: a disk that does not answer is better met before. */
function touchOutputs(
	{ content }: Pick<ConfigSource, "content">,
	env: ConfigOptions["env"],
	input: Input,
): void {
	const {
		directory = defaultDirectory(env),
		socket,
		state_directory,
	} = content;
	if (typeof directory !== "string") return;
	const socketAt = socketPath(directory, socket);
	const places = [
		directory,
		socketAt && dirname(socketAt),
		typeof state_directory === "string" ? state_directory : undefined,
	];
	for (const place of places)
		if (place) input((files) => files.touch(resolve(place)));
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
	const entries = new Map(namesIn(content).map((one) => [one.path, one]));
	/** Among many tables an index says little; but an id may be a misplaced secret. */
	const placeOf = (path: string) => {
		const [, entry = "", key = ""] = /^(\w+\[\d+\])\.(.*)/.exec(path) ?? [];
		const { table = "account", ids = [] } = entries.get(entry) ?? {};
		const isClear =
			ids.length > 0 &&
			ids.every((id) => /^[\w-]{1,64}$/.test(id) && withoutSecrets(id) === id);
		const owner =
			isClear && !isIdKey(table, key) && !isEnvironment
				? [`${table} ${ids.join(" ")}`]
				: [];
		const line = lineOf(path);
		const all = line === undefined ? owner : [...owner, `line ${line}`];
		return all.length === 0 ? "" : ` (${all.join(", ")})`;
	};
	return problems
		.filter(({ path }, index) => paths.indexOf(path) === index)
		.map(({ path, message }) => ({
			path: withoutSecrets(escapeInvisible(nameOf(path))),
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

/** What was found beside the content. */
interface Found {
	/** As `FoundSecrets.secrets`. */
	readonly secrets: EntrySecrets;
	readonly alert: FoundAlert;
	/** As `FoundPushSecrets.settings`. */
	readonly pushes: EntryPushes;
	readonly http: HttpSettings | undefined;
	readonly fleet: FleetConfig | undefined;
	readonly warnings: readonly string[];
}

const noAlert: FoundAlert = {
	url: undefined,
	secret: undefined,
	problems: [],
	warnings: [],
};

/** From content of the right shape, with the defaults filled in. */
function* build(
	content: ConfigContent,
	source: string,
	env: ConfigOptions["env"],
	gid: number | undefined,
	{ secrets, alert, http, fleet, pushes, warnings }: Found,
): Steps<Config> {
	const directory = resolve(content.directory ?? defaultDirectory(env));
	const entries = yield* entriesIn(content, secrets, pushes);
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
		alert:
			alert.url === undefined
				? undefined
				: settingsFor(content.alert ?? {}, alert.url, alert.secret),
		...(fleet && { fleet }),
		stateDirectory: entries.some(isPlatform)
			? stateDirectoryIn(content.state_directory, env)
			: undefined,
		receiver: receiverIn(content.receiver),
		entries,
		warnings: [
			...new Set(warnings),
			...findWarnings({ schedule, mode, entries }, content),
		],
	};
}

const noSecrets: EntrySecrets = {
	account: [],
	wecom: [],
	provider: [],
	component: [],
	suite: [],
};

const noPushes: EntryPushes = { component: [], suite: [] };

function isIdKey(table: EntryTableName, key: string): boolean {
	const { idKeys }: { readonly idKeys: readonly string[] } = entryTables[table];
	return idKeys.includes(key);
}

/** `wxtokend run`: the daemon, with WeChat or with the embedded simulator. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import {
	type Config,
	createConfigLoader,
	loadConfig,
} from "../../config/config.ts";
import { isAccount } from "../../config/entry.ts";
import type { Files } from "../../config/files.ts";
import {
	createDaemonGroups,
	type GroupAnswer,
	type Groups,
	groupLimitMs,
} from "../../config/group.ts";
import { systemClock } from "../../core/clock.ts";
import { ConfigError } from "../../core/errors.ts";
import type { Log } from "../../core/ports.ts";
import type { Steps } from "../../core/steps.ts";
import { createConfigReader } from "../../daemon/config-reader.ts";
import { credentialsOf } from "../../daemon/credential-of.ts";
import { runDaemon } from "../../daemon/daemon.ts";
import { keepNewSpace } from "../../daemon/heap.ts";
import { openLog } from "../../daemon/log.ts";
import type { SignalInbox } from "../../daemon/signals.ts";
import type { SimulatorOptions } from "../../simulator/server.ts";
import { phpCopyOf } from "../../store/copies.ts";
import { prepareDirectory } from "../../store/prepare-directory.ts";
import { beginSimulation } from "../../store/simulated-directory.ts";
import type { CommandLine } from "../command-line.ts";
import { daemonAnswers } from "../control-client.ts";
import { explain, tellPerson } from "../explain.ts";
import { withoutPlatforms } from "./once.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Runs until SIGTERM or SIGINT; returns the exit code. Throws `ConfigError` and
 * `StoreError` at the start.
 */
export async function run(
	line: CommandLine,
	signals: SignalInbox,
): Promise<number> {
	leaveOutOfCores();
	keepNewSpace();
	// A refresh happens once in 80 minutes, too seldom for V8 to compile its code. With
	// this flag the first call compiles it: a refresh takes a tenth less time, for 0.6 MB.
	setFlagsFromString("--always-sparkplug");
	const { env } = process;
	const file = line.value("config");
	if (line.has("simulate")) return runSimulated(file, env, signals);
	return runWith(
		(groups) => createConfigLoader({ file, env, secrets: true, groups }),
		env,
		signals,
	);
}

/**
 * If this process crashes, its core holds no memory, and so no AppSecret. Only the
 * process itself can say so without a tool; where there is no such file, nothing happens.
 */
function leaveOutOfCores(): void {
	try {
		writeFileSync("/proc/self/coredump_filter", "0");
	} catch {}
}

/** `loaderWith` makes what loads the configuration, now and at each reload. */
async function runWith(
	loaderWith: (groups: Groups) => (files?: Files) => Steps<Config>,
	env: Environment,
	signals: SignalInbox,
): Promise<number> {
	let onGroup = () => {};
	const log = openLog("info", env);
	const groups = createDaemonGroups(
		() => onGroup(),
		(name, known) => tellSilent(log, name, known),
	);
	const reader = createConfigReader(loaderWith(groups), groups, systemClock);
	// Other events come between: loading the program takes long, and so does reading a
	// large configuration.
	await nextTurn();
	const config = await reader.read();
	log.setLevel(config.logLevel);
	log.setFormat(config.logFormat);
	signals.onIgnored((signal) =>
		log.warn(
			{
				event: "signal.ignored",
				signal,
				hint: "nothing needs this signal: the log is no file that is opened again; `kill -HUP` refreshes all tokens",
			},
			`${signal} does nothing here; it is told once`,
		),
	);
	return runDaemon({
		config,
		reload: reader.read,
		endReloads: reader.end,
		onGroup: (listener) => {
			onGroup = listener;
		},
		retryGroup: groups.retry,
		signals,
		log,
		clock: systemClock,
		env,
		onBug: (error) => process.exit(explain(error)),
	});
}

function tellSilent(log: Log, name: string, known: GroupAnswer): void {
	const stays =
		typeof known === "number"
			? `its number of before, ${known}, stays`
			: "until there is one, new files get the group of their directory";
	log.warn(
		{
			event: "group.silent",
			group: name,
			hint: 'look at "getent group": LDAP or SSSD may be down; it is asked again at each tick',
		},
		`the group ${name} could not be looked up within ${groupLimitMs / 1000} s; ${stays}`,
	);
}

/**
 * The embedded simulator knows the accounts of the configuration, or one that is made
 * up. Configured base URLs are replaced, so WeChat is never called.
 */
async function runSimulated(
	file: string | undefined,
	env: Environment,
	signals: SignalInbox,
): Promise<number> {
	const given = file ?? (env.WXTOKEND_CONFIG || undefined);
	// Without a directory of the user, the tokens lie in one that is removed at the end.
	const directory = env.WXTOKEND_DIRECTORY || env.RUNTIME_DIRECTORY;
	if (given || directory) return runSimulator(given, directory, env, signals);
	const temporary = mkdtempSync(join(tmpdir(), "wxtokend-"));
	try {
		return await runSimulator(given, temporary, env, signals);
	} finally {
		// It was made for this run, so no app uses it afterwards.
		rmSync(temporary, { recursive: true, force: true });
		tellPerson(`removed ${temporary}`);
	}
}

async function runSimulator(
	given: string | undefined,
	directory: string | undefined,
	env: Environment,
	signals: SignalInbox,
): Promise<number> {
	const { startSimulator } = await import("../../simulator/server.ts");
	const { wecomHost } = await import("../../simulator/hosts.ts");
	const settings = given ? env : simulatedEnvironment(env, directory);
	const isMadeUp = !given && !env.WECHAT_APPID;
	const first = loadSimulated(given, settings);
	prepareDirectory(first, tellPerson);
	// Marks the directory, so that simulated tokens are never taken for WeChat's, even
	// if this process is killed.
	await beginSimulation(
		{ ...first, published: publishedBy(first) },
		daemonAnswers,
		systemClock.now(),
	);
	const simulator = await startSimulator(simulatedFrom(first, wecomHost));
	const wecomUrl = simulator.hosts[wecomHost]?.url ?? simulator.url;
	tellPerson(
		`simulating WeChat at ${simulator.url}; tokens in ${first.directory}`,
	);
	// The simulator keeps its address and accounts over reloads.
	const loaderWith = (groups: Groups) =>
		function* (files?: Files): Steps<Config> {
			const config = loadSimulated(given, settings, { groups, files });
			refuseOtherFiles(config, first);
			// Their state must not be mixed up with what the simulator would tell.
			const entries = withoutPlatforms(config).entries.map((entry) => ({
				...entry,
				baseUrls: [isAccount(entry) ? simulator.url : wecomUrl],
			}));
			return {
				...config,
				stateDirectory: undefined,
				receiver: undefined,
				source: isMadeUp ? "none (an account is made up)" : config.source,
				entries,
				warnings: [],
			};
		};
	try {
		return await runWith(loaderWith, env, signals);
	} finally {
		await simulator.close();
	}
}

/** The accounts and apps of the configuration, at hosts that answer over plain HTTP. */
function simulatedFrom(
	{ entries }: Config,
	wecomHost: string,
): SimulatorOptions {
	const apps = entries.filter(
		(entry) => entry.interface === "wecom" || entry.interface === "provider",
	);
	return {
		accounts: entries.filter(isAccount),
		wecom: apps.map(({ corpid, secret, interface: wire }) => ({
			...{ corpid, secret, isProvider: wire === "provider" },
		})),
		...(apps.length === 0 ? {} : { hosts: { [wecomHost]: 0 } }),
		knobs: { wecomPlainHttp: "served" },
	};
}

/** The environment with an account for the simulator, and without other configurations. */
function simulatedEnvironment(
	env: Environment,
	directory: string | undefined,
): Environment {
	return {
		...env,
		WXTOKEND_CONFIG: undefined,
		WECHAT_APPID: env.WECHAT_APPID || "wx0123456789abcdef",
		WECHAT_SECRET: env.WECHAT_SECRET || randomBytes(16).toString("hex"),
		WECHAT_SECRET_FILE: undefined,
		WXTOKEND_DIRECTORY: directory,
	};
}

/**
 * Throws `ConfigError` if a reload would write other files than the simulation began
 * with: at its end only those are removed, and a simulated token must not stay behind.
 */
function refuseOtherFiles(config: Config, first: Config): void {
	const known = publishedBy(first).map(({ file }) => file);
	const isSame =
		config.directory === first.directory &&
		publishedBy(config).every(({ file }) => known.includes(file));
	if (isSame) return;
	throw new ConfigError(config.source, [
		{
			path: "directory, account",
			message:
				"differ from those that the simulation began with, which cannot change while it runs; stop it, and start it again",
		},
	]);
}

/** Everything that is published: simulated tickets and copies must not stay either. */
function publishedBy({ entries }: Config) {
	return entries.flatMap(credentialsOf).flatMap(({ appid, file, formats }) =>
		(formats.length === 0 ? [file] : [file, phpCopyOf(file)]).map((one) => ({
			appid,
			file: one,
		})),
	);
}

/** Throws `ConfigError`, and `NotReadYet` if `files` lacks something. */
function loadSimulated(
	file: string | undefined,
	env: Environment,
	{ groups, files }: { groups?: Groups; files?: Files | undefined } = {},
): Config {
	const options = { file, env, secrets: true, ignoreDefaultFile: true };
	const config = loadConfig({ ...(groups && { groups }), ...options }, files);
	// The account of the environment shows a ticket beside its token.
	const entries =
		file === undefined
			? config.entries.map((entry) =>
					isAccount(entry) ? { ...entry, tickets: ["jsapi" as const] } : entry,
				)
			: config.entries;
	return { ...config, entries, isSimulated: true };
}

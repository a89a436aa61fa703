import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import {
	type Config,
	createConfigLoader,
	loadConfig,
} from "../../config/config.ts";
import { systemClock } from "../../core/clock.ts";
import { ConfigError } from "../../core/errors.ts";
import { runDaemon } from "../../daemon/daemon.ts";
import { freezeNewSpace } from "../../daemon/heap.ts";
import { openLog } from "../../daemon/log.ts";
import type { SignalInbox } from "../../daemon/signals.ts";
import { prepareDirectory } from "../../store/prepare-directory.ts";
import { beginSimulation } from "../../store/simulated-directory.ts";
import type { CommandLine } from "../command-line.ts";
import { explain } from "../explain.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export async function run(
	line: CommandLine,
	signals: SignalInbox,
): Promise<number> {
	freezeNewSpace();
	// What runs once in 80 minutes never gets warm: it is compiled when it is first
	// called. That takes a tenth off each refresh, for 0.6 MB.
	setFlagsFromString("--always-sparkplug");
	const { env } = process;
	const file = line.value("config");
	if (line.has("simulate")) return runSimulated(file, env, signals);
	const read = createConfigLoader({ file, env, secrets: true });
	return runWith(read, env, signals);
}

function runWith(
	read: () => Config,
	env: Environment,
	signals: SignalInbox,
): Promise<number> {
	const config = read();
	return runDaemon({
		config,
		reload: read,
		signals,
		log: openLog(config.logLevel, env),
		clock: systemClock,
		env,
		onBug: (error) => process.exit(explain(error)),
	});
}

/**
 * The embedded simulator knows the accounts of the configuration, or one of its
 * own; whatever base URLs are configured, WeChat is not called.
 */
async function runSimulated(
	file: string | undefined,
	env: Environment,
	signals: SignalInbox,
): Promise<number> {
	const given = file ?? (env.WXTOKEND_CONFIG || undefined);
	const directory = env.WXTOKEND_DIRECTORY || env.RUNTIME_DIRECTORY;
	if (given || directory) return keepSimulated(given, directory, env, signals);
	const passing = mkdtempSync(join(tmpdir(), "wxtokend-"));
	try {
		return await keepSimulated(given, passing, env, signals);
	} finally {
		// Nobody knew of it but for this run.
		rmSync(passing, { recursive: true, force: true });
		process.stderr.write(`wxtokend: removed ${passing}\n`);
	}
}

async function keepSimulated(
	given: string | undefined,
	directory: string | undefined,
	env: Environment,
	signals: SignalInbox,
): Promise<number> {
	const { startSimulator } = await import("../../simulator/server.ts");
	const settings = given
		? env
		: {
				...env,
				WXTOKEND_CONFIG: undefined,
				WECHAT_APPID: env.WECHAT_APPID || "wx0123456789abcdef",
				WECHAT_SECRET: env.WECHAT_SECRET || randomBytes(16).toString("hex"),
				WECHAT_SECRET_FILE: undefined,
				WXTOKEND_DIRECTORY: directory,
			};
	const source =
		given || env.WECHAT_APPID ? undefined : "none (an account is made up)";
	const first = loadSimulated(given, settings);
	await prepareDirectory(first);
	await beginSimulation(first);
	const simulator = await startSimulator({ accounts: first.accounts });
	process.stderr.write(
		`wxtokend: simulating WeChat at ${simulator.url}; tokens in ${first.directory}\n`,
	);
	const read = () => {
		const config = loadSimulated(given, settings);
		const known = first.accounts.map(({ file }) => file);
		if (
			config.directory !== first.directory ||
			config.accounts.some(({ file }) => !known.includes(file))
		)
			throw new ConfigError(config.source, [
				{
					path: "directory, account",
					message:
						"are others, but a simulation keeps those that it began with; end it, and start it anew",
				},
			]);
		const accounts = config.accounts.map((account) => ({
			...account,
			baseUrls: [simulator.url],
		}));
		return {
			...config,
			source: source ?? config.source,
			accounts,
			warnings: [],
		};
	};
	try {
		return await runWith(read, env, signals);
	} finally {
		await simulator.close();
	}
}

function loadSimulated(file: string | undefined, env: Environment): Config {
	const config = loadConfig({
		file,
		env,
		secrets: true,
		ignoreDefaultFile: true,
	});
	return { ...config, isSimulated: true };
}

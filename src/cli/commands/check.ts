/** `wxtokend check`: is the configuration right, and can its directory be written? */
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { type Config, loadConfig } from "../../config/config.ts";
import { type Entry, isAccount } from "../../config/entry.ts";
import {
	type EntryTableName,
	entryTableNames,
} from "../../config/entry-names.ts";
import type { FleetConfig } from "../../config/fleet.ts";
import type { HttpSettings } from "../../config/http-settings.ts";
import { systemClock } from "../../core/clock.ts";
import { nounOf } from "../../core/credential.ts";
import { ConfigError, exitCode } from "../../core/errors.ts";
import { sendTestMessage } from "../../daemon/alerts.ts";
import { probeSocketPath } from "../../daemon/control-socket.ts";
import { listenProblem, tryListening } from "../../daemon/http-face.ts";
import { tryMetricsFile } from "../../daemon/metrics-file.ts";
import { adminSocket } from "../../daemon/platform-doors.ts";
import { prepareToKeep } from "../../daemon/preparation.ts";
import { createHttp } from "../../issuer/http.ts";
import { proxyWarnings } from "../../issuer/proxy.ts";
import type { ManagedCredential } from "../../keeper/managed-credential.ts";
import { type FileAttributes, publishFile } from "../../store/atomic-write.ts";
import { nameThisProcess } from "../../store/process-name.ts";
import type { CommandLine } from "../command-line.ts";
import { daemonAnswers } from "../control-client.ts";
import { tellPerson, worstCode } from "../explain.ts";
import { sandboxWarning, unitProperties } from "../unit-sandbox.ts";
import {
	codeWithoutRefresh,
	howOften,
	nameOf,
	withKeepers,
	withoutPlatforms,
} from "./once.ts";

/**
 * Reports on stdout; returns the exit code. Throws `ConfigError` and `StoreError`. Its
 * writes leave nothing behind but a new directory, so it can run beside a daemon.
 */
export async function check(line: CommandLine): Promise<number> {
	const { env } = process;
	const config = loadConfig({ file: line.value("config"), env, secrets: true });
	for (const warning of [...config.warnings, ...proxyWarnings(env)])
		tellPerson(`warning: ${warning}`);
	const { source, directory, socket, metricsFile } = config;
	const isNew = !existsSync(directory);
	const isRunning = socket !== undefined && (await daemonAnswers(socket));
	const location = prepareToKeep(config, {
		...{ env, self: nameThisProcess(), report: tellPerson },
		onOwned: (error) => {
			if (!isRunning) throw error;
			tellInUse(String(config.stateDirectory));
		},
	});
	// The name may be misspelt, so a directory that is made must be reported.
	if (isNew) process.stdout.write(`created ${directory}\n`);
	await probe(directory, location);
	if (socket !== undefined) probeSocketPath(socket);
	if (metricsFile !== undefined) await tryMetricsFile(metricsFile);
	if (config.http !== undefined)
		await probeListen(config, config.http, "http", isRunning);
	await checkPlatforms(config, isRunning);
	warnOfSandbox(config);
	process.stdout.write(
		`${source}: ${countsOf(config.entries)}; ${directory} can be written\n`,
	);
	process.stdout.write(
		`without a daemon: run "wxtokend once" at least ${howOften(config)}\n`,
	);
	const told = worstCode([
		config.fleet === undefined ? exitCode.done : await checkFleet(config.fleet),
		line.has("alert") ? await checkAlert(config) : exitCode.done,
	]);
	if (!line.has("online")) return told;
	const asked = withoutPlatforms(config);
	const code = await withKeepers(asked, env, { isTold: true }, checkOnline);
	return code === exitCode.done ? told : code;
}

/** Says whether this host can take part. A fleet that is away passes by itself: 75. */
async function checkFleet(fleet: FleetConfig): Promise<number> {
	const { server, prefix, replicas, role } = fleet;
	const fail = ({ message, hint }: { message: string; hint: string }) => {
		process.stdout.write(`fleet: ${message}; ${hint}\n`);
		return exitCode.temporary;
	};
	if (server.kind === "https") {
		const { checkCentral } = await import("../../store/central-store.ts");
		const problem = await checkCentral(server, systemClock.monotonic);
		if (problem !== undefined) return fail(problem);
		process.stdout.write(`fleet: follows ${server.url}\n`);
		return exitCode.done;
	}
	const { checkRedis } = await import("../../store/redis-check.ts");
	const found = await checkRedis(
		server,
		{ prefix, replicas },
		systemClock,
		Math.random,
	);
	if (found.problem !== undefined) return fail(found.problem);
	for (const warning of found.warnings) tellPerson(`warning: ${warning}`);
	process.stdout.write(
		`fleet: Redis at ${found.server} can be used, as ${role}; its clock and this one differ by ${Math.abs(found.offsetMs)} ms\n`,
	);
	return exitCode.done;
}

/** Sends a test message, and says how that went. */
async function checkAlert({
	source,
	alert,
	isSimulated = false,
}: Config): Promise<number> {
	if (alert === undefined)
		throw new ConfigError(source, [
			{
				path: "alert",
				message:
					'is missing; expected a table [alert] with url_file = "…", to which --alert sends a test message',
			},
		]);
	const http = createHttp({ connectTimeoutMs: 10_000, env: process.env });
	try {
		const refusal = await sendTestMessage(http, alert, {
			...{ host: hostname(), isSimulated, clock: systemClock },
		});
		if (refusal === undefined) {
			process.stdout.write("alert: the robot took a test message\n");
			return exitCode.done;
		}
		const { cause, hint } = refusal;
		process.stdout.write(
			`alert: could not send a test message to the robot: ${cause}; ${hint}\n`,
		);
		return exitCode.noToken;
	} finally {
		await http.close();
	}
}

/** What only platforms need: where pushes arrive. */
async function checkPlatforms(
	config: Config,
	isRunning: boolean,
): Promise<void> {
	const { stateDirectory, receiver } = config;
	if (stateDirectory === undefined) return;
	if (receiver?.address !== undefined)
		await probeListen(
			config,
			{ ...receiver, ...receiver.address },
			"receiver",
			isRunning,
		);
	if (receiver !== undefined && receiver.address === undefined)
		probeSocketPath(receiver.listen);
	const door =
		receiver === undefined
			? `no [receiver]: a program of yours hands pushes over by ${join(config.directory, adminSocket)}`
			: `pushes arrive at ${receiver.listen}, ${pathsOf(config).join(" and ")}`;
	process.stdout.write(
		`${door}; back up ${stateDirectory}: it holds ${secretsOf(config)}\n`,
	);
}

/** Where WeChat's pushes go. */
function pathsOf({ entries }: Config): readonly string[] {
	return [
		...(entries.some(isOf("component")) ? ["POST /component/APPID"] : []),
		...(entries.some(isOf("suite")) ? ["GET and POST /suite/SUITE_ID"] : []),
	];
}

function secretsOf({ entries }: Config): string {
	return entries.some(isOf("suite"))
		? "permanent codes, which cannot be fetched again"
		: "the refresh tokens";
}

/** How much of each kind there is: "2 accounts, 1 app of 企业微信". */
function countsOf(entries: Config["entries"]): string {
	const tables = entries.map((one) =>
		isAccount(one) ? "account" : one.interface,
	);
	return entryTableNames
		.flatMap((table) => {
			const count = tables.filter((one) => one === table).length;
			const [one, many] = nouns[table];
			return count === 0 ? [] : `${count} ${count === 1 ? one : many}`;
		})
		.join(", ");
}

/** One entry of a table, and several. */
const nouns: Readonly<Record<EntryTableName, readonly [string, string]>> = {
	account: ["account", "accounts"],
	wecom: ["app of 企业微信", "apps of 企业微信"],
	provider: ["服务商", "服务商"],
	component: ["第三方平台", "第三方平台"],
	suite: ["suite", "suites"],
};

function isOf(wanted: Entry["interface"]): (entry: Entry) => boolean {
	return (entry) => entry.interface === wanted;
}

/** The probes tell what this process may write; the unit of the daemon may do less. */
function warnOfSandbox({ directory, metricsFile }: Config): void {
	const properties = unitProperties();
	if (properties === undefined) return;
	const wanted = [["directory", directory]];
	if (metricsFile !== undefined)
		wanted.push(["metrics_file", dirname(metricsFile)]);
	for (const [key = "", path = ""] of wanted) {
		const warning = sandboxWarning(properties, key, path);
		if (warning !== undefined) tellPerson(`warning: ${warning}`);
	}
}

/** Fetches a token of the account, and says how that went. */
async function checkOnline(one: ManagedCredential): Promise<number> {
	const { keeper } = one;
	const name = nameOf(one);
	const answer = await keeper.verify();
	if (answer.outcome !== "failed") {
		process.stdout.write(
			`${name}: WeChat gave a ${nounOf(one.credential)}, and it is published\n`,
		);
		return exitCode.done;
	}
	const { message, hint } = answer.error;
	const code = codeWithoutRefresh(keeper);
	const left =
		code === exitCode.temporary
			? ` (the ${nounOf(one.credential)} on disk is still valid)`
			: "";
	process.stdout.write(`${name}: ${message}; ${hint}${left}\n`);
	return code;
}

/**
 * Writes and removes a file. Permissions alone do not tell: a full disk or a wrong
 * group shows only at a real write.
 */
async function probe(
	directory: string,
	attributes: FileAttributes,
): Promise<void> {
	// A random name: nobody can have put anything there before.
	const path = join(directory, `.wxtokend-check-${randomUUID()}`);
	await publishFile(path, "wxtokend check\n", attributes);
	await unlink(path);
}

/** Throws `ConfigError` if HTTP could not be answered there. */
async function probeListen(
	{ source }: Config,
	settings: Pick<HttpSettings, "listen" | "host" | "port">,
	table: "http" | "receiver",
	isRunning: boolean,
): Promise<void> {
	const server = createServer();
	const errno = await tryListening(server, settings);
	if (errno === undefined) {
		server.close();
		return;
	}
	if (errno === "EADDRINUSE" && isRunning) return tellInUse(settings.listen);
	const { message, hint } = listenProblem(settings, errno, table);
	throw new ConfigError(source, [
		{ path: `${table}.listen`, message: `${message}; ${hint}` },
	]);
}

/** Beside a daemon much of the configuration is in use. */
function tellInUse(what: string): void {
	process.stdout.write(
		`${what} is in use: most likely by the daemon that is running\n`,
	);
}

/** The daemon's life, from start to stop. */
import { hostname } from "node:os";
import {
	setImmediate as nextTurn,
	setTimeout as sleep,
} from "node:timers/promises";
import manifest from "../../package.json" with { type: "json" };
import { type Config, longestTimeoutMs } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { exitCode } from "../core/errors.ts";
import type { KeeperEvent } from "../core/ports.ts";
import type { Steps } from "../core/steps.ts";
import { createHttp } from "../issuer/http.ts";
import { inSlices } from "../keeper/limiter.ts";
import { createAdoptionLines } from "./adoption-lines.ts";
import { readAlertMemory } from "./alert-memory.ts";
import { type Alerts, createAlerts } from "./alerts.ts";
import { createControl } from "./control.ts";
import { createAnswers, type Reloaded } from "./control-routes.ts";
import {
	type CredentialSet,
	createCredentialSet,
	logWarnings,
	reloadConfig,
} from "./credential-set.ts";
import { createEventLog } from "./event-log.ts";
import { agreementMs, createFleetSeat, type FleetSeat } from "./fleet.ts";
import { renderFleetMetrics } from "./fleet-metrics.ts";
import { growNewSpace, keepNewSpace } from "./heap.ts";
import { createHistory } from "./history.ts";
import { createHistoryFile } from "./history-file.ts";
import { createHttpFace } from "./http-face.ts";
import type { AdjustableLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { createMetricsFile } from "./metrics-file.ts";
import { createNextValues } from "./next-values.ts";
import { createStatusPage } from "./page/status-page.ts";
import { createPlatformDoors } from "./platform-doors.ts";
import { affordableConnections } from "./server-life.ts";
import { endWithoutThreads, type SignalInbox } from "./signals.ts";
import { createNotifier } from "./systemd.ts";
import { createTicker } from "./ticker.ts";

/** What a daemon is given. */
export interface DaemonOptions {
	readonly config: Config;
	/** Reads the configuration again; rejects with `ConfigError`. */
	readonly reload: () => Promise<Config>;
	/** `reload` reads no more. Resolves with whether a disk still owes it an answer. */
	readonly endReloads: () => Promise<boolean>;
	/** The listener is called when the configured group has another number than before. */
	readonly onGroup: (listener: () => void) => void;
	/** Asks again for a group that could not be looked up; called at each tick. */
	readonly retryGroup: () => void;
	readonly signals: SignalInbox;
	readonly log: AdjustableLog;
	readonly clock: Clock;
	readonly env: Readonly<Record<string, string | undefined>>;
	/** Reports an error that none of our error classes stands for, and exits. */
	readonly onBug: (error: unknown) => never;
}

/** During a burst of SIGHUPs the configuration is read at most once in this time, ms. */
const reloadGapMs = 50;

/** What a stop may take on top of the longest request to WeChat. */
const drainTimeoutMs = 10_000;

/**
 * Keeps the tokens until SIGTERM or SIGINT, and resolves with the exit code.
 * Throws `StoreError` if the directory is not fit for tokens, `ConfigError` if a
 * simulation uses it.
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
	const { config, log, signals, onBug } = options;
	const stopping = new AbortController();
	const seat = createFleetSeat({
		...{ hostClock: options.clock, log, onBug, stopping: stopping.signal },
		onFollowed: () => daemon.ticker.wakeAt(seat.clock.now()),
		keeperOf: ({ id }) => daemon.credentials.managed().byFile.get(id)?.keeper,
	});
	const joined = await seat.prepare(config);
	joined.use();
	const daemon = await inSlices(
		// By the fleet's time.
		assemble({ ...options, clock: seat.clock }, stopping.signal, seat),
		sliceMs,
		growNewSpace,
	);
	keepNewSpace();
	const { credentials, systemd } = daemon;
	// On a busy machine the first tick may come late: the time for it is asked for now.
	systemd.alive();
	await credentials.sweep();
	if (config.http !== undefined)
		daemon.historyFile.load(credentials.location());
	const stopped = new Promise<string>((resolve) => {
		signals.onStop((signal) => {
			stopping.abort();
			resolve(signal);
		});
	});
	log.info(
		{
			event: "daemon.started",
			config: config.source,
			directory: config.directory,
			accounts: config.entries.length,
			schedule: config.schedule,
		},
		"wxtokend keeps the tokens",
	);
	// The first look comes in the same turn as the first ticks may, or they would be first.
	await nextTurn();
	const opened = daemon.applySettings();
	const agreed = seat.current()?.agreed(agreementMs);
	const looked =
		agreed === undefined
			? credentials.first()
			: agreed.then(() => credentials.first());
	// Signals are taken after the first look began, so that a refresh that SIGHUP asks
	// for joins it; in a fleet while that look waits for what the other hosts hold. An
	// earlier SIGHUP was kept, and is delivered now.
	signals.onReload(() => {
		if (!stopping.signal.aborted) void daemon.reload().catch(onBug);
	});
	await Promise.race([Promise.all([opened, looked]).catch(onBug), stopped]);
	daemon.adoptions.flush();
	if (!stopping.signal.aborted) {
		systemd.status(credentials.summary, "urgent");
		systemd.ready();
		log.info({ event: "daemon.ready" }, "every account was looked at");
	}
	const signal = await stopped;
	log.info({ event: "daemon.stopping", signal }, "finishing what is under way");
	const areSocketsSilent = await stop(daemon);
	await seat.close();
	log.info(
		{ event: "daemon.stopped" },
		"the token files stay for their readers",
	);
	const silent = [
		areSocketsSilent,
		daemon.metricsFile.isWriting(),
		await options.endReloads(),
		await log.end(),
	];
	if (silent.includes(true)) endWithoutThreads();
	return exitCode.done;
}

/** A start with many accounts hears signals after this time. */
const sliceMs = 10;

type Daemon = ReturnType<typeof assemble> extends Steps<infer T> ? T : never;

/**
 * Makes the parts of a daemon and connects them. Some need each other, so they are
 * handed functions that look the other part up when it is needed; nothing runs yet.
 */
function* assemble(
	options: DaemonOptions,
	stopping: AbortSignal,
	seat: FleetSeat,
) {
	const { log, clock, env } = options;
	const systemd = createNotifier(env, log, clock.monotonic);
	const metrics = createMetrics({
		version: manifest.version,
		directory: () => credentials.config().directory,
		clock,
		managed: () => credentials.managed(),
		ofFleet: () => renderFleetMetrics(seat.current()),
	});
	const metricsFile = createMetricsFile(metrics, clock, log);
	const adoptions = createAdoptionLines(createEventLog(log, clock), log);
	const history = createHistory();
	const historyFile = createHistoryFile(history, clock, log);
	const nextValues = createNextValues(affordableConnections(1 / 8));
	const credentials: CredentialSet = yield* createCredentialSet({
		...options,
		stopping,
		seat,
		hostClock: seat.hostClock,
		wakeAt: (at) => ticker.wakeAt(at),
		onPush: history.pushed,
		onTrouble: (file, trouble) => alerts.happened(file, trouble),
		emit: (credential, event) => {
			metrics.count(credential, event);
			adoptions.logEvent(credential, event);
			nextValues.note(credential.id, event);
			alerts.note(credential, event);
			history.note(credential.id, event, clock.now());
			if (changesStatus(event)) {
				// By a tick: it sends the line, and events come faster than it is read.
				const dueInMs = systemd.statusInMs();
				if (Number.isFinite(dueInMs)) ticker.wakeAt(clock.now() + dueInMs);
			}
		},
	});
	const alerts = createDaemonAlerts(options, () => credentials);
	const page = createStatusPage({
		managed: credentials.managed,
		history,
		clock,
		version: manifest.version,
		directory: () => credentials.config().directory,
	});
	const answer = createAnswers({
		page,
		managed: credentials.managed,
		history,
		clock,
		metrics,
		fleet: async () => seat.current()?.status(),
		skew: credentials.skew,
		shiftMs: seat.shiftMs,
		reload: () => reload(),
		stopping,
		nextValues,
	});
	const { self } = credentials;
	const control = createControl({ answer, clock, self, log });
	const http = createHttpFace({ answer, clock, log });
	const doors = createPlatformDoors({
		platforms: () => credentials.platforms,
		...{ clock, self, log },
	});
	stopping.addEventListener("abort", nextValues.end);
	const ticker = createTicker({
		...options,
		credentials: () => credentials,
		control,
		http,
		doors,
		systemd,
		onBeat: alerts.turn,
		onTicked: adoptions.flush,
		writeFiles: async () => {
			const { metricsFile: path, http: wanted } = credentials.config();
			if (wanted !== undefined) await historyFile.save(credentials.location());
			await metricsFile.write(path);
		},
	});

	/** What of the configuration is not about credentials; resolves when the socket is open. */
	const applySettings = async (): Promise<void> => {
		const config = credentials.config();
		const { socket: path } = config;
		const { gid } = credentials.location();
		ticker.start();
		log.setLevel(config.logLevel);
		log.setFormat(config.logFormat);
		logWarnings(config, log);
		alerts.use(config.alert);
		await Promise.all([
			control.moveTo(path === undefined ? undefined : { path, gid }),
			http.use(config.http),
			doors.use(config, gid),
		]);
	};

	let requestedAt = 0;
	const reloadSoon = atMostEvery(
		reloadGapMs,
		(): Begun<Reloaded> =>
			reloadOnce({ credentials, systemd, applySettings, requestedAt }, options),
	);
	const reload = () => {
		requestedAt = clock.now();
		return reloadSoon();
	};
	// Only the configuration: no token is worse for it.
	options.onGroup(() => {
		void reloadConfig(credentials, options.reload, log, () => {
			void applySettings().catch(options.onBug);
		}).catch(options.onBug);
	});

	return {
		credentials,
		adoptions,
		control,
		http,
		doors,
		ticker,
		systemd,
		metricsFile,
		alerts,
		historyFile,
		applySettings,
		reload,
	};
}

/** The alerts, about the credentials of the current configuration. */
function createDaemonAlerts(
	{ config, clock, log, env, onBug }: DaemonOptions,
	credentials: () => CredentialSet,
): Alerts {
	const { directory, alert, isSimulated = false } = config;
	return createAlerts({
		statusOf: (file) =>
			credentials().managed().byFile.get(file)?.status(clock.now()),
		directory: () => credentials().config().directory,
		isSimulated,
		makeHttp: () => createHttp({ connectTimeoutMs: 10_000, env }),
		host: hostname(),
		remembered: alert === undefined ? [] : readAlertMemory(directory),
		...{ clock, log, onBug },
	});
}

/** Whether the line for `systemctl status` may be another one after that event. */
function changesStatus({ kind }: KeeperEvent): boolean {
	return kind === "failed" || kind === "refreshed" || kind === "expired";
}

/** Takes over the new configuration if it is right, then forces a refresh of every account. */
function reloadOnce(
	{
		credentials,
		systemd,
		applySettings,
		requestedAt,
	}: Pick<Daemon, "credentials" | "systemd"> & {
		readonly applySettings: () => Promise<void>;
		/** The last signal, epoch ms. */
		readonly requestedAt: number;
	},
	{ reload, log, onBug }: DaemonOptions,
): Begun<Reloaded> {
	log.info(
		{ event: "reload.requested" },
		"reading the configuration again, then a forced refresh of every account",
	);
	systemd.reloading();
	const work = reloadConfig(credentials, reload, log, () => {
		void applySettings().catch(onBug);
	});
	const refresh = async () => {
		const refused = await work;
		// Also with the old configuration: new tokens are what the signal asks for. It counts
		// from when it was heard: daemons take unequally long to read their configuration.
		const answers = await credentials.forceAll(requestedAt);
		systemd.status(credentials.summary, "urgent");
		systemd.ready();
		return { refused, answers };
	};
	return { work, result: refresh() };
}

/**
 * Finishes what is under way, so that no fetched token is lost, and answers the
 * clients of the socket that wait for it. Resolves with whether the disk of a socket still
 * owes an answer.
 */
async function stop({
	credentials,
	control,
	http,
	historyFile,
	doors,
	ticker,
	systemd,
	alerts,
}: Daemon): Promise<boolean> {
	systemd.stopping(longestTimeoutMs(credentials.config()) + drainTimeoutMs);
	const ticked = ticker.stop();
	credentials.stop();
	const written = alerts.stop();
	await ticked;
	const settled = credentials.settle();
	const [isSilent, areDoorsSilent] = await Promise.all([
		control.stop(settled),
		doors.stop(settled),
		http.stop(settled),
	]);
	await settled;
	await written;
	if (credentials.config().http !== undefined)
		await historyFile.save(credentials.location(), true);
	await credentials.close();
	return isSilent || areDoorsSilent;
}

/** What a call has begun. */
interface Begun<T> {
	/** The part of it that costs. */
	readonly work: Promise<unknown>;
	readonly result: Promise<T>;
}

/** The longest gap between two calls, however long their work takes. */
const maxGapMs = 10_000;

/**
 * Calls at once, then `gapMs` after the work of the last call. Calls that come before
 * that share one call at its end, and its result.
 */
function atMostEvery<T>(gapMs: number, call: () => Begun<T>): () => Promise<T> {
	/** Undefined: at once. */
	let free: Promise<void> | undefined;
	let next: Promise<T> | undefined;
	const run = () => {
		next = undefined;
		const before = process.cpuUsage();
		const { work, result } = call();
		const pause = async () => {
			// To read the configuration of many accounts takes its time: a flood of calls
			// gets a tenth of a processor for it.
			const { user, system } = process.cpuUsage(before);
			const waitMs = Math.max(gapMs, (9 * (user + system)) / 1000);
			await sleep(Math.min(waitMs, maxGapMs), undefined, { ref: false });
			free = undefined;
		};
		free = work.then(pause, pause);
		return result;
	};
	return () => {
		if (next !== undefined) return next;
		if (free === undefined) return run();
		next = free.then(run);
		return next;
	};
}

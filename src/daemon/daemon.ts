/** The daemon: wires the parts, and lives from start to stop. */
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import { type Config, longestTimeoutMs } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { ConfigError, exitCode, StoreError } from "../core/errors.ts";
import { createLimiter, maxRefreshing } from "../keeper/limiter.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import { createReconciler, type Reconciler } from "../keeper/reconciler.ts";
import {
	type Location,
	prepareDirectory,
	sweepLeftovers,
} from "../store/prepare-directory.ts";
import { createControl } from "./control.ts";
import type { Reloaded } from "./control-routes.ts";
import { createEventLog } from "./event-log.ts";
import { collectGarbage, growNewSpace, keepNewSpace } from "./heap.ts";
import type { AdjustableLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { type Schedule, startSchedule } from "./schedule.ts";
import type { SignalInbox } from "./signals.ts";
import { createNotifier } from "./systemd.ts";
import { createWiring } from "./wiring.ts";

export interface DaemonOptions {
	readonly config: Config;
	/** Reads the configuration again; throws `ConfigError`. */
	readonly reload: () => Config;
	readonly signals: SignalInbox;
	readonly log: AdjustableLog;
	readonly clock: Clock;
	readonly env: Readonly<Record<string, string | undefined>>;
	/** An error that is nobody's mistake but ours. */
	readonly onBug: (error: unknown) => never;
}

/** A storm of SIGHUPs reads the configuration so often, and no more. */
const reloadGapMs = 50;

/** Beyond its requests, a stop takes no longer than this. */
const drainTimeoutMs = 10_000;

/** Resolves with the exit code after SIGTERM or SIGINT. Throws `StoreError` if the directory is of no use. */
export async function runDaemon(options: DaemonOptions): Promise<number> {
	const { log, clock, signals, env, onBug } = options;
	let { config } = options;
	let managed: ReadonlyMap<string, ManagedCredential> = new Map();
	let schedule: Schedule | undefined;
	let ticking: Promise<void> | undefined;
	let wasOpen = false;
	const stopping = new AbortController();
	const { version } = manifest;
	const metrics = createMetrics({
		version,
		directory: () => config.directory,
		clock,
		log,
		managed: () => managed,
	});
	const logEvent = createEventLog(log, clock);
	const wiring = createWiring({
		config,
		env,
		clock,
		log,
		stopping: stopping.signal,
		wakeAt: (at) => schedule?.wakeAt(at),
		emit: (credential, event) => {
			metrics.count(credential, event);
			logEvent(credential, event);
			if (event.kind === "refreshed" || event.kind === "adopted")
				reconciler.published(credential.id);
		},
		onBug,
	});
	const control = createControl({
		managed: () => managed,
		clock,
		self: wiring.self,
		log,
		metrics: metrics.render,
		reload: () => reload(),
		stopping: stopping.signal,
	});
	const systemd = createNotifier(env, log, clock.monotonic);
	const repairLimiter = createLimiter(maxRefreshing);

	const manageAll = (
		wanted: Config,
		at: Location,
		before: Config | undefined,
	): Reconciler => {
		const next = new Map<string, ManagedCredential>();
		const store = wiring.storeAt(at);
		const old = new Map(before?.accounts.map((one) => [one.appid, one]));
		const isSamePlace = before !== undefined && sameFiles(before, wanted);
		for (const account of wanted.accounts) {
			const { appid } = account;
			const known = managed.get(appid);
			const isSame = isSamePlace && isDeepStrictEqual(old.get(appid), account);
			next.set(
				appid,
				known !== undefined && isSame ? known : wiring.manage(account, store),
			);
		}
		for (const [appid, one] of managed)
			if (next.get(appid) !== one) void one.settle().catch(onBug);
		managed = next;
		return createReconciler({
			credentials: [...managed.values()],
			watch: store.watch,
			clock,
			limiter: wiring.limiter,
			repairLimiter,
			heap: {
				grow: growNewSpace,
				keep: keepNewSpace,
				collect: collectGarbage,
			},
			onBug,
		});
	};

	const summary = () => summaryOf(managed, clock.now());

	/** At the start it would be refused; but no token shall die because of it. */
	const warnIfOpenToAll = () => {
		const { path } = location.directory;
		const isOpen = location.directory.isOpenToAll();
		if (isOpen && !wasOpen)
			log.error(
				{ event: "directory.unsafe", hint: `chmod o-w ${path}` },
				`everybody may write in ${path}, and delete or replace the token files; they are renewed all the same`,
			);
		wasOpen = isOpen;
	};

	const tick = () => {
		warnIfOpenToAll();
		void metrics.write(config.metricsFile).catch(onBug);
		ticking ??= reconciler.tick().finally(() => {
			ticking = undefined;
			// In a directory that was gone a moment ago, perhaps.
			control.tend();
			systemd.alive();
			systemd.status(summary);
		});
	};

	/** Between rare ticks; the watchdog hears of us only if the last one ended. */
	const beat = () => {
		if (ticking === undefined) systemd.alive();
	};

	const warn = ({ warnings }: Config) => {
		for (const warning of warnings)
			log.warn({ event: "config.doubtful" }, warning);
	};

	const follow = (wanted: Config, { gid }: Location) => {
		schedule?.stop();
		schedule = startSchedule(wanted.schedule, tick, clock, {
			beat,
			everyMs: systemd.aliveEveryMs,
		});
		log.setLevel(wanted.logLevel);
		warn(wanted);
		const { socket: path } = wanted;
		return control.follow(path === undefined ? undefined : { path, gid });
	};

	const tellRemoved = (message: string) =>
		log.warn({ event: "simulation.removed" }, message);

	/** Takes over the new configuration; undefined, or why it was refused. */
	const followNewConfig = async () => {
		try {
			const wanted = options.reload();
			// The usual signal asks for tokens, and nothing else is to be done first.
			if (isDeepStrictEqual(wanted, config)) {
				warn(wanted);
				return undefined;
			}
			const next = prepareDirectory(wanted, tellRemoved);
			// Meanwhile the end may have begun: then nothing new is started.
			if (stopping.signal.aborted) return undefined;
			reconciler.stop();
			location = next;
			reconciler = manageAll(wanted, location, config);
			config = wanted;
			void follow(wanted, location).catch(onBug);
			return undefined;
		} catch (error) {
			if (!(error instanceof ConfigError || error instanceof StoreError))
				throw error;
			log.error(
				{ event: "config.refused", ...problemsIn(error) },
				`the old configuration stays: ${error.message}`,
			);
			return error;
		}
	};

	const reload = atMostEvery(reloadGapMs, async (): Promise<Reloaded> => {
		log.info(
			{ event: "reload.requested" },
			"a forced refresh of every account, with the configuration read again",
		);
		systemd.reloading();
		const refused = await followNewConfig();
		const answers = await reconciler.forceAll();
		systemd.status(summary, "urgent");
		systemd.ready();
		return { refused, answers };
	});

	let location = prepareDirectory(config, tellRemoved);
	let reconciler = manageAll(config, location, undefined);
	await sweepLeftovers(config.directory, [...managed.values()], log);
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
			accounts: config.accounts.length,
			schedule: config.schedule,
		},
		"wxtokend keeps the tokens",
	);
	const opened = follow(config, location);
	// At start another process may be fetching the same token: worth the wait.
	const looked = reconciler.first(longestTimeoutMs(config));
	signals.onReload(() => {
		if (!stopping.signal.aborted) void reload().catch(onBug);
	});
	await Promise.race([Promise.all([opened, looked]).catch(onBug), stopped]);
	if (!stopping.signal.aborted) {
		systemd.status(summary, "urgent");
		systemd.ready();
		log.info({ event: "daemon.ready" }, "every account was looked at");
	}

	const signal = await stopped;
	log.info({ event: "daemon.stopping", signal }, "finishing what is under way");
	systemd.stopping(longestTimeoutMs(config) + drainTimeoutMs);
	schedule?.stop();
	reconciler.stop();
	await ticking;
	const settled = Promise.all([...managed.values()].map((one) => one.settle()));
	await control.stop(settled);
	await settled;
	await wiring.close();
	log.info(
		{ event: "daemon.stopped" },
		"the token files stay for their readers",
	);
	return exitCode.done;
}

/** Calls at once, then at most once per gap; calls in between are one, at its end. */
function atMostEvery<T>(
	gapMs: number,
	call: () => Promise<T>,
): () => Promise<T> {
	let freeAt = Number.NEGATIVE_INFINITY;
	let next: Promise<T> | undefined;
	const run = () => {
		next = undefined;
		freeAt = performance.now() + gapMs;
		return call();
	};
	return () => {
		const waitMs = freeAt - performance.now();
		if (waitMs <= 0 && next === undefined) return run();
		next ??= sleep(waitMs, undefined, { ref: false }).then(run);
		return next;
	};
}

/** What `systemctl status` shows. */
function summaryOf(
	managed: ReadonlyMap<string, ManagedCredential>,
	now: number,
): string {
	let fresh = 0;
	let trouble = "";
	for (const one of managed.values()) {
		if (now < one.idleUntil) {
			fresh += 1;
			continue;
		}
		const { appid, valid, lastError } = one.status(now);
		if (valid) fresh += 1;
		if (trouble !== "" || (valid && lastError === null)) continue;
		trouble = `; ${appid}: ${lastError?.message ?? "no live token yet"}`;
	}
	return `${fresh} of ${managed.size} tokens fresh${trouble}`;
}

function sameFiles(one: Config, other: Config): boolean {
	return (
		one.directory === other.directory &&
		one.mode === other.mode &&
		one.gid === other.gid
	);
}

function problemsIn(error: ConfigError | StoreError) {
	return error instanceof ConfigError
		? { problems: error.problems }
		: { code: error.code, hint: error.hint };
}

/** The daemon: wires the parts, and lives from start to stop. */
import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import manifest from "../../package.json" with { type: "json" };
import type { Config } from "../config/config.ts";
import type { Clock } from "../core/clock.ts";
import { ConfigError, exitCode, StoreError } from "../core/errors.ts";
import { createHttp } from "../issuer/http.ts";
import { createLinkWitness } from "../issuer/link-monitor.ts";
import { createGate, mostAtWork } from "../keeper/limiter.ts";
import {
	KeptAccount,
	type Place,
	type Surroundings,
} from "../keeper/managed-credential.ts";
import { createRounds, type Rounds } from "../keeper/reconciler.ts";
import {
	prepareDirectory,
	sweepLeftovers,
} from "../store/prepare-directory.ts";
import { nameThisProcess } from "../store/process-name.ts";
import { createControl } from "./control.ts";
import type { Reloaded } from "./control-routes.ts";
import type { AdjustableLog } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { type Schedule, startSchedule } from "./schedule.ts";
import type { SignalInbox } from "./signals.ts";
import { createNotifier } from "./systemd.ts";

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
const farewellMs = 10_000;

/** Resolves with the exit code after SIGTERM or SIGINT. Throws `StoreError` if the directory is of no use. */
export async function runDaemon(options: DaemonOptions): Promise<number> {
	const { log, clock, signals, env, onBug } = options;
	let { config } = options;
	let kept: ReadonlyMap<string, KeptAccount> = new Map();
	let schedule: Schedule | undefined;
	let ticking: Promise<void> | undefined;
	let wasOpen = false;
	const stopping = new AbortController();
	const self = nameThisProcess();
	const { version } = manifest;
	const metrics = createMetrics({ version, clock, log, kept: () => kept });
	const control = createControl({
		kept: () => kept,
		clock,
		self,
		log,
		metrics: metrics.render,
		reload: () => reload(),
		stopping: stopping.signal,
	});
	const systemd = createNotifier(env, log, clock.monotonic);
	const gate = createGate(mostAtWork);
	const mendGate = createGate(mostAtWork);
	const around: Surroundings = {
		http: createHttp({ connectTimeoutMs: longestTimeoutMs(config) / 2, env }),
		witness: createLinkWitness(clock, log),
		clock,
		random: Math.random,
		self,
		startedAt: clock.now(),
		log,
		gate,
		stopping: stopping.signal,
		wakeAt: (at) => schedule?.wakeAt(at),
		count: metrics.count,
		onBug,
	};

	const keepAll = (
		wanted: Config,
		place: Place,
		before: Config | undefined,
	): Rounds => {
		const next = new Map<string, KeptAccount>();
		for (const account of wanted.accounts) {
			const known = kept.get(account.appid);
			next.set(
				account.appid,
				known !== undefined &&
					before !== undefined &&
					isDeepStrictEqual(known.account, account) &&
					sameFiles(before, wanted)
					? known
					: new KeptAccount(account, place, around),
			);
		}
		for (const [appid, one] of kept)
			if (next.get(appid) !== one) void one.settle().catch(onBug);
		kept = next;
		const accounts = [...kept.values()];
		return createRounds({
			...wanted,
			accounts,
			clock,
			gate,
			mendGate,
			onBug,
		});
	};

	const summary = () => summaryOf(kept, clock.now());

	/** At the start it would be refused; but no token shall die because of it. */
	const warnIfOpenToAll = () => {
		const { path } = place.directory;
		const isOpen = place.directory.isOpenToAll();
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
		ticking ??= rounds.tick().finally(() => {
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

	const follow = (wanted: Config, { gid }: Place) => {
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
			const next = await prepareDirectory(wanted, tellRemoved);
			// Meanwhile the end may have begun: then nothing new is started.
			if (stopping.signal.aborted) return undefined;
			rounds.stop();
			place = next;
			rounds = keepAll(wanted, place, config);
			config = wanted;
			void follow(wanted, place).catch(onBug);
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
		const answers = await rounds.forceAll();
		systemd.status(summary, "urgent");
		systemd.ready();
		return { refused, answers };
	});

	let place = await prepareDirectory(config, tellRemoved);
	let rounds = keepAll(config, place, undefined);
	await sweepLeftovers(config.directory, [...kept.values()], log);
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
	const opened = follow(config, place);
	// At start another process may be fetching the same token: worth the wait.
	const patienceMs = longestTimeoutMs(config);
	const looked = rounds.first(patienceMs);
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
	systemd.stopping(longestTimeoutMs(config) + farewellMs);
	schedule?.stop();
	rounds.stop();
	await ticking;
	const settled = Promise.all([...kept.values()].map((one) => one.settle()));
	await control.stop(settled);
	await settled;
	await around.http.close();
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
	kept: ReadonlyMap<string, KeptAccount>,
	now: number,
): string {
	let fresh = 0;
	let trouble = "";
	for (const one of kept.values()) {
		if (now < one.restsUntil) {
			fresh += 1;
			continue;
		}
		const { appid, valid, lastError } = one.status(now);
		if (valid) fresh += 1;
		if (trouble !== "" || (valid && lastError === null)) continue;
		trouble = `; ${appid}: ${lastError?.message ?? "no live token yet"}`;
	}
	return `${fresh} of ${kept.size} tokens fresh${trouble}`;
}

function longestTimeoutMs({ accounts }: Config): number {
	return Math.max(...accounts.map(({ timeoutMs }) => timeoutMs));
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

/** `wxtokend once`: one pass over the accounts without a daemon. */

import { type Config, loadConfig } from "../../config/config.ts";
import { type Entry, isAccount } from "../../config/entry.ts";
import { isPlatform } from "../../config/platform.ts";
import { systemClock } from "../../core/clock.ts";
import {
	type Credential,
	nounOf,
	usualLifetimeMs,
} from "../../core/credential.ts";
import { exitCode, StoreError } from "../../core/errors.ts";
import { callNameOf } from "../../core/status.ts";
import { type PassParts, tellOfPass } from "../../daemon/alert-pass.ts";
import { credentialsOf } from "../../daemon/credential-of.ts";
import { createEventLog } from "../../daemon/event-log.ts";
import { agreementMs, createFleetSeat } from "../../daemon/fleet.ts";
import { openLog } from "../../daemon/log.ts";
import { createWiring, isAlone } from "../../daemon/wiring.ts";
import type { Outcome } from "../../keeper/keeper-parts.ts";
import type { ManagedCredential } from "../../keeper/managed-credential.ts";
import {
	prepareDirectory,
	sweepLeftovers,
} from "../../store/prepare-directory.ts";
import type { CommandLine } from "../command-line.ts";
import { daemonAnswers } from "../control-client.ts";
import { explain, tellPerson, unknownName, worstCode } from "../explain.ts";

/**
 * Refreshes what is due, prints a line for each new token, and returns the exit code.
 * Throws `ConfigError`, `StoreError` and `UsageError`.
 */
export async function once(line: CommandLine): Promise<number> {
	const { env } = process;
	const whole = loadConfig({ file: line.value("config"), env, secrets: true });
	// A cron job shall not call WeChat each minute while WeChat demands a pause, or until
	// a person has acted. A person who names the account may have acted.
	const keepPausesFor = line.operands.length === 0 ? ["limited", "admin"] : [];
	const config = refreshingEarly(
		withoutPlatforms(chosen(whole, line.operands)),
	);
	const all = config.entries.flatMap(credentialsOf);
	const finish = async (pass: Pass) => {
		// A daemon tells it all by itself.
		if (config.alert === undefined || (await isKept(config))) return;
		await tellOfPass(config.alert, { ...pass, directory: config.directory });
	};
	return withKeepers(config, env, { keepPausesFor, finish }, async (one) => {
		if (!isMeant(one.credential, all, line.operands)) return exitCode.done;
		// A process that holds the lock may be in the middle of its request.
		const { timeoutMs } = one.credential.limits;
		const lockTimeoutMs = 2 * timeoutMs + 5_000;
		if (isToken(one)) tellGap(one, config);
		let outcome = await one.keeper.reconcile(lockTimeoutMs);
		for (let tries = 1; tries < 3 && isLost(outcome); tries += 1)
			outcome = await one.keeper.reconcile(lockTimeoutMs);
		if (outcome.kind === "refreshed") {
			const until = new Date(outcome.token.expiresAt).toISOString();
			process.stdout.write(
				`${nameOf(one)}: a new ${nounOf(one.credential)}, valid until ${until}\n`,
			);
		}
		if (outcome.kind === "deferred") tellDeferred(one, outcome.until);
		return codeFor(outcome, one);
	});
}

async function isKept({ socket }: Config): Promise<boolean> {
	return socket !== undefined && (await daemonAnswers(socket));
}

/**
 * Without its platforms: their tickets and secrets are in the hands of one daemon.
 * Says so on stderr.
 */
export function withoutPlatforms(config: Config): Config {
	const entries = config.entries.filter((one) => !isPlatform(one));
	if (entries.length < config.entries.length)
		tellPerson(
			"[[component]] and [[suite]] are left out: what is pushed to them is kept by a daemon only (wxtokend run)",
		);
	return { ...config, entries };
}

/** Between two runs no token is renewed. So `refresh_before` may be as long as that time. */
function refreshingEarly(config: Config): Config {
	const entries = config.entries.map((entry) => ({
		...entry,
		refreshEarly: true,
	}));
	return { ...config, entries };
}

/** WeChat gives a new stable token only in the last five minutes of the old one. */
const stableWindowMs = 270_000;

/** 企业微信 may give a new token only at the end of the old one. */
const wecomWindowMs = 60_000;

/** How long before the end of a token a new one may be had at the latest. */
function latestMarginOf(wire: Entry["interface"]): number {
	switch (wire) {
		case "classic":
		// These two are kept by a daemon only, and may be had at any time.
		case "component":
		case "authorizer":
			return usualLifetimeMs * 0.9;
		case "stable":
			return stableWindowMs;
		case "wecom":
		case "provider":
		case "suite":
		case "corp":
			return wecomWindowMs;
		default:
			return wire satisfies never;
	}
}

/** How often `once` must run, so that no token ends between two runs: in words. */
export function howOften({ entries }: Pick<Config, "entries">): string {
	const margins = entries.map(({ interface: wire, refreshBeforeMs }) =>
		Math.min(refreshBeforeMs, latestMarginOf(wire)),
	);
	const seconds = Math.min(...margins) / 1000;
	return seconds < 120
		? `every ${Math.floor(seconds)} seconds`
		: `every ${Math.floor(seconds / 60)} minutes`;
}

/** Apps had no token before this run: most likely it comes too seldom. */
function tellGap(
	{ slot, credential }: ManagedCredential,
	config: Config,
): void {
	const found = slot.read();
	const goneMs =
		found.kind === "token" ? systemClock.now() - found.token.expiresAt : 0;
	if (goneMs <= 0) return;
	const entry = config.entries.find(({ file }) => file === credential.file);
	const often = howOften(entry === undefined ? config : { entries: [entry] });
	const orRaise =
		entry?.interface === "classic"
			? ", or raise `refresh_before` above the time between two runs"
			: "";
	tellPerson(
		`${callNameOf(credential)}: the last token had ended ${Math.ceil(goneMs / 60_000)} min before this run; run "wxtokend once" at least ${often}${orRaise}`,
	);
}

/** How the keepers of a command differ from those of the daemon. */
export interface KeepersOptions {
	/** As in `KeeperParts`. */
	readonly keepPausesFor?: readonly string[];
	/** The command itself tells all that the log would: nothing is logged. */
	readonly isTold?: boolean;
	/** Called when all of them had their turn. */
	readonly finish?: (pass: Pass) => Promise<void>;
}

/** What is there after all had their turn. */
type Pass = Omit<PassParts, "directory">;

/**
 * Calls `act` with each account, without a daemon, for as many at a time as a daemon
 * refreshes; returns the worst of the exit codes. Throws `ConfigError` and `StoreError`
 * if the directory cannot be used.
 */
export async function withKeepers(
	config: Config,
	env: Readonly<Record<string, string | undefined>>,
	{ keepPausesFor = [], isTold = false, finish }: KeepersOptions,
	act: (one: ManagedCredential) => Promise<number>,
): Promise<number> {
	// cron mails what a job writes, so a job without failures shall write nothing.
	const level = config.logLevel === "info" ? "warn" : config.logLevel;
	const log = openLog(isTold ? "silent" : level, env, config.logFormat);
	// Cron would mail the same ones at each run: they are for a person, and for check.
	if (process.stderr.isTTY || level === "debug" || level === "trace")
		for (const warning of config.warnings)
			log.warn({ event: "config.doubtful" }, warning);
	const location = prepareDirectory(config, tellPerson);
	const onBug = (error: unknown) => process.exit(explain(error));
	const stopping = new AbortController().signal;
	const seat = createFleetSeat({
		...{ hostClock: systemClock, log, stopping, onBug },
		// Whoever stays longer serves it.
		keeperOf: () => undefined,
		onFollowed: () => {},
	});
	const { clock } = seat;
	const joined = await seat.prepare(config);
	joined.use();
	const wiring = createWiring({
		...{ config, env, clock, log, stopping, keepPausesFor, onBug },
		wakeAt: () => {},
		emit: createEventLog(log, clock),
		find: (id) => byFile.get(id),
		hostClock: systemClock,
	});
	const place = wiring.placeAt(location, joined.fleet);
	const managed = config.entries.flatMap((entry) =>
		wiring.manage(entry, place),
	);
	const byFile = new Map(managed.map((one) => [one.credential.file, one]));
	const alone = config.entries.filter(isAlone).map(({ file }) => file);
	wiring.use(place, managed, new Set(alone));
	await joined.fleet?.agreed(agreementMs);
	await sweepLeftovers(config.directory, managed, log);
	try {
		const inTurns = (some: readonly ManagedCredential[]) =>
			Promise.all(some.map((one) => wiring.limiter.pass(() => act(one))));
		// A ticket hangs on its token, so the tokens come first.
		const codes = await inTurns(managed.filter(isToken));
		codes.push(...(await inTurns(managed.filter((one) => !isToken(one)))));
		await finish?.({ managed, env, clock, log });
		return worstCode(codes);
	} finally {
		await wiring.close();
		await seat.close();
	}
}

function isToken({ credential }: ManagedCredential): boolean {
	return credential.needs.length === 0;
}

/** What a person calls it. */
export function nameOf({ credential }: ManagedCredential): string {
	return callNameOf(credential);
}

/** Says why a due token was not fetched: the exit code alone would be a riddle. */
function tellDeferred(one: ManagedCredential, until: number): void {
	const name = nameOf(one);
	const { needs } = one.credential;
	const { failure } = one.keeper.record().pause ?? {};
	// Its token failed, which was told for itself.
	if (failure === undefined && needs.length > 0) {
		tellPerson(`${name} is not tried: it waits for ${needs.join(", ")}`);
		return;
	}
	const cause = failure?.message ?? "its calls are used up";
	const at = new Date(until).toISOString();
	tellPerson(
		`${name} is not tried before ${at}: ${cause}; "wxtokend once ${name}" tries at once`,
	);
}

/**
 * The configuration with the entries that are named, by their appids or by one of their
 * files, each one once; without names, all.
 */
function chosen(config: Config, names: readonly string[]): Config {
	if (names.length === 0) return config;
	const entries = names.map((name) => {
		const entry =
			config.entries.find((one) => isAccount(one) && one.appid === name) ??
			config.entries.find((known) =>
				credentialsOf(known).some(({ file }) => file === name),
			);
		if (entry !== undefined) return entry;
		throw unknownName(name, config);
	});
	return { ...config, entries: [...new Set(entries)] };
}

/** Whether one of the names means it, or something that hangs on it. */
function isMeant(
	{ id, appid, needs }: Credential,
	all: readonly Credential[],
	names: readonly string[],
): boolean {
	return (
		names.length === 0 ||
		names.includes(appid) ||
		names.includes(id) ||
		(needs.length === 0 &&
			all.some((one) => one.needs.includes(id) && names.includes(one.id)))
	);
}

/** Another process took the lock during the refresh, which must begin again. */
function isLost(outcome: Outcome): boolean {
	return (
		outcome.kind === "failed" &&
		outcome.error instanceof StoreError &&
		outcome.error.kind === "lost"
	);
}

/** The directory failed us, and neither another process nor what hosts share. */
function isOfDirectory(error: unknown): boolean {
	if (!(error instanceof StoreError)) return false;
	return error.kind !== "lost" && error.kind !== "unreachable";
}

/** Zero as well if nothing was due. */
function codeFor(outcome: Outcome, { keeper }: ManagedCredential): number {
	switch (outcome.kind) {
		case "idle":
		case "repaired":
		case "refreshed":
			return exitCode.done;
		case "failed":
			if (isOfDirectory(outcome.error)) return exitCode.cannotWrite;
			break;
		case "locked":
		case "deferred":
			break;
		default:
			return outcome satisfies never;
	}
	return codeWithoutRefresh(keeper);
}

/** The exit code after a failure: it depends on whether readers still have a token. */
export function codeWithoutRefresh(
	keeper: ManagedCredential["keeper"],
): number {
	return keeper.current() === undefined ? exitCode.noToken : exitCode.temporary;
}

import { type Config, loadConfig } from "../../config/config.ts";
import { systemClock } from "../../core/clock.ts";
import { exitCode, StoreError, UsageError } from "../../core/errors.ts";
import { createEventLog } from "../../daemon/event-log.ts";
import { openLog } from "../../daemon/log.ts";
import { createWiring } from "../../daemon/wiring.ts";
import type { Outcome } from "../../keeper/keeper-parts.ts";
import type { ManagedCredential } from "../../keeper/managed-credential.ts";
import {
	prepareDirectory,
	sweepLeftovers,
} from "../../store/prepare-directory.ts";
import type { CommandLine } from "../command-line.ts";
import { explain, tellPerson } from "../explain.ts";

export async function once(line: CommandLine): Promise<number> {
	const { env } = process;
	const all = loadConfig({ file: line.value("config"), env, secrets: true });
	// A timer shall not knock each minute where WeChat asked for rest, or where a
	// person has yet to act; who names the account may have done so.
	const keepPausesFor = line.operands.length === 0 ? ["limited", "admin"] : [];
	const config = chosen(all, line.operands);
	return withKeepers(config, env, { keepPausesFor }, async (one) => {
		// A living process at work may take as long as its request does.
		const { timeoutMs } = one.credential.limits;
		const lockTimeoutMs = 2 * timeoutMs + 5_000;
		let outcome = await one.keeper.reconcile(lockTimeoutMs);
		for (let tries = 1; tries < 3 && isLost(outcome); tries += 1)
			outcome = await one.keeper.reconcile(lockTimeoutMs);
		if (outcome.kind === "refreshed") {
			const until = new Date(outcome.token.expiresAt).toISOString();
			process.stdout.write(
				`${one.credential.appid}: a new token, valid until ${until}\n`,
			);
		}
		if (outcome.kind === "deferred") tellWhy(one, outcome.until);
		return codeFor(outcome, one);
	});
}

export interface KeepersOptions {
	/** As in `KeeperParts`. */
	readonly keepPausesFor?: readonly string[];
	/** Whatever the log would say is said already, or by `act`. */
	readonly isTold?: boolean;
}

/**
 * Does something with the keeper of each account, without a daemon; returns the
 * worst of the exit codes.
 */
export async function withKeepers(
	config: Config,
	env: Readonly<Record<string, string | undefined>>,
	{ keepPausesFor = [], isTold = false }: KeepersOptions,
	act: (one: ManagedCredential) => Promise<number>,
): Promise<number> {
	// Where nothing went wrong and nothing was due, cron shall have nothing to mail.
	const level = config.logLevel === "info" ? "warn" : config.logLevel;
	const log = openLog(isTold ? "silent" : level, env);
	// Cron would mail the same ones at each run: they are for a person, and for check.
	if (process.stderr.isTTY || level === "debug" || level === "trace")
		for (const warning of config.warnings)
			log.warn({ event: "config.doubtful" }, warning);
	const logEvent = createEventLog(log, systemClock);
	const location = prepareDirectory(config, tellPerson);
	const wiring = createWiring({
		config,
		env,
		clock: systemClock,
		log,
		stopping: new AbortController().signal,
		wakeAt: () => {},
		emit: logEvent,
		keepPausesFor,
		onBug: (error: unknown) => process.exit(explain(error)),
	});
	const store = wiring.storeAt(location);
	const managed = config.accounts.map((account) =>
		wiring.manage(account, store),
	);
	await sweepLeftovers(config.directory, managed, log);
	try {
		return worst(
			await Promise.all(
				managed.map((one) => wiring.limiter.pass(() => act(one))),
			),
		);
	} finally {
		await wiring.close();
	}
}

function tellWhy(
	{ credential, keeper }: ManagedCredential,
	until: number,
): void {
	const { appid } = credential;
	const cause =
		keeper.record().pause?.failure?.message ?? "its calls are used up";
	const at = new Date(until).toISOString();
	process.stderr.write(
		`wxtokend: ${appid} is not tried before ${at}: ${cause}; "wxtokend once ${appid}" tries at once\n`,
	);
}

function chosen(config: Config, appids: readonly string[]): Config {
	if (appids.length === 0) return config;
	const accounts = appids.map((appid) => {
		const account = config.accounts.find((known) => known.appid === appid);
		if (account !== undefined) return account;
		throw new UsageError(
			`there is no account ${JSON.stringify(appid)} in ${config.source}`,
			`accounts: ${config.accounts.map((known) => known.appid).join(", ")}`,
		);
	});
	return { ...config, accounts: [...new Set(accounts)] };
}

/** The lock went to another process in the middle: the refresh starts over. */
function isLost(outcome: Outcome): boolean {
	return (
		outcome.kind === "failed" &&
		outcome.error instanceof StoreError &&
		outcome.error.kind === "lost"
	);
}

function codeFor(outcome: Outcome, { keeper }: ManagedCredential): number {
	switch (outcome.kind) {
		case "idle":
		case "repaired":
		case "refreshed":
			return exitCode.done;
		case "failed":
			if (outcome.error instanceof StoreError && !isLost(outcome))
				return exitCode.cannotWrite;
			break;
		case "locked":
		case "deferred":
			break;
		default:
			return outcome satisfies never;
	}
	return codeWithoutRefresh(keeper);
}

/** It failed: what matters is whether readers still have a token. */
export function codeWithoutRefresh(
	keeper: ManagedCredential["keeper"],
): number {
	return keeper.current() === undefined ? exitCode.noToken : exitCode.temporary;
}

/** Of several accounts, what most needs a person. */
function worst(codes: readonly number[]): number {
	const order = [exitCode.cannotWrite, exitCode.noToken, exitCode.temporary];
	return order.find((code) => codes.includes(code)) ?? exitCode.done;
}

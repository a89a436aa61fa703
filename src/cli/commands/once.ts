import { type Config, loadConfig } from "../../config/config.ts";
import { systemClock } from "../../core/clock.ts";
import { exitCode, StoreError, UsageError } from "../../core/errors.ts";
import { openLog } from "../../daemon/log.ts";
import { createHttp } from "../../issuer/http.ts";
import { createLinkWitness } from "../../issuer/link-monitor.ts";
import type { Outcome } from "../../keeper/keeper.ts";
import { createGate, mostAtWork } from "../../keeper/limiter.ts";
import { KeptAccount } from "../../keeper/managed-credential.ts";
import {
	prepareDirectory,
	sweepLeftovers,
} from "../../store/prepare-directory.ts";
import { nameThisProcess } from "../../store/process-name.ts";
import type { CommandLine } from "../command-line.ts";
import { explain } from "../explain.ts";

export async function once(line: CommandLine): Promise<number> {
	const { env } = process;
	const all = loadConfig({ file: line.value("config"), env, secrets: true });
	// A timer shall not knock each minute where WeChat asked for rest, or where a
	// person has yet to act; who names the account may have done so.
	const patientWith = line.operands.length === 0 ? ["limited", "admin"] : [];
	const config = chosen(all, line.operands);
	return withKeepers(config, env, { patientWith }, async (one) => {
		// A living process at work may take as long as its request does.
		const patienceMs = 2 * one.account.timeoutMs + 5_000;
		let outcome = await one.keeper.look(patienceMs);
		for (let tries = 1; tries < 3 && isLost(outcome); tries += 1)
			outcome = await one.keeper.look(patienceMs);
		if (outcome.kind === "refreshed") {
			const until = new Date(outcome.token.expiresAt).toISOString();
			process.stdout.write(
				`${one.keeper.appid}: a new token, valid until ${until}\n`,
			);
		}
		if (outcome.kind === "held-back") tellWhy(one, outcome.until);
		return codeFor(outcome, one);
	});
}

export interface KeepersOptions {
	/** As in `KeeperParts`. */
	readonly patientWith?: readonly string[];
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
	{ patientWith = [], isTold = false }: KeepersOptions,
	act: (one: KeptAccount) => Promise<number>,
): Promise<number> {
	// Where nothing went wrong and nothing was due, cron shall have nothing to mail.
	const level = config.logLevel === "info" ? "warn" : config.logLevel;
	const log = openLog(isTold ? "silent" : level, env);
	for (const warning of config.warnings)
		log.warn({ event: "config.doubtful" }, warning);
	const timeoutMs = Math.max(...config.accounts.map((a) => a.timeoutMs));
	const http = createHttp({ connectTimeoutMs: timeoutMs / 2, env });
	const gate = createGate(mostAtWork);
	const place = await prepareDirectory(config);
	const around = {
		http,
		witness: createLinkWitness(systemClock, log),
		clock: systemClock,
		random: Math.random,
		self: nameThisProcess(),
		startedAt: systemClock.now(),
		log,
		gate,
		stopping: new AbortController().signal,
		wakeAt: () => {},
		count: () => {},
		patientWith,
		onBug: (error: unknown) => process.exit(explain(error)),
	};
	const kept = config.accounts.map(
		(account) => new KeptAccount(account, place, around),
	);
	await sweepLeftovers(config.directory, kept, log);
	try {
		return worst(
			await Promise.all(kept.map((one) => gate.pass(() => act(one)))),
		);
	} finally {
		await http.close();
	}
}

function tellWhy({ account, keeper }: KeptAccount, until: number): void {
	const { appid } = account;
	const cause =
		keeper.recall().pause?.failure?.message ?? "its calls are used up";
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

function codeFor(outcome: Outcome, { keeper }: KeptAccount): number {
	switch (outcome.kind) {
		case "rested":
		case "republished":
		case "refreshed":
			return exitCode.done;
		case "failed":
			if (outcome.error instanceof StoreError && !isLost(outcome))
				return exitCode.cannotWrite;
			break;
		case "locked":
		case "held-back":
			break;
		default:
			return outcome satisfies never;
	}
	return codeWithoutRefresh(keeper);
}

/** It failed: what matters is whether readers still have a token. */
export function codeWithoutRefresh(keeper: KeptAccount["keeper"]): number {
	return keeper.current() === undefined ? exitCode.noToken : exitCode.temporary;
}

/** Of several accounts, what most needs a person. */
function worst(codes: readonly number[]): number {
	const order = [exitCode.cannotWrite, exitCode.noToken, exitCode.temporary];
	return order.find((code) => codes.includes(code)) ?? exitCode.done;
}

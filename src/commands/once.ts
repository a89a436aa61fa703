import { systemClock } from "../clock.ts";
import type { CommandLine } from "../command-line.ts";
import { type Config, loadConfig } from "../config.ts";
import { exitCode, StoreError, UsageError } from "../errors.ts";
import { explain } from "../explain.ts";
import { createGate } from "../gate.ts";
import { createHttp } from "../http.ts";
import type { Outcome } from "../keeper.ts";
import {
	type KeptAccount,
	keepAccount,
	prepareDirectory,
	sweepLeftovers,
} from "../keepers.ts";
import { openLog } from "../log.ts";
import { nameThisProcess } from "../process-name.ts";

export async function once(line: CommandLine): Promise<number> {
	const { env } = process;
	const all = loadConfig({ file: line.value("config"), env, secrets: true });
	return refreshOnce(chosen(all, line.operands), env);
}

/** One pass over the accounts of a configuration; returns the exit code. */
export async function refreshOnce(
	config: Config,
	env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
	const log = openLog(config.logLevel, env);
	for (const warning of config.warnings)
		log.warn({ event: "config.doubtful" }, warning);
	const timeoutMs = Math.max(...config.accounts.map((a) => a.timeoutMs));
	const http = createHttp({ connectTimeoutMs: timeoutMs / 2, env });
	const gate = createGate(48);
	await prepareDirectory(config);
	const around = {
		http,
		clock: systemClock,
		random: Math.random,
		self: nameThisProcess(),
		log,
		gate,
		stopping: new AbortController().signal,
		wakeAt: () => {},
		count: () => {},
		onBug: (error: unknown) => process.exit(explain(error)),
	};
	const kept = config.accounts.map((account) =>
		keepAccount(account, config, around),
	);
	await sweepLeftovers(config.directory, kept);
	try {
		const codes = await Promise.all(
			kept.map(async (one) =>
				// A living process at work may take as long as its request does.
				codeFor(await one.keeper.look(2 * timeoutMs + 5_000), one),
			),
		);
		return worst(codes);
	} finally {
		await http.close();
	}
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

function codeFor(outcome: Outcome, { keeper }: KeptAccount): number {
	switch (outcome.kind) {
		case "rested":
		case "republished":
		case "refreshed":
			return exitCode.done;
		case "failed":
			if (outcome.error instanceof StoreError && outcome.error.kind !== "lost")
				return exitCode.cannotWrite;
			break;
		case "locked":
		case "held-back":
			break;
		default:
			return outcome satisfies never;
	}
	return keeper.current() === undefined ? exitCode.noToken : exitCode.temporary;
}

/** Of several accounts, what most needs a person. */
function worst(codes: readonly number[]): number {
	const order = [exitCode.cannotWrite, exitCode.noToken, exitCode.temporary];
	return order.find((code) => codes.includes(code)) ?? exitCode.done;
}

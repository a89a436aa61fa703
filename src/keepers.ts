/** The keepers of a configuration's accounts, with all that they need. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { ProcessName } from "./account-state.ts";
import { refuseUnsafeDirectory, storeError } from "./atomic-write.ts";
import type { Clock } from "./clock.ts";
import type { Account, Config } from "./config.ts";
import { StoreError } from "./errors.ts";
import type { Gate } from "./gate.ts";
import type { Http } from "./http.ts";
import { createKeeper, type Keeper, type KeeperEvent } from "./keeper.ts";
import type { Log } from "./log.ts";
import {
	createTokenFile,
	isLeftover,
	makeDirectory,
	sweep,
	type TokenStore,
} from "./token-file.ts";
import { createIssuer } from "./wechat.ts";

/** What all keepers of a process share. */
export interface Surroundings {
	readonly http: Http;
	readonly clock: Clock;
	readonly random: () => number;
	readonly self: ProcessName;
	readonly log: Log;
	readonly gate: Gate;
	readonly stopping: AbortSignal;
	readonly wakeAt: (at: number) => void;
	readonly count: (appid: string, event: KeeperEvent) => void;
	readonly onBug: (error: unknown) => void;
}

export interface KeptAccount {
	readonly account: Account;
	readonly path: string;
	readonly store: TokenStore;
	readonly keeper: Keeper;
}

export function keepAccount(
	account: Account,
	{ directory, mode, gid }: Config,
	around: Surroundings,
): KeptAccount {
	const { appid, timeoutMs } = account;
	const { clock, random, self, log } = around;
	const path = join(directory, account.file);
	// A living holder renews its lock every quarter of this.
	const staleMs = Math.max(5_000, 2 * timeoutMs + 2_000);
	const store = createTokenFile({
		path,
		mode,
		gid,
		staleMs,
		self,
		clock,
		random,
		stopping: around.stopping,
	});
	const issuer = createIssuer({
		...account,
		http: around.http,
		clock,
		stopping: around.stopping,
		onClockSkew: (skewMs) =>
			log.warn(
				{
					event: "clock.skewed",
					appid,
					seconds: Math.round(skewMs / 1000),
					hint: "set the clock of this server (NTP): tokens end by it",
				},
				`the clock of this server is ${Math.abs(Math.round(skewMs / 1000))} s ${skewMs > 0 ? "ahead of" : "behind"} WeChat's`,
			),
		onDetour: ({ failing, instead, failure }) => {
			if (failure === undefined)
				log.info({ event: "link.restored", appid }, `${failing} works again`);
			else
				log.warn(
					{ event: "link.failed", appid, failure },
					`${failing} does not work, ${instead} does: it is used until then`,
				);
		},
	});
	const keeper = createKeeper({
		...around,
		appid,
		rules: account,
		store,
		issuer,
		patienceMs: staleMs + timeoutMs,
		count: (event) => around.count(appid, event),
	});
	return { account, path, store, keeper };
}

/** Makes the directory if it is missing; throws `StoreError` if it is not fit for tokens. */
export async function prepareDirectory({
	directory,
	gid,
}: Config): Promise<void> {
	makeDirectory(directory, gid);
	refuseUnsafeDirectory(directory);
}

/**
 * Removes what dead writers left: temporary files, and locks that nobody holds.
 * What cannot be removed is told and stays: no reason not to keep tokens.
 */
export async function sweepLeftovers(
	directory: string,
	kept: readonly KeptAccount[],
	log: Log,
): Promise<void> {
	const orTell = async (sweeping: () => Promise<void>) => {
		try {
			await sweeping();
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			const { message, code, hint } = error;
			log.warn({ event: "sweep.failed", code, hint }, message);
		}
	};
	await orTell(async () => {
		const suspects = suspectsIn(directory);
		if (suspects.length === 0) return;
		await Promise.all(
			kept.map((account) => orTell(() => sweepOne(account, suspects))),
		);
	});
}

function suspectsIn(directory: string): readonly string[] {
	try {
		return readdirSync(directory).filter(
			(name) => name.endsWith(".tmp") || name.includes(".lock"),
		);
	} catch (error) {
		throw storeError("list the directory", directory, error);
	}
}

async function sweepOne(
	{ account, path, store }: KeptAccount,
	suspects: readonly string[],
): Promise<void> {
	const leftovers = suspects.filter((name) => isLeftover(name, account.file));
	if (leftovers.length === 0) return;
	const lock = await store.acquire(0);
	if (lock === undefined) return; // Somebody alive is at work there.
	try {
		sweep(path, leftovers);
	} finally {
		await lock.release();
	}
}

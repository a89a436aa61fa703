/** The directory that the keepers of a configuration share: fit for tokens, and swept. */
import { existsSync, readdirSync } from "node:fs";
import type { Config } from "../config/config.ts";
import { StoreError } from "../core/errors.ts";
import type { Log } from "../daemon/log.ts";
import {
	type KeptAccount,
	type Place,
	placeOf,
} from "../keeper/managed-credential.ts";
import { isLeftover, sweep } from "./directory-store.ts";
import { makeDirectory, refuseUnsafeDirectory } from "./output-directory.ts";
import { removeSimulation } from "./simulated-directory.ts";
import { storeError } from "./store-error.ts";

/**
 * Makes the directory if it is missing, and frees it of a simulation's tokens,
 * which it tells. Resolves with where and how files are there. Throws `StoreError`
 * if it is not fit for tokens, `ConfigError` if a simulation runs there.
 */
export async function prepareDirectory(
	config: Config,
	tell = (message: string): void => {
		process.stderr.write(`wxtokend: ${message}\n`);
	},
): Promise<Place> {
	const { directory, gid, isSimulated = false } = config;
	// A file in its place would be told as a failure to make it.
	if (!existsSync(directory)) makeDirectory(directory, gid);
	refuseUnsafeDirectory(directory);
	if (!isSimulated) removeSimulation(config, tell);
	return placeOf(config);
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
	one: KeptAccount,
	suspects: readonly string[],
): Promise<void> {
	const { file } = one.account;
	const leftovers = suspects.filter((name) => isLeftover(name, file));
	if (leftovers.length === 0) return;
	const lock = await one.store.acquire(0);
	if (lock === undefined) return; // Somebody alive is at work there.
	try {
		sweep(one.path, leftovers);
	} finally {
		await lock.release();
	}
}

/** The directory that the keepers of a configuration share: fit for tokens, and swept. */
import { existsSync, readdirSync } from "node:fs";
import type { Credential } from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import type { Log, Slot } from "../core/ports.ts";
import type { FileAttributes } from "./atomic-write.ts";
import { isLeftover, sweep } from "./directory-store.ts";
import {
	createOutputDirectory,
	groupFor,
	makeDirectory,
	type OutputDirectory,
	refuseUnsafeDirectory,
} from "./output-directory.ts";
import { removeSimulation } from "./simulated-directory.ts";
import { storeError } from "./store-error.ts";

/** The directory of a configuration, as it is wanted. */
export interface WantedDirectory extends FileAttributes {
	readonly directory: string;
	/** Its values are the simulator's. */
	readonly isSimulated?: boolean;
	/** The name of the configuration, for errors. */
	readonly source: string;
}

/** Where the files of a configuration are, and with what mode and group. */
export interface Location extends FileAttributes {
	readonly directory: OutputDirectory;
}

/**
 * Makes the directory if it is missing, and frees it of a simulation's tokens, which
 * it tells. Throws `StoreError` if it is not fit for tokens, `ConfigError` if a
 * simulation runs there.
 */
export function prepareDirectory(
	wanted: WantedDirectory,
	tell: (message: string) => void,
): Location {
	const { directory, mode, gid, isSimulated = false } = wanted;
	// A file in its place would be told as a failure to make it.
	if (!existsSync(directory)) makeDirectory(directory, gid);
	refuseUnsafeDirectory(directory);
	if (!isSimulated) removeSimulation(wanted, tell);
	return {
		directory: createOutputDirectory(directory),
		mode,
		// Only of a directory that is there.
		gid: groupFor({ directory, gid }),
	};
}

/** A credential whose files may have leftovers beside them. */
interface Swept {
	readonly credential: Credential;
	readonly path: string;
	readonly slot: Slot;
}

/**
 * Removes what dead writers left: temporary files, and locks of dead processes.
 * What cannot be removed is told and stays: no reason not to keep tokens.
 */
export async function sweepLeftovers(
	directory: string,
	managed: readonly Swept[],
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
			managed.map((one) => orTell(() => sweepOne(one, suspects))),
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
	one: Swept,
	suspects: readonly string[],
): Promise<void> {
	const { file } = one.credential;
	const leftovers = suspects.filter((name) => isLeftover(name, file));
	if (leftovers.length === 0) return;
	const lock = await one.slot.acquire(0);
	if (lock === undefined) return; // A living process is at work there.
	try {
		sweep(one.path, leftovers);
	} finally {
		await lock.release();
	}
}

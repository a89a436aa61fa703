/** The directory that the keepers of a configuration share: checked, and cleaned of leftovers. */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import type { Credential } from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import type { Log, Slot } from "../core/ports.ts";
import type { FileAttributes, Location } from "./atomic-write.ts";
import { isLeftover, removeLeftovers } from "./leftovers.ts";
import {
	createOutputDirectory,
	groupFor,
	makeDirectory,
	refuseUnsafeDirectory,
} from "./output-directory.ts";
import { removeSimulation } from "./simulated-directory.ts";
import { storeError } from "./store-error.ts";

/** The directory that a configuration asks for. */
export interface WantedDirectory extends FileAttributes {
	readonly directory: string;
	/** Its values are the simulator's. */
	readonly isSimulated?: boolean;
	/** The name of the configuration, for errors. */
	readonly source: string;
}

/**
 * Makes the directory if it is missing, and removes the tokens of a simulation from it;
 * `report` is told of that. Throws `StoreError` if the directory is not fit for tokens,
 * `ConfigError` if a simulation runs there.
 */
export function prepareDirectory(
	wanted: WantedDirectory,
	report: (message: string) => void,
): Location {
	const { directory, mode, gid, isSimulated = false } = wanted;
	// If a file stands in its place, the check below says so; mkdir would not.
	if (!existsSync(directory)) makeDirectory(directory, gid);
	refuseUnsafeDirectory(directory);
	if (!isSimulated) removeSimulation(wanted, report);
	return {
		directory: createOutputDirectory(directory),
		mode,
		// Asked last, as the directory must exist.
		gid: groupFor({ directory, gid }),
	};
}

/** A credential whose files may have leftovers beside them. */
interface KeptFile {
	readonly credential: Credential;
	readonly path: string;
	readonly slot: Slot;
}

/**
 * Removes what dead writers left: temporary files, locks and break markers. What cannot
 * be removed stays, and is logged as `sweep.failed`: tokens can be kept all the same.
 * Rejects only for a bug.
 */
export async function sweepLeftovers(
	directory: string,
	managed: readonly KeptFile[],
	log: Log,
): Promise<void> {
	const orLog = async (act: () => Promise<void>) => {
		try {
			await act();
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			const { message, code, hint } = error;
			log.warn({ event: "sweep.failed", code, hint }, message);
		}
	};
	await orLog(async () => {
		const suspects = await suspectsIn(directory);
		if (suspects.length === 0) return;
		await Promise.all(
			managed.map((one) => orLog(() => sweepOne(one, suspects))),
		);
	});
}

/** By another thread: there may be a hundred thousand names. */
async function suspectsIn(directory: string): Promise<readonly string[]> {
	try {
		const names = await readdir(directory);
		return names.filter(
			(name) => name.endsWith(".tmp") || name.includes(".lock"),
		);
	} catch (error) {
		throw storeError("list the directory", directory, error);
	}
}

async function sweepOne(
	one: KeptFile,
	suspects: readonly string[],
): Promise<void> {
	const { file } = one.credential;
	const leftovers = suspects.filter((name) => isLeftover(name, file));
	if (leftovers.length === 0) return;
	const lock = await one.slot.acquire(0, { kind: "repair" });
	if (lock === undefined) return; // A living process is using them.
	try {
		removeLeftovers(one.path, leftovers);
	} finally {
		await lock.release();
	}
}

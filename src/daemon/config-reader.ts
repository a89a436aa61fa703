/** Reads the configuration, at the start of a daemon and again while it runs. */
import type { Config } from "../config/config.ts";
import { type Files, NotReadYet } from "../config/files.ts";
import type { DaemonGroups } from "../config/group.ts";
import type { Clock } from "../core/clock.ts";
import { ConfigError } from "../core/errors.ts";
import type { Steps } from "../core/steps.ts";
import { inSlices } from "../keeper/limiter.ts";
import { createDiskQuestions, SilentDisk } from "./disk-questions.ts";
import { createFileSnapshot } from "./file-snapshot.ts";
import { growNewSpace, keepNewSpace } from "./heap.ts";

export interface ConfigReader {
	/**
	 * The first call waits for the disk: nothing is kept yet. Later ones never do. One
	 * reads after the other, so the last to begin has the newest. Rejects with
	 * `ConfigError`, also if a disk does not answer in time.
	 */
	read(): Promise<Config>;
	/** As `DiskQuestions.end`. */
	end(): Promise<boolean>;
}

/** Reading a long configuration yields to the keepers after this time. */
const sliceMs = 10;

/** `load` is as `createConfigLoader` makes it. */
export function createConfigReader(
	load: (files?: Files) => Steps<Config>,
	groups: Pick<DaemonGroups, "isKnown" | "settled">,
	clock: Pick<Clock, "monotonic">,
): ConfigReader {
	const questions = createDiskQuestions(clock);
	/** Of the configuration that was read before; undefined: there is none. */
	let source: string | undefined;

	const loadFrom = async (files?: Files) => {
		try {
			return await inSlices(load(files), sliceMs, growNewSpace);
		} finally {
			keepNewSpace();
		}
	};
	/** `known`: the name of the configuration that is in use; undefined: nothing is kept yet. */
	const loadOnce = async (known: string | undefined) => {
		if (known === undefined) return loadFrom();
		const files = createFileSnapshot(questions);
		for (;;) {
			try {
				return await loadFrom(files);
			} catch (error) {
				if (!(error instanceof NotReadYet)) throw error;
			}
			// What it has named by now: the files of the last time, or those that are new.
			await files.complete().catch(rethrowAs(known));
		}
	};
	/** Waits for a group only if nothing is known of it yet. */
	const readOnce = async () => {
		const known = source;
		const config = await loadOnce(known);
		source = config.source;
		if (groups.isKnown()) return config;
		await groups.settled();
		return loadOnce(known);
	};
	let last: Promise<unknown> = Promise.resolve();
	return {
		read: () => {
			const reading = last.then(readOnce);
			last = reading.catch(() => {});
			return reading;
		},
		end: questions.end,
	};
}

function rethrowAs(source: string): (error: unknown) => never {
	return (error) => {
		if (!(error instanceof SilentDisk)) throw error;
		const { path, seconds } = error;
		throw new ConfigError(source, [
			{
				path,
				message: `the disk or network mount on which it is has not answered within ${seconds} s; mend or unmount that, then reload`,
			},
		]);
	};
}

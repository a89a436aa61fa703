/** The metrics as a file, for the textfile collector of node_exporter. */
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { publishFile } from "../store/atomic-write.ts";
import type { Metrics } from "./metrics.ts";

/** The metrics file of a daemon. */
export interface MetricsFile {
	/**
	 * Writes the file at `path` if anything was counted since the last time. Cheap
	 * enough for each tick: where writing takes long, most calls do nothing.
	 * Undefined: there is no file. Failures are logged, and tried again.
	 */
	write(path: string | undefined): Promise<void>;
}

/**
 * Writing takes at most a fiftieth of the time: with ten thousand accounts
 * something has changed at each tick, and the file takes long to make.
 */
const restFactor = 50;

/** What was written last. */
interface Written {
	readonly path: string;
	/** `Metrics.counted` of its content; undefined if it could not be written. */
	readonly counted: number | undefined;
	/** The code of the failure; "" if there was none. */
	readonly problem: string;
}

/** Nothing is written before the first call. */
export function createMetricsFile(
	metrics: Pick<Metrics, "counted" | "render">,
	clock: Clock,
	log: Log,
): MetricsFile {
	let last: Written | undefined;
	let writing: Promise<void> | undefined;
	let restsUntil = 0;

	const writeNow = async (path: string): Promise<void> => {
		const beganAt = clock.monotonic();
		last = await writeOnce(path, metrics, last?.problem, log);
		restsUntil = beganAt + restFactor * (clock.monotonic() - beganAt);
	};

	return {
		write: async (path) => {
			const isWritten =
				last?.path === path && last?.counted === metrics.counted();
			if (path === undefined || isWritten) return;
			if (clock.monotonic() < restsUntil) return;
			writing ??= writeNow(path).finally(() => {
				writing = undefined;
			});
			await writing;
		},
	};
}

/** A failure is logged once, until it changes or ends. */
async function writeOnce(
	path: string,
	metrics: Pick<Metrics, "counted" | "render">,
	lastProblem: string | undefined,
	log: Log,
): Promise<Written> {
	// Before rendering: what is counted meanwhile may not be in the content.
	const counted = metrics.counted();
	try {
		const content = await metrics.render();
		await publishFile(path, content, { mode: 0o644, gid: undefined });
		return { path, counted, problem: "" };
	} catch (error) {
		if (!(error instanceof StoreError)) throw error;
		const { message, code, hint } = error;
		if (lastProblem !== code)
			log.warn({ event: "metrics.unwritten", path, code, hint }, message);
		return { path, counted: undefined, problem: code };
	}
}

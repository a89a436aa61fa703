/**
 * The metrics as a file, for the textfile collector of node_exporter.
 *
 * It may be on another mount than the tokens, and that mount may hang. So nothing here
 * waits in the main thread, and at most one write is under way: a worker thread hangs
 * with it, and no tick waits for it.
 */
import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, unlink } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Clock } from "../core/clock.ts";
import { StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { storeError } from "../store/store-error.ts";
import type { Metrics } from "./metrics.ts";

/** The metrics file of a daemon. */
export interface MetricsFile {
	/**
	 * Writes the file at `path` if anything was counted since the last time. Cheap
	 * enough for each tick: where writing takes long, most calls do nothing.
	 * Undefined: there is no file. Failures are logged, and tried again. Resolves at once
	 * while an earlier write is under way.
	 */
	write(path: string | undefined): Promise<void>;
	/** A write is under way. */
	isWriting(): boolean;
}

/** A write that takes longer is logged, once. */
const hangsAfterMs = 30_000;

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
	/** Since when a write is under way, by the monotonic clock. */
	let beganAt: number | undefined;
	let isTold = false;
	let restsUntil = 0;

	const tellIfHanging = (path: string, since: number) => {
		if (isTold || clock.monotonic() - since < hangsAfterMs) return;
		isTold = true;
		log.warn(
			{
				event: "metrics.unwritten",
				path,
				code: "ETIMEDOUT",
				hint: "look at the disk or network mount on which it is; tokens are renewed all the same",
			},
			`could not write ${path}: the system has not answered for ${hangsAfterMs / 1000} s`,
		);
	};

	return {
		isWriting: () => beganAt !== undefined,
		write: async (path) => {
			if (path === undefined) return;
			if (beganAt !== undefined) return tellIfHanging(path, beganAt);
			if (last?.path === path && last?.counted === metrics.counted()) return;
			const now = clock.monotonic();
			if (now < restsUntil) return;
			beganAt = now;
			try {
				last = await writeOnce(path, metrics, last?.problem, log);
			} finally {
				beganAt = undefined;
				isTold = false;
				restsUntil = now + restFactor * (clock.monotonic() - now);
			}
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
		await replaceFile(path, metrics.render());
		return { path, counted, problem: "" };
	} catch (error) {
		if (!(error instanceof StoreError)) throw error;
		const { message, code } = error;
		const hint = metricsHint(path, code);
		if (lastProblem !== code)
			log.warn({ event: "metrics.unwritten", path, code, hint }, message);
		return { path, counted: undefined, problem: code };
	}
}

/** What to do if the file cannot be written, in the operator's words. */
export function metricsHint(path: string, code: string): string {
	const directory = dirname(path);
	return code === "EROFS"
		? `under systemd: systemctl edit wxtokend, add "[Service]" and "ReadWritePaths=${directory}", then restart it; else remount it, or set another \`metrics_file\``
		: `let the daemon's user write in ${directory} (under systemd also ReadWritePaths=${directory}), or set another \`metrics_file\``;
}

/**
 * Writes and removes a file beside it, which is left as it is. Throws `StoreError` with
 * what the daemon would log.
 */
export async function tryMetricsFile(path: string): Promise<void> {
	try {
		await unlink(await writeBeside(path, ["check\n"]));
	} catch (error) {
		if (!(error instanceof StoreError)) throw error;
		const { kind, message, code, cause } = error;
		throw new StoreError(kind, message, metricsHint(path, code), cause);
	}
}

/**
 * The file is always the old one or the new one. As `publishFile`, but each step is done
 * by a worker thread, and a folder in the way stays. Throws `StoreError`.
 */
async function replaceFile(
	path: string,
	content: AsyncIterable<string>,
): Promise<void> {
	const temporary = await writeBeside(path, content);
	try {
		await rename(temporary, path);
	} catch (error) {
		await unlink(temporary).catch(() => {});
		throw storeError("rename into place", path, error);
	}
}

/** Returns the path of the new file. Throws `StoreError`; then there is none. */
async function writeBeside(
	path: string,
	content: AsyncIterable<string> | Iterable<string>,
): Promise<string> {
	const temporary = `${dirname(path)}/.${basename(path)}.${randomUUID().slice(24)}.tmp`;
	const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
	const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
	let verb = "create a file beside";
	try {
		const file = await open(temporary, flags, 0o644);
		try {
			verb = "write";
			// The umask may have removed some bits.
			await file.chmod(0o644);
			for await (const piece of content) await file.writeFile(piece);
			await file.sync();
		} finally {
			await file.close();
		}
		return temporary;
	} catch (error) {
		await unlink(temporary).catch(() => {});
		throw storeError(verb, path, error);
	}
}

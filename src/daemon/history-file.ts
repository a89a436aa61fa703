/**
 * The history as a file in the directory of the tokens, so that a restart does not
 * lose the day. It holds no secret, and nothing depends on it: whatever is wrong with
 * it, the history begins anew.
 */
import { join } from "node:path";
import { findText } from "../config/lookup.ts";
import type { Clock } from "../core/clock.ts";
import type { DayEvent } from "../core/day.ts";
import { StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { createYielding } from "../keeper/limiter.ts";
import { type Location, publishFile } from "../store/atomic-write.ts";
import type { History } from "./history.ts";

/** The file of a daemon's history. */
export interface HistoryFile {
	/** Takes over what stands in the directory. Never throws. */
	load(location: Location): void;
	/** Writes it, if something was noted since, and at most every five minutes. Never throws. */
	save(location: Location, isLast?: boolean): Promise<void>;
}

/** No token file has such a name. */
const fileName = ".wxtokend-history";
/** 500 credentials with 64 events each take less. */
const maxBytes = 4_194_304;
const saveEveryMs = 300_000;
const sliceMs = 5;

/** Nothing is read or written before the first call. */
export function createHistoryFile(
	history: History,
	clock: Clock,
	log: Log,
): HistoryFile {
	let savedAt = clock.monotonic();
	let saved = history.noted();
	return {
		load: ({ directory }) => {
			try {
				const { text } = findText(join(directory.path, fileName), maxBytes);
				for (const line of text.split("\n")) restoreLine(line, history);
			} catch {
				// There is none, or nobody can read it: the day begins now.
			}
			saved = history.noted();
		},
		save: async ({ directory, mode, gid }, isLast = false) => {
			const noted = history.noted();
			const isSoon = clock.monotonic() - savedAt < saveEveryMs;
			if (noted === saved || (isSoon && !isLast)) return;
			savedAt = clock.monotonic();
			saved = noted;
			const path = join(directory.path, fileName);
			try {
				await publishFile(path, await linesOf(history), { mode, gid });
			} catch (error) {
				if (!(error instanceof StoreError)) throw error;
				log.debug(
					{ event: "history.unwritten", path, code: error.code },
					error.message,
				);
			}
		},
	};
}

/** A line for each credential: its name and its events as lists. */
async function linesOf(history: History): Promise<string> {
	const lines: string[] = [];
	const yielding = createYielding(sliceMs);
	for (const [id, events] of history.all()) {
		const rows = events.map(({ at, kind, why, until }) => [
			at,
			kind,
			why,
			until,
		]);
		lines.push(`${JSON.stringify([id, rows])}\n`);
		await yielding.yieldIfLong();
	}
	return lines.join("");
}

function restoreLine(line: string, history: History): void {
	let content: unknown;
	try {
		content = JSON.parse(line);
	} catch {
		return;
	}
	const [id, rows] = Array.isArray(content) ? content : [];
	if (typeof id !== "string" || !Array.isArray(rows)) return;
	history.restore(id, rows.flatMap(eventIn));
}

function eventIn(row: unknown): readonly DayEvent[] {
	if (!Array.isArray(row)) return [];
	const [at, kind, why, until] = row;
	const isKind =
		kind === "value" ||
		kind === "failure" ||
		kind === "death" ||
		kind === "push";
	return isKind &&
		typeof why === "string" &&
		Number.isFinite(at) &&
		Number.isFinite(until)
		? [{ at, kind, why: why.slice(0, 64), until }]
		: [];
}

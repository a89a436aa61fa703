/** The log when stderr is a regular file, whose mount may hang. */
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
	createLineQueue,
	type LogOutput,
	maxFlushMs,
	stepMs,
	waitOneStep,
} from "./log-queue.ts";

/**
 * Characters that are queued at most. More than for a pipe: the thread takes nothing before
 * the main thread pauses, so all lines of a busy moment are queued.
 */
const maxQueued = 4 * 1024 * 1024;

/** Characters that are written at once, or one line. */
const maxPiece = 64 * 1024;

/**
 * For a regular file, which has no mode in which a write does not wait: another thread
 * writes, one piece at a time.
 */
export function createFileOutput(
	file: number,
	noteOf: (dropped: number) => string,
): LogOutput {
	const queue = createLineQueue(maxQueued, noteOf);
	/** What is being written, and since when: ms of the monotonic clock. */
	let open: { readonly rest: Buffer; readonly since: number } | undefined;

	const writeRest = (rest: Buffer, lines: number) => {
		open = { rest, since: performance.now() };
		fs.write(file, rest, 0, rest.length, null, (error, written) => {
			open = undefined;
			// A full disk. Tokens are renewed without a log.
			if (error) queue.drop(lines);
			else if (written < rest.length)
				return writeRest(rest.subarray(written), lines);
			writeNext();
		});
	};
	const writeNext = () => {
		let text = "";
		let lines = 0;
		while (text.length < maxPiece) {
			const next = queue.take();
			if (next === undefined) break;
			text += next.text;
			lines += next.lines;
		}
		if (text !== "") writeRest(Buffer.from(text), lines);
	};

	return {
		write: (text) => {
			queue.add(text);
			if (open === undefined) writeNext();
		},
		flush: () => {
			if (open !== undefined) {
				if (performance.now() - open.since > maxFlushMs) return;
				// So what the other thread has begun comes first. It completes that also while
				// this process exits.
				waitOneStep();
			}
			try {
				for (let next = queue.take(); next; next = queue.take())
					writeAll(file, Buffer.from(next.text));
			} catch {
				// The disk is full, and the process ends: nobody is left to tell.
			}
		},
		end: async () => {
			const giveUpAt = performance.now() + maxFlushMs;
			while (open !== undefined && performance.now() < giveUpAt)
				await sleep(stepMs);
			return open !== undefined;
		},
	};
}

function writeAll(file: number, text: Buffer): void {
	for (let rest = text; rest.length > 0; )
		rest = rest.subarray(fs.writeSync(file, rest));
}

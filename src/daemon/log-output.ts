/**
 * Where the lines of the log go: to stderr, and never by a call that waits.
 *
 * Whoever reads the log may stand still: a stopped `docker logs`, a journal whose disk
 * hangs, a terminal after Ctrl-S, a file on a mount that does not answer. A write that
 * waits for that reader would hold up the renewals, the control socket and the signals.
 * So a line that does not fit now is queued; if the queue is full the oldest line is
 * dropped, and when the reader goes on, one line says how many were.
 */
import { constants, fstatSync, openSync, type Stats, writeSync } from "node:fs";
import { isatty } from "node:tty";
import { errnoOf } from "../core/errors.ts";
import { createFileOutput } from "./log-file.ts";
import {
	createLineQueue,
	type LogOutput,
	maxFlushMs,
	stepMs,
	waitOneStep,
} from "./log-queue.ts";

/** Characters that are queued at most: some thousand lines. */
const maxQueued = 512 * 1024;

/** How often a full pipe is tried again, ms. */
const retryMs = 100;

/** Stderr, by the way to write there that does not wait. `noteOf` as below. */
export function openStderr(noteOf: (dropped: number) => string): LogOutput {
	const found = fstatSync(2);
	if (found.isFile()) return createFileOutput(2, noteOf);
	return createLogOutput(withoutWaiting(found), noteOf);
}

/** A descriptor for stderr whose writes do not wait. */
function withoutWaiting(found: Stats): number {
	if (found.isFIFO() || found.isSocket()) {
		// The stream of Node.js, made at its first use, sets the mode.
		void process.stderr;
		return 2;
	}
	if (!isatty(2)) return 2;
	try {
		// The descriptor itself is shared with the shell, whose programs do not expect the
		// mode. This is another one for the same terminal.
		const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
		return openSync("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY);
	} catch {
		// There is no /proc, or the terminal belongs to another user.
		return 2;
	}
}

/** `noteOf`: the line that says that so many were dropped; "" for none. */
export function createLogOutput(
	file: number,
	noteOf: (dropped: number) => string,
): LogOutput {
	/** What is left of the line that is being written: half a line must be completed. */
	let rest = Buffer.alloc(0);
	/** How many lines are lost with it: itself, and those that its note tells of. */
	let atStake = 0;
	const queue = createLineQueue(maxQueued, noteOf);
	let timer: NodeJS.Timeout | undefined;

	/** Whether all of `rest` is written, or lost. */
	const writeRest = (): boolean => {
		try {
			while (rest.length > 0) rest = rest.subarray(writeSync(file, rest));
		} catch (error) {
			if (errnoOf(error) === "EAGAIN") return false;
			// A pipe without a reader, a full disk. Tokens are renewed without a log.
			rest = Buffer.alloc(0);
			queue.drop(atStake);
		}
		return true;
	};

	/** Whether everything is written. */
	const writeQueue = (): boolean => {
		while (writeRest()) {
			const next = queue.take();
			if (next === undefined) return true;
			rest = Buffer.from(next.text);
			atStake = next.lines;
		}
		return false;
	};

	const retry = () => {
		timer = writeQueue() ? undefined : setTimeout(retry, retryMs).unref();
	};

	return {
		write: (text) => {
			queue.add(text);
			if (timer === undefined) retry();
		},
		flush: () => {
			for (let waitedMs = 0; !writeQueue(); waitedMs += stepMs) {
				if (waitedMs >= maxFlushMs) return;
				waitOneStep();
			}
		},
		end: async () => false,
	};
}

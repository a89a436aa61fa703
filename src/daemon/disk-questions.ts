/**
 * Asks the disk while the daemon goes on with its work: a mount may hang, and then its
 * answer never comes.
 *
 * Node.js asks the disk in few threads, which the keepers need as well. So only one question
 * is open at a time, also if it never gets an answer. Many are asked by a thread of their
 * own: the way to another thread and back takes longer than a healthy disk.
 */
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type FoundName, foundNames } from "../config/files.ts";
import { type FoundText, refuseOddFile, tooLarge } from "../config/lookup.ts";
import type { Clock } from "../core/clock.ts";
import { errnoOf } from "../core/errors.ts";
import type {
	DiskAnswer,
	DiskQuestion,
	DiskValues,
	EntryIdentity,
} from "./disk-question.ts";

/** There was no answer in time. `seconds`: how long that is. */
export class SilentDisk extends Error {
	readonly path: string;
	readonly seconds: number;
	constructor(path: string, seconds: number) {
		super(`no answer of the disk at ${path}`);
		this.path = path;
		this.seconds = seconds;
	}
}

export interface DiskQuestions {
	/**
	 * An answer for each question. Rejects with `SilentDisk` if one does not come in time,
	 * or if a question of an earlier call still waits for its own.
	 */
	ask(questions: readonly DiskQuestion[]): Promise<readonly DiskAnswer[]>;
	/**
	 * For the end of the process: asks no more, and answers nothing more. Resolves with
	 * whether the disk still owes an answer, which a healthy one does not for long.
	 */
	end(): Promise<boolean>;
}

/** How long one answer may take, ms. A healthy disk gives it within milliseconds. */
const answerLimitMs = 5_000;

/** How long those of one call may take, ms: a reload under systemd has 90 s. */
const callLimitMs = 60_000;

/** More of them are asked by a thread, whose start costs as much as some hundred. */
const fewQuestions = 256;

/** Nothing is asked yet. */
export function createDiskQuestions(
	clock: Pick<Clock, "monotonic">,
): DiskQuestions {
	let open: DiskRun | undefined;
	let isOverdue = false;
	let isEnded = false;
	return {
		ask: async (questions) => {
			if (isEnded) return new Promise(() => {});
			if (open !== undefined)
				throw new SilentDisk(open.path(), answerLimitMs / 1_000);
			const run = createRun(questions);
			open = run;
			const done = run.answers.finally(() => {
				open = undefined;
				isOverdue = false;
			});
			try {
				return await inTime(run, done, clock);
			} catch (error) {
				isOverdue = open === run;
				throw error;
			}
		},
		end: async () => {
			isEnded = true;
			if (open === undefined || isOverdue) return isOverdue;
			open.stop();
			const patience = sleep(answerLimitMs, undefined, { ref: false });
			await Promise.race([open.answers, patience]);
			return open !== undefined;
		},
	};
}

/** Questions that are being asked. */
interface DiskRun {
	readonly answers: Promise<readonly DiskAnswer[]>;
	/** How many have an answer. */
	progress(): number;
	/** What the disk is asked about now. */
	path(): string;
	/** Asks no more. */
	stop(): void;
}

function createRun(questions: readonly DiskQuestion[]): DiskRun {
	let answered = 0;
	let isStopped = false;
	let thread: Omit<DiskRun, "path"> | undefined;
	const askOneByOne = async () => {
		const answers: DiskAnswer[] = [];
		for (const one of questions) {
			if (isStopped) break;
			answers.push(...(await Promise.allSettled([answerTo(one)])));
			answered += 1;
		}
		return answers;
	};
	const askByThread = async () => {
		try {
			const { startDiskThread } = await import("./disk-thread.ts");
			thread = startDiskThread(questions);
			return await thread.answers;
		} catch {
			// There may be no memory for a thread. The other way takes longer, and no more.
			thread = undefined;
			return askOneByOne();
		}
	};
	const progress = () => thread?.progress() ?? answered;
	return {
		answers: questions.length > fewQuestions ? askByThread() : askOneByOne(),
		progress,
		path: () => questions[progress()]?.path ?? "",
		stop: () => {
			isStopped = true;
			thread?.stop();
		},
	};
}

/** Rejects with `SilentDisk` when an answer is overdue; then nothing more is asked. */
function inTime<T>(
	run: DiskRun,
	done: Promise<T>,
	clock: Pick<Clock, "monotonic">,
): Promise<T> {
	const giveUpAt = clock.monotonic() + callLimitMs;
	return new Promise((resolve, reject) => {
		const giveUp = (limitMs: number) => {
			clearInterval(timer);
			reject(new SilentDisk(run.path(), limitMs / 1_000));
			run.stop();
		};
		let seen = run.progress();
		let looks = 0;
		// Two looks in vain: the first may be due only because this process was suspended.
		const timer = setInterval(() => {
			const now = run.progress();
			looks = now === seen ? looks + 1 : 0;
			seen = now;
			if (looks === 2) giveUp(answerLimitMs);
			else if (clock.monotonic() >= giveUpAt) giveUp(callLimitMs);
		}, answerLimitMs / 2);
		done.finally(() => clearInterval(timer)).then(resolve, reject);
	});
}

const statOf = promisify(fs.stat);
const lstatOf = promisify(fs.lstat);
const openFile = promisify(fs.open);
const readFrom = promisify(fs.read);
const closeFile = promisify(fs.close);
const readdir = promisify(fs.readdir);
const realPathOf = promisify(fs.realpath.native);

/** Rejects with what Node.js throws, and with the errors of `findText`. */
async function answerTo({
	kind,
	path,
	maxBytes,
}: DiskQuestion): Promise<DiskValues[keyof DiskValues]> {
	switch (kind) {
		case "text":
			return textOf(path, maxBytes);
		case "names":
			return namesIn(path);
		case "realPath":
			return realPathOf(path);
		case "touch":
			await statOf(path);
			return undefined;
		case "entry":
			return entryAt(path);
	}
}

async function entryAt(path: string): Promise<EntryIdentity | undefined> {
	try {
		const { dev: device, ino: inode } = await lstatOf(path);
		return { device, inode };
	} catch (error) {
		if (errnoOf(error) === "ENOENT") return undefined;
		throw error;
	}
}

async function textOf(path: string, maxBytes: number): Promise<FoundText> {
	const found = await statOf(path);
	refuseOddFile(found, maxBytes);
	const { O_RDONLY, O_NONBLOCK } = fs.constants;
	const file = await openFile(path, O_RDONLY | O_NONBLOCK);
	try {
		const text = await readAll(file, found.size, maxBytes);
		return { text, mode: found.mode };
	} finally {
		await closeFile(file);
	}
}

/** `size`: as far as is known; a file that says that it is empty may be endless. */
async function readAll(
	file: number,
	size: number,
	maxBytes: number,
): Promise<string> {
	const parts: Buffer[] = [];
	let bytes = 0;
	for (;;) {
		// One byte more than there should be shows the end.
		const part = Buffer.alloc(bytes < size ? size - bytes + 1 : 65_536);
		const { bytesRead } = await readFrom(file, part, 0, part.length, null);
		bytes += bytesRead;
		if (bytes > maxBytes) throw tooLarge(bytes);
		parts.push(part.subarray(0, bytesRead));
		if (bytesRead === 0 || bytes === size)
			return Buffer.concat(parts).toString("utf8");
	}
}

async function namesIn(directory: string): Promise<readonly FoundName[]> {
	return foundNames(await readdir(directory, { withFileTypes: true }));
}

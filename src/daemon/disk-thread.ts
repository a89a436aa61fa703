/**
 * A thread that asks the disk many questions in a row, and waits for each answer. This file
 * is what starts it, and also what runs in it.
 */
import { lstatSync, statSync } from "node:fs";
import {
	isMainThread,
	parentPort,
	Worker,
	workerData,
} from "node:worker_threads";
import { disk } from "../config/files.ts";
import { findText } from "../config/lookup.ts";
import type { DiskAnswer, DiskQuestion, DiskValues } from "./disk-question.ts";

/** A thread that was started. */
export interface DiskThread {
	/** Rejects if the thread ends before. */
	readonly answers: Promise<readonly DiskAnswer[]>;
	/** How many questions have an answer. */
	progress(): number;
	/** Ends the thread, as soon as the disk has answered what it was asked. */
	stop(): void;
}

/** What the thread is given. */
interface Work {
	readonly questions: readonly DiskQuestion[];
	/** The number of answers; it can be seen from outside also while one is overdue. */
	readonly progress: Int32Array;
}

/** What an answer is on its way: of an error only the message would arrive. */
type Carried =
	| { readonly value: DiskValues[keyof DiskValues] }
	| { readonly message: string; readonly fields: object };

export function startDiskThread(
	questions: readonly DiskQuestion[],
): DiskThread {
	const progress = new Int32Array(new SharedArrayBuffer(4));
	const work: Work = { questions, progress };
	const thread = new Worker(__filename, { workerData: work, execArgv: [] });
	const answers = new Promise<readonly DiskAnswer[]>((resolve, reject) => {
		thread.on("message", (carried: readonly Carried[]) =>
			resolve(carried.map(unpacked)),
		);
		thread.on("error", reject);
		thread.on("exit", () => reject(new Error("the thread has ended")));
	});
	return {
		answers,
		progress: () => Atomics.load(progress, 0),
		stop: () => void thread.terminate(),
	};
}

function unpacked(carried: Carried): DiskAnswer {
	return "value" in carried
		? { status: "fulfilled", value: carried.value }
		: {
				status: "rejected",
				reason: Object.assign(new Error(carried.message), carried.fields),
			};
}

function packed(question: DiskQuestion): Carried {
	try {
		return { value: answerTo(question) };
	} catch (error) {
		// `code`, `errno` and what else stands in it.
		return {
			message: String(Object(error).message),
			fields: { ...Object(error) },
		};
	}
}

function answerTo({
	kind,
	path,
	maxBytes,
}: DiskQuestion): DiskValues[keyof DiskValues] {
	switch (kind) {
		case "text":
			return findText(path, maxBytes, false);
		case "names":
			return disk.names(path);
		case "realPath":
			return disk.realPath(path);
		case "touch":
			statSync(path);
			return undefined;
		case "entry": {
			const found = lstatSync(path, { throwIfNoEntry: false });
			return found && { device: found.dev, inode: found.ino };
		}
	}
}

if (!isMainThread && parentPort !== null) {
	const { questions, progress }: Work = workerData;
	const answers: Carried[] = [];
	for (const one of questions) {
		answers.push(packed(one));
		Atomics.add(progress, 0, 1);
	}
	parentPort.postMessage(answers);
}

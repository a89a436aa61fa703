/** The files of a configuration as they were read, without asking the disk again. */
import { type Files, NotReadYet } from "../config/files.ts";
import { maxConfigBytes } from "../config/lookup.ts";
import type { DiskAnswer, DiskQuestion, DiskValues } from "./disk-question.ts";
import type { DiskQuestions } from "./disk-questions.ts";

/** What was read of the disk up to now. */
export interface FileSnapshot extends Files {
	/** Reads what it lacks. Throws `SilentDisk`. */
	complete(): Promise<void>;
}

/** Knows nothing yet: lacks whatever it is asked for. */
export function createFileSnapshot({
	ask,
}: Pick<DiskQuestions, "ask">): FileSnapshot {
	const known = new Map<string, DiskAnswer>();
	const lacking = new Map<string, DiskQuestion>();

	const find = (question: DiskQuestion) => {
		const { kind, path, maxBytes } = question;
		const key = `${kind} ${maxBytes} ${path}`;
		const found = known.get(key);
		if (found === undefined) lacking.set(key, question);
		return found;
	};
	const take = <Kind extends keyof DiskValues>(
		kind: Kind,
		path: string,
		maxBytes = 0,
	): DiskValues[Kind] => {
		const found = find({ kind, path, maxBytes });
		if (found === undefined) throw new NotReadYet();
		if (found.status === "rejected") throw found.reason;
		// The key has the kind in it.
		return found.value as DiskValues[Kind];
	};

	return {
		text: (path, maxBytes = maxConfigBytes) => take("text", path, maxBytes),
		names: (directory) => take("names", directory),
		realPath: (path) => take("realPath", path),
		touch: (path) => void find({ kind: "touch", path, maxBytes: 0 }),
		lacksSome: () => lacking.size > 0,
		complete: async () => {
			const keys = [...lacking.keys()];
			const answers = await ask([...lacking.values()]);
			for (const [index, answer] of answers.entries())
				known.set(keys[index] ?? "", answer);
			lacking.clear();
		},
	};
}

/**
 * Groups of the system by name, for which Node.js has no call. A name that is not in
 * /etc/group may be in LDAP or systemd: `getent` knows, but it may take for ever.
 */
import { execFile, execFileSync } from "node:child_process";
import { type Files, NotReadYet } from "./files.ts";

/** The id of a group. "absent": there is none of that name. "silent": nobody could tell in time. */
export type GroupAnswer = number | "absent" | "silent";

/** Finds groups. */
export interface Groups {
	/** Of a name or an id. Throws only `NotReadYet`. */
	find(group: string | number, files: Files): GroupAnswer;
}

/** How long `getent` may take, ms. */
export const groupLimitMs = 5_000;

/** Each `find` waits for `getent` if it must: for commands that do one thing. */
export const waitingGroups: Groups = {
	find: (group, files) =>
		findLocally(group, files) ?? askAndWait(String(group)),
};

/** Groups for a daemon: nothing waits for `getent`. */
export interface DaemonGroups extends Groups {
	/**
	 * The last answer, which is asked for again meanwhile. While there is none for that
	 * name: the number of the last group that was found, else "silent".
	 */
	find(group: string | number, files: Files): GroupAnswer;
	/** Whether there was an answer for what was asked for last. */
	isKnown(): boolean;
	/** Asks again for what got no answer. For each tick. */
	retry(): void;
	/** Resolves when no question is open, in `groupLimitMs` for each. */
	settled(): Promise<void>;
}

/** `onChange`: an answer is another one than the last. `onSilent`: no answer within the limit. */
export function createDaemonGroups(
	onChange: () => void,
	onSilent: (name: string, known: GroupAnswer) => void,
): DaemonGroups {
	const answers = new Map<string, GroupAnswer>();
	let asking: Promise<void> | undefined;
	/** Asked for at the last `find`, if `getent` must be asked. */
	let wanted: string | undefined;
	/** Of the last group that was found. */
	let lastId: number | undefined;
	/** Names for which there was no answer the last time. */
	const silent = new Set<string>();

	const remembered = (name: string): GroupAnswer =>
		answers.get(name) ?? lastId ?? "silent";

	const ask = (name: string) => {
		asking ??= askSystem(name).then((answer) => {
			asking = undefined;
			if (answer === "silent") {
				if (silent.size === 0) onSilent(name, remembered(name));
				silent.add(name);
			} else {
				silent.clear();
				const isNew = answer !== answers.get(name);
				answers.set(name, answer);
				if (isNew) onChange();
			}
			if (wanted !== undefined && wanted !== name) ask(wanted);
		});
	};

	return {
		find: (group, files) => {
			const found = findLocally(group, files);
			wanted = found === undefined ? String(group) : undefined;
			const answer = found ?? remembered(String(group));
			if (typeof answer === "number") lastId = answer;
			if (wanted !== undefined) ask(wanted);
			return answer;
		},
		isKnown: () => wanted === undefined || answers.has(wanted),
		retry: () => {
			if (silent.size > 0 && wanted !== undefined) ask(wanted);
		},
		settled: async () => {
			while (asking !== undefined) await asking;
		},
	};
}

/** Undefined: `getent` must be asked. */
function findLocally(
	group: string | number,
	files: Files,
): GroupAnswer | undefined {
	// "" would be group 0 as a number. 0xffffffff means "leave it" to chown.
	const id = typeof group === "number" ? group : Number(group || "none");
	if (Number.isInteger(id)) return id >= 0 && id < 0xffffffff ? id : "absent";
	if (typeof group === "number") return "absent";
	const found = idIn(readGroups(files), group);
	// A name that begins with a dash would be an option of getent.
	if (found === undefined && !/^[A-Za-z_][\w.-]*\$?$/.test(group))
		return "absent";
	return found;
}

/** `lines` as in group(5): name, password, id and members between colons. */
function idIn(lines: string, name: string): number | undefined {
	for (const line of lines.split("\n")) {
		const [found, , id] = line.split(":");
		if (found === name && id !== undefined) return Number(id);
	}
	return undefined;
}

/** "" if the file cannot be read: then getent is asked. */
function readGroups(files: Files): string {
	try {
		return files.text("/etc/group").text;
	} catch (error) {
		if (error instanceof NotReadYet) throw error;
		return "";
	}
}

const limits = { timeout: groupLimitMs, killSignal: "SIGKILL" } as const;

function askAndWait(name: string): GroupAnswer {
	try {
		const lines = execFileSync("getent", ["group", name], {
			...limits,
			encoding: "utf8",
			stdio: ["ignore", "pipe", "ignore"],
		});
		return idIn(lines, name) ?? "absent";
	} catch (error) {
		return answerOf(error);
	}
}

function askSystem(name: string): Promise<GroupAnswer> {
	return new Promise((resolve) => {
		execFile("getent", ["group", name], limits, (error, lines) =>
			resolve(error ? answerOf(error) : (idIn(lines, name) ?? "absent")),
		);
	});
}

/** `getent` ends with 2 if there is no such group. Without `getent` nobody knows it either. */
function answerOf(error: unknown): GroupAnswer {
	if (!(error instanceof Error)) return "silent";
	const status = "status" in error ? error.status : undefined;
	const code = "code" in error ? error.code : undefined;
	return status === 2 || code === 2 || code === "ENOENT" ? "absent" : "silent";
}

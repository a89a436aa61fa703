import {
	ConfigError,
	errnoOf,
	exitCode,
	inWords,
	StoreError,
	UsageError,
} from "../core/errors.ts";
import { writesToJournal } from "../daemon/journal.ts";

/** Says what is wrong on stderr; returns the exit code. */
export function explain(error: unknown): number {
	const mark = writesToJournal(process.env) ? "<3>" : "";
	const say = (text: string) => tell(`${mark}wxtokend: ${text}\n`);
	if (error instanceof UsageError) {
		say(`${error.message}; ${error.hint}`);
		return exitCode.usage;
	}
	if (error instanceof ConfigError) {
		const { source, problems, warnings } = error;
		const where = source === "" ? "" : ` in ${source}`;
		const count =
			problems.length === 1 ? "1 problem" : `${problems.length} problems`;
		say(`${count}${where}:`);
		for (const { path, message } of problems)
			tell(`${mark}  ${path}: ${message}\n`);
		for (const warning of warnings) say(`warning: ${warning}`);
		return exitCode.configuration;
	}
	if (error instanceof StoreError) {
		say(`${error.message}; ${error.hint}`);
		return exitCode.cannotWrite;
	}
	if (isLostAnswer(error)) {
		const cause = inWords(errnoOf(error));
		say(`could not write the answer: ${cause}; write it to another place`);
		return exitCode.cannotWrite;
	}
	const stack = error instanceof Error ? error.stack : String(error);
	say(`this is a bug, please report it:\n${stack}`);
	return exitCode.bug;
}

/** To stderr. If that cannot be written there is nowhere left to say so. */
export function tell(text: string): void {
	const { stderr } = process;
	if (stderr.listenerCount("error") === 0) stderr.on("error", () => {});
	stderr.write(text);
}

/** Whatever else we write to wraps its errors: this was stdout. */
function isLostAnswer(error: unknown): boolean {
	return (
		error instanceof Error &&
		"syscall" in error &&
		error.syscall === "write" &&
		/^(EDQUOT|EFBIG|EIO|ENOSPC)$/.test(errnoOf(error) ?? "")
	);
}

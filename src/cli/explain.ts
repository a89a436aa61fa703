/** What a command tells the person who runs it: failures and remarks, on stderr. */
import type { Config } from "../config/config.ts";
import { isAccount } from "../config/entry.ts";
import {
	ConfigError,
	errnoOf,
	exitCode,
	inWords,
	StoreError,
	UsageError,
} from "../core/errors.ts";
import { writesToJournal } from "../daemon/journal.ts";

/** Explains what was thrown on stderr, and returns the exit code. Anything unknown is a bug. */
export function explain(error: unknown): number {
	// Else the journal would file the failure under the priority of a remark.
	const mark = writesToJournal(process.env) ? "<3>" : "";
	const say = (text: string) => writeStderr(`${mark}wxtokend: ${text}\n`);
	if (error instanceof UsageError) {
		say(`${error.message}; ${error.hint}`);
		return exitCode.usage;
	}
	if (error instanceof ConfigError) {
		const { source, problems, warnings } = error;
		// "": there is no configuration at all.
		const where = source === "" ? "" : ` in ${source}`;
		const count =
			problems.length === 1 ? "1 problem" : `${problems.length} problems`;
		say(`${count}${where}:`);
		for (const { path, message } of problems)
			writeStderr(`${mark}  ${path}: ${message}\n`);
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
	// The only case with a stack: a mistake of a user must never look like a crash.
	const stack = error instanceof Error ? error.stack : String(error);
	say(`this is a bug, please report it:\n${stack}`);
	return exitCode.bug;
}

/** A sentence for the person who runs the command, on stderr. */
export function tellPerson(message: string): void {
	writeStderr(`wxtokend: ${message}\n`);
}

/** A failure of stderr is ignored: there is no other place to report it. */
function writeStderr(text: string): void {
	const { stderr } = process;
	if (stderr.listenerCount("error") === 0) stderr.on("error", () => {});
	stderr.write(text);
}

/** Whether writing to stdout failed. Every other write of ours throws an error class of its own. */
function isLostAnswer(error: unknown): boolean {
	return (
		error instanceof Error &&
		"syscall" in error &&
		error.syscall === "write" &&
		/^(EDQUOT|EFBIG|EIO|ENOSPC)$/.test(errnoOf(error) ?? "")
	);
}

/** For an operand that names nothing of the configuration. */
export function unknownName(
	name: string,
	{ entries, source }: Pick<Config, "entries" | "source">,
): UsageError {
	const names = entries.map((one) => (isAccount(one) ? one.appid : one.file));
	return new UsageError(
		`there is no account ${JSON.stringify(name)} in ${source}`,
		`accounts: ${names.join(", ")}`,
	);
}

/** The exit code of a command for several accounts: the one that most needs a person. */
export function worstCode(codes: readonly number[]): number {
	const order = [
		exitCode.usage,
		exitCode.cannotWrite,
		exitCode.noToken,
		exitCode.temporary,
	];
	return order.find((code) => codes.includes(code)) ?? exitCode.done;
}

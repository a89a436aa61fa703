/** The status of accounts as the files tell it, for when no daemon answers. */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { readersHint } from "../config/lookup.ts";
import { readText } from "../config/read-text.ts";
import { systemClock } from "../core/clock.ts";
import type { Reading } from "../core/decide.ts";
import { errnoOf, inWords } from "../core/errors.ts";
import { decodeState, emptyState, statePathOf } from "../core/record.ts";
import { type StatusReport, statusOf } from "../core/status.ts";
import { decodeToken } from "../core/token.ts";

export function reportFromFiles({ directory, accounts }: Config): StatusReport {
	const now = systemClock.now();
	return {
		source: "files",
		accounts: accounts.map((account) => {
			const path = join(directory, account.file);
			const state = textOf(statePathOf(path));
			const reading = readingOf(path);
			const status = statusOf({
				account,
				path,
				reading,
				state: "text" in state ? decodeState(state.text) : emptyState,
				now,
				withoutDaemon: true,
			});
			const isShut =
				reading.kind === "unusable" && reading.problem.includes("EACCES");
			return isShut ? { ...status, hint: readersHint(path) } : status;
		}),
	};
}

function readingOf(path: string): Reading {
	const found = textOf(path);
	if (!("text" in found))
		return found.errno === "ENOENT"
			? { kind: "absent" }
			: { kind: "unusable", problem: `unreadable: ${inWords(found.errno)}` };
	const token = decodeToken(found.text);
	return token === undefined
		? { kind: "unusable", problem: "not a token file" }
		: { kind: "token", token, exact: true };
}

function textOf(
	path: string,
): { readonly text: string } | { readonly errno: string | undefined } {
	try {
		return { text: readText(path) };
	} catch (error) {
		return { errno: errnoOf(error) };
	}
}

/**
 * The status of accounts as the files show it, for when no daemon answers. It takes no
 * lock and changes nothing, so every user who may read the files can ask.
 */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { readersHint, readText } from "../config/lookup.ts";
import { systemClock } from "../core/clock.ts";
import type { Reading } from "../core/credential.ts";
import { errnoOf, inWords } from "../core/errors.ts";
import { decodeRecord, emptyRecord, recordPathOf } from "../core/record.ts";
import { reportOf, type StatusReport, statusOf } from "../core/status.ts";
import { decodeToken } from "../core/token.ts";
import { credentialsOf } from "../daemon/credential-of.ts";

/**
 * The same report as the daemon's, with `source: "files"`. A file that cannot be read
 * is a state of its account, and no error. Never throws.
 */
export function reportFromFiles({ directory, accounts }: Config): StatusReport {
	const now = systemClock.now();
	const credentials = accounts.flatMap(credentialsOf);
	return reportOf(
		"files",
		credentials.map((credential) => {
			const path = join(directory, credential.file);
			const state = textOf(recordPathOf(path));
			const reading = readingOf(path);
			const status = statusOf({
				credential,
				path,
				reading,
				record: "text" in state ? decodeRecord(state.text) : emptyRecord,
				now,
				withoutDaemon: true,
			});
			// Not the file is wrong, but the rights of this user.
			const isForbidden =
				reading.kind === "unusable" && reading.problem.includes("EACCES");
			return isForbidden ? { ...status, hint: readersHint(path) } : status;
		}),
	);
}

/** Mode, owner and group are not checked: that is for writers. */
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

/** `errno`: why it cannot be read. */
function textOf(
	path: string,
): { readonly text: string } | { readonly errno: string | undefined } {
	try {
		return { text: readText(path) };
	} catch (error) {
		return { errno: errnoOf(error) };
	}
}

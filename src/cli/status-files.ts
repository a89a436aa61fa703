/**
 * The status of accounts as the files show it, for when no daemon answers. It takes no
 * lock and changes nothing, so every user who may read the files can ask.
 */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { readersHint } from "../config/lookup.ts";
import { systemClock } from "../core/clock.ts";
import type { Reading } from "../core/credential.ts";
import type { SharedRecord } from "../core/record.ts";
import { reportOf, type StatusReport, statusOf } from "../core/status.ts";
import { decodeToken } from "../core/token.ts";
import { credentialsOf } from "../daemon/credential-of.ts";
import { maxTokenBytes, readSmallFile } from "../store/cached-read.ts";
import { maxLooks, recordBeside, whyAltered } from "./distrust.ts";

/**
 * The same report as the daemon's, with `source: "files"`. A file that cannot be read
 * is a state of its account, and no error. Never throws.
 */
export function reportFromFiles({ directory, entries }: Config): StatusReport {
	const now = systemClock.now();
	const credentials = entries.flatMap(credentialsOf);
	return reportOf(
		"files",
		credentials.map((credential) => {
			const path = join(directory, credential.file);
			const { reading, record } = readTogether(path);
			const status = statusOf({
				credential,
				path,
				reading,
				record,
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

/** The file and its record, both as they were at one moment. */
function readTogether(path: string): {
	readonly reading: Reading;
	readonly record: SharedRecord;
} {
	for (let looks = 1; ; looks += 1) {
		const record = recordBeside(path);
		const reading = readingOf(path);
		const problem =
			reading.kind === "token" ? whyAltered(reading.token, record) : undefined;
		if (problem === undefined) return { reading, record };
		// A keeper may publish between two looks, but not so often in a row.
		if (looks === maxLooks)
			return { reading: { kind: "unusable", problem }, record };
	}
}

/** Mode, owner and group are not checked: that is for writers. */
function readingOf(path: string): Reading {
	const { stat, text, problem } = readSmallFile(path, maxTokenBytes);
	if (problem !== undefined) return { kind: "unusable", problem };
	if (stat === undefined || text === undefined) return { kind: "absent" };
	const token = decodeToken(text);
	return token === undefined
		? { kind: "unusable", problem: "not a token file" }
		: { kind: "token", token, exact: true };
}

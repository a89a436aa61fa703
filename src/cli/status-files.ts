/** The status of accounts as the files tell it, for when no daemon answers. */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { readersHint } from "../config/lookup.ts";
import { systemClock } from "../core/clock.ts";
import type { Reading } from "../core/credential.ts";
import type { SharedRecord } from "../core/record.ts";
import { type StatusReport, statusOf } from "../core/status.ts";
import { decodeToken } from "../core/token.ts";
import { credentialOf } from "../daemon/credential-of.ts";
import { maxTokenBytes, readSmallFile } from "../store/cached-read.ts";
import { maxLooks, recordBeside, whyAltered } from "./distrust.ts";

export function reportFromFiles({ directory, accounts }: Config): StatusReport {
	const now = systemClock.now();
	return {
		source: "files",
		accounts: accounts.map((account) => {
			const path = join(directory, account.file);
			const { reading, record } = readTogether(path);
			const status = statusOf({
				credential: credentialOf(account),
				path,
				reading,
				record,
				now,
				withoutDaemon: true,
			});
			const isShut =
				reading.kind === "unusable" && reading.problem.includes("EACCES");
			return isShut ? { ...status, hint: readersHint(path) } : status;
		}),
	};
}

/** The file and its record, both of the same moment. */
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
		// A keeper may have published in between; not so often in a row.
		if (looks === maxLooks)
			return { reading: { kind: "unusable", problem }, record };
	}
}

function readingOf(path: string): Reading {
	const { stat, text, problem } = readSmallFile(path, maxTokenBytes);
	if (problem !== undefined) return { kind: "unusable", problem };
	if (stat === undefined || text === undefined) return { kind: "absent" };
	const token = decodeToken(text);
	return token === undefined
		? { kind: "unusable", problem: "not a token file" }
		: { kind: "token", token, exact: true };
}

/** The status of accounts as the files tell it, for when no daemon answers. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeState, emptyState, statePathOf } from "./account-state.ts";
import { systemClock } from "./clock.ts";
import type { Config } from "./config.ts";
import { errnoOf } from "./errors.ts";
import type { Reading } from "./policy.ts";
import { type StatusReport, statusOf } from "./status.ts";
import { decodeToken } from "./token.ts";

export function reportFromFiles({ directory, accounts }: Config): StatusReport {
	const now = systemClock.now();
	return {
		source: "files",
		accounts: accounts.map((account) => {
			const path = join(directory, account.file);
			const state = textOf(statePathOf(path));
			return statusOf({
				account,
				path,
				reading: readingOf(path),
				state: "text" in state ? decodeState(state.text) : emptyState,
				now,
			});
		}),
	};
}

function readingOf(path: string): Reading {
	const found = textOf(path);
	if (!("text" in found))
		return found.errno === "ENOENT"
			? { kind: "absent" }
			: { kind: "unusable", problem: `unreadable (${found.errno})` };
	const token = decodeToken(found.text);
	return token === undefined
		? { kind: "unusable", problem: "not a token file" }
		: { kind: "token", token, exact: true };
}

function textOf(
	path: string,
): { readonly text: string } | { readonly errno: string | undefined } {
	try {
		return { text: readFileSync(path, "utf8") };
	} catch (error) {
		return { errno: errnoOf(error) };
	}
}

import {
	chmodSync,
	mkdirSync,
	readFileSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { eventually } from "./eventually.ts";

/** A token file as a reader in any language sees it. */
export interface SeenToken {
	readonly value: string;
	/** Epoch seconds. */
	readonly expire: number;
}

/** @throws if it is missing, torn, or not what the contract says */
export function readTokenFile(path: string): SeenToken {
	return JSON.parse(readFileSync(path, "utf8"));
}

/** As a daemon would have left it; its directory is made. */
export function writeTokenFile(path: string, token: SeenToken): void {
	mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
	writeFileSync(path, `${JSON.stringify(token)}\n`, { mode: 0o640 });
	// The umask of the test may have removed bits.
	chmodSync(path, 0o640);
}

export function hasFile(path: string): boolean {
	return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Waits until the file holds a token with another value than `than`. */
export function tokenOtherThan(
	than: string,
	path: string,
	withinMs = 120_000,
): Promise<SeenToken> {
	return eventually(
		() => {
			if (!hasFile(path)) return undefined;
			const seen = readTokenFile(path);
			return seen.value === than ? undefined : seen;
		},
		{ what: `another token in ${path}`, withinMs },
	);
}

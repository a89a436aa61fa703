/**
 * What was told, across restarts: a daemon that is restarted in the middle of an outage
 * must not tell it again, and must tell its end. Nothing in it is secret.
 */
import { join } from "node:path";
import type { Trouble } from "../core/trouble.ts";
import { publishFile } from "../store/atomic-write.ts";
import { readSmallFile } from "../store/cached-read.ts";
import type { Remembered } from "./troubles.ts";

/** In the directory of the tokens, which all have gone where it is gone. */
const fileName = ".alerts";

/** Of some ten thousand troubles. A larger file is not read. */
const maxBytes = 8_388_608;

export function alertMemoryPath(directory: string): string {
	return join(directory, fileName);
}

/** Of an earlier process; nothing if there is no such file, or it is not ours. */
export function readAlertMemory(directory: string): readonly Remembered[] {
	const { text, stat } = readSmallFile(alertMemoryPath(directory), maxBytes);
	if (text === undefined || stat?.uid !== process.geteuid?.()) return [];
	try {
		const content: unknown = JSON.parse(text);
		return Array.isArray(content)
			? content.filter(isRemembered).map((one) => ({
					...one,
					trouble: { ...one.trouble, of: one.trouble.of ?? "" },
				}))
			: [];
	} catch {
		return [];
	}
}

/** Throws `StoreError`. */
export async function writeAlertMemory(
	directory: string,
	remembered: readonly Remembered[],
): Promise<void> {
	await publishFile(
		alertMemoryPath(directory),
		`${JSON.stringify(remembered)}\n`,
		{ mode: 0o600, gid: undefined },
	);
}

function isRemembered(content: unknown): content is Remembered {
	const { credential, phase, trouble, endedAt, isEvent } = (content ??
		{}) as Record<string, unknown>;
	return (
		typeof credential === "string" &&
		(phase === "due" || phase === "told") &&
		isTrouble(trouble) &&
		(isEvent === undefined || isEvent === true) &&
		(endedAt === undefined || isInstant(endedAt))
	);
}

function isTrouble(content: unknown): content is Trouble {
	const trouble = (content ?? {}) as Record<keyof Trouble, unknown>;
	return (
		["code", "kind", "message", "hint"].every(
			(key) => typeof trouble[key as keyof Trouble] === "string",
		) &&
		isInstant(trouble.since) &&
		isInstant(trouble.tellAt) &&
		(trouble.failsAt === undefined || isInstant(trouble.failsAt)) &&
		typeof trouble.needsPerson === "boolean"
	);
}

/** What `Date` can hold. */
function isInstant(content: unknown): boolean {
	return typeof content === "number" && Math.abs(content) <= 8.64e15;
}

/**
 * After an outage of the link to WeChat each credential waits out a pause of its own,
 * some for half a minute longer than others. The first answer over a host ends the
 * pauses of all that failed for the link to that host: they are tried at the next tick.
 */
import type { Clock } from "../core/clock.ts";
import type { Credential } from "../core/credential.ts";
import { IssuerError } from "../core/errors.ts";
import type { KeeperEvent } from "../core/ports.ts";

export interface LinkPauses {
	/** Takes every event of every keeper. */
	note(credential: Credential, event: KeeperEvent): void;
}

export interface LinkPausesParts {
	/** The base URLs that a credential is fetched from. */
	readonly baseUrlsOf: (credential: Credential) => readonly string[];
	/** Ends the pause of the credential with that file, if it still has one. */
	readonly endPause: (file: string) => void;
	readonly clock: Clock;
}

/**
 * One pause of a credential is ended in this time at most. If it fails while others do
 * not, it is not the link, and it must not use up its calls.
 */
const releaseGapMs = 300_000;

export function createLinkPauses(parts: LinkPausesParts): LinkPauses {
	const { baseUrlsOf, endPause, clock } = parts;
	/** The files of the credentials whose last attempt failed for the link. */
	const failing = new Map<string, Credential>();
	/** When their pause was ended, by the monotonic clock. */
	const releasedAt = new Map<string, number>();

	const releaseAll = (answering: readonly string[]) => {
		const now = clock.monotonic();
		for (const [file, credential] of failing) {
			const isSameHost = baseUrlsOf(credential).some((url) =>
				answering.includes(url),
			);
			const last = releasedAt.get(file) ?? Number.NEGATIVE_INFINITY;
			if (!isSameHost || now - last < releaseGapMs) continue;
			failing.delete(file);
			releasedAt.set(file, now);
			endPause(file);
		}
	};

	return {
		note: (credential, event) => {
			const { file } = credential;
			if (event.kind === "failed") {
				if (isOfLink(event.error)) failing.set(file, credential);
				else failing.delete(file);
			} else if (event.kind === "asked" && event.outcome === "ok") {
				failing.delete(file);
				releasedAt.delete(file);
				if (failing.size > 0) releaseAll(baseUrlsOf(credential));
			}
		},
	};
}

/** Not -1: WeChat itself was busy, perhaps for that account only. */
function isOfLink(error: unknown): boolean {
	return (
		error instanceof IssuerError &&
		error.kind === "transient" &&
		!error.code.startsWith("errcode")
	);
}

/**
 * Of many tokens that are taken over at once, for example at the start with ten thousand
 * valid files, the first ones are logged, and then how many followed: a line for each
 * would take longer than all the rest, and journald would drop most of them.
 */
import type { Credential } from "../core/credential.ts";
import type { KeeperEvent, Log } from "../core/ports.ts";

type LogEvent = (credential: Credential, event: KeeperEvent) => void;

export interface AdoptionLines {
	/** Logs the event, or counts it. */
	readonly logEvent: LogEvent;
	/** Tells how many were only counted since the last call. */
	flush(): void;
}

/** Between two calls of `flush`. */
const maxLines = 10;

export function createAdoptionLines(
	logEvent: LogEvent,
	log: Log,
): AdoptionLines {
	let adopted = 0;
	return {
		logEvent: (credential, event) => {
			if (event.kind === "adopted") {
				adopted += 1;
				if (adopted > maxLines) return;
			}
			logEvent(credential, event);
		},
		flush: () => {
			const count = adopted - maxLines;
			adopted = 0;
			if (count > 0)
				log.info(
					{ event: "token.adopted", count },
					`took over ${count} more valid tokens and tickets on disk`,
				);
		},
	};
}

/**
 * Watches the way to WeChat for the operator: it logs a wrong clock, and a server that
 * does not answer. All accounts share one monitor, so each change is logged once.
 */
import type { Clock } from "../core/clock.ts";
import type { Log } from "../core/ports.ts";
import { type FailedLink, hostOf } from "./link-error.ts";

/** Is told of each answer by all callers. */
export interface LinkMonitor {
	/** WeChat answered, and this was the time by its clock, epoch ms. */
	serverTime(at: number): void;
	/** That base URL answered, after the `failed` ones of the same attempt had not. */
	answered(baseUrl: string, failed: readonly FailedLink[]): void;
}

/** A smaller difference does no harm, and answers take some time. */
const maxSkewMs = 60_000;

/** Logs `clock.skewed`, `link.failed` and `link.restored`, each at a change only. */
export function createLinkMonitor(clock: Clock, log: Log): LinkMonitor {
	let isSkewed = false;
	/** Servers that did not answer the last time they were tried. */
	const failedHosts = new Set<string>();

	return {
		serverTime: (at) => {
			const skewMs = clock.now() - at;
			const wasSkewed = isSkewed;
			isSkewed = Math.abs(skewMs) > maxSkewMs;
			if (!isSkewed || wasSkewed) return;
			const seconds = Math.round(skewMs / 1000);
			log.warn(
				{
					event: "clock.skewed",
					seconds,
					hint: "set the clock of this server (NTP): the end of each token is compared with it",
				},
				`the clock of this server is ${Math.abs(seconds)} s ${seconds > 0 ? "ahead of" : "behind"} WeChat's`,
			);
		},
		answered: (baseUrl, [first]) => {
			const answering = hostOf(baseUrl);
			if (failedHosts.delete(answering))
				log.info(
					{ event: "link.restored", host: answering },
					`${answering} answers again`,
				);
			if (first === undefined) return;
			const host = hostOf(first.baseUrl);
			if (failedHosts.has(host)) return;
			failedHosts.add(host);
			const failure = first.error.message;
			log.warn(
				{ event: "link.failed", host, failure },
				`${host} does not answer, but ${answering} does: each refresh tries the first, then the second`,
			);
		},
	};
}

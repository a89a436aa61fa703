/**
 * Watches the way to WeChat for the operator: it logs a wrong clock, and a server that
 * does not answer. All accounts share one monitor, so each change is logged once.
 */
import type { Clock } from "../core/clock.ts";
import { type ClockSkew, createSkewWatch } from "../core/clock-skew.ts";
import type { Log } from "../core/ports.ts";
import { type FailedLink, hostOf } from "./link-error.ts";

/** Is told of each answer by all callers. */
export interface LinkMonitor {
	/** WeChat answered, and this was the time by its clock, epoch ms. */
	serverTime(at: number): void;
	/** That base URL answered, after the `failed` ones of the same attempt had not. */
	answered(baseUrl: string, failed: readonly FailedLink[]): void;
}

/** The monitor of a process, which can be asked as well. */
export interface AskedMonitor extends LinkMonitor {
	/** Null: the clock of this server is right, or WeChat has not answered yet. */
	skew(): ClockSkew | null;
}

/** Logs `clock.skewed`, `link.failed` and `link.restored`, each at a change only. */
export function createLinkMonitor(clock: Clock, log: Log): AskedMonitor {
	const watch = createSkewWatch(clock);
	let isSkewed = false;
	/** Servers that did not answer the last time they were tried. */
	const failedHosts = new Set<string>();

	return {
		serverTime: (at) => {
			watch.seen(at);
			const skew = watch.current();
			const wasSkewed = isSkewed;
			isSkewed = skew !== null;
			if (skew === null || wasSkewed) return;
			const { aheadSeconds: seconds, message, hint } = skew;
			log.warn({ event: "clock.skewed", seconds, hint }, message);
		},
		skew: watch.current,
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

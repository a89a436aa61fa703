/**
 * Tells the operator about the way to WeChat: a clock that is wrong, a host that
 * does not answer. Once for all accounts, for they share it.
 */
import type { Clock } from "../core/clock.ts";
import type { Log } from "../daemon/log.ts";
import { type FailedLink, hostOf } from "./link-error.ts";

export interface LinkWitness {
	/** What WeChat's clock showed when it answered, epoch ms. */
	serverTime(at: number): void;
	/** That base URL answered, after those had failed. */
	answered(baseUrl: string, failed: readonly FailedLink[]): void;
}

const maxSkewMs = 60_000;

export function createLinkWitness(clock: Clock, log: Log): LinkWitness {
	let isSkewed = false;
	const detours = new Set<string>();

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
					hint: "set the clock of this server (NTP): tokens end by it",
				},
				`the clock of this server is ${Math.abs(seconds)} s ${seconds > 0 ? "ahead of" : "behind"} WeChat's`,
			);
		},
		answered: (baseUrl, [first]) => {
			const instead = hostOf(baseUrl);
			if (detours.delete(instead))
				log.info(
					{ event: "link.restored", host: instead },
					`${instead} works again`,
				);
			if (first === undefined) return;
			const host = hostOf(first.baseUrl);
			if (detours.has(host)) return;
			detours.add(host);
			const failure = first.error.message;
			log.warn(
				{ event: "link.failed", host, failure },
				`${host} does not work, ${instead} does: each refresh begins with the first and goes on with the other`,
			);
		},
	};
}

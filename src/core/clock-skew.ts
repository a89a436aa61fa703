/** How far the clock of this server is from WeChat's, and what to say of it. */
import type { Clock } from "./clock.ts";

/** A clock that is wrong. */
export interface ClockSkew {
	/** How far it is ahead of WeChat's; negative: behind. */
	readonly aheadSeconds: number;
	readonly message: string;
	/** What to do. */
	readonly hint: string;
}

/** A smaller difference does no harm, and answers take some time. */
const maxSkewMs = 60_000;

/** The clock as WeChat's answers show it. */
export interface SkewWatch {
	/** WeChat answered, and this was the time by its clock, epoch ms. */
	seen(serverTime: number): void;
	/** Null: the clock is right, or WeChat has not answered yet. */
	current(): ClockSkew | null;
}

/** Knows of no answer yet. */
export function createSkewWatch(clock: Clock): SkewWatch {
	let last: { readonly skewMs: number; readonly apart: number } | undefined;
	/** Changes when somebody sets the clock, and while the machine is suspended. */
	const apart = () => clock.now() - clock.monotonic();
	return {
		seen: (serverTime) => {
			last = { skewMs: clock.now() - serverTime, apart: apart() };
		},
		current: () => {
			if (last === undefined) return null;
			// Whoever sets the clock right sees it at once. That it became wrong is not
			// believed without an answer: a suspended machine looks the same.
			const now = last.skewMs + apart() - last.apart;
			return skewOf(Math.abs(now) < Math.abs(last.skewMs) ? now : last.skewMs);
		},
	};
}

function skewOf(skewMs: number): ClockSkew | null {
	if (Math.abs(skewMs) <= maxSkewMs) return null;
	const seconds = Math.round(skewMs / 1000);
	return {
		aheadSeconds: seconds,
		message: `the clock of this server is ${Math.abs(seconds)} s ${seconds > 0 ? "ahead of" : "behind"} WeChat's`,
		hint: "set the clock of this server (NTP): the end of each token is compared with it",
	};
}

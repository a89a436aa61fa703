/** Whether a token that an app calls dead is so, by WeChat's own word. */
import type { Clock } from "../core/clock.ts";
import type { Credential, KnownToken } from "../core/credential.ts";
import { budgetFreeAt, countCall, windowOf } from "../core/limits.ts";
import type { Issuer, ProbeResult, Slot } from "../core/ports.ts";
import type { SharedRecord } from "../core/record.ts";

export interface Probe {
	/**
	 * One probe for all who ask within a second. If the same token is called dead
	 * again and again, and is not, the result is believed twice as long each time, and
	 * for a minute at most: an app that is right must be heard within a minute, whatever
	 * others reported before. At most a quarter of the budget counts probes, so that an
	 * app that reports for ever does not use up the renewals.
	 */
	resultFor(known: KnownToken, record: SharedRecord): Promise<ProbeResult>;
	/** The same, but if WeChat could not tell more than a second ago, it is asked again. */
	surerResultFor(known: KnownToken, record: SharedRecord): Promise<ProbeResult>;
	/** Dead with more than a minute to go; or a tenth of its life, if that is short. */
	diedEarly(known: KnownToken): boolean;
	/** The calls that it made, as in `SharedRecord`. */
	calls(): readonly number[];
	/** Whether nothing is known that a later request would ask for again. */
	isBlank(known: KnownToken | undefined): boolean;
}

export interface ProbeParts {
	readonly credential: Credential;
	readonly issuer: Issuer;
	readonly clock: Clock;
	/** As of the slot. */
	readonly judge?: Slot["judge"] | undefined;
	readonly onResult: (known: KnownToken, result: ProbeResult) => void;
}

interface Probed {
	readonly id: string;
	readonly at: number;
	/** How often the token was probed before. */
	readonly repeats: number;
	readonly result: Promise<ProbeResult>;
	/** As soon as it is known. */
	settled: ProbeResult | undefined;
}

const maxBeliefMs = 60_000;

function isBelieved({ settled, at, repeats }: Probed, now: number): boolean {
	switch (settled) {
		case undefined: // It is under way.
		case "dead": // Dead tokens do not come back to life.
			return true;
		case "alive":
		case "unsure":
			return (
				now >= at && now < at + Math.min(maxBeliefMs, 1_000 * 2 ** repeats)
			);
		default:
			return settled satisfies never;
	}
}

export function createProbe(parts: ProbeParts): Probe {
	const { clock } = parts;
	const { limits } = parts.credential;
	let last: Probed | undefined;
	let calls: readonly number[] = [];

	const count = (now: number, lifetimeMs: number) => {
		const recent = calls.filter((at) => at > now - lifetimeMs && at <= now);
		calls =
			recent.length < limits.budget / 4
				? countCall(recent, now, lifetimeMs)
				: recent;
	};

	const begin = (known: KnownToken, repeats: number): Promise<ProbeResult> => {
		const { id, token } = known;
		const ask = () => {
			let left = 0;
			count(clock.now(), known.lifetimeMs);
			return parts.issuer.probe(token.value, () => {
				// The first one was counted before it left.
				if (left > 0) count(clock.now(), known.lifetimeMs);
				left += 1;
			});
		};
		const { judge } = parts;
		const asked = judge === undefined ? ask() : judge(id, ask);
		const result = asked.then((settled) => {
			begun.settled = settled;
			parts.onResult(known, settled);
			return settled;
		});
		const at = clock.now();
		const begun: Probed = { id, at, repeats, result, settled: undefined };
		last = begun;
		return result;
	};

	const resultFor = async (
		known: KnownToken,
		record: SharedRecord,
		isGoodEnough: (earlier: Probed, now: number) => boolean,
	): Promise<ProbeResult> => {
		const { id, lifetimeMs } = known;
		const now = clock.now();
		const earlier = last?.id === id ? last : undefined;
		if (earlier !== undefined && isGoodEnough(earlier, now))
			return earlier.result;
		// Beyond the budget one a minute is left: it is no call for a token.
		const isUsedUp =
			budgetFreeAt(record, limits.budget, lifetimeMs, now) !== undefined;
		const isRecent =
			earlier !== undefined &&
			now >= earlier.at &&
			now < earlier.at + maxBeliefMs;
		if (isUsedUp && isRecent) return earlier.result;
		return begin(known, earlier === undefined ? 0 : earlier.repeats + 1);
	};

	return {
		resultFor: (known, record) => resultFor(known, record, isBelieved),
		surerResultFor: (known, record) =>
			resultFor(known, record, (earlier, now) => {
				const repeats = earlier.settled === "unsure" ? 0 : earlier.repeats;
				return isBelieved({ ...earlier, repeats }, now);
			}),
		diedEarly: ({ id, token, lifetimeMs }) =>
			last?.id === id &&
			last.settled === "dead" &&
			token.expiresAt - clock.now() > Math.min(60_000, lifetimeMs / 10),
		calls: () => calls,
		isBlank: (known) => {
			const windowMs = windowOf(known);
			return (
				last?.id !== known?.id &&
				!calls.some((at) => clock.now() - at < windowMs)
			);
		},
	};
}

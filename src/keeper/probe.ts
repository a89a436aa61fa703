import type { Clock } from "../core/clock.ts";
import {
	budgetFreeAt,
	countCall,
	type KnownToken,
	type Rules,
	windowOf,
} from "../core/decide.ts";
import type { AccountState } from "../core/record.ts";
import type { Issuer, Verdict } from "../issuer/access-token.ts";

/** Whether a token that an app calls dead is so, by WeChat's own word. */
export interface Suspicion {
	/**
	 * One probe for all who ask within a second. If the same token is called dead
	 * again and again, and is not, the answer is believed twice as long each time,
	 * and probes may use a quarter of the budget: an app that reports for ever must
	 * not eat up the renewals, and one that is right must not be told wrong for long.
	 */
	verdictOn(known: KnownToken): Promise<Verdict>;
	/** The same, but if WeChat could not tell more than a second ago, it is asked again. */
	surerVerdictOn(known: KnownToken): Promise<Verdict>;
	/** Dead with more than a minute to go; or a tenth of its life, if that is short. */
	diedEarly(known: KnownToken): boolean;
	/** The calls that it made, as in `AccountState`. */
	calls(): readonly number[];
	/** Nothing is known that would be asked for again. */
	isBlank(known: KnownToken | undefined): boolean;
}

export interface SuspicionParts {
	readonly rules: Rules;
	readonly issuer: Issuer;
	readonly clock: Clock;
	readonly recall: () => AccountState;
	readonly onVerdict: (known: KnownToken, verdict: Verdict) => void;
}

interface Probe {
	readonly id: string;
	readonly at: number;
	/** How often the token was tried before. */
	readonly repeats: number;
	readonly verdict: Promise<Verdict>;
	/** As soon as it is known. */
	said: Verdict | undefined;
}

function isBelieved({ said, at, repeats }: Probe, now: number): boolean {
	switch (said) {
		case undefined: // It is under way.
		case "dead": // Dead tokens do not come back to life.
			return true;
		case "alive":
		case "unsure":
			return now >= at && now < at + 1_000 * 2 ** repeats;
		default:
			return said satisfies never;
	}
}

export function createSuspicion(parts: SuspicionParts): Suspicion {
	const { rules, clock } = parts;
	let probed: Probe | undefined;
	let calls: readonly number[] = [];

	const probe = (known: KnownToken, repeats: number): Promise<Verdict> => {
		const { id, token } = known;
		let left = 0;
		const onCall = () => {
			// The first one was counted before it left.
			if (left > 0) calls = countCall(calls, clock.now(), known.lifetimeMs);
			left += 1;
		};
		const verdict = parts.issuer.probe(token.value, onCall).then((said) => {
			asked.said = said;
			parts.onVerdict(known, said);
			return said;
		});
		const at = clock.now();
		const asked: Probe = { id, at, repeats, verdict, said: undefined };
		probed = asked;
		return verdict;
	};

	const isDead = ({ id }: KnownToken) =>
		probed?.id === id && probed.said === "dead";

	const verdictOn = async (
		known: KnownToken,
		isGoodEnough: (last: Probe, now: number) => boolean,
	): Promise<Verdict> => {
		const { id, lifetimeMs } = known;
		const now = clock.now();
		const last = probed?.id === id ? probed : undefined;
		if (last !== undefined && isGoodEnough(last, now)) return last.verdict;
		const recent = calls.filter((at) => at > now - lifetimeMs);
		const isUsedUp =
			recent.length >= rules.budget / 4 ||
			budgetFreeAt(parts.recall(), rules.budget, lifetimeMs, now) !== undefined;
		if (isUsedUp) return last?.verdict ?? "unsure";
		calls = countCall(calls, now, lifetimeMs);
		return probe(known, last === undefined ? 0 : last.repeats + 1);
	};

	return {
		verdictOn: (known) => verdictOn(known, isBelieved),
		surerVerdictOn: (known) =>
			verdictOn(known, (last, now) => {
				const repeats = last.said === "unsure" ? 0 : last.repeats;
				return isBelieved({ ...last, repeats }, now);
			}),
		diedEarly: (known) =>
			isDead(known) &&
			known.token.expiresAt - clock.now() >
				Math.min(60_000, known.lifetimeMs / 10),
		calls: () => calls,
		isBlank: (known) => {
			const windowMs = windowOf(known);
			return (
				probed?.id !== known?.id &&
				!calls.some((at) => clock.now() - at < windowMs)
			);
		},
	};
}

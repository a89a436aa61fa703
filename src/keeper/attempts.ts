/** The attempts of one keeper: never two at a time, and none too few. */
import type { RefreshRequest } from "../core/request.ts";
import { type AttemptOptions, attempt, maxLosses } from "./attempt.ts";
import type { Outcome } from "./keeper-parts.ts";
import { isLost, type Refresher, type RefreshParts } from "./refresh.ts";

export interface Attempts {
	/** Undefined: none is under way. */
	running(): Promise<Outcome> | undefined;
	/** Begins one, or joins the one that is under way. Rejects with what is a bug. */
	begin(options: AttemptOptions): Promise<Outcome>;
	/** Begins one for the request that is pending; `isDue` as in `AttemptOptions`. */
	beginForPending(isDue?: boolean): void;
}

export function createAttempts(
	parts: RefreshParts,
	refresher: Refresher,
): Attempts {
	const { requests, observer } = parts;
	let running: Promise<Outcome> | undefined;
	/** How often in a row the lock was lost. */
	let losses = 0;

	const begin = (options: AttemptOptions): Promise<Outcome> => {
		if (running !== undefined) return running;
		const before = requests.pending();
		const begun = run(options, before);
		running = begun;
		void begun.then(
			(outcome) => {
				// For its glimpse: thousands may fail at once, and somebody look at all of them.
				// After a loss the file is another one.
				if (outcome.kind === "failed" && !isLoss(outcome))
					observer.noteFailure(outcome.error);
				if (mustGoOn(outcome, before)) beginForPending();
			},
			() => {}, // The caller tells of it.
		);
		return begun;
	};

	const run = async (
		options: AttemptOptions,
		request: RefreshRequest | undefined,
	): Promise<Outcome> => {
		const { lockTimeoutMs, isRepair = false } = options;
		// A request that was not tried yet waits for the lock, whatever began the attempt.
		const isWaiting = request !== undefined && !request.tried && !isRepair;
		try {
			const outcome = await attempt(
				parts,
				refresher,
				{
					...options,
					lockTimeoutMs: isWaiting
						? Math.max(lockTimeoutMs, parts.lockTimeoutMs)
						: lockTimeoutMs,
				},
				losses,
			);
			losses = isLoss(outcome) ? losses + 1 : 0;
			return outcome;
		} finally {
			running = undefined;
			observer.outdate();
			if (!isRepair) observer.learn({ ignorePauses: false });
		}
	};

	/**
	 * Whether another attempt begins at once. Without it a request could be left
	 * behind: the attempt did something else (a token that was cut off comes first),
	 * and only a request that is deferred has a time at which it is looked at again.
	 */
	const mustGoOn = (outcome: Outcome, before: RefreshRequest | undefined) => {
		if (parts.isSettling() || running !== undefined) return false;
		if (isLoss(outcome)) return losses <= maxLosses;
		const pending = requests.pending();
		if (pending === undefined || pending.tried) return false;
		// A request that came meanwhile is younger than what the attempt did.
		return pending !== before || outcome.kind !== "deferred";
	};

	const beginForPending = (isDue = requests.pending()?.reason === "forced") => {
		const { lockTimeoutMs } = parts;
		void begin({ lockTimeoutMs, isDue }).catch(parts.onBug);
	};

	return { running: () => running, begin, beginForPending };
}

function isLoss(outcome: Outcome): boolean {
	return outcome.kind === "failed" && isLost(outcome.error);
}

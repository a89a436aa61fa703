/**
 * The keeper of one credential. Whatever makes it act (a tick, SIGHUP, an app's
 * report), one attempt follows (attempt.ts), and never two at a time.
 *
 * It never sleeps and never retries by itself: a failed attempt only moves the time
 * of the next one, and the next tick takes it from there.
 */
import { type KnownToken, traitsOf } from "../core/credential.ts";
import { isIdle } from "../core/decide.ts";
import { refreshAt } from "../core/limits.ts";
import type { SharedRecord } from "../core/record.ts";
import {
	failedBy,
	type RefreshAnswer,
	type RefreshRequest,
	stopping,
} from "../core/request.ts";
import type { Glimpse } from "../core/status.ts";
import { type Token, tokenId } from "../core/token.ts";
import { isOfDisk } from "../core/transition.ts";
import { createAttempts } from "./attempts.ts";
import type { KeeperParts, Outcome } from "./keeper-parts.ts";
import { createObserver, type Observation } from "./observation.ts";
import { createProbe } from "./probe.ts";
import { createRefresher, type RefreshParts } from "./refresh.ts";
import { createRequests } from "./requests.ts";

export interface Keeper {
	// --- Questions: they have no effects. ---

	/** Undefined: there is nothing to do, or an attempt is under way. Cheap, for each tick. */
	needs(): Need | undefined;
	/** Whether an attempt is under way. */
	isBusy(): boolean;
	/**
	 * Undefined: it has something to do, or knows more than its token. Else it may be
	 * evicted, and another one that is given this token goes on the same.
	 */
	idle(): Idle | undefined;
	/** What the last look saw. Undefined: it may be another by now. */
	glimpse(): Glimpse | undefined;
	/** The newest token known, if it lives. */
	current(): Token | undefined;
	/** The token that the last attempt found, or left. */
	known(): KnownToken | undefined;
	/** What all keepers of the credential know, and what this one could not write there. */
	record(): SharedRecord;

	// --- Actions. ---

	/** Takes over what lies on disk, without a lock and without a call. */
	adopt(): void;
	/**
	 * Looks, and acts if something is due. Waits up to `lockTimeoutMs` for the lock.
	 * `isDue`: a fetch is, most likely. Single flight: while an attempt is under way,
	 * all callers get its outcome.
	 */
	reconcile(lockTimeoutMs?: number, isDue?: boolean): Promise<Outcome>;
	/**
	 * Publishes what readers should find, without a call to WeChat: also while a
	 * request is under way, which may take its time.
	 */
	repair(): Promise<void>;
	/**
	 * A forced refresh. The answer comes from the first attempt that began after the
	 * call, or after `since`, if it was requested then.
	 */
	force(since?: number, how?: ForceOptions): Promise<RefreshAnswer>;
	/** What a pause waits for may be over: the next look does not wait for its end. */
	endPause(): void;
	/** Asks WeChat once, whatever is due: does it still know us? */
	verify(): Promise<RefreshAnswer>;
	/** An app says that WeChat refused this token. */
	report(stale: string, how?: ForceOptions): Promise<RefreshAnswer>;
	/** Resolves when nothing is under way; the answer of a request comes before that. */
	whenIdle(): Promise<void>;
	/** The same, and nothing is begun any more; those who wait are told so. */
	settle(): Promise<void>;
}

/** On whose behalf, and at what risk; see `RefreshRequest`. */
export type ForceOptions = Pick<RefreshRequest, "alone" | "forAnother">;

/** What there is to do. */
export interface Need {
	/** A token that this keeper did not know lives on disk: `adopt` is enough for that. */
	readonly adopt: boolean;
	/** The file does not hold the token that it should: `repair` is enough for that. */
	readonly publish: boolean;
	/** There is something else to do. */
	readonly more: boolean;
	/** And it is to fetch a token. */
	readonly fetch: boolean;
}

/** What is left of a keeper that has nothing to do. */
export interface Idle {
	readonly known: KnownToken;
	/** Until then only a change on disk, a request or a clock that is set back matters. */
	readonly until: number;
	/** As it was at the last look. */
	readonly record: SharedRecord;
}

/**
 * Written out, and not by a spread: V8 would give the parts of each keeper a map of
 * properties of its own, and one process makes ten thousand keepers again and again.
 */
function refreshPartsOf(
	parts: KeeperParts,
	made: Omit<RefreshParts, keyof KeeperParts>,
): RefreshParts {
	return {
		credential: parts.credential,
		slot: parts.slot,
		issuer: parts.issuer,
		parents: parts.parents,
		reportParents: parts.reportParents,
		clock: parts.clock,
		random: parts.random,
		self: parts.self,
		startedAt: parts.startedAt,
		isDead: parts.isDead,
		lockTimeoutMs: parts.lockTimeoutMs,
		wakeAt: parts.wakeAt,
		emit: parts.emit,
		onBug: parts.onBug,
		keepPausesFor: parts.keepPausesFor,
		known: parts.known,
		used: parts.used,
		requests: made.requests,
		probe: made.probe,
		observer: made.observer,
		isSettling: made.isSettling,
	};
}

export function createKeeper(keeperParts: KeeperParts): Keeper {
	const { credential, clock } = keeperParts;
	const { canReport } = traitsOf(credential);
	let isSettling = false;
	const requests = createRequests();
	// Written out, as in `refreshPartsOf`.
	const probe = createProbe({
		credential,
		issuer: keeperParts.issuer,
		clock,
		judge: keeperParts.slot.judge,
		onResult: (current, result) =>
			keeperParts.emit({ kind: "probed", current, result }),
	});
	const observer = createObserver(keeperParts, requests, probe);
	const parts = refreshPartsOf(keeperParts, {
		requests,
		probe,
		observer,
		isSettling: () => isSettling,
	});
	const refresher = createRefresher(parts);
	const attempts = createAttempts(parts, refresher);
	const isBusy = () => attempts.running() !== undefined;
	/** Found by `needs`, for `adopt`, which follows it at once or never. */
	let toAdopt: Observation | undefined;

	// Not async: requests that join one get the very same promise, so that thousands of
	// them take no memory while WeChat is silent.
	const request = (
		wanted: Omit<RefreshRequest, "requestedAt" | "tried">,
		requestedAt = clock.now(),
		isDue?: () => boolean,
	): Promise<RefreshAnswer> => {
		if (isSettling) return Promise.resolve(failedBy(stopping));
		const answered = requests.add({ ...wanted, requestedAt });
		if (!isBusy()) attempts.beginForPending(isDue?.());
		return answered;
	};

	const report = async (
		stale: string,
		how: ForceOptions = {},
	): Promise<RefreshAnswer> => {
		// No call tells whether such a value is dead: all that can be done is to ask for it.
		if (!canReport) return request({ reason: "forced", ...how });
		const id = tokenId(stale);
		const seen = observer.look();
		const { current } = seen.plan;
		let isProved = false;
		if (current !== undefined && isAlive(current, clock)) {
			const { token } = current;
			if (current.id !== id) return { outcome: "already-fresh", token };
			const { pause } = seen.record;
			// WeChat gave nothing the last time: a probe would tell no more, and in a long
			// outage probes would use up what a report may ask for when it is over.
			const isBroken = pause?.failure !== undefined && !isOfDisk(pause);
			const result = isBroken
				? "unsure"
				: await probe.resultFor(current, seen.record);
			if (result === "alive") return { outcome: "alive", token };
			isProved = result === "dead";
		}
		const wanted = { reason: "reported", stale: id, isProved, ...how } as const;
		// By what was read already: the next look is the one under the lock.
		return request(
			wanted,
			clock.now(),
			() => observer.planAgain(seen).fetch !== undefined,
		);
	};

	/** … than its token: what it waits for, and what it must not say or ask twice. */
	const knowsMore = () =>
		isBusy() ||
		!requests.isEmpty() ||
		!observer.isPlain() ||
		refresher.hasJustForced() ||
		!probe.isBlank(observer.memory());

	return {
		needs: () => {
			if (isBusy()) return undefined;
			const seen = observer.look();
			const { publish, fetch, deferred, satisfied } = seen.plan;
			const isDue = fetch !== undefined;
			// A publication of the parent brings the next look; only a request is to be answered.
			const isWaiting =
				deferred !== undefined &&
				(deferred.by !== "parent" || requests.pending()?.tried === false);
			const more = satisfied || isDue || isWaiting;
			const adopt = observer.isNews(seen);
			toAdopt = adopt ? seen : undefined;
			return adopt || publish || more
				? { adopt, publish, more, fetch: isDue }
				: undefined;
		},
		isBusy,
		idle: () => {
			const known = observer.memory();
			if (known === undefined || knowsMore()) return undefined;
			return {
				known,
				until: refreshAt(known, credential),
				record: observer.seenRecord(),
			};
		},
		current: () => {
			const { current } = observer.look().plan;
			return current !== undefined && isAlive(current, clock)
				? current.token
				: undefined;
		},
		glimpse: () => (isBusy() ? undefined : observer.glimpse()),
		known: observer.memory,
		record: observer.record,
		adopt: () => {
			// What `needs` has just found, unless nobody asked it.
			const seen = toAdopt ?? observer.look();
			toAdopt = undefined;
			observer.note(seen);
			if (isIdle(seen.plan)) observer.learn({ ignorePauses: false });
		},
		reconcile: (lockTimeoutMs = 0, isDue = false) => {
			const pending = requests.pending();
			const isForced = pending?.reason === "forced" && !pending.tried;
			return attempts.begin({ lockTimeoutMs, isDue: isDue || isForced });
		},
		repair: async () => {
			if (isBusy()) return refresher.repairMeanwhile();
			if (observer.look().plan.publish)
				await attempts.begin({ lockTimeoutMs: 0, isRepair: true });
		},
		force: (since, how = {}) => request({ reason: "forced", ...how }, since),
		endPause: () => {
			if (!isBusy()) observer.learn({ ignorePauses: true });
		},
		verify: () => request({ reason: "checked" }),
		report,
		whenIdle: async () => {
			while (isBusy()) await attempts.running();
		},
		settle: async () => {
			isSettling = true;
			await attempts.running();
			requests.close();
		},
	};
}

function isAlive({ token }: KnownToken, clock: KeeperParts["clock"]): boolean {
	return token.expiresAt > clock.now();
}

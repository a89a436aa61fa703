/**
 * The keeper of one account. Whatever makes it act (a tick, SIGHUP, an app's
 * report), the story of a refresh is always the same:
 *
 * read what is on disk · decide · lock · read and decide again, as another
 * process may have been faster · leave a mark · fetch · publish · unlock.
 *
 * It never sleeps and never retries by itself: a failed attempt only moves the
 * time of the next one, and the next look takes it from there. While WeChat is
 * asked, which may take its time, the file is looked after all the same (`mend`).
 */

import type { Clock } from "../core/clock.ts";
import {
	afterFailure,
	countCall,
	countEarlyDeath,
	countForce,
	decide,
	hasForeignFetcher,
	isForced,
	type KnownToken,
	mayForceStable,
	type Plan,
	type Reason,
	type Rules,
	refreshAt,
	stableForceGapMs,
	type Wish,
	windowOf,
} from "../core/decide.ts";
import { IssuerError, isStoreErrorKind, StoreError } from "../core/errors.ts";
import {
	type AccountState,
	emptyState,
	type Failure,
	type Pause,
	type ProcessName,
} from "../core/record.ts";
import {
	failedBy,
	joined,
	stopping,
	type Waiting,
	type WishAnswer,
	type WishError,
	waiting,
} from "../core/request.ts";
import { type Token, tokenId } from "../core/token.ts";
import {
	afterAnswer,
	generationAfter,
	knownFromGrant,
	vouch,
} from "../core/transition.ts";
import { createAccountLog } from "../daemon/event-log.ts";
import type { Log } from "../daemon/log.ts";
import type { Grant, Issuer, Verdict } from "../issuer/access-token.ts";
import { forceLimit } from "../issuer/errcode.ts";
import type { LockedStore, TokenStore } from "../store/directory-store.ts";
import { createSuspicion } from "./probe.ts";

export interface KeeperParts {
	readonly appid: string;
	readonly rules: Rules;
	readonly store: TokenStore;
	readonly issuer: Issuer;
	readonly clock: Clock;
	readonly random: () => number;
	readonly self: ProcessName;
	readonly log: Log;
	/** How long a forced refresh waits for a lock that another process holds. */
	readonly patienceMs: number;
	/** Asked to look again at that instant: a forced refresh waits for its cooldown. */
	readonly wakeAt: (at: number) => void;
	/** When this process started, epoch ms. */
	readonly startedAt: number;
	/** Whether that process is gone; false if nobody can tell. */
	readonly isDead: (name: ProcessName) => boolean;
	/** Told of what metrics count. */
	readonly count: (event: KeeperEvent) => void;
	/** An error that no class of errors.ts stands for. */
	readonly onBug: (error: unknown) => void;
	/** Kinds of failures whose pauses the first look keeps, too; by default none. */
	readonly patientWith?: readonly string[] | undefined;
	/** What the last keeper of the account knew when it was let go; undefined: this is the first one. */
	readonly known?: KnownToken | undefined;
}

export type KeeperEvent =
	| { readonly kind: "fetch"; readonly outcome: string }
	| { readonly kind: "probe"; readonly verdict: Verdict }
	| { readonly kind: "forced" }
	| { readonly kind: "published" }
	| { readonly kind: "adopted" }
	| { readonly kind: "lock-busy" };

/** What a look led to. */
export type Outcome =
	| {
			readonly kind: "rested" | "republished";
			readonly token: Token;
	  }
	| {
			readonly kind: "refreshed";
			readonly token: Token;
			readonly reason: Reason;
	  }
	/** Another process holds the lock, and works on it. */
	| { readonly kind: "locked" }
	/** Something should be fetched, but not before `until`. */
	| { readonly kind: "held-back"; readonly until: number }
	| { readonly kind: "failed"; readonly error: IssuerError | StoreError };

export interface Keeper {
	readonly appid: string;
	/** Whether `look` would do anything; cheap, for each tick. */
	needsLook(): Need | undefined;
	/**
	 * Puts back what readers should find, without a call to WeChat: also while a
	 * request is under way, which may take its time.
	 */
	mend(): Promise<void>;
	/** Whether an attempt is under way. */
	isAtWork(): boolean;
	/**
	 * Undefined: it has something to do, or knows more than its token. Else it may
	 * be let go, and another one that is given this token goes on the same.
	 */
	rest(): Rest | undefined;
	/**
	 * Looks, and acts if something is due; waits up to `patienceMs` for a lock.
	 * `isDue`: a fetch is, most likely. Single flight: while one is under way, all get
	 * its outcome.
	 */
	look(patienceMs?: number, isDue?: boolean): Promise<Outcome>;
	/**
	 * A forced refresh. The answer comes from the first attempt that began after
	 * the call, or after `since`, if it was wished for then.
	 */
	force(since?: number): Promise<WishAnswer>;
	/** Asks WeChat once, whatever is due: does it still know us? */
	verify(): Promise<WishAnswer>;
	/** An app says that WeChat refused this token. */
	report(stale: string): Promise<WishAnswer>;
	/** The newest token known, if it lives. */
	current(): Token | undefined;
	/** The token that the last look found, or left. */
	known(): KnownToken | undefined;
	/** What all keepers of the account know, and what this one could not write there. */
	recall(): AccountState;
	/** Resolves when nothing is under way; the answer of a wish comes before that. */
	idle(): Promise<void>;
	/** The same, and nothing is begun any more; who waits is told so. */
	settle(): Promise<void>;
}

/** What an attempt may ask of WeChat, with all that goes to other base URLs or again. */
interface CallBudget {
	readonly onCall: () => void;
	readonly left: () => number;
}

export interface Need {
	/** The file does not hold the token that it should: `mend` is enough for that. */
	readonly publish: boolean;
	/** There is something else to do. */
	readonly more: boolean;
	/** And it is to fetch a token. */
	readonly fetch: boolean;
}

/** What an attempt is for. */
interface How {
	/** Nothing is fetched. */
	readonly isMend?: boolean;
	/** A fetch is due, most likely. */
	readonly isDue?: boolean;
}

/** What is left of a keeper that has nothing to do. */
export interface Rest {
	readonly known: KnownToken;
	/** Until then only a change on disk, a wish or a clock that is set back matters. */
	readonly until: number;
}

export function createKeeper(parts: KeeperParts): Keeper {
	const { appid, rules, store, issuer, clock, random, self } = parts;
	let memory = parts.known;
	/** Not begun yet. */
	let wish: Waiting | undefined;
	/** The wish that the attempt under way is for. */
	let serving: Waiting | undefined;
	let running: Promise<Outcome> | undefined;
	/** Held while WeChat is asked, which may take its time. */
	let asking: LockedStore | undefined;
	/** A file is put back meanwhile. */
	let mending: Promise<void> | undefined;
	/** A pause that could not be written to disk counts all the same. */
	let ownPause: Pause | undefined;
	/** As it was read last. */
	let onDisk = emptyState;
	/** Monotonic, of the last `force_refresh`: a clock that is set forward must not bring the next one near. */
	let stableForcedAt = Number.NEGATIVE_INFINITY;
	let eager = memory === undefined;
	let settling = false;
	/**
	 * The lock was lost while a request was under way, at that instant: which token
	 * lives on is not known until WeChat has answered again.
	 */
	let doubtedSince: number | undefined;
	/** How often in a row the lock was lost. */
	let losses = 0;
	const told = createAccountLog(parts, clock, parts.log);

	const look = (patienceMs = 0, isDue = false): Promise<Outcome> =>
		begin(patienceMs, { isDue });

	const begin = (patienceMs: number, how: How): Promise<Outcome> => {
		if (running !== undefined) return running;
		const before = wish;
		// A request that was not tried yet waits for the lock, whoever begins.
		const waitMs =
			before !== undefined && !before.tried && !how.isMend
				? Math.max(patienceMs, parts.patienceMs)
				: patienceMs;
		const attempted = attempt(waitMs, how);
		running = attempted.finally(() => {
			running = undefined;
			if (!how.isMend) eager = false;
		});
		void running.then(
			(outcome) => {
				if (mustGoOn(outcome, before)) void serve();
			},
			() => {}, // The caller tells of it.
		);
		return running;
	};

	/**
	 * Whether another attempt begins at once. Without it a request could be left
	 * behind: the attempt did something else (a token that was cut off comes first),
	 * and only a request that is held back has a time at which it is looked at again.
	 */
	const mustGoOn = (outcome: Outcome, before: Waiting | undefined) => {
		if (settling || running !== undefined) return false;
		if (outcome.kind === "failed" && outcome.error.kind === "lost")
			return losses <= mostLosses;
		if (wish === undefined || wish.tried) return false;
		// A request that came meanwhile is younger than what the attempt did.
		return wish !== before || outcome.kind !== "held-back";
	};

	const attempt = async (
		patienceMs: number,
		{ isMend = false, isDue = false }: How,
	): Promise<Outcome> => {
		if (settling) return { kind: "held-back", until: clock.now() };
		const begunFor = wish;
		let lock: LockedStore | undefined;
		try {
			// Then one look will do, under the lock. If that is not to be had, the look
			// before it tells whether it is needed at all.
			if (isDue || (wish?.reason === "forced" && !wish.tried))
				lock = await store.acquire(0).catch(unlessStoreError);
			if (lock === undefined) {
				const plan = consider(isMend);
				if (!plan.publish && plan.fetch === undefined) return rest(plan);
				lock = await store.acquire(patienceMs);
			}
			if (lock === undefined) {
				parts.count({ kind: "lock-busy" });
				if (!isMend && wish === begunFor) answerAndKeep(lockBusy(appid));
				return { kind: "locked" };
			}
			return await underLock(lock, isMend);
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
			// It failed on the way to the fetch: who waits is told of it all the same.
			if (wish !== undefined && wish === begunFor) {
				serving = wish;
				wish = undefined;
			}
			return storeFailed(error);
		} finally {
			await lock?.release();
		}
	};

	const underLock = async (
		lock: LockedStore,
		isMend: boolean,
	): Promise<Outcome> => {
		const plan = consider(isMend);
		const { current } = plan;
		if (plan.publish && current !== undefined) {
			await republish(lock, current);
			if (plan.fetch === undefined)
				return { kind: "republished", token: current.token };
		}
		if (plan.fetch === undefined) return rest(plan);
		return refresh(lock, plan.fetch, current);
	};

	/**
	 * Reads, decides, and takes over what another process has published. To mend
	 * the file (there is a token, then) nothing is fetched.
	 */
	const consider = (isMend: boolean): Plan => {
		const plan = observe();
		if (plan.granted && plan.current !== undefined) {
			const { token } = plan.current;
			wish?.answer({ outcome: "refreshed", token });
			if (wish?.reason === "forced") told.shared(plan.current);
			wish = undefined;
		}
		return isMend ? { ...plan, fetch: undefined, heldBack: undefined } : plan;
	};

	const observe = (): Plan => {
		const state = recall();
		const { kind = "" } = state.pause?.failure ?? {};
		const plan = decide({
			now: clock.now(),
			instance: self.instance,
			startedAt: parts.startedAt,
			isForcerDead: wish?.reason === "forced" && isForcerDead(state),
			rules,
			memory,
			disk: store.read(),
			state,
			wish,
			doubtedSince,
			eager: eager && !parts.patientWith?.includes(kind),
		});
		const { current } = plan;
		if (
			current !== undefined &&
			current.id !== memory?.id &&
			isAlive(current)
		) {
			told.adopted(current);
			parts.count({ kind: "adopted" });
			ownPause = undefined;
		}
		memory = current;
		if (current !== undefined && isAlive(current)) told.seen(current);
		// All is on disk as it should be: what the disk refused has no weight now.
		if (isIdle(plan) && isOfDisk(ownPause)) ownPause = undefined;
		return plan;
	};

	/** The mark of a fetch says whose it was, for as long as no other follows it. */
	const isForcerDead = ({ forced, inFlight }: AccountState) =>
		inFlight === undefined ||
		inFlight.by.instance !== forced?.by ||
		parts.isDead(inFlight.by);

	/** What counts here, read anew. */
	const recall = (): AccountState => {
		onDisk = store.recall();
		return withOwn(ownPause);
	};

	/**
	 * What may be written down for all: that our disk fails is not for the next
	 * keeper to know. Call it where nobody else can have written since `recall`.
	 */
	const memorable = (): AccountState =>
		withOwn(isOfDisk(ownPause) ? undefined : ownPause);

	const withOwn = (own: Pause | undefined): AccountState => {
		const state = onDisk;
		const probes = suspicion.calls();
		if (own === undefined && probes.length === 0) return state;
		const pause =
			own !== undefined && own.at >= (state.pause?.at ?? 0) ? own : state.pause;
		const calls =
			probes.length === 0
				? state.calls
				: [...new Set([...state.calls, ...probes])].sort((a, b) => a - b);
		return { ...state, calls, ...(pause === undefined ? {} : { pause }) };
	};

	/** Nothing to do, or nothing that may be done now. */
	const rest = ({ heldBack, current }: Plan): Outcome => {
		if (heldBack !== undefined) {
			if (current !== undefined) told.seen(current);
			if (heldBack.by === "cooldown") parts.wakeAt(heldBack.until);
			if (heldBack.by === "budget")
				budgetUsedUp(heldBack.until, heldBack.reason);
			if (heldBack.by === "pause") answerWithFailure();
			return { kind: "held-back", until: heldBack.until };
		}
		if (current === undefined) throw new Error("no token, and no need of one");
		return { kind: "rested", token: current.token };
	};

	const republish = async (lock: LockedStore, current: KnownToken) => {
		const state = memorable();
		const isVouchedFor = state.published?.id === current.id;
		await putBack(
			lock,
			current,
			isVouchedFor ? undefined : vouch(current, state),
		);
		recall();
	};

	const putBack = async (
		lock: LockedStore,
		current: KnownToken,
		voucher?: AccountState,
	) => {
		const found = store.read();
		await lock.publish(current.token, voucher);
		parts.count({ kind: "published" });
		told.repaired(current, found);
	};

	/** What fails here fails the attempt as well, which holds the lock, and tells of it. */
	const mendMeanwhile = async (lock: LockedStore): Promise<void> => {
		const { publish, current } = observe();
		if (!publish || current === undefined) return;
		try {
			await putBack(lock, current);
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
		}
	};

	const refresh = async (
		lock: LockedStore,
		reason: Reason,
		current: KnownToken | undefined,
	): Promise<Outcome> => {
		const before = memorable();
		const startedAt = clock.now();
		const forced = isForced(reason);
		if (forced || reason === wish?.reason) {
			serving = wish;
			wish = undefined;
		}
		const marked: AccountState = {
			...before,
			inFlight: {
				replaces: current?.id ?? "",
				at: startedAt,
				by: self,
				lock: lock.lock,
			},
			calls: countCall(before.calls, startedAt, windowOf(current)),
			...(forced ? { forced: { at: startedAt, by: self.instance } } : {}),
			...(reason === "reported" && current && suspicion.diedEarly(current)
				? { diedEarly: countEarlyDeath(before.diedEarly, startedAt) }
				: {}),
		};
		let left = marked;
		const asked = { counted: 0, sent: 0 };
		const leave = async (mark: AccountState) => {
			// Without a token there is none that could pass for a living one.
			await lock.remember(mark, { isPassing: current === undefined });
			left = mark;
			asked.counted += 1;
		};
		await leave(marked);
		if (forced) parts.count({ kind: "forced" });
		if (reason === "reported" && hasForeignFetcher(marked, startedAt))
			told.overwritten(marked.diedEarly.length);
		const budget: CallBudget = {
			onCall: () => {
				asked.sent += 1;
			},
			// One is allowed, or there would be no attempt.
			left: () =>
				Math.max(1, rules.budget - marked.calls.length + 1 - asked.sent),
		};
		asking = lock;
		const answer = await ask(leave, marked, reason, current, budget)
			.catch(orIssuerError)
			.finally(() => {
				asking = undefined;
				// An older token must not come after the new one.
				return mending;
			});
		const uncounted = Math.max(0, asked.sent - asked.counted);
		if (answer instanceof IssuerError)
			return fetchFailed(lock, before, answer, startedAt, uncounted);
		const calls = withMore(left.calls, uncounted);
		return publish(lock, { ...left, calls }, answer, reason, current);
	};

	/** Calls that were made again, or to the next base URL: the mark had counted on one. */
	const withMore = (calls: readonly number[], more: number) =>
		more === 0
			? calls
			: [...calls, ...Array.from({ length: more }, () => clock.now())];

	/**
	 * A token from the issuer. The stable interface may give `current` again, and
	 * is then asked with force if that is unwanted.
	 */
	const ask = async (
		leave: (mark: AccountState) => Promise<void>,
		marked: AccountState,
		reason: Reason,
		current: KnownToken | undefined,
		{ onCall, left }: CallBudget,
	): Promise<Grant> => {
		const granted = await issuer.fetch({
			force: false,
			onCall,
			mostCalls: left(),
		});
		if (
			rules.interface === "classic" ||
			current === undefined ||
			tokenId(granted.value) !== current.id ||
			!(await isUnwanted(current, reason))
		)
			return granted;
		const now = clock.now();
		if (settling) throw forceRefused(appid, "wxtokend is stopping");
		if (!mayForceStable(marked, now) || hasJustForced())
			throw forceRefused(appid, "too soon");
		stableForcedAt = clock.monotonic();
		await leave({
			...marked,
			calls: countCall(marked.calls, now, windowOf(current)),
			forceCalls: countForce(marked.forceCalls, now),
		});
		const other = await issuer.fetch({
			force: true,
			onCall,
			mostCalls: left(),
		});
		if (tokenId(other.value) === current.id)
			throw forceRefused(appid, "the same token again");
		return other;
	};

	/** By a person; or if WeChat calls it dead, and not if only an app does. */
	const isUnwanted = async (
		current: KnownToken,
		reason: Reason,
	): Promise<boolean> => {
		if (reason === "forced") return true;
		if (reason !== "reported") return false;
		// It may be able to tell by now, as it has just answered.
		return (await suspicion.surerVerdictOn(current)) === "dead";
	};

	const publish = async (
		lock: LockedStore,
		state: AccountState,
		granted: Grant,
		reason: Reason,
		before: KnownToken | undefined,
	): Promise<Outcome> => {
		const answeredAt = clock.now();
		const failures = withOwn(ownPause).pause?.failure?.attempts;
		const generation = generationAfter(state, before, answeredAt);
		const known = knownFromGrant(granted, generation, reason, before);
		const confirmed = known.id === before?.id;
		try {
			// From here on the token is known, and published later if not now.
			memory = known;
			ownPause = undefined;
			await lock.publish(
				known.token,
				afterAnswer(vouch(known, state), confirmed, answeredAt),
			);
		} catch (error) {
			if (isLost(error)) doubtAfterLoss(answeredAt);
			throw error;
		}
		doubtedSince = undefined;
		losses = 0;
		parts.count({ kind: "fetch", outcome: "ok" });
		parts.count({ kind: "published" });
		told.refreshed(known, {
			reason,
			isSame: confirmed,
			replaces: before?.id,
			afterFailures: failures,
		});
		const outcome = confirmed && reason === "reported" ? "alive" : "refreshed";
		serving?.answer({ outcome, token: known.token });
		serving = undefined;
		return { kind: "refreshed", token: known.token, reason };
	};

	/**
	 * Another process took the lock over while our request was under way. Unless
	 * its token was asked for after ours was given, nobody can say which of the
	 * two lives on: so a third one is fetched.
	 */
	const doubtAfterLoss = (answeredAt: number) => {
		memory = undefined;
		const { published } = store.recall();
		if (published !== undefined && published.fetchedAt > answeredAt) return;
		doubtedSince = clock.now();
	};

	const fetchFailed = async (
		lock: LockedStore,
		before: AccountState,
		error: IssuerError,
		startedAt: number,
		uncountedCalls: number,
	): Promise<Outcome> => {
		parts.count({ kind: "fetch", outcome: error.code });
		// A silence of ten seconds was a pause already.
		const at = error.waitMs === undefined ? startedAt : clock.now();
		const pause = pauseAfter(error, before.pause, at);
		ownPause = pause;
		const { inFlight: mark, ...state } = store.recall();
		// After a refusal in words only a mark of an earlier request still stands.
		const inFlight = error.mayHaveIssued ? mark : before.inFlight;
		try {
			await lock.remember({
				...state,
				...(inFlight === undefined ? {} : { inFlight }),
				calls: error.sent
					? withMore(state.calls, uncountedCalls)
					: before.calls,
				pause,
			});
		} catch (storeError) {
			if (isLost(storeError) && error.mayHaveIssued)
				doubtAfterLoss(clock.now());
			throw storeError;
		}
		return failed(error, pause.failure);
	};

	const storeFailed = (error: StoreError): Outcome => {
		if (error.kind === "lost") {
			told.lockLost(error);
			startOver(error);
			return { kind: "failed", error };
		}
		const standing = recall().pause;
		// Another try at the disk costs WeChat nothing; what WeChat asked for goes on.
		const waitMs = leftOf(standing);
		ownPause = { ...pauseAfter(error, standing, clock.now()), waitMs };
		return failed(error, ownPause.failure);
	};

	const pauseAfter = (
		error: IssuerError | StoreError,
		before: Pause | undefined,
		at: number,
	): Pause => {
		const { kind, code, message, hint } = error;
		const { waitMs, rid } = error instanceof IssuerError ? error : {};
		return afterFailure(
			{ kind, code, message, hint, waitMs, ...(rid ? { rid } : {}) },
			before,
			at,
			random,
		);
	};

	const leftOf = (pause: Pause | undefined): number => {
		const { at, waitMs } = pause ?? { at: 0, waitMs: 0 };
		const leftMs = at + waitMs - clock.now();
		return leftMs > 0 && leftMs <= waitMs ? leftMs : 0;
	};

	const failed = (
		error: IssuerError | StoreError,
		failure: Failure | undefined,
	): Outcome => {
		told.failed(error, {
			failure,
			notBefore: ownPause && ownPause.at + ownPause.waitMs,
			current: memory,
			isAsked: serving?.reason === "forced" && !serving.tried,
		});
		if (memory !== undefined) told.seen(memory);
		keepWish(error);
		return { kind: "failed", error };
	};

	const budgetUsedUp = (until: number, reason: Reason) => {
		const { budget } = rules;
		const whose = isForced(reason)
			? `what signals and apps may use of its budget of ${budget} calls`
			: `its budget of ${budget} calls`;
		told.budgetExceeded(until, windowOf(memory));
		const message = `could not refresh the token of ${appid}: ${whose} is used up until ${iso(until)}`;
		const hint = "find out who asks for so many refreshes, or raise `budget`";
		wish?.answer(failedBy({ code: "budget", message, hint }));
	};

	/** Who reports during a pause is not kept waiting for its end; the wish stays. */
	const answerWithFailure = () => {
		const { failure } = recall().pause ?? {};
		if (failure !== undefined) answerAndKeep(failure);
	};

	/** Tells who waits that it failed; the next token still counts for the wish. */
	const answerAndKeep = (failure: WishError) => {
		if (wish === undefined || wish.tried) return;
		wish.answer(failedBy(failure));
		wish = { ...wish, tried: true };
	};

	/**
	 * Another token on disk is one of the process that took the lock over, and newer
	 * than what this one knew. The request that was served stands again, and is
	 * answered by the next attempt, which begins at once; unless the lock is lost
	 * each time.
	 */
	const startOver = (error: StoreError) => {
		const disk = store.read();
		if (disk.kind === "token" && disk.token.value !== memory?.token.value)
			memory = undefined;
		losses += 1;
		if (losses > mostLosses) return keepWish(error);
		if (serving !== undefined)
			wish = wish === undefined ? serving : joined(serving, wish);
		serving = undefined;
	};

	/** Answers who waits; the next success still counts for the wish itself. */
	const keepWish = (error: IssuerError | StoreError) => {
		if (serving === undefined) return;
		serving.answer(failedBy(error));
		// What may not be forced today would be asked for in vain all day long.
		if (error.code !== forceLimit) wish ??= { ...serving, tried: true };
		serving = undefined;
	};

	const want = async (
		wanted: Pick<Wish, "reason" | "stale" | "isProved">,
		requestedAt = clock.now(),
	): Promise<WishAnswer> => {
		if (settling) return failedBy(stopping);
		if (wish === undefined || wish.tried || !isForced(wish.reason))
			wish = waiting({ ...wanted, requestedAt });
		else if (wanted.reason === "forced")
			// The stronger wish carries those along who reported a dead token.
			wish = { ...wish, reason: "forced", stale: undefined };
		else if (wanted.isProved) wish = { ...wish, isProved: true };
		const { answered } = wish;
		if (running === undefined) void serve();
		return answered;
	};

	const serve = async (): Promise<void> => {
		await look(parts.patienceMs).catch(parts.onBug);
	};

	const suspicion = createSuspicion({
		rules,
		issuer,
		clock,
		recall,
		onVerdict: (known, verdict) => {
			parts.count({ kind: "probe", verdict });
			told.probed(known, verdict);
		},
	});

	/**
	 * WeChat gave nothing the last time: a probe would tell no more, and in a long
	 * outage probes would use up what a report may ask for when it is over.
	 */
	const isBroken = () => {
		const { pause } = recall();
		return pause?.failure !== undefined && !isOfDisk(pause);
	};

	const hasJustForced = () =>
		clock.monotonic() - stableForcedAt < stableForceGapMs;

	/** … than its token: what it waits for, and what it must not say or ask twice. */
	const knowsMore = () =>
		[running, wish, serving, ownPause, doubtedSince].some(
			(one) => one !== undefined,
		) ||
		hasJustForced() ||
		!told.isSilent() ||
		!suspicion.isBlank(memory);

	const isAlive = ({ token }: KnownToken) => token.expiresAt > clock.now();

	return {
		appid,
		look,
		needsLook: () => {
			if (running !== undefined) return undefined;
			const plan = observe();
			if (!plan.granted && isIdle(plan)) {
				eager = false;
				return undefined;
			}
			const { publish, fetch, heldBack, granted } = plan;
			const isDue = fetch !== undefined;
			const more = granted || isDue || heldBack !== undefined;
			return { publish, more, fetch: isDue };
		},
		mend: async () => {
			if (running === undefined) {
				if (observe().publish) await begin(0, { isMend: true });
			} else if (asking !== undefined) {
				mending ??= mendMeanwhile(asking).finally(() => {
					mending = undefined;
				});
				await mending;
			}
		},
		isAtWork: () => running !== undefined,
		rest: () => {
			if (memory === undefined || knowsMore()) return undefined;
			return { known: memory, until: refreshAt(memory, rules) };
		},
		force: (since) => want({ reason: "forced" }, since),
		verify: () => want({ reason: "checked" }),
		report: async (stale) => {
			const id = tokenId(stale);
			const { current } = observe();
			let isProved = false;
			if (current !== undefined && isAlive(current)) {
				const { token } = current;
				if (current.id !== id) return { outcome: "already-fresh", token };
				const verdict = isBroken()
					? "unsure"
					: await suspicion.verdictOn(current);
				if (verdict === "alive") return { outcome: "alive", token };
				isProved = verdict === "dead";
			}
			return want({ reason: "reported", stale: id, isProved });
		},
		current: () => {
			const { current } = observe();
			return current !== undefined && isAlive(current)
				? current.token
				: undefined;
		},
		known: () => memory,
		recall,
		idle: async () => {
			while (running !== undefined) await running;
		},
		settle: async () => {
			settling = true;
			await running;
			wish?.answer(failedBy(stopping));
		},
	};
}

function unlessStoreError(error: unknown): undefined {
	if (!(error instanceof StoreError)) throw error;
}

function orIssuerError(error: unknown): IssuerError {
	if (error instanceof IssuerError) return error;
	throw error;
}

/** Nothing to do, and nothing that waits. */
function isIdle({ publish, fetch, heldBack }: Plan): boolean {
	return !publish && fetch === undefined && heldBack === undefined;
}

function isOfDisk(pause: Pause | undefined): boolean {
	const { failure } = pause ?? {};
	return failure !== undefined && isStoreErrorKind(failure.kind);
}

/** Attempts in a row that may begin at once after the lock was lost; the next one waits for a tick. */
const mostLosses = 3;

function lockBusy(appid: string): WishError {
	return {
		code: "locked",
		message: `could not refresh the token of ${appid}: another process holds its lock, and does not give it up`,
		hint: "see which other wxtokend works in this directory; it is tried again at the next tick",
	};
}

function isLost(error: unknown): boolean {
	return error instanceof StoreError && error.kind === "lost";
}

function forceRefused(appid: string, why: string): IssuerError {
	return new IssuerError({
		kind: "limited",
		code: forceLimit,
		message: `could not get another token for ${appid}: WeChat gives the same one, and force_refresh is limited to one in 30 s and 20 a day (${why})`,
		hint: "find out why so many refreshes are asked for; the platform renews the token by itself near its end",
		waitMs: stableForceGapMs,
		mayHaveIssued: false,
		sent: true,
	});
}

function iso(at: number): string {
	return new Date(at).toISOString();
}

/**
 * The story of one refresh under the lock: write the intent · ask WeChat · publish.
 *
 * While WeChat is asked, which may take its time, the file is repaired all the same.
 */
import { type KnownToken, traitsOf } from "../core/credential.ts";
import { IssuerError, StoreError } from "../core/errors.ts";
import {
	forceLimit,
	hasForeignFetcher,
	mayForce,
	refreshAt,
} from "../core/limits.ts";
import type { Grant, Lease } from "../core/ports.ts";
import type { Failure, SharedRecord } from "../core/record.ts";
import { isForced, type Reason, type RefreshRequest } from "../core/request.ts";
import { tokenId } from "../core/token.ts";
import {
	afterGrant,
	afterRefusal,
	beginFetch,
	beginForce,
	withMoreCalls,
} from "../core/transition.ts";
import type { KeeperParts, Outcome, Parents } from "./keeper-parts.ts";
import { type Observation, type Observer, offsetOf } from "./observation.ts";
import type { Probe } from "./probe.ts";
import type { Requests } from "./requests.ts";

/** What the parts of a keeper share. */
export interface RefreshParts extends KeeperParts {
	readonly requests: Requests;
	readonly observer: Observer;
	readonly probe: Probe;
	readonly isSettling: () => boolean;
}

export interface Refresher {
	/** Throws `StoreError`. */
	refresh(lease: Lease, seen: Observation, reason: Reason): Promise<Outcome>;
	/** Repairs the file while WeChat is asked; does nothing if it is not. */
	repairMeanwhile(): Promise<void>;
	/** Another value was forced so recently that WeChat would ignore it. */
	hasJustForced(): boolean;
}

/** One attempt: what was written and sent so far. */
interface Attempt {
	readonly lease: Lease;
	readonly reason: Reason;
	readonly current: KnownToken | undefined;
	readonly startedAt: number;
	/** As it was before the intent. */
	readonly before: SharedRecord;
	/** How many attempts before this one failed in a row. */
	readonly failures: number | undefined;
	/** With which WeChat was asked: by the answer they may have others. */
	parents: Parents;
	/** As it was written last, with the intent. */
	written: SharedRecord;
	/** Calls that the written record counts, and calls that left. */
	counted: number;
	sent: number;
}

export function createRefresher(parts: RefreshParts): Refresher {
	const { clock, observer, emit } = parts;
	const { force } = traitsOf(parts.credential);
	/** Held while WeChat is asked. */
	let asking: Lease | undefined;
	let repairing: Promise<void> | undefined;
	/** Monotonic: a clock that is set forward must not bring the next one near. */
	let forcedAt = Number.NEGATIVE_INFINITY;

	const forceGap: ForceGap = {
		isOpen: () =>
			force === undefined || clock.monotonic() - forcedAt >= force.gapMs,
		begin: () => {
			forcedAt = clock.monotonic();
		},
	};

	/** What fails here fails the attempt as well, which holds the lock, and tells of it. */
	const repairUnder = async (lease: Lease): Promise<void> => {
		const { plan, disk } = observer.look();
		const { publish: mustPublish, current } = plan;
		if (!mustPublish || current === undefined) return;
		try {
			await lease.publish(current.token);
			emit({ kind: "repaired", current, found: disk });
		} catch (error) {
			if (!(error instanceof StoreError)) throw error;
		}
	};

	return {
		refresh: async (lease, seen, reason) => {
			const attempt = await begin(parts, lease, seen, reason);
			asking = lease;
			const answer = await ask(parts, attempt, forceGap)
				.catch(orIssuerError)
				.finally(() => {
					asking = undefined;
					// An older token must not come after the new one.
					return repairing;
				});
			return answer instanceof IssuerError
				? refused(parts, attempt, answer)
				: publish(parts, attempt, answer);
		},
		hasJustForced: () => !forceGap.isOpen(),
		repairMeanwhile: async () => {
			if (asking === undefined) return;
			repairing ??= repairUnder(asking).finally(() => {
				repairing = undefined;
			});
			await repairing;
		},
	};
}

/** The time that WeChat asks for between two forced values. */
interface ForceGap {
	isOpen(): boolean;
	begin(): void;
}

/** Writes the intent, before anything leaves. */
async function begin(
	parts: RefreshParts,
	lease: Lease,
	seen: Observation,
	reason: Reason,
): Promise<Attempt> {
	const { clock, observer, requests, probe, emit } = parts;
	const { current } = seen.plan;
	const startedAt = clock.now();
	const before = observer.writable(seen);
	if (isForced(reason) || reason === requests.pending()?.reason)
		requests.take();
	const diedEarly =
		reason === "reported" && current !== undefined && probe.diedEarly(current);
	const by = parts.self;
	const intent = beginFetch(
		{ record: before, current, reason, by, lock: lease.id, diedEarly },
		startedAt,
	);
	const attempt: Attempt = {
		lease,
		reason,
		current,
		startedAt,
		before,
		failures: seen.record.pause?.failure?.attempts,
		parents: undefined,
		written: intent,
		counted: 0,
		sent: 0,
	};
	await write(parts, attempt, intent);
	if (isForced(reason)) emit({ kind: "forced" });
	if (reason === "reported" && hasForeignFetcher(intent, startedAt))
		emit({ kind: "overwritten", deaths: intent.diedEarly.length });
	return attempt;
}

async function write(
	{ observer }: RefreshParts,
	attempt: Attempt,
	record: SharedRecord,
): Promise<void> {
	// With no previous token a lost intent does no harm, so it need not be synced.
	const durable = attempt.current !== undefined;
	await attempt.lease.write(record, { durable });
	observer.wrote(record);
	attempt.written = record;
	attempt.counted += 1;
}

/**
 * A token from the issuer. Where WeChat may give the current one again, and that one
 * is unwanted, another one is forced. Throws `IssuerError`.
 */
async function ask(
	parts: RefreshParts,
	attempt: Attempt,
	gap: ForceGap,
): Promise<Grant> {
	const { credential, clock } = parts;
	const { force, reissue } = traitsOf(credential);
	const { current } = attempt;
	const granted = await issue(parts, attempt, false);
	if (
		force === undefined ||
		reissue !== "same-until-end" ||
		current === undefined ||
		tokenId(granted.value) !== current.id ||
		// The other hosts could not be told of another value, and theirs would end.
		attempt.lease.isAlone ||
		!(await isUnwanted(parts, current, attempt))
	)
		return granted;
	const refusal = (why: string) =>
		refusedForce(credential.appid, why, force.gapMs);
	if (parts.isSettling()) throw refusal("wxtokend is stopping");
	const now = clock.now();
	if (!mayForce(credential, attempt.written, now) || !gap.isOpen())
		throw refusal("too soon");
	gap.begin();
	await write(parts, attempt, beginForce(attempt.written, current, now));
	const other = await issue(parts, attempt, true);
	if (tokenId(other.value) === current.id)
		throw refusal("the same token again");
	return other;
}

/** Also throws `StoreError` (lost). */
async function issue(
	{ issuer, parents, credential }: RefreshParts,
	attempt: Attempt,
	force: boolean,
): Promise<Grant> {
	const { written, counted, sent, lease } = attempt;
	lease.mustBeHeld?.();
	attempt.parents = parents();
	return issuer.issue({
		force,
		parents: attempt.parents ?? new Map(),
		onCall: () => {
			attempt.sent += 1;
		},
		// One is allowed, or there would be no attempt.
		maxCalls: Math.max(
			1,
			credential.limits.budget - written.calls.length + counted - sent,
		),
	});
}

/** By a person; or if WeChat calls it dead, and not if only an app does. */
async function isUnwanted(
	{ probe }: RefreshParts,
	current: KnownToken,
	{ reason, written }: Attempt,
): Promise<boolean> {
	if (reason === "forced") return true;
	if (reason !== "reported") return false;
	// WeChat may be able to tell by now, as it has just answered.
	return (await probe.surerResultFor(current, written)) === "dead";
}

async function publish(
	parts: RefreshParts,
	attempt: Attempt,
	grant: Grant,
): Promise<Outcome> {
	const { observer, requests, emit } = parts;
	const { lease, reason, current, failures } = attempt;
	const now = parts.clock.now();
	const calls = withMoreCalls(attempt.written.calls, uncounted(attempt), now);
	const { known, record, isSame } = afterGrant(
		{ ...attempt.written, calls },
		grant,
		{
			traits: traitsOf(parts.credential),
			reason,
			before: current,
			clockOffset: offsetOf(parts.clock),
		},
		now,
	);
	// From here on the token is known, and published later if not now.
	observer.learn({
		memory: known,
		ownPause: undefined,
		aliveId: known.id,
		refusedParents: undefined,
	});
	try {
		await lease.publish(known.token, record);
		observer.wrote(record);
	} catch (error) {
		if (isLost(error)) doubtAfterLoss(parts, now);
		throw error;
	}
	observer.learn({ doubtedSince: undefined });
	emit({ kind: "asked", outcome: "ok" });
	emit({
		kind: "refreshed",
		current: known,
		reason,
		isSame,
		replaces: current?.id,
		afterFailures: failures,
	});
	// Its times are exact to the second, and a tick may be minutes away.
	if (known.sighting !== undefined)
		parts.wakeAt(refreshAt(known, parts.credential));
	const outcome = isSame && reason === "reported" ? "alive" : "refreshed";
	requests.succeed({ outcome, token: known.token });
	return { kind: "refreshed", token: known.token, reason };
}

/** WeChat gave no token; the time of the next attempt is written down. */
async function refused(
	parts: RefreshParts,
	attempt: Attempt,
	error: IssuerError,
): Promise<Outcome> {
	const { lease, before, written, startedAt } = attempt;
	parts.emit({ kind: "asked", outcome: error.code });
	if (error.kind === "parent") return refusedByParent(parts, attempt, error);
	const { record, pause } = afterRefusal(
		{
			...{ error, before, written, startedAt, self: parts.self },
			uncounted: uncounted(attempt),
		},
		parts.clock.now(),
		parts.random,
	);
	parts.observer.learn({ ownPause: pause });
	try {
		await lease.write(record);
		parts.observer.wrote(record);
	} catch (storeError) {
		if (isLost(storeError) && error.mayHaveIssued)
			doubtAfterLoss(parts, parts.clock.now());
		throw storeError;
	}
	const served = parts.requests.served();
	if (served !== undefined) wishIfOwn(parts, record, served);
	return failed(parts, error, pause.failure, pause.at + pause.waitMs);
}

/**
 * What stops this host alone, such as its old secret or an address that WeChat does not
 * know, need not stop those who asked for another value: another host may get it.
 */
export function wishIfOwn(
	{ slot }: Pick<RefreshParts, "slot">,
	{ pause }: SharedRecord,
	{ stale, forAnother = false }: RefreshRequest,
): void {
	if (pause?.of !== undefined && !forAnother) slot.wish?.(stale);
}

/** Calls that left and that the intent does not count; see `withMoreCalls`. */
function uncounted({ reason, sent, counted }: Attempt): number {
	return isForced(reason) ? Math.max(0, sent - counted) : 0;
}

/**
 * The failure is the parent's, and is told there: this one burns no attempt and has no
 * pause for it. It is looked at again when the parent has another value.
 */
async function refusedByParent(
	parts: RefreshParts,
	{ lease, before, parents }: Attempt,
	error: IssuerError,
): Promise<Outcome> {
	const { observer, requests, clock } = parts;
	await lease.write(before);
	observer.wrote(before);
	observer.noteParentsRefused(parents);
	parts.reportParents?.(parents);
	requests.fail(error, { isOver: false });
	return { kind: "deferred", until: clock.now() };
}

/**
 * Another process took the lock over while our request was under way. Unless its
 * token was asked for after ours was given, it cannot be known which of the two
 * lives on: so a third one is fetched.
 */
function doubtAfterLoss(
	{ slot, clock, observer }: RefreshParts,
	answeredAt: number,
): void {
	const { published } = slot.record();
	const isSettled = published !== undefined && published.fetchedAt > answeredAt;
	observer.learn({
		memory: undefined,
		...(isSettled ? {} : { doubtedSince: clock.now() }),
	});
}

/** Tells of a failed attempt, and answers the request that it was for. */
export function failed(
	{ observer, requests, emit, wakeAt }: RefreshParts,
	error: IssuerError | StoreError,
	failure: Failure | undefined,
	notBefore: number | undefined,
): Outcome {
	const current = observer.memory();
	const served = requests.served();
	const isAsked = served?.reason === "forced" && !served.tried;
	emit({ kind: "failed", error, failure, notBefore, current, isAsked });
	observer.noteEnd(current);
	// Near its end a ticket cannot wait for a tick that is minutes away.
	if (current?.sighting !== undefined && notBefore !== undefined)
		wakeAt(notBefore);
	// What may not be forced today would be asked for in vain all day long.
	requests.fail(error, { isOver: error.code === forceLimit });
	return { kind: "failed", error };
}

/** Whether the lock went to another process. */
export function isLost(error: unknown): error is StoreError {
	return error instanceof StoreError && error.kind === "lost";
}

function refusedForce(appid: string, why: string, waitMs: number): IssuerError {
	return new IssuerError({
		kind: "limited",
		code: forceLimit,
		message: `could not get another token for ${appid}: WeChat gives the same one, and force_refresh is limited to one in 30 s and 20 a day (${why})`,
		hint: "find out why so many refreshes are asked for; the platform renews the token by itself near its end",
		waitMs,
		mayHaveIssued: false,
		sent: true,
	});
}

function orIssuerError(error: unknown): IssuerError {
	if (error instanceof IssuerError) return error;
	throw error;
}

/**
 * One attempt: look and decide · lock · look and decide again, as another process
 * may have been faster · refresh or repair · unlock.
 */
import type { KnownToken } from "../core/credential.ts";
import type { Deferral } from "../core/decide.ts";
import { StoreError, unlessStoreError } from "../core/errors.ts";
import { windowOf } from "../core/limits.ts";
import type { Lease, Purpose } from "../core/ports.ts";
import { isForced, type RefreshFailure } from "../core/request.ts";
import {
	afterStoreError,
	isOfDisk,
	withPublication,
} from "../core/transition.ts";
import type { Outcome } from "./keeper-parts.ts";
import type { Observation } from "./observation.ts";
import {
	failed,
	isLost,
	type Refresher,
	type RefreshParts,
	wishIfOwn,
} from "./refresh.ts";

/** What an attempt is for. */
export interface AttemptOptions {
	/** How long it waits for the lock. */
	readonly lockTimeoutMs: number;
	/** Nothing is fetched. */
	readonly isRepair?: boolean;
	/** A fetch is due, most likely: the only look is then the one under the lock. */
	readonly isDue?: boolean;
}

/** Attempts in a row that may begin at once after the lock was lost; the next one waits for a tick. */
export const maxLosses = 3;

/** Throws what is a bug. `losses`: how often in a row the lock was lost, kept by the caller. */
export async function attempt(
	parts: RefreshParts,
	refresher: Refresher,
	{ lockTimeoutMs, isRepair = false, isDue = false }: AttemptOptions,
	losses: number,
): Promise<Outcome> {
	const { slot, requests, clock, emit } = parts;
	if (parts.isSettling()) return { kind: "deferred", until: clock.now() };
	const begunFor = requests.pending();
	let lease: Lease | undefined;
	let hasWaited = false;
	try {
		if (isDue) {
			const waited = await slot
				.acquire(lockTimeoutMs, refreshFor(parts))
				.then((found) => ({ found }), unlessStoreError);
			lease = waited?.found;
			hasWaited = waited !== undefined;
		}
		// The look before the next try tells whether that is needed at all.
		if (lease === undefined) {
			const seen = consider(parts, isRepair);
			if (isDone(seen)) return rest(parts, seen);
			if (seen.plan.fetch === undefined)
				lease = await slot.acquire(lockTimeoutMs, { kind: "repair" });
			else if (!hasWaited)
				lease = await slot.acquire(lockTimeoutMs, refreshFor(parts));
		}
		if (lease === undefined) {
			// Many may wait, and then take the lock in turn only to find nothing to do: who
			// has not had it until the end of the wait finds the same without it.
			const seen = consider(parts, isRepair);
			if (isDone(seen)) return rest(parts, seen);
			emit({ kind: "lock-busy" });
			if (!isRepair && requests.pending() === begunFor)
				requests.defer(lockBusy(parts.credential.appid));
			return { kind: "locked" };
		}
		return await underLease(parts, refresher, lease, isRepair);
	} catch (error) {
		if (!(error instanceof StoreError)) throw error;
		// It failed on the way to the fetch: those who wait are told of it all the same.
		if (begunFor !== undefined && requests.pending() === begunFor)
			requests.take();
		return isLost(error)
			? startOver(parts, error, losses)
			: storeFailed(parts, error);
	} finally {
		await lease?.release();
	}
}

function refreshFor({ requests, observer }: RefreshParts): Purpose {
	const { stale, alone = false } = requests.pending() ?? {};
	const isWanted = () => observer.look().plan.fetch !== undefined;
	return { kind: "refresh", stale, alone, isWanted };
}

/** Looks, takes over what another process has published, and answers a request that it satisfies. */
function consider(
	{ observer, requests, emit }: RefreshParts,
	isRepair: boolean,
): Observation {
	const seen = observer.look();
	observer.note(seen);
	const { plan } = seen;
	const { current, satisfied } = plan;
	if (satisfied && current !== undefined) {
		if (requests.pending()?.reason === "forced")
			emit({ kind: "shared", current });
		requests.satisfy({ outcome: "refreshed", token: current.token });
	}
	return isRepair
		? { ...seen, plan: { ...plan, fetch: undefined, deferred: undefined } }
		: seen;
}

/** Nothing is to be written. */
function isDone({ plan }: Observation): boolean {
	return !plan.publish && plan.fetch === undefined;
}

async function underLease(
	parts: RefreshParts,
	refresher: Refresher,
	lease: Lease,
	isRepair: boolean,
): Promise<Outcome> {
	const seen = consider(parts, isRepair);
	const { current, publish, fetch } = seen.plan;
	if (publish && current !== undefined) {
		await repair(parts, lease, seen, current);
		if (fetch === undefined) return { kind: "repaired", token: current.token };
	}
	return fetch === undefined
		? rest(parts, seen)
		: refresher.refresh(lease, seen, fetch);
}

async function repair(
	{ observer, emit }: RefreshParts,
	lease: Lease,
	seen: Observation,
	current: KnownToken,
): Promise<void> {
	const record = observer.writable(seen);
	const isRecorded = record.published?.id === current.id;
	await lease.publish(
		current.token,
		isRecorded ? undefined : withPublication(current, record),
	);
	// The disk works again: what it refused before has no weight now.
	if (isOfDisk(observer.record().pause))
		observer.learn({ ownPause: undefined });
	emit({ kind: "repaired", current, found: seen.disk });
}

/** Nothing to do, or nothing that may be done now. */
function rest(parts: RefreshParts, { plan, record }: Observation): Outcome {
	const { deferred, current } = plan;
	if (deferred === undefined) {
		if (current === undefined) throw new Error("no token, and no need of one");
		return { kind: "idle", token: current.token };
	}
	parts.observer.noteEnd(current);
	const { by, until } = deferred;
	switch (by) {
		case "cooldown":
			parts.wakeAt(until);
			break;
		case "budget":
			budgetUsedUp(parts, deferred);
			break;
		case "pause": {
			// A report during a pause gets the last failure at once; its request stays pending.
			const { failure } = record.pause ?? {};
			if (failure === undefined) break;
			const pending = parts.requests.pending();
			if (pending !== undefined && !pending.tried)
				wishIfOwn(parts, record, pending);
			parts.requests.defer(failure);
			break;
		}
		case "parent":
			parts.requests.defer(parentMissing(parts.credential));
			break;
		case "other-host": // Its publication brings the next look.
			break;
		default:
			by satisfies never;
	}
	return { kind: "deferred", until };
}

function budgetUsedUp(
	{ credential, requests, observer, emit }: RefreshParts,
	{ until, reason }: Deferral,
): void {
	const { budget } = credential.limits;
	const whose = isForced(reason)
		? `what signals and apps may use of its budget of ${budget} calls`
		: `its budget of ${budget} calls`;
	const lifetimeMs = windowOf(observer.memory());
	emit({ kind: "budget-exceeded", until, lifetimeMs });
	const message = `could not refresh the token of ${credential.appid}: ${whose} is used up until ${new Date(until).toISOString()}`;
	const hint = "find out who asks for so many refreshes, or raise `budget`";
	requests.defer({ code: "budget", message, hint });
}

function storeFailed(parts: RefreshParts, error: StoreError): Outcome {
	const { observer, clock, random } = parts;
	const standing = observer.record().pause;
	const pause = afterStoreError(error, standing, clock.now(), random);
	observer.learn({ ownPause: pause });
	return failed(parts, error, pause.failure, pause.at + pause.waitMs);
}

/**
 * Another token on disk is one of the process that took the lock over, and newer
 * than what this one knew. The request that was served is pending again, and is
 * answered by the next attempt, which begins at once; unless the lock is lost each
 * time.
 */
function startOver(
	{ slot, observer, requests, emit }: RefreshParts,
	error: StoreError,
	losses: number,
): Outcome {
	emit({ kind: "lock-lost", error });
	const disk = slot.read();
	const isOther =
		disk.kind === "token" &&
		disk.token.value !== observer.memory()?.token.value;
	if (isOther) observer.learn({ memory: undefined });
	if (losses < maxLosses) requests.restart();
	else requests.fail(error, { isOver: false });
	return { kind: "failed", error };
}

function lockBusy(appid: string): RefreshFailure {
	return {
		code: "locked",
		message: `could not refresh the token of ${appid}: another process holds its lock, and does not give it up`,
		hint: "see which other wxtokend works in this directory; it is tried again at the next tick",
	};
}

function parentMissing({
	file,
	needs,
}: RefreshParts["credential"]): RefreshFailure {
	return {
		code: "parent",
		message: `could not refresh ${file}: it waits for ${needs.join(", ")}, which has no living value`,
		hint: "wxtokend status says why that one is missing",
	};
}

/**
 * All credentials of a configuration, and what a tick does about them without holding
 * up anything else.
 *
 * A few hundred credentials are all looked at in each tick, which reads nothing but
 * the attributes of their files. Of more, a tick looks at those that are not idle,
 * whose files were touched, and at a few of the others in turn.
 *
 * If many need something at once, most of them wait in line, and until its turn
 * nothing is made or read for one of them. During such a burst inotify is off, as it
 * would report our own writes: each tick sees whether the files are there, and after
 * the burst every file is checked again.
 *
 * A file that does not hold what it should is repaired past that line: it needs no
 * call to WeChat, and its readers shall not wait for those that do.
 *
 * Parents come before their children; a publication of a parent makes them dirty.
 */
import type { Clock } from "../core/clock.ts";
import type { CredentialId } from "../core/credential.ts";
import type { Watch } from "../core/ports.ts";
import type { RefreshAnswer } from "../core/request.ts";
import type { Hearing } from "./hearing.ts";
import type { Need } from "./keeper.ts";
import type { Parents } from "./keeper-parts.ts";
import { createYielding, type Limiter, maxRefreshing } from "./limiter.ts";
import type { ManagedCredential } from "./managed-credential.ts";
import { createPacing, type Pacing } from "./pacing.ts";
import type { Roster } from "./roster.ts";
import { createSpareMemory, type Heap } from "./spare-memory.ts";

export interface Reconciler {
	/**
	 * Looks at all credentials; resolves when what there was to do is done.
	 * `lockTimeoutMs`: as in `Keeper.reconcile`.
	 */
	first(lockTimeoutMs: number): Promise<void>;
	/** Looks at those that are worth it; resolves when what they need has begun. */
	tick(): Promise<void>;
	/**
	 * A forced refresh of each credential that can be forced; of many, each in its turn.
	 * `since`: as for `Keeper.force`.
	 */
	forceAll(since: number): Promise<readonly RefreshAnswer[]>;
	/** That credential has another value: those that need it are looked at. Returns how many. */
	published(id: CredentialId): number;
	/** Keeps these, too, each one behind all that it needs. */
	add(added: readonly ManagedCredential[]): void;
	/** Keeps these no longer. */
	remove(removed: readonly ManagedCredential[]): void;
	stop(): void;
}

export interface ReconcilerParts {
	/** All credentials that are kept. It changes while the program runs. */
	readonly roster: Roster;
	/** The one that is kept in a file, of these and of those that are added. */
	readonly find: (file: string) => ManagedCredential | undefined;
	/** As `Store.watch`. */
	readonly watch: (onTouched: (file: string) => void) => Watch;
	readonly clock: Clock;
	/** Bounds how many credentials are refreshed at a time. */
	readonly limiter: Limiter;
	/** The same for what needs no call to WeChat, and does not wait for those that do. */
	readonly repairLimiter: Limiter;
	readonly heap: Heap;
	/** Orders a tick at that instant, epoch ms: for those who wait for their turn. */
	readonly wakeAt?: (at: number) => void;
	/** Told what is heard of changes in the store; by default nobody asks. */
	readonly hearing?: Pick<Hearing, "begin" | "lose">;
	readonly onBug: (error: unknown) => void;
}

/** More credentials than that are not all looked at in each tick. */
const maxAtOnce = 256;

/** If so many wait for their turn, the next one is not even asked what it needs. */
const crowd = 16;

/** Ticks in which each of them is looked at once, whatever was heard of its files. */
const turns = 256;

/** Signals whose answers are collected at a time. */
const maxCollecting = 4;

/** How long a chain of credentials that need each other may be. */
const maxDepth = 4;

/** A scan gives way to sockets and timers after so long. */
const sliceMs = 10;

/** What came of a scan. */
interface Scanned {
	/** How many of those that it found something to do for wait, or are busy. */
	pending: number;
	whenDone: () => void;
}

/**
 * All answers to a signal. While WeChat is silent each signal holds a promise per
 * credential, so one beyond the limit waits for the same answers as the one before it.
 */
function createCollecting() {
	/** Those that are not complete yet. */
	const collecting: Promise<readonly RefreshAnswer[]>[] = [];
	return (
		answers: readonly Promise<RefreshAnswer>[],
	): Promise<readonly RefreshAnswer[]> => {
		const last = collecting.at(-1);
		if (last !== undefined && collecting.length >= maxCollecting) return last;
		const all = Promise.all(answers);
		collecting.push(all);
		return all.finally(() => {
			collecting.splice(collecting.indexOf(all), 1);
		});
	};
}

/** Its readers shall not wait for its turn, or for WeChat. */
function repairMeanwhile(
	one: ManagedCredential,
	onBug: ReconcilerParts["onBug"],
): void {
	if (one.activeKeeper !== undefined || one.isDirty)
		void one.keeper.repair().catch(onBug);
}

/** `isCrowd`: it is awake, and many wait: it is looked at in its turn, not now. */
function needOf(one: ManagedCredential, isCrowd: boolean): Need | undefined {
	return isCrowd && !one.isDirty && one.activeKeeper === undefined
		? { adopt: false, publish: false, more: true, fetch: true }
		: one.keeper.needs();
}

/** The members of platforms, of which there may be a hundred thousand. */
function isPaced({ credential }: ManagedCredential): boolean {
	return credential.limits.isSpread === true;
}

export function createReconciler(parts: ReconcilerParts): Reconciler {
	const { clock, limiter, onBug } = parts;
	const { roster } = parts;
	const pacing = createPacing({
		...{ clock, limiter, wakeAt: parts.wakeAt ?? (() => {}) },
		members: () => roster.all.length,
	});
	const watching = createWatching(parts, roster);
	const memory = createSpareMemory(
		parts.heap,
		clock,
		watching.current() !== undefined,
	);
	/** Hundreds wait, by the last scan or signal. */
	let isBurst = false;
	const stopped = new AbortController();
	const collect = createCollecting();
	/** The first scan; it may give way several times. */
	let firstScan: Promise<Scanned> | undefined;
	let isInFirstScan = false;
	/** Until the first look is over: children that a tick was faster to look at. */
	let childrenOfTicks: Scanned | undefined;

	const mayEvict = () => watching.current()?.isNotWatching() === false;

	/** Evicted in a burst, it is looked at again after it, whatever happens before. */
	const evictInBurst = (one: ManagedCredential) => {
		if (!isBurst) return;
		if (mayEvict()) one.evict();
		memory.useMore();
	};

	const enqueue = createLine(parts, pacing, {
		isStopped: () => stopped.signal.aborted,
		onTurn: evictInBurst,
		onDone: memory.expectSome,
	});

	const lookAt = (
		one: ManagedCredential,
		isAwake: boolean,
		lockTimeoutMs: number,
		scanned: Scanned,
	) => {
		if (one.isQueued || one.activeKeeper?.isBusy())
			return repairMeanwhile(one, onBug);
		const load = isPaced(one) ? pacing.load() : 0;
		const need = needOf(one, isAwake && load + limiter.load() >= crowd);
		one.isDirty = false;
		if (need?.adopt) one.keeper.adopt();
		if (need !== undefined && (need.publish || need.more))
			enqueue(one, need, lockTimeoutMs, scanned);
		else if (mayEvict()) one.evict();
	};

	const turnOf = createTurns(clock, () => watching.hasHeardAll(isBurst));

	const scan = async (
		lockTimeoutMs: number,
		isOfTick: boolean,
	): Promise<Scanned> => {
		noteBurst();
		const turn = turnOf();
		const now = clock.now();
		const scanned = nothingScanned();
		const yielding = createYielding(sliceMs);
		const next = (from: number) =>
			indexOfWorth(roster.all, from, now, turn, isBurst);
		// By indexes: a list of pairs would be garbage of megabytes at each tick.
		for (let at = next(0); at < roster.all.length; at = next(at + 1)) {
			const one = roster.all[at] as ManagedCredential;
			const isAwake = one.isDirty || now >= one.idleUntil;
			const hasParent = one.credential.needs.length > 0;
			const of = isOfTick && hasParent ? childrenOfTicks : undefined;
			lookAt(one, isAwake, lockTimeoutMs, of ?? scanned);
			const pause = yielding.yieldIfLong();
			if (pause === undefined) continue;
			// A scan that takes so long is the beginning of a burst.
			memory.grow();
			await pause;
		}
		isInFirstScan = false;
		pacing.release();
		memory.keep();
		noteBurst();
		memory.giveBack(isBurst);
		return scanned;
	};

	const noteBurst = () => {
		isBurst = limiter.load() > maxAtOnce;
		if (!isBurst) return;
		parts.hearing?.lose();
		watching.current()?.stop();
		memory.expectMore();
	};

	return {
		first: async (lockTimeoutMs) => {
			const ofTicks = nothingScanned();
			childrenOfTicks = ofTicks;
			// A child can be fetched only once its parent is, which makes it dirty.
			for (let depth = 0; depth < maxDepth; depth += 1) {
				isInFirstScan = true;
				firstScan = scan(lockTimeoutMs, false);
				await whenDone(await firstScan);
				await whenDone(ofTicks);
				if (!roster.hasDirtyChild()) break;
			}
			childrenOfTicks = undefined;
		},
		tick: async () => {
			// A scan gives way between two slices. A second one that began then would take
			// the credentials that are left, and `first` would not wait for them.
			await (isInFirstScan ? firstScan : scan(0, true));
		},
		forceAll: async (since) => {
			const forcible = roster.forcible();
			const answers =
				forcible.length > maxRefreshing
					? forcible.map((one) =>
							one.forceInTurn(since, () => evictInBurst(one)),
						)
					: forcible.map(({ keeper }) => keeper.force(since));
			noteBurst();
			memory.expectSome();
			return collect(answers);
		},
		published: (id) => {
			const children = roster.childrenOf(id);
			for (const child of children) child.isDirty = true;
			return children.length;
		},
		add: (added) => {
			for (const one of added) {
				one.isDirty = true;
				roster.add(one);
			}
		},
		remove: (removed) => {
			for (const one of removed) roster.remove(one);
		},
		stop: () => {
			stopped.abort();
			pacing.end();
			parts.hearing?.lose();
			watching.current()?.stop();
		},
	};
}

/** The first of them from there on that is worth a look; behind all: none is. */
function indexOfWorth(
	all: readonly ManagedCredential[],
	from: number,
	now: number,
	turn: Turn,
	isBurst: boolean,
): number {
	for (let index = from; index < all.length; index += 1) {
		const one = all[index] as ManagedCredential;
		if (isBurst) one.isDirty ||= one.isTouched();
		if (one.isDirty || now >= one.idleUntil) return index;
		if (turn.isOfAll || (turn.has(index) && !one.isUndisturbed())) return index;
	}
	return all.length;
}

/** Lets each credential have what it needs in its turn. */
function createLine(
	{ limiter, repairLimiter, onBug }: ReconcilerParts,
	pacing: Pacing,
	{ isStopped, onTurn, onDone }: LineParts,
) {
	return (
		one: ManagedCredential,
		{ publish, more, fetch }: Need,
		lockTimeoutMs: number,
		scanned: Scanned,
	): void => {
		one.isQueued = true;
		scanned.pending += 1;
		const done = () => {
			one.isQueued = false;
			scanned.pending -= 1;
			onDone();
			if (scanned.pending === 0) scanned.whenDone();
		};
		const reconcile = async () => {
			try {
				if (isStopped()) return;
				await one.keeper.reconcile(lockTimeoutMs, fetch);
				onTurn(one);
			} catch (error) {
				onBug(error);
			} finally {
				done();
			}
		};
		const queue = () => {
			const { endsAt } = one;
			// What is not known is looked at first, in its turn.
			if (isPaced(one) && fetch && endsAt !== undefined)
				pacing.enqueue(endsAt, reconcile);
			else limiter.enqueue(reconcile);
		};
		const repair = async () => {
			if (!isStopped()) await one.keeper.repair().catch(onBug);
			if (more) queue();
			else done();
		};
		if (publish) repairLimiter.enqueue(repair);
		else queue();
	};
}

interface LineParts {
	readonly isStopped: () => boolean;
	/** It had its turn. */
	readonly onTurn: (one: ManagedCredential) => void;
	/** The same, whatever came of it. */
	readonly onDone: () => void;
}

/** The watch of the files, from when there are too many to look at each in each tick. */
function createWatching(
	{ watch, hearing, find }: ReconcilerParts,
	roster: Roster,
) {
	let made: Watch | undefined;
	return {
		current: (): Watch | undefined => {
			if (made === undefined && roster.all.length > maxAtOnce)
				made = watch((file) => {
					const one = find(file);
					if (one !== undefined) one.isDirty = true;
				});
			return made;
		},
		/** Whether every change since the last tick was heard of. */
		hasHeardAll(isBurst: boolean): boolean {
			const watch = this.current();
			if (watch === undefined) return false;
			if (isBurst) return true;
			const hasHeard = watch.listen();
			if (!hasHeard) hearing?.lose();
			if (!watch.isNotWatching() && !watch.isShared()) hearing?.begin();
			return hasHeard;
		},
	};
}

function nothingScanned(): Scanned {
	return { pending: 0, whenDone: () => {} };
}

async function whenDone(scanned: Scanned): Promise<void> {
	if (scanned.pending === 0) return;
	await new Promise<void>((done) => {
		scanned.whenDone = done;
	});
}

/** Which of those that are idle have their turn. */
interface Turn {
	/** Anything could be missed: each is looked at as a whole. */
	readonly isOfAll: boolean;
	readonly has: (index: number) => boolean;
}

/**
 * Which of the credentials that are idle are looked at in this tick, by their index:
 * all of them after anything could be missed, else a few in turn.
 */
function createTurns(clock: Clock, hasHeardAll: () => boolean): () => Turn {
	let turn = 0;
	let lastAt = Number.NEGATIVE_INFINITY;
	return () => {
		const now = clock.now();
		// Instants of before say nothing once the clock was set back.
		const isOfAll = !hasHeardAll() || now < lastAt;
		lastAt = now;
		turn = (turn + 1) % turns;
		return { isOfAll, has: (index) => index % turns === turn };
	};
}

/** The living values of what a credential needs, by the keepers of `managed`. */
export function livingParents(
	needs: readonly CredentialId[],
	managed: (id: CredentialId) => ManagedCredential | undefined,
	now: number,
): Parents {
	const values = new Map<CredentialId, string>();
	for (const id of needs) {
		const token = managed(id)?.living(now);
		if (token === undefined) return undefined;
		values.set(id, token.value);
	}
	return values;
}

/**
 * The looks of a tick: at which accounts, and how without holding anybody up.
 *
 * A few hundred accounts are all looked at in each tick, which reads nothing but
 * the attributes of their files. Of more, a tick looks at those that are not at
 * rest, whose files somebody touched, and a few of the others in turn.
 *
 * If many need something at once, most of them wait in line, and until its turn
 * nothing is made or read for one of them. While hundreds wait nobody listens to
 * the kernel, which would tell of each of our own writes: each tick sees whether
 * the files are there, and once the hundreds are done, all are looked at.
 *
 * A file that does not hold what it should is put back past that line: it needs no
 * call to WeChat, and its readers shall not wait for those that do.
 */

import type { Clock } from "../core/clock.ts";
import { tokenFileOf } from "../core/record.ts";
import type { WishAnswer } from "../core/request.ts";
import { freezeNewSpace, returnMemory, thawNewSpace } from "../daemon/heap.ts";
import { type FileWatch, watchFiles } from "../store/file-watch.ts";
import type { Need } from "./keeper.ts";
import { type Gate, mostAtWork } from "./limiter.ts";
import type { KeptAccount } from "./managed-credential.ts";
import { createSlices } from "./slices.ts";

export interface Rounds {
	/** Looks at all accounts; resolves when what there was to do is done. `patienceMs`: as in `Keeper.look`. */
	first(patienceMs: number): Promise<void>;
	/** Looks at those that are worth it; resolves when that is begun. */
	tick(): Promise<void>;
	/** A forced refresh of each account; of many, each in its turn. */
	forceAll(): Promise<readonly WishAnswer[]>;
	stop(): void;
}

export interface RoundsParts {
	readonly directory: string;
	readonly accounts: readonly KeptAccount[];
	readonly clock: Clock;
	/** Bounds how many accounts are at work at a time. */
	readonly gate: Gate;
	/** The same for what needs no call to WeChat, and does not wait for those that do. */
	readonly mendGate: Gate;
	readonly onBug: (error: unknown) => void;
}

/** More accounts than that are not all looked at in each tick. */
const mostAtOnce = 256;

/** If so many wait for their turn, the next one is not even asked whether it needs one. */
const crowd = 16;

/** Ticks in which each of them is looked at once, whatever was heard of its files. */
const turns = 256;

/** After a burst, and between two collections. */
const calmMs = 4_000;

/** After a burst; two of them mostly do. */
const mostCollections = 4;

/** In a burst the heap may grow; after so many turns it is seen how far it has. */
const thawTurns = 32;

/** A tick gives way to sockets and timers after so long. */
const sliceMs = 10;

/** What came of a walk over the accounts. */
interface Walked {
	/** How many of those that it found something to do for wait, or are at work. */
	tended: number;
	whenDone: () => void;
}

export function createRounds(parts: RoundsParts): Rounds {
	const { accounts, clock, gate, mendGate, onBug } = parts;
	const watch = accounts.length > mostAtOnce ? watchAccounts(parts) : undefined;
	let turn = 0;
	let lastAt = Number.NEGATIVE_INFINITY;
	let isStorm = false;
	let stormTurns = 0;
	let isStopped = false;
	/** The first walk over the accounts; it may give way several times. */
	let firstWalk: Promise<Walked> | undefined;
	let isInFirstWalk = false;
	// However many files there are at the start: reading them all is a burst.
	let collections = mostCollections;
	let collectAt = clock.monotonic() + calmMs;

	const mayRest = () => watch?.isDeaf() === false;

	/** Whatever befalls it before the storm is over: then all are looked at. */
	const restInStorm = (one: KeptAccount) => {
		if (!isStorm) return;
		if (mayRest()) one.rest();
		stormTurns += 1;
		if (stormTurns % thawTurns === 0) thawNewSpace();
	};

	/** What is due to one account, in its turn. */
	const tend = (
		one: KeptAccount,
		{ publish, more, fetch }: Need,
		patienceMs: number,
		walked: Walked,
	) => {
		one.isPending = true;
		walked.tended += 1;
		const look = async () => {
			try {
				if (isStopped) return;
				await one.keeper.look(patienceMs, fetch);
				restInStorm(one);
			} catch (error) {
				onBug(error);
			} finally {
				wasTended(one, walked);
			}
		};
		if (!publish) return gate.enqueue(look);
		mendGate.enqueue(async () => {
			if (!isStopped) await mend(one);
			if (more) gate.enqueue(look);
			else wasTended(one, walked);
		});
	};

	const wasTended = (one: KeptAccount, walked: Walked) => {
		one.isPending = false;
		walked.tended -= 1;
		if (walked.tended === 0) walked.whenDone();
	};

	const mend = (one: KeptAccount) => one.keeper.mend().catch(onBug);

	/** Of one that waits, for its turn or for WeChat: its readers shall not. */
	const mendMeanwhile = (one: KeptAccount) => {
		if (one.keeperAtWork !== undefined || one.isStirred) void mend(one);
	};

	const needOf = (one: KeptAccount, isAwake: boolean): Need | undefined => {
		const isCrowded = isAwake && !one.isStirred && gate.load() >= crowd;
		return isCrowded && one.keeperAtWork === undefined
			? { publish: false, more: true, fetch: true }
			: one.keeper.needsLook();
	};

	const walk = async (patienceMs: number): Promise<Walked> => {
		const now = clock.now();
		watchForStorm();
		const hasHeardAll = isStorm || watch?.listen() === true;
		// Instants of before say nothing once the clock was set back.
		const atAll = !hasHeardAll || now < lastAt;
		lastAt = now;
		turn = (turn + 1) % turns;
		const walked: Walked = { tended: 0, whenDone: () => {} };
		const slices = createSlices(sliceMs);
		for (const [index, one] of accounts.entries()) {
			if (isStorm) one.isStirred ||= one.isTouched();
			const isAwake = one.isStirred || now >= one.restsUntil;
			if (!isAwake && !atAll && index % turns !== turn) continue;
			if (one.isPending || one.keeperAtWork?.isAtWork()) {
				mendMeanwhile(one);
			} else {
				const need = needOf(one, isAwake);
				one.isStirred = false;
				if (need !== undefined) tend(one, need, patienceMs, walked);
				else if (mayRest()) one.rest();
			}
			if (!slices.isOver()) continue;
			// A walk that takes so long is the beginning of a burst.
			thawNewSpace();
			await slices.next();
		}
		isInFirstWalk = false;
		freezeNewSpace();
		watchForStorm();
		if (watch !== undefined) tidy();
		return walked;
	};

	const watchForStorm = () => {
		isStorm = gate.load() > mostAtOnce;
		if (!isStorm) return;
		watch?.stop();
		collections = mostCollections;
	};

	/** Collects once it has been calm for a while. */
	const tidy = () => {
		if (isStorm || collections === 0) collectAt = clock.monotonic() + calmMs;
		if (clock.monotonic() < collectAt) return;
		collections = returnMemory() ? collections - 1 : 0;
		collectAt = clock.monotonic() + calmMs;
	};

	return {
		first: async (patienceMs) => {
			isInFirstWalk = true;
			firstWalk = walk(patienceMs);
			const walked = await firstWalk;
			if (walked.tended === 0) return;
			await new Promise<void>((done) => {
				walked.whenDone = done;
			});
		},
		tick: async () => {
			// A walk gives way between two slices. A second walk that began then would
			// take the accounts that are left, and `first` would not wait for them.
			if (isInFirstWalk) await firstWalk;
			else await walk(0);
		},
		forceAll: async () => {
			const answers =
				accounts.length > mostAtWork
					? accounts.map((one) => one.forceInTurn(() => restInStorm(one)))
					: accounts.map(({ keeper }) => keeper.force());
			watchForStorm();
			return Promise.all(answers);
		},
		stop: () => {
			isStopped = true;
			watch?.stop();
		},
	};
}

function watchAccounts({ directory, accounts }: RoundsParts): FileWatch {
	const byFile = new Map(accounts.map((one) => [one.account.file, one]));
	return watchFiles(directory, (name) => {
		const one = byFile.get(tokenFileOf(name));
		if (one !== undefined) one.isStirred = true;
	});
}

/**
 * The looks of a tick: at which accounts, and how without holding anybody up.
 *
 * A few hundred accounts are all looked at in each tick, which reads nothing but
 * the attributes of their files. Of more, a tick looks at those that are not at
 * rest, whose files somebody touched, and a few of the others in turn. While
 * hundreds are at work nobody listens to the kernel, which would tell of each of
 * their own writes; once they are done, all are looked at.
 */
import { tokenFileOf } from "./account-state.ts";
import type { Clock } from "./clock.ts";
import { type FileWatch, watchFiles } from "./file-watch.ts";
import { freezeNewSpace, returnMemory, thawNewSpace } from "./heap.ts";
import type { KeptAccount } from "./kept-account.ts";
import { createSlices } from "./slices.ts";

export interface Rounds {
	/** Looks at all accounts; resolves when what there was to do is done. `patienceMs`: as in `Keeper.look`. */
	first(patienceMs: number): Promise<void>;
	/** Looks at those that are worth it; resolves when that is begun. */
	tick(): Promise<void>;
	stop(): void;
}

export interface RoundsParts {
	readonly directory: string;
	readonly accounts: readonly KeptAccount[];
	readonly clock: Clock;
	readonly onBug: (error: unknown) => void;
}

/** More accounts than that are not all looked at in each tick. */
const mostAtOnce = 256;

/** Ticks in which each of them is looked at once, whatever was heard of its files. */
const turns = 256;

/** After a burst, and between two collections. */
const calmMs = 4_000;

/** After a burst; two of them mostly do. */
const mostCollections = 4;

/** A tick gives way to sockets and timers after so long. */
const sliceMs = 10;

export function createRounds(parts: RoundsParts): Rounds {
	const { accounts, clock, onBug } = parts;
	const watch = accounts.length > mostAtOnce ? watchAccounts(parts) : undefined;
	let turn = 0;
	let lastAt = Number.NEGATIVE_INFINITY;
	let isStorm = false;
	// However many files there are at the start: reading them all is a burst.
	let collections = mostCollections;
	let collectAt = clock.monotonic() + calmMs;

	const walk = async (patienceMs: number) => {
		const now = clock.now();
		const hasHeardAll = isStorm || watch?.listen() === true;
		// Instants of before say nothing once the clock was set back.
		const atAll = !hasHeardAll || now < lastAt;
		const mayRest = watch?.isDeaf() === false;
		lastAt = now;
		turn = (turn + 1) % turns;
		const looks: Promise<unknown>[] = [];
		let atWork = 0;
		const slices = createSlices(sliceMs);
		for (const [index, one] of accounts.entries()) {
			const isAwake = one.isStirred || now >= one.restsUntil;
			if (!isAwake && !atAll && index % turns !== turn) continue;
			one.isStirred = false;
			const { keeper } = one;
			if (keeper.needsLook()) looks.push(keeper.look(patienceMs).catch(onBug));
			else if (mayRest) one.rest();
			if (one.keeperAtWork !== undefined) atWork += 1;
			if (!slices.isOver()) continue;
			// A walk that takes so long is the beginning of a burst.
			thawNewSpace();
			await slices.next();
		}
		freezeNewSpace();
		if (watch !== undefined) weather(atWork > mostAtOnce);
		return looks;
	};

	/** Collects once it has been calm for a while. */
	const weather = (storm: boolean) => {
		if (storm) {
			watch?.stop();
			collections = mostCollections;
		}
		if (storm || collections === 0) collectAt = clock.monotonic() + calmMs;
		if (clock.monotonic() >= collectAt) {
			collections = returnMemory() ? collections - 1 : 0;
			collectAt = clock.monotonic() + calmMs;
		}
		isStorm = storm;
	};

	return {
		first: async (patienceMs) => {
			await Promise.all(await walk(patienceMs));
		},
		tick: async () => {
			await walk(0);
		},
		stop: () => watch?.stop(),
	};
}

function watchAccounts({ directory, accounts }: RoundsParts): FileWatch {
	const byFile = new Map(accounts.map((one) => [one.account.file, one]));
	return watchFiles(directory, (name) => {
		const one = byFile.get(tokenFileOf(name));
		if (one !== undefined) one.isStirred = true;
	});
}

/**
 * The ledgers of all hosts of 企业微信, in memory and in notes: one in the directory of the
 * tokens, for `once`, a second daemon and a restart; and one of this machine, for the
 * daemons with directories of their own, as all of them have one IP. What is in several
 * notes is merged, so that any note may be missing, old or of others.
 */
import type { Clock } from "../core/clock.ts";
import {
	decodeLedgers,
	emptyLedger,
	type IpLedger,
	mergedLedger,
} from "../core/ip-ledger.ts";
import type { SharedNote } from "../core/ports.ts";

/** Where ledgers are kept. */
export interface LedgerNotes {
	/** For the processes of the directory. */
	readonly own: SharedNote;
	/** For those of this machine; not for what stays on it, such as a simulator. */
	readonly ofMachine?: SharedNote | undefined;
}

export interface IpBook {
	/** The ledger of that host, with what other processes have noted since. */
	of(host: string): IpLedger;
	/**
	 * Does it while no other process changes the ledger of that host, with what others here
	 * wait to do. Resolves when its changes are written.
	 */
	alone<T>(host: string, work: () => T): Promise<T>;
	/** Only from within `alone`. */
	change(host: string, ledger: IpLedger): void;
	/** From now on they are kept there, and there only. */
	keepIn(notes: LedgerNotes): void;
}

/** A note, and what of it is known. */
interface Shelf {
	readonly note: SharedNote;
	readonly holds: (host: string) => boolean;
	/** What was last read or written. */
	known: string | undefined;
}

/** A piece of work; it does not throw. */
interface Work {
	readonly host: string;
	readonly run: () => void;
}

/** Without a note the ledgers are only in memory. */
export function createIpBook(clock: Clock): IpBook {
	let ledgers: Readonly<Record<string, IpLedger>> = {};
	let shelves: readonly Shelf[] = [];

	const readAll = () => {
		for (const shelf of shelves) {
			const text = shelf.note.read();
			if (text === undefined || text === shelf.known) continue;
			shelf.known = text;
			for (const [host, ledger] of Object.entries(decodeLedgers(text))) {
				if (!shelf.holds(host)) continue;
				const known = ledgers[host] ?? emptyLedger;
				change(host, mergedLedger(known, ledger, clock.now()));
			}
		}
	};
	const change = (host: string, ledger: IpLedger) => {
		ledgers = { ...ledgers, [host]: ledger };
	};

	/** What is to be done in the next turn. */
	let queue: readonly Work[] = [];
	let turn: Promise<void> | undefined;
	const workThrough = async (open: readonly Shelf[]) => {
		turn = undefined;
		const isReady = ({ host }: Work) =>
			shelves.every((one) => !one.holds(host) || open.includes(one));
		const works = queue.filter(isReady);
		queue = queue.filter((work) => !isReady(work));
		readAll();
		const before = ledgers;
		for (const { run } of works) run();
		if (ledgers === before) return;
		for (const shelf of open) {
			const kept = Object.entries(ledgers).filter(([host]) =>
				shelf.holds(host),
			);
			shelf.known = `${JSON.stringify(Object.fromEntries(kept))}\n`;
			await shelf.note.write(shelf.known);
		}
	};
	const takeTurn = async () => {
		// What is asked for at once is one turn.
		await undefined;
		const open = shelves.filter(({ holds }) =>
			queue.some(({ host }) => holds(host)),
		);
		await aloneIn(open, () => workThrough(open));
	};

	return {
		of: (host) => {
			readAll();
			return ledgers[host] ?? emptyLedger;
		},
		change,
		alone: async <T>(host: string, work: () => T): Promise<T> => {
			let result: { readonly of: T } | undefined;
			const run = () => {
				result = { of: work() };
			};
			queue = [...queue, { host, run }];
			// Of two turns the first one may have begun for other hosts.
			while (result === undefined) {
				turn ??= takeTurn();
				await turn;
			}
			return result.of;
		},
		keepIn: ({ own, ofMachine }) => {
			const all: Shelf = { note: own, holds: () => true, known: undefined };
			shelves =
				ofMachine === undefined
					? [all]
					: [all, { note: ofMachine, holds: leaves, known: undefined }];
		},
	};
}

/** Always in the same order, so that no two processes wait for each other. */
async function aloneIn(
	[first, ...others]: readonly Shelf[],
	work: () => Promise<void>,
): Promise<void> {
	if (first === undefined) return work();
	await first.note.alone(() => aloneIn(others, work));
}

/** Whether calls to that host leave this machine, so that its IP is seen. */
function leaves(host: string): boolean {
	const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;
	return !loopback.test(new URL(host).hostname);
}

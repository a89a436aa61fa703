/** The disk of a simulated machine: a store as token-file.ts promises it, and no more. */

import type { Reading } from "../../src/core/decide.ts";
import { StoreError } from "../../src/core/errors.ts";
import {
	type AccountState,
	decodeState,
	encodeState,
} from "../../src/core/record.ts";
import { decodeToken, encodeToken, type Token } from "../../src/core/token.ts";
import type {
	LockedStore,
	TokenStore,
} from "../../src/store/directory-store.ts";
import type { Agenda } from "./agenda.ts";
import { lastResult } from "./last-result.ts";

/** A process, as far as a lock is concerned. */
export interface Writer {
	readonly alive: boolean;
	/** It has been suspended since it took the lock. */
	tainted: boolean;
}

/** Something outside happens for a process, after a while, unless it dies first. */
export type Effect<Who> = <T>(
	who: Who,
	name: string,
	act: () => T,
	latencyMs?: number,
) => Promise<T>;

export interface DiskParts<Who> {
	readonly agenda: Agenda;
	readonly effect: Effect<Who>;
	readonly canRun: (who: Who) => boolean;
	/** `before`: what stood there, if it was a token. */
	readonly onPublication: (
		who: Who,
		token: Token,
		before: Token | undefined,
	) => void;
}

export interface Disk<Who> {
	/** The content of the token file; undefined: there is none. */
	token: string | undefined;
	fullUntil: number;
	/** What an app reads; undefined: no token. */
	readToken(): Token | undefined;
	storeOf(who: Who): TokenStore;
}

/** A lock whose holder has given no sign of life for so long is taken over. */
export const staleMs = 22_000;

export function createDisk<Who extends Writer>({
	agenda,
	effect,
	canRun,
	onPublication,
}: DiskParts<Who>): Disk<Who> {
	let state: string | undefined;
	let lock: { owner: Who; instance: number; sign: number } | undefined;
	let instances = 0;

	const reading = lastResult(() => disk.token, readingOf);
	const readToken = () => {
		const found = reading();
		return found.kind === "token" ? found.token : undefined;
	};
	const recall = lastResult(
		() => state,
		(text): AccountState => decodeState(text ?? ""),
	);

	const mustFit = () => {
		if (disk.fullUntil > agenda.now())
			throw new StoreError("io", "could not write: ENOSPC", "free some space");
	};

	/** Its holder is gone, or gave no sign of life for `staleMs`. */
	const isAbandoned = (held: NonNullable<typeof lock>) => {
		if (canRun(held.owner)) {
			held.sign = agenda.now();
			return false;
		}
		return !held.owner.alive || agenda.now() - held.sign > staleMs;
	};

	const take = (who: Who) => {
		if (lock !== undefined && !isAbandoned(lock)) return undefined;
		instances += 1;
		lock = { owner: who, instance: instances, sign: agenda.now() };
		who.tainted = false;
		return lock;
	};

	const lockedStore = (who: Who, instance: number): LockedStore => {
		const isHeld = () => lock?.instance === instance;
		const mustHold = () => {
			if (!isHeld()) throw new StoreError("lost", "lost", "");
		};
		const write = async (name: string, act: () => void) => {
			await effect(who, `${name}: temporary file`, mustFit);
			await effect(who, `${name}: rename`, () => {
				mustFit();
				mustHold();
				act();
			});
			await effect(who, `${name}: after`, mustHold);
		};
		const remember = (content: AccountState) =>
			write("remember", () => {
				state = encodeState(content);
			});
		return {
			lock: String(instance),
			remember,
			publish: async (token, voucher) => {
				if (voucher !== undefined) await remember(voucher);
				await write("publish", () => {
					const before = readToken();
					disk.token = encodeToken(token);
					onPublication(who, token, before);
				});
			},
			release: () =>
				effect(who, "unlock", () => {
					if (isHeld()) lock = undefined;
				}),
		};
	};

	const disk: Disk<Who> = {
		token: undefined,
		fullUntil: 0,
		readToken,
		storeOf: (who) => ({
			read: reading,
			recall,
			acquire: async (patienceMs) => {
				const giveUpAt = agenda.now() + patienceMs;
				for (;;) {
					const taken = await effect(who, "lock", () => take(who));
					if (taken !== undefined) return lockedStore(who, taken.instance);
					if (agenda.now() >= giveUpAt) return undefined;
					await effect(who, "wait for the lock", () => {}, 50);
				}
			},
		}),
	};
	return disk;
}

function readingOf(text: string | undefined): Reading {
	if (text === undefined) return { kind: "absent" };
	const token = decodeToken(text);
	return token === undefined
		? { kind: "unusable", problem: "not a token file" }
		: { kind: "token", token, exact: text === encodeToken(token) };
}

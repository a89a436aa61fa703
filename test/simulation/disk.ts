/** The disk of a simulated machine: a store that promises what core/ports.ts says, and no more. */
import type { Reading } from "../../src/core/credential.ts";
import { StoreError } from "../../src/core/errors.ts";
import type { Lease, Slot } from "../../src/core/ports.ts";
import {
	decodeRecord,
	encodeRecord,
	type SharedRecord,
} from "../../src/core/record.ts";
import { decodeToken, encodeToken, type Token } from "../../src/core/token.ts";
import type { Agenda } from "./agenda.ts";
import { lastResult } from "./last-result.ts";

/** The part of a process that a lock depends on. */
export interface Writer {
	readonly alive: boolean;
	/** It was suspended after it took the lock. */
	tainted: boolean;
}

/** Does something outside of a process, after some milliseconds, unless the process dies before. */
export type Effect<P> = <T>(
	process: P,
	name: string,
	act: () => T,
	latencyMs?: number,
) => Promise<T>;

export interface DiskParts<P> {
	readonly agenda: Agenda;
	readonly effect: Effect<P>;
	readonly canRun: (process: P) => boolean;
	/** `before`: the token that was replaced. */
	readonly onPublication: (
		process: P,
		token: Token,
		before: Token | undefined,
	) => void;
}

/** The files of one credential, and their lock. */
export interface Disk<P> {
	/** The content of the token file; undefined: the file does not exist. */
	token: string | undefined;
	/** Until then writes fail; epoch ms. */
	fullUntil: number;
	/** What an app reads; undefined: no valid content. */
	readToken(): Token | undefined;
	slotOf(process: P): Slot;
}

/** A lock that had no heartbeat for so long is taken over. */
export const staleMs = 22_000;

export function createDisk<P extends Writer>({
	agenda,
	effect,
	canRun,
	onPublication,
}: DiskParts<P>): Disk<P> {
	let state: string | undefined;
	let lock: { owner: P; instance: number; heartbeatAt: number } | undefined;
	let instances = 0;

	const reading = lastResult(() => disk.token, readingOf);
	const readToken = () => {
		const found = reading();
		return found.kind === "token" ? found.token : undefined;
	};
	const record = lastResult(
		() => state,
		(text): SharedRecord => decodeRecord(text ?? ""),
	);

	const mustFit = () => {
		if (disk.fullUntil > agenda.now())
			throw new StoreError("io", "could not write: ENOSPC", "free some space");
	};

	/** Its holder is dead, or the lock had no heartbeat for `staleMs`. */
	const isAbandoned = (held: NonNullable<typeof lock>) => {
		if (canRun(held.owner)) {
			held.heartbeatAt = agenda.now();
			return false;
		}
		return !held.owner.alive || agenda.now() - held.heartbeatAt > staleMs;
	};

	const take = (process: P) => {
		if (lock !== undefined && !isAbandoned(lock)) return undefined;
		instances += 1;
		lock = { owner: process, instance: instances, heartbeatAt: agenda.now() };
		process.tainted = false;
		return lock;
	};

	const leaseOf = (process: P, instance: number): Lease => {
		const isHeld = () => lock?.instance === instance;
		const mustHold = () => {
			if (!isHeld()) throw new StoreError("lost", "lost", "");
		};
		const write = async (name: string, act: () => void) => {
			await effect(process, `${name}: temporary file`, mustFit);
			await effect(process, `${name}: rename`, () => {
				mustFit();
				mustHold();
				act();
			});
			await effect(process, `${name}: after`, mustHold);
		};
		const writeRecord = (content: SharedRecord) =>
			write("write", () => {
				state = encodeRecord(content);
			});
		return {
			id: String(instance),
			write: writeRecord,
			publish: async (token, record) => {
				if (record !== undefined) await writeRecord(record);
				await write("publish", () => {
					const before = readToken();
					disk.token = encodeToken(token);
					onPublication(process, token, before);
				});
			},
			release: () =>
				effect(process, "unlock", () => {
					if (isHeld()) lock = undefined;
				}),
		};
	};

	const disk: Disk<P> = {
		token: undefined,
		fullUntil: 0,
		readToken,
		slotOf: (process) => ({
			read: reading,
			record,
			snapshot: () => ({}),
			acquire: async (timeoutMs) => {
				const giveUpAt = agenda.now() + timeoutMs;
				for (;;) {
					const taken = await effect(process, "lock", () => take(process));
					if (taken !== undefined) return leaseOf(process, taken.instance);
					if (agenda.now() >= giveUpAt) return undefined;
					await effect(process, "wait for the lock", () => {}, 50);
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

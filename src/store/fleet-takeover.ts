/** What the fleet says becomes what this host publishes; under the local lock. */
import { isDeepStrictEqual } from "node:util";
import type { Credential, Reading } from "../core/credential.ts";
import {
	type FleetRecord,
	isForeign,
	numberAgainst,
	takenOver,
} from "../core/fleet-record.ts";
import type { Lease, Slot } from "../core/ports.ts";
import type { SharedRecord } from "../core/record.ts";
import { type Token, tokenId } from "../core/token.ts";
import type { Publishing } from "./redis-records.ts";

/**
 * `followed`: a newer value is in the file now; `owed`: this host holds a newer one, or
 * the fleet has none; `same`: both know the same.
 */
export type TakenOver = "followed" | "owed" | "same";

/** `slot` and `lease` are this host's. Throws `StoreError`, if its disk fails. */
export async function takeOver(
	{ credential, slot, lease }: TakeOverParts,
	{ number, published }: FleetRecord,
	now: number,
): Promise<TakenOver> {
	const local = slot.record();
	const own = numberAgainst(local, number, now);
	if (published === undefined) return "owed";
	const { source, isFollowed } = credential;
	if (!isFollowed && isForeign(published.record, credential)) return "owed";
	const { token } = published;
	// Who asks WeChat for nothing need not know by which way the keepers do.
	const record = isFollowed
		? { ...published.record, source }
		: published.record;
	if (number < own) return "owed";
	const isMissing = own > 0 && number === own && !holds(slot.read(), token);
	if ((number > own || isMissing) && token.expiresAt > now) {
		await lease.publish(token, takenOver(record, number, local));
		return "followed";
	}
	// Which hold of the lock wrote it says nothing.
	const { fence: _, shiftMs: __, ...known } = local;
	const isLocalBetter = number > own && isAlive(slot.read(), now);
	const next = isLocalBetter
		? withRulesOf(record, known)
		: takenOver(record, number, local);
	if (!isDeepStrictEqual(next, known))
		await lease.write(next, { durable: false });
	return isLocalBetter ? "owed" : "same";
}

export interface TakeOverParts {
	readonly credential: Credential;
	readonly slot: Pick<Slot, "read" | "record">;
	readonly lease: Lease;
}

/**
 * Whether the file has that value. If it has not, though the record has its number, the
 * lock was lost between the two, or somebody has removed the file.
 */
export function holds(reading: Reading, { value }: Token): boolean {
	return reading.kind === "token" && reading.token.value === value;
}

function isAlive(reading: Reading, now: number): boolean {
	return reading.kind === "token" && reading.token.expiresAt > now;
}

/** The record of this host, with what bounds the calls of all hosts together. */
function withRulesOf(shared: SharedRecord, local: SharedRecord): SharedRecord {
	const { calls, forceCalls, diedEarly, forced } = shared;
	return {
		...local,
		...{ calls, forceCalls, diedEarly },
		...(forced && { forced }),
	};
}

/**
 * What this host holds for the others, if it lives. One that no fleet has numbered gets
 * the number that it has here, but none of the future.
 */
export function heldIn(
	slot: Pick<Slot, "read" | "record">,
	now: number,
): (Publishing & { readonly isUnnumbered: boolean }) | undefined {
	const record = slot.record();
	const reading = slot.read();
	if (reading.kind !== "token" || !isAlive(reading, now)) return undefined;
	const { published, generation } = record;
	if (published?.id !== tokenId(reading.token.value)) return undefined;
	const own = numberAgainst(record, 0, now);
	const token = {
		value: reading.token.value,
		expiresAt: published.expiresAt,
	};
	return {
		number: own > 0 ? own : Math.min(generation, Math.floor(now)),
		token,
		record,
		isUnnumbered: own === 0,
	};
}

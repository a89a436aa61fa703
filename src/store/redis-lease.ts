/** The right to refresh a credential for all hosts: the local lock, and a lease in Redis. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Credential } from "../core/credential.ts";
import { StoreError, unlessUnreachable } from "../core/errors.ts";
import { withNumber } from "../core/fleet-record.ts";
import type { Lease } from "../core/ports.ts";
import type { SharedRecord } from "../core/record.ts";
import type { Token } from "../core/token.ts";
import type { Publishing, RedisRecords } from "./redis-records.ts";

/** What a lease of the fleet is made of. */
export interface RedisLeaseParts {
	readonly credential: Credential;
	readonly local: Lease;
	/** As this host has it. */
	readonly numbered: () => SharedRecord["numbered"];
	readonly records: RedisRecords;
	/** From the claim; the number of what is published. */
	readonly fence: number;
	/** When the claim was sent, by the monotonic clock. */
	readonly claimedAt: number;
	readonly leaseMs: number;
	readonly monotonic: () => number;
	readonly stopping: AbortSignal;
	readonly onLost: () => void;
	/** The others are to be told of a publication, in the background. */
	readonly tell: (token: Token, number: number) => void;
	readonly onReleased: () => void;
}

/** It renews itself until its release. */
export function openRedisLease(parts: RedisLeaseParts): Lease {
	const { credential, local, records, fence, leaseMs, monotonic } = parts;
	const released = new AbortController();
	let heldUntil = parts.claimedAt + leaseMs;
	let intentAt = 0;
	/** `owed`: published here, and not in Redis. */
	let numbers: { readonly next: number; readonly owed?: Publishing } = {
		next: fence,
	};

	const lost = (): StoreError => {
		parts.onLost();
		return new StoreError(
			"lost",
			`could not keep the lease of ${credential.file} in the fleet: another host has it, or this process was stopped for too long`,
			"nothing to do: the refresh starts over",
		);
	};
	/** By our own clock: what another host was granted since cannot be known in time. */
	const mustBeHeld = () => {
		if (monotonic() >= heldUntil) throw lost();
	};
	/** From the time it was sent: the server counts from later on. */
	const extend = async (ask: () => Promise<boolean>): Promise<boolean> => {
		const sentAt = monotonic();
		const isMine = await ask();
		heldUntil = isMine ? sentAt + leaseMs : Number.NEGATIVE_INFINITY;
		return isMine;
	};
	const keepUp = async () => {
		const { signal } = released;
		try {
			for (let pauseMs = leaseMs / 3; ; ) {
				await sleep(pauseMs, undefined, { signal });
				const isMine = await extend(() =>
					records.renew(credential, fence),
				).catch(unlessUnreachable);
				if (isMine === false || monotonic() >= heldUntil) return;
				// The connection broke: it is there again within a second, mostly, and the
				// lease must not run out meanwhile.
				pauseMs = isMine ? leaseMs / 3 : retryMs;
			}
		} catch {
			// It was released.
		}
	};
	void keepUp();

	/** Whoever is granted the lease next must know what was published here, or fetches again. */
	const payDebt = async (owed: Publishing) => {
		for (let tries = 1; ; tries += 1) {
			await sleep(retryMs);
			// Once it has run out, the others get it at the next contact.
			if (monotonic() >= heldUntil) return;
			const isKnown = await records
				.publish(credential, owed)
				.catch(unlessUnreachable);
			if (isKnown !== undefined) return parts.tell(owed.token, owed.number);
			if (parts.stopping.aborted && tries >= maxTriesAtEnd) return;
		}
	};

	/** A request is about to leave: the others must know of it before. */
	const isIntent = ({ inFlight }: SharedRecord) =>
		inFlight?.lock === local.id && inFlight.at > intentAt;

	return {
		id: local.id,
		mustBeHeld,
		write: async (record, options) => {
			mustBeHeld();
			const mustBeKnown = isIntent(record);
			const isMine = await extend(() =>
				records.remember(credential, fence, record),
			).catch((error) => {
				if (mustBeKnown) throw error;
				return unlessUnreachable(error);
			});
			if (isMine === false) throw lost();
			if (mustBeKnown) intentAt = record.inFlight?.at ?? 0;
			await local.write(keepNumber(record, parts.numbered()), options);
		},
		publish: async (token, record) => {
			// A file that was altered is mended for this host only.
			if (record === undefined) return local.publish(token);
			const number = numbers.next;
			numbers = { next: number + 1 };
			const published = { number, token, record };
			const isNewest = await records
				.publish(credential, published)
				.catch(unlessUnreachable);
			if (isNewest === false) throw lost();
			if (isNewest) parts.tell(token, number);
			await local.publish(token, withNumber(record, number));
			if (isNewest === undefined)
				numbers = { next: number + 1, owed: published };
		},
		release: async () => {
			if (numbers.owed !== undefined) await payDebt(numbers.owed);
			released.abort();
			await records.release(credential, fence).catch(unlessUnreachable);
			await local.release();
			parts.onReleased();
		},
	};
}

const retryMs = 300;
/** A process that is to end does not wait for the whole lease. */
const maxTriesAtEnd = 6;

/** A publication has the same number for as long as it is the last one. */
function keepNumber(
	record: SharedRecord,
	numbered: SharedRecord["numbered"],
): SharedRecord {
	return numbered === undefined || numbered.id !== record.published?.id
		? record
		: { ...record, numbered };
}

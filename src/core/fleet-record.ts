/**
 * What the hosts of a fleet tell each other of a credential: the shared record without
 * what is one host's own, and a number that orders the publications of all of them.
 */
import type { Credential } from "./credential.ts";
import { decodeRecord, encodeRecord, type SharedRecord } from "./record.ts";
import { isTokenValue, type Token, tokenId } from "./token.ts";

/** What the fleet knows of a credential. */
export interface FleetRecord {
	/** Of the last publication; 0: there was none. */
	readonly number: number;
	/** Undefined: there is none, or what stands there cannot be used. */
	readonly published:
		| { readonly token: Token; readonly record: SharedRecord }
		| undefined;
	/** The host that published it; "" if unknown. */
	readonly host: string;
}

/** A record as it stands in Redis: field by field, each may be missing. */
export interface FleetFields {
	readonly gen: unknown;
	readonly value: unknown;
	/** Epoch ms, by the fleet's time. */
	readonly expire: unknown;
	readonly state: unknown;
	readonly host: unknown;
}

/**
 * A number is the time of a claim, or one more than the last. One that is so far ahead of
 * the fleet's time was made by hand, or by a clock that was wrong: it would outrank all
 * that come. The scripts judge in the same way.
 */
const maxAheadMs = 86_400_000;
/** One that this host has and the fleet does not: it could not be offered. */
const maxOwnAheadMs = 60_000;

/** 0: there is none, or it cannot be true. `now`: by the fleet's time. */
export function numberIn(text: unknown, now: number): number {
	const number = Number(text ?? 0);
	const isOne =
		Number.isSafeInteger(number) && number > 0 && number <= now + maxAheadMs;
	return isOne ? number : 0;
}

/** The record that these fields hold. `now`: by the fleet's time. */
export function decodeFleetRecord(
	fields: FleetFields,
	now: number,
): FleetRecord {
	const { value, state } = fields;
	const number = numberIn(fields.gen, now);
	const expiresAt = Number(fields.expire ?? 0);
	const host = typeof fields.host === "string" ? fields.host : "";
	const record = typeof state === "string" ? decodeRecord(state) : undefined;
	const isUsable =
		record !== undefined &&
		isTokenValue(value) &&
		record.published?.id === tokenId(value) &&
		record.published.expiresAt === expiresAt;
	return {
		number,
		host,
		published: isUsable ? { token: { value, expiresAt }, record } : undefined,
	};
}

/** The number of what is published here; 0: no fleet has numbered it. */
export function numberOf({ numbered, published }: SharedRecord): number {
	return numbered !== undefined && numbered.id === published?.id
		? numbered.number
		: 0;
}

/**
 * The same, as far as it counts beside `theirs`, which the fleet knows. Redis may have had
 * a clock that was ahead, and then lost everything: what it numbered outranks nothing.
 */
export function numberAgainst(
	record: SharedRecord,
	theirs: number,
	now: number,
): number {
	const own = numberOf(record);
	return own <= theirs || own <= now + maxOwnAheadMs ? own : 0;
}

/** The record with that number for its publication. */
export function withNumber(record: SharedRecord, number: number): SharedRecord {
	const { published } = record;
	return published === undefined
		? record
		: { ...record, numbered: { id: published.id, number } };
}

/** The part of a record that concerns every host, as text. */
export function encodeState(record: SharedRecord): string {
	const {
		fence: _,
		numbered: __,
		foreign: ___,
		shiftMs: ____,
		...all
	} = record;
	const { pause, ...rest } = all;
	// A pause of its own stops that host and no other.
	const isShared = pause !== undefined && pause.of === undefined;
	return encodeRecord(isShared ? { ...rest, pause } : rest);
}

/** The record of this host once it takes over what the fleet says. */
export function takenOver(
	shared: SharedRecord,
	number: number,
	local: SharedRecord,
): SharedRecord {
	const isNew = numberOf(local) !== number;
	const { pause: own } = local;
	const pause = shared.pause ?? (own?.of === undefined ? undefined : own);
	const { pause: _, ...rest } = shared;
	const record: SharedRecord = {
		...rest,
		// It orders what was published on this host, also before it was in the fleet.
		generation: isNew
			? Math.max(number, local.generation + 1)
			: local.generation,
		...(pause === undefined ? {} : { pause }),
	};
	return withNumber(record, number);
}

/** Whether that record is about another account or server, and nothing to take over. */
export function isForeign(
	{ source }: SharedRecord,
	credential: Pick<Credential, "source">,
): boolean {
	return source !== undefined && source !== credential.source;
}

/** What a credential is called in the fleet: the same on all hosts, whatever their files are called. */
export function fleetNameOf({ kind, appid, id }: Credential): string {
	const isAccessToken =
		kind === "access_token" || kind === "stable_access_token";
	return isAccessToken ? appid : id;
}

/** A wish for another value. */
export interface Wish {
	/** When it was made, by the fleet's time. */
	readonly at: number;
	/** `tokenId` of the value that an app found dead; undefined: a person wants another one. */
	readonly stale: string | undefined;
}

/** As it stands in Redis, behind its time. */
export function encodeWish(stale: string | undefined): string {
	return stale === undefined ? "forced" : `reported ${stale}`;
}

/** Undefined: it is none. */
export function decodeWish(text: unknown): Wish | undefined {
	if (typeof text !== "string") return undefined;
	const [, at, stale] =
		/^(\d{1,16}) (?:forced|reported ([0-9a-f]{16}))$/.exec(text) ?? [];
	return at === undefined ? undefined : { at: Number(at), stale };
}

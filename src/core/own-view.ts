/**
 * What one keeper takes from what all keepers of a file share: what is about its own
 * account, and the pauses that are its own or everybody's.
 */
import type { Credential, Reading } from "./credential.ts";
import type { IssuerErrorKind } from "./errors.ts";
import { emptyRecord, type ProcessName, type SharedRecord } from "./record.ts";
import { tokenId } from "./token.ts";

/** The record as it is for that credential. */
export function ownRecord(
	record: SharedRecord,
	{ source }: Pick<Credential, "source">,
): SharedRecord {
	if (record.source === undefined || record.source === source) return record;
	// What stays is the order of what is written in this file, and whose the token is.
	const { fence, generation, published, foreign = published?.id } = record;
	return {
		...emptyRecord,
		generation,
		...(fence === undefined ? {} : { fence }),
		...(foreign === undefined ? {} : { foreign }),
	};
}

/** What stands on disk as it is for that credential; `own`: by `ownRecord`. */
export function ownReading(reading: Reading, own: SharedRecord): Reading {
	if (reading.kind !== "token" || own.foreign === undefined) return reading;
	return own.foreign === tokenId(reading.token.value)
		? { kind: "unusable", problem: "of another account or server" }
		: reading;
}

/** The record without a pause that blames what only another keeper has. */
export function withoutOthersPause(
	record: SharedRecord,
	self: ProcessName,
): SharedRecord {
	const owner = record.pause?.of;
	if (owner === undefined || owner === self.instance || owner === self.realm)
		return record;
	// Only now: the copy takes longer than the rest of a look.
	const { pause, ...rest } = record;
	return rest;
}

/**
 * Whose pause a failure of that kind begins: a quota is the account's, and so
 * everybody's (undefined). The way to WeChat and the IP belong to the host. The
 * secret and the base URLs are what this very process was configured with: another
 * one may have better ones.
 */
export function ownerOfPause(
	kind: IssuerErrorKind,
	{ instance, realm }: ProcessName,
): string | undefined {
	switch (kind) {
		case "limited":
		case "parent":
			return undefined;
		case "transient":
		case "garbled":
		case "admin":
			return realm === "" ? instance : realm;
		case "config":
			return instance;
		default:
			return kind satisfies never;
	}
}

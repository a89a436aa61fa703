/** What a failure means for the keeper and for the operator, on any host. */
import type { IssuerErrorKind } from "../core/errors.ts";

/** One row of an errcode table, or of the table of link errors. */
export interface Meaning {
	readonly kind: IssuerErrorKind;
	/** A stable code to be used instead of `errcode …`. */
	readonly code?: string;
	/** A short cause in English, with the official Chinese term where there is one. */
	readonly meaning: string;
	/** What the operator can do about it. */
	readonly hint: string;
	/** The least wait before the next attempt; undefined: exponential backoff. */
	readonly waitMs?: number;
	/** Instead of `waitMs`, if the last call left from another address than this one. */
	readonly otherAddressWaitMs?: number;
}

/**
 * A place holder in a hint. If the errmsg names the address that the host saw, that
 * address takes its place.
 */
export const thisAddress = "this server's public IP";

/** In milliseconds. */
export const minute = 60_000;

/** In milliseconds. */
export const hour = 60 * minute;

/** What is wrong with a credential, for a person who is to be told of it, and from when on. */
import { isRenewedEarly, traitsOf } from "./credential.ts";
import { isStoreErrorKind } from "./errors.ts";
import type { CredentialStatus } from "./status.ts";
import { aroundEndFromMs } from "./token-sighting.ts";

/** What is wrong, and what to do about it, in words for people. */
export interface Words {
	readonly meaning: string;
	readonly hint: string;
}

/** Something that a person is to be told. Instants are epoch ms. */
export interface Trouble {
	/** That of the failure; else `late`, `ended` or `foreign-fetcher`. */
	readonly code: string;
	/** The kind of the credential; "" in what an earlier version wrote down. */
	readonly of: string;
	/** `IssuerErrorKind` or `StoreErrorKind`; "none" if nothing has failed. */
	readonly kind: string;
	/** A sentence; never holds a secret. */
	readonly message: string;
	/** What to do about it; "" if there is nothing to do. */
	readonly hint: string;
	readonly since: number;
	/** Apps fail from then on, perhaps already; undefined: that cannot be foreseen. */
	readonly failsAt: number | undefined;
	/** It does not pass by itself. */
	readonly needsPerson: boolean;
	/** If it lasts until then, it is to be told. */
	readonly tellAt: number;
}

/** Without a token, a failure that is shorter is not told: at a boot the network may come up late. */
const graceMs = 10_000;

/** A token that should have been renewed is told when it has this share of its life left. */
const lateShare = 1 / 48;

/**
 * What is wrong with a credential of that status, if anything is. `afterMs`: how long
 * a failure that may pass by itself must last before it is told. It is told earlier if
 * the token would end before: when half of what was left has passed. A credential that
 * waits for a parent has no trouble of its own.
 */
export function troubleIn(
	status: CredentialStatus,
	now: number,
	afterMs: number,
): Trouble | undefined {
	if (status.waitsFor !== null) return undefined;
	const found =
		failureIn(status, afterMs) ??
		foreignFetcherIn(status, now) ??
		endedIn(status, now) ??
		latenessIn(status, now, afterMs);
	return found && { ...found, of: status.kind };
}

/** A trouble, but for whose it is. */
type Finding = Omit<Trouble, "of">;

function failureIn(
	{ lastError, expire, valid }: CredentialStatus,
	afterMs: number,
): Finding | undefined {
	if (lastError === null) return undefined;
	const { kind, code, message, hint } = lastError;
	const since = Date.parse(lastError.since);
	const endsAt = expire === null ? undefined : expire * 1000;
	const isDead = endsAt === undefined || (!valid && endsAt <= since);
	const leftMs = isDead ? 0 : endsAt - since;
	const needsPerson =
		kind === "config" || kind === "admin" || isDiskFailure(kind);
	const waitMs = isDead
		? Math.min(afterMs, graceMs)
		: Math.min(afterMs, leftMs / 2);
	return {
		...{ code, kind, message, hint, since, needsPerson },
		failsAt: isDead ? (endsAt ?? since) : endsAt,
		tellAt: needsPerson ? since : since + waitMs,
	};
}

/** A lost lock is taken again at once; what cannot be reached is the network. */
function isDiskFailure(kind: string): boolean {
	return isStoreErrorKind(kind) && kind !== "lost" && kind !== "unreachable";
}

function foreignFetcherIn(
	{ foreignFetcher, hint }: CredentialStatus,
	now: number,
): Finding | undefined {
	if (!foreignFetcher) return undefined;
	return {
		code: "foreign-fetcher",
		kind: "none",
		message:
			"its tokens die long before their end: another program fetches with this AppSecret",
		hint: hint ?? "",
		since: now,
		failsAt: undefined,
		needsPerson: true,
		tellAt: now,
	};
}

/** Nothing has failed, but there is no new value. It may come in a second. */
function endedIn(
	{ valid, state, expire }: CredentialStatus,
	now: number,
): Finding | undefined {
	if (valid || state !== "expired" || expire === null) return undefined;
	const since = Math.min(expire * 1000, now);
	return {
		code: "ended",
		kind: "none",
		message: "it has ended, and there is no new one",
		hint: "",
		since,
		failsAt: since,
		needsPerson: false,
		tellAt: since + graceMs,
	};
}

/** It is due, nothing has failed, and still it is not renewed. A ticket lasts to its end. */
function latenessIn(
	status: CredentialStatus,
	now: number,
	afterMs: number,
): Finding | undefined {
	const { valid, expire, nextRefreshAt, lifetime, budget } = status;
	if (!valid || expire === null || nextRefreshAt === null) return undefined;
	if (!isRenewedEarly(status) || status.guessed || status.overdue)
		return undefined;
	const endsAt = expire * 1000;
	// The same token may come until its end: then it is asked for there, and is not late.
	const mayLast = traitsOf(status).reissue === "either";
	if (mayLast && now >= endsAt - aroundEndFromMs) return undefined;
	const nextAt = Date.parse(nextRefreshAt);
	const isSpent = budget.used >= budget.of && nextAt >= endsAt;
	if (nextAt > now && !isSpent) return undefined;
	const marginMs = Math.min(afterMs, (lifetime ?? 7_200) * 1000 * lateShare);
	return {
		code: "late",
		kind: "none",
		message:
			"it is about to end and was not renewed: its calls are used up, or another process holds its lock",
		hint: "look for another wxtokend that is suspended, and at the budget in wxtokend status",
		since: now,
		failsAt: endsAt,
		needsPerson: false,
		tellAt: endsAt - marginMs,
	};
}

/** What can be said of a credential without giving its value away. */
import type { ClockSkew } from "./clock-skew.ts";
import {
	type Credential,
	type KindName,
	type KnownToken,
	knownFrom,
	type Reading,
	traitsOf,
} from "./credential.ts";
import { iso } from "./iso-time.ts";
import {
	budgetFreeAt,
	hasForeignFetcher,
	refreshAt,
	shareOf,
	windowOf,
} from "./limits.ts";
import { ownReading, ownRecord } from "./own-view.ts";
import type { SharedRecord } from "./record.ts";
import { isOverdue } from "./sighting.ts";
import { tokenId } from "./token.ts";

/**
 * Instants are ISO 8601 in UTC, but for `expire`, which is as in the token file.
 * What is not known is null.
 */
export interface CredentialStatus {
	readonly appid: string;
	/** `failing`: the token on disk lives, but the last refresh failed. */
	readonly state: "valid" | "failing" | "expired" | "missing" | "unusable";
	/** Whether the file on disk holds a live token right now. */
	readonly valid: boolean;
	/** How the access token of an `[[account]]` is fetched; null for all else. */
	readonly interface: "classic" | "stable" | null;
	/** The token file's path. */
	readonly file: string;
	/** Epoch seconds. */
	readonly expire: number | null;
	/** Until then, in whole seconds; 0 if there is no live token. */
	readonly secondsLeft: number;
	/** Of the whole token, in seconds. */
	readonly lifetime: number | null;
	readonly lastRefresh: { readonly at: string; readonly reason: string } | null;
	readonly nextRefreshAt: string | null;
	readonly lastError: StatusError | null;
	/** Calls to WeChat in this token lifetime, and how many there may be. */
	readonly budget: { readonly used: number; readonly of: number };
	/** Somebody else seems to fetch with this AppSecret. */
	readonly foreignFetcher: boolean;
	/** What to do about the file or the foreign fetcher. */
	readonly hint: string | null;
	/** The name of its file in the directory. */
	readonly credential: string;
	readonly kind: KindName;
	/** The credential that it hangs on; null: it stands alone. */
	readonly parent: string | null;
	/** A credential that it needs, and that has no living value; and why it has none. */
	readonly waitsFor: {
		readonly credential: string;
		readonly reason: string | null;
	} | null;
	/** WeChat does not tell when it ends, and nothing that was seen tells it either. */
	readonly guessed: boolean;
	/** It is past its end, and WeChat still gives it. */
	readonly overdue: boolean;
}

export interface StatusError {
	/** Who must act: `IssuerErrorKind` or `StoreErrorKind`. */
	readonly kind: string;
	readonly code: string;
	readonly message: string;
	readonly hint: string;
	/** WeChat's number for the failed call. */
	readonly rid: string | null;
	readonly at: string;
	readonly since: string;
	readonly attempts: number;
	readonly nextTryAt: string;
}

/** The same with instants as epoch ms, for those who calculate with them. */
export interface StatusFacts
	extends Omit<
		CredentialStatus,
		"lastRefresh" | "nextRefreshAt" | "lastError"
	> {
	readonly lastRefresh: { readonly at: number; readonly reason: string } | null;
	readonly nextRefreshAt: number;
	readonly lastError: ErrorFacts | null;
}

export interface ErrorFacts
	extends Omit<StatusError, "at" | "since" | "nextTryAt"> {
	readonly at: number;
	readonly since: number;
	readonly nextTryAt: number;
}

/** Everything that is kept, as `wxtokend status --json` prints it. */
export interface StatusReport {
	/** Who says so. */
	readonly source: "daemon" | "files";
	/** By WeChat's answers; null: this server's clock is right, as far as is known. */
	readonly clock: ClockSkew | null;
	/** Those that are called by their appid: the access tokens of accounts. */
	readonly accounts: readonly CredentialStatus[];
	/** All credentials, each one behind all that it needs. */
	readonly credentials: readonly CredentialStatus[];
	/** By credential, as `lettersOf` gives it; only of a daemon that was asked for it. */
	readonly days?: Readonly<Record<string, string>>;
}

/** The report on all credentials. */
export function reportOf(
	source: StatusReport["source"],
	credentials: readonly CredentialStatus[],
	clock: StatusReport["clock"] = null,
): StatusReport {
	const accounts = credentials.filter(isNamedByAppid);
	return { source, clock, accounts, credentials };
}

export interface StatusInput {
	readonly credential: Credential;
	/** The token file's path, and what stands there. */
	readonly path: string;
	readonly reading: Reading;
	readonly record: SharedRecord;
	/** The token that the daemon keeps, if one is asked. */
	readonly kept?: KnownToken | undefined;
	readonly now: number;
	/** See `CredentialStatus.waitsFor`. */
	readonly waitsFor?: NonNullable<CredentialStatus["waitsFor"]> | undefined;
	/** No daemon answers; these are the files. */
	readonly withoutDaemon?: boolean;
}

/** What to do about tokens that die long before their end. */
export function foreignFetcherHint(
	credential: Pick<Credential, "kind">,
): string {
	const { reissue } = traitsOf(credential);
	if (reissue === "either")
		return "find the program that fetches by itself with this Secret (an SDK, a second server), and let it read our file; if nobody knows it, reset the Secret";
	return reissue === "new-each-time"
		? 'find the program that fetches by itself (an SDK with the AppSecret, a second server, the online debugging tool) and let it read our file, or set interface = "stable"'
		: "find the program that asks for stable_token with force_refresh by itself, and let it read our file; if nobody knows it, reset the AppSecret";
}

/**
 * The name of the interface in the configuration and in the status; null: it is no
 * access token of an `[[account]]`.
 */
export function interfaceOf({
	kind,
}: Pick<Credential, "kind">): CredentialStatus["interface"] {
	switch (kind) {
		case "access_token":
			return "classic";
		case "stable_access_token":
			return "stable";
		default:
			return null;
	}
}

/** Whether it is the access token of an account, an own one or one of a component. */
export function isNamedByAppid(credential: Pick<Credential, "kind">): boolean {
	return (
		interfaceOf(credential) !== null ||
		credential.kind === "authorizer_access_token"
	);
}

/** What a person calls it: an account's access token by its appid, all else by its file. */
export function callNameOf(
	credential: Pick<Credential, "kind" | "appid" | "file">,
): string {
	return isNamedByAppid(credential) ? credential.appid : credential.file;
}

/** What is said of the credential right now, in words. */
export function statusOf(asked: StatusInput): CredentialStatus {
	return statusFrom(factsOf(asked));
}

/** The same facts with instants as texts. */
export function statusFrom(facts: StatusFacts): CredentialStatus {
	const { lastRefresh, nextRefreshAt, lastError } = facts;
	return {
		...facts,
		lastRefresh: lastRefresh && { ...lastRefresh, at: iso(lastRefresh.at) },
		nextRefreshAt: iso(nextRefreshAt),
		lastError: lastError && {
			...lastError,
			at: iso(lastError.at),
			since: iso(lastError.since),
			nextTryAt: iso(lastError.nextTryAt),
		},
	};
}

/** What of the facts stays as it is until the next change. */
export interface Glimpse {
	/** The end of what readers find, epoch ms; -Infinity: they find no token of ours. */
	readonly expiresAt: number;
	/** What readers find. */
	readonly found: Reading["kind"];
	/** Why the last attempt failed; null: it did not. */
	readonly failure: Pick<StatusError, "code" | "hint"> | null;
}

/** Cheap, where all facts of ten thousand would take a second. */
export function glimpseOf(
	asked: Pick<StatusInput, "credential" | "record" | "reading" | "kept">,
): Glimpse {
	const record = ownRecord(asked.record, asked.credential);
	const reading = judged({
		...asked,
		record,
		reading: ownReading(asked.reading, record),
	});
	return {
		expiresAt:
			reading.kind === "token"
				? reading.token.expiresAt
				: Number.NEGATIVE_INFINITY,
		found: reading.kind,
		failure: record.pause?.failure ?? null,
	};
}

/** The same by all facts. */
export function glimpseIn({
	state,
	expire,
	valid,
	lastError,
}: Pick<StatusFacts, "state" | "expire" | "valid" | "lastError">): Glimpse {
	const found =
		state === "missing"
			? "absent"
			: state === "unusable"
				? "unusable"
				: "token";
	return {
		expiresAt:
			valid && expire !== null ? expire * 1000 : Number.NEGATIVE_INFINITY,
		found,
		failure: lastError,
	};
}

/** What is said of the credential right now. */
export function factsOf(asked: StatusInput): StatusFacts {
	const record = ownRecord(asked.record, asked.credential);
	const own = { ...asked, record, reading: ownReading(asked.reading, record) };
	const input = { ...own, reading: judged(own) };
	const { credential, path, reading, now } = input;
	const known = knownOf(reading, record);
	const leftMs = reading.kind === "token" ? reading.token.expiresAt - now : 0;
	const windowMs = windowOf(known);
	const calls = record.calls.filter((at) => at > now - windowMs && at <= now);
	const foreignFetcher = hasForeignFetcher(record, now);
	return {
		appid: credential.appid,
		state: wordFor(reading, leftMs, record),
		valid: leftMs > 0,
		interface: interfaceOf(credential),
		file: path,
		expire:
			reading.kind === "token"
				? Math.floor((reading.token.expiresAt - (record.shiftMs ?? 0)) / 1000)
				: null,
		secondsLeft: Math.max(0, Math.floor(leftMs / 1000)),
		lifetime: lifetimeOf(reading, record),
		lastRefresh: lastRefreshOf(record),
		nextRefreshAt: nextAt(input, known),
		lastError: lastErrorOf(input, known),
		budget: { used: calls.length, of: credential.limits.budget },
		foreignFetcher,
		hint: hintFor(input, leftMs, foreignFetcher),
		credential: credential.file,
		kind: credential.kind,
		parent: credential.needs[0] ?? null,
		waitsFor: input.waitsFor ?? null,
		guessed: known?.sighting?.isGuessed === true,
		overdue: known?.sighting !== undefined && isOverdue(known.sighting),
	};
}

type Judged = Pick<StatusInput, "credential" | "reading" | "record" | "kept">;

/**
 * What stands on disk, for its readers: should somebody have altered it, the
 * earlier of two ends, and no token at all if it is not one of ours.
 */
function judged({ reading, ...given }: Judged): Reading {
	if (reading.kind !== "token") return reading;
	const { value, expiresAt } = reading.token;
	const end = endOf(tokenId(value), given);
	if (end !== undefined)
		return {
			...reading,
			token: { value, expiresAt: Math.min(end, expiresAt) },
		};
	return given.kept === undefined
		? reading
		: { kind: "unusable", problem: "altered: it holds another token" };
}

/** Epoch ms; undefined if it is not one of ours. */
function endOf(
	id: string,
	{ credential, record, kept }: Omit<Judged, "reading">,
): number | undefined {
	const { published, inFlight } = record;
	if (published?.id === id) return published.expiresAt;
	if (kept?.id === id) return kept.token.expiresAt;
	// The next one is on its way to the disk; or the disk refuses it.
	return inFlight?.replaces === id
		? inFlight.at + traitsOf(credential).replacedLivesMs
		: undefined;
}

/** The token on disk; its true end, should somebody have altered the file. */
function knownOf(
	reading: Reading,
	record: SharedRecord,
): KnownToken | undefined {
	if (reading.kind !== "token") return undefined;
	const { token } = reading;
	const { published, generation } = record;
	if (published?.id !== tokenId(token.value))
		return knownFrom(token, generation, undefined);
	const { expiresAt } = published;
	return knownFrom({ value: token.value, expiresAt }, generation, published);
}

function wordFor(
	reading: Reading,
	leftMs: number,
	{ pause }: SharedRecord,
): CredentialStatus["state"] {
	switch (reading.kind) {
		case "absent":
			return "missing";
		case "unusable":
			return "unusable";
		case "token":
			if (leftMs <= 0) return "expired";
			return pause?.failure === undefined ? "valid" : "failing";
		default:
			return reading satisfies never;
	}
}

function hintFor(
	{ credential, reading, record, withoutDaemon = false }: StatusInput,
	leftMs: number,
	foreignFetcher: boolean,
): string | null {
	if (foreignFetcher)
		return `tokens die long before their end: ${foreignFetcherHint(credential)}`;
	const isOver = reading.kind === "token" && leftMs <= 0;
	// What failed has a hint of its own.
	const isUnread =
		reading.kind === "unusable" && reading.problem.startsWith("unreadable");
	if (
		(isOver || isUnread || reading.kind === "absent") &&
		record.pause?.failure
	)
		return null;
	const remedy = withoutDaemon
		? "is the daemon running?"
		: "the daemon puts a good one in its place";
	switch (reading.kind) {
		case "absent":
			return `there is no token file: ${remedy}`;
		case "unusable":
			return `the token file is ${reading.problem}: ${remedy}`;
		case "token":
			return isOver ? `the token has ended: ${remedy}` : null;
		default:
			return reading satisfies never;
	}
}

function lifetimeOf(reading: Reading, { published }: SharedRecord) {
	if (reading.kind !== "token" || published === undefined) return null;
	if (published.id !== tokenId(reading.token.value)) return null;
	return published.lifetimeMs / 1000;
}

function lastRefreshOf({ published }: SharedRecord) {
	// A token that was there before us: nobody knows since when.
	if (published === undefined || published.fetchedAt === 0) return null;
	return { at: published.fetchedAt, reason: published.reason };
}

/** When the next attempt may be made; the first tick after it makes it. */
function nextAt(input: StatusInput, known: KnownToken | undefined): number {
	const { credential, now } = input;
	const due = known === undefined ? now : refreshAt(known, credential);
	const { budget } = credential.limits;
	return Math.max(due, allowedAt(input, known, budget), now);
}

/** When pause and budget, or what is for such calls of it, allow an attempt. */
function allowedAt(
	{ record, now }: StatusInput,
	known: KnownToken | undefined,
	share: number,
): number {
	const { pause } = record;
	const pausedUntil = pause === undefined ? 0 : pause.at + pause.waitMs;
	const freeAt = budgetFreeAt(record, share, windowOf(known), now) ?? 0;
	return Math.max(pausedUntil, freeAt);
}

function lastErrorOf(
	input: StatusInput,
	known: KnownToken | undefined,
): ErrorFacts | null {
	const { credential, record, now } = input;
	const { pause } = record;
	const failure = pause?.failure;
	if (pause === undefined || failure === undefined) return null;
	const { kind, code, message, hint, rid = null, since, attempts } = failure;
	const isDue = known === undefined || now >= refreshAt(known, credential);
	// What fails before its time was asked for by somebody.
	const share = shareOf(isDue ? "due" : "forced", credential.limits);
	return {
		kind,
		code,
		message,
		hint,
		rid,
		at: pause.at,
		since,
		attempts,
		nextTryAt: allowedAt(input, known, share),
	};
}

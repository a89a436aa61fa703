/**
 * The status of a credential at rest: its token and its times of calls tell it, so that
 * no file is read for it. Of thousands nearly all are at rest nearly all the time.
 */
import { type Credential, type KnownToken, knownFrom } from "./credential.ts";
import { refreshAt } from "./limits.ts";
import type { SharedRecord } from "./record.ts";
import { isOverdue } from "./sighting.ts";
import { interfaceOf, type StatusFacts } from "./status.ts";

/**
 * What the status of a credential at rest needs beside its token: the times of the calls,
 * or that no keeper has recorded the token.
 */
export type RestingRecord = readonly number[] | "unrecorded";

/**
 * Undefined: something else of the record shows in the status. If not, that stays so for
 * as long as neither record nor file changes, and the token is not due. `until`: when
 * it is due, epoch ms.
 */
export function restingRecord(
	credential: Credential,
	known: KnownToken,
	until: number,
	record: SharedRecord,
): RestingRecord | undefined {
	const { published, pause, source, calls, diedEarly, generation } = record;
	const isOdd =
		pause !== undefined ||
		(source !== undefined && source !== credential.source) ||
		calls.length >= credential.limits.budget ||
		until > known.token.expiresAt ||
		// Two of them are a suspicion, for a day.
		diedEarly.length > 1 ||
		(known.sighting !== undefined && isOverdue(known.sighting));
	if (isOdd) return undefined;
	const recorded = knownFrom(known.token, generation, published);
	if (refreshAt(recorded, credential) !== until) return undefined;
	if (published === undefined)
		return calls.length === 0 ? "unrecorded" : undefined;
	return published.id === known.id &&
		published.expiresAt === known.token.expiresAt &&
		published.lifetimeMs === known.lifetimeMs &&
		published.fetchedAt === known.fetchedAt &&
		published.reason === known.reason
		? calls
		: undefined;
}

/** What a credential at rest is known by. */
export interface AtRest {
	readonly credential: Credential;
	/** The token file's path. */
	readonly path: string;
	readonly known: KnownToken;
	readonly record: RestingRecord;
	/** When it is due, epoch ms. */
	readonly until: number;
}

/** The same as `factsOf`, of one that is at rest until after `now`. */
export function factsAtRest(
	{ credential, path, known, record, until }: AtRest,
	now: number,
): StatusFacts {
	const { expiresAt } = known.token;
	const isRecorded = record !== "unrecorded";
	return {
		appid: credential.appid,
		state: "valid",
		valid: true,
		interface: interfaceOf(credential),
		file: path,
		expire: Math.floor(expiresAt / 1000),
		secondsLeft: Math.floor((expiresAt - now) / 1000),
		lifetime: isRecorded ? known.lifetimeMs / 1000 : null,
		lastRefresh:
			isRecorded && known.fetchedAt !== 0
				? { at: known.fetchedAt, reason: known.reason }
				: null,
		nextRefreshAt: until,
		lastError: null,
		budget: {
			used: usedAtRest(known, record, now),
			of: credential.limits.budget,
		},
		foreignFetcher: false,
		hint: null,
		credential: credential.file,
		kind: credential.kind,
		parent: credential.needs[0] ?? null,
		waitsFor: null,
		guessed: known.sighting?.isGuessed === true,
		overdue: false,
	};
}

/** How many calls count against the budget. */
export function usedAtRest(
	{ lifetimeMs }: Pick<KnownToken, "lifetimeMs">,
	record: RestingRecord,
	now: number,
): number {
	if (record === "unrecorded") return 0;
	const begin = now - lifetimeMs;
	let used = 0;
	for (const at of record) if (at > begin && at <= now) used += 1;
	return used;
}

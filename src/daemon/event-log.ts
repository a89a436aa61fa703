import type { Clock } from "../core/clock.ts";
import {
	type KnownToken,
	type Reading,
	type Reason,
	type Rules,
	refreshAt,
	usualLifetimeMs,
} from "../core/decide.ts";
import { type IssuerError, StoreError } from "../core/errors.ts";
import type { Failure } from "../core/record.ts";
import type { Verdict } from "../issuer/access-token.ts";
import { foreignFetcherHint } from "../issuer/errcode.ts";
import type { Log } from "./log.ts";

/** What is told of one account: each thing once, when it changes. */
export interface AccountLog {
	adopted(current: KnownToken): void;
	repaired(current: KnownToken, found: Reading): void;
	refreshed(current: KnownToken, refresh: Refresh): void;
	/** A forced refresh was answered by one that another process, or somebody else, asked for. */
	shared(current: KnownToken): void;
	failed(error: IssuerError | StoreError, attempt: FailedAttempt): void;
	lockLost(error: StoreError): void;
	probed(current: KnownToken, verdict: Verdict): void;
	budgetExceeded(until: number, lifetimeMs: number): void;
	/** Tokens die early: somebody else fetches. */
	overwritten(deaths: number): void;
	/** Call it while the token lives, and once it could not be replaced: tells of its end. */
	seen(current: KnownToken): void;
	/** Nothing was said that must not be said again soon. */
	isSilent(): boolean;
}

export interface Refresh {
	readonly reason: Reason;
	/** WeChat gave the same token again. */
	readonly isSame: boolean;
	/** `tokenId` of the token before. */
	readonly replaces: string | undefined;
	readonly afterFailures: number | undefined;
}

export interface FailedAttempt {
	readonly failure: Failure | undefined;
	readonly notBefore: number | undefined;
	/** The token that stays. */
	readonly current: KnownToken | undefined;
	/** A person waits for its end, and is told of it whatever was told before. */
	readonly isAsked: boolean;
}

const dayMs = 86_400_000;

export function createAccountLog(
	{ appid, rules }: { readonly appid: string; readonly rules: Rules },
	clock: Clock,
	log: Log,
): AccountLog {
	let lastFailure = "";
	let overwrittenAt: number | undefined;
	let exceededAt: number | undefined;
	let exceededForMs = usualLifetimeMs;
	/** The `tokenId` of a token that was seen alive, and not yet seen at its end. */
	let lived: string | undefined;

	const isRecent = (at: number | undefined, ms: number) =>
		at !== undefined && clock.now() - at < ms;

	// As dates: they become text only if the line is written.
	const describe = (known: KnownToken) => ({
		token: known.id,
		expiresAt: new Date(known.token.expiresAt),
		dueAt: new Date(refreshAt(known, rules)),
	});

	return {
		adopted: (current) => {
			log.info(
				{ event: "token.adopted", appid, ...describe(current) },
				"took over the valid token on disk",
			);
		},
		repaired: (current, found) => {
			lastFailure = "";
			log.warn(
				{
					event: "file.repaired",
					appid,
					...describe(current),
					found: whatIsWrong(found, current),
				},
				"the token file did not hold the current token; now it does, without a call to WeChat",
			);
		},
		refreshed: (current, { reason, isSame, replaces, afterFailures }) => {
			lastFailure = "";
			log.info(
				{
					event: isSame ? "token.confirmed" : "token.refreshed",
					appid,
					reason,
					...describe(current),
					replaces: isSame ? undefined : replaces,
					afterFailures,
				},
				isSame ? "WeChat still gives the same token" : "a new token is on disk",
			);
		},
		shared: (current) => {
			log.info(
				{ event: "refresh.shared", appid, ...describe(current) },
				"another refresh of the same moment answers this one, too",
			);
		},
		failed: (error, { failure, notBefore, current, isAsked }) => {
			const { message, code, hint, kind } = error;
			// One line per change, and per signal; the same again is told to who asks for more.
			const isNews = lastFailure !== code || isAsked;
			const level = !isNews ? "debug" : kind === "transient" ? "warn" : "error";
			lastFailure = code;
			log[level](
				{
					event: error instanceof StoreError ? "store.failed" : "fetch.failed",
					appid,
					kind,
					code,
					hint,
					rid: failure?.rid,
					attempts: failure?.attempts,
					notBefore: notBefore === undefined ? undefined : new Date(notBefore),
					...(current === undefined ? {} : describe(current)),
				},
				message,
			);
		},
		lockLost: ({ message, hint }) => {
			log.warn({ event: "lock.lost", appid, hint }, message);
		},
		probed: ({ id }, verdict) => {
			log.info(
				{ event: "token.probed", appid, token: id, verdict },
				"an app reported the token as refused, so it was tried",
			);
		},
		budgetExceeded: (until, lifetimeMs) => {
			// It may last for days, with successes in between.
			if (!isRecent(exceededAt, exceededForMs))
				log.warn(
					{
						event: "budget.exceeded",
						appid,
						budget: rules.budget,
						until: new Date(until),
					},
					"the calls of this token lifetime are used up; they go on at one per twelfth of a lifetime",
				);
			exceededAt = clock.now();
			exceededForMs = lifetimeMs;
		},
		overwritten: (deaths) => {
			if (isRecent(overwrittenAt, dayMs)) return;
			overwrittenAt = clock.now();
			log.error(
				{
					event: "token.overwritten",
					appid,
					deaths,
					hint: foreignFetcherHint(rules.interface),
				},
				"tokens die long before their end: somebody else fetches with this AppSecret",
			);
		},
		seen: (current) => {
			if (current.token.expiresAt > clock.now()) {
				lived = current.id;
			} else if (lived === current.id) {
				lived = undefined;
				log.error(
					{ event: "token.expired", appid, ...describe(current) },
					"the token has ended, and there is no new one: apps fail until there is",
				);
			}
		},
		isSilent: () =>
			lastFailure === "" &&
			!isRecent(exceededAt, exceededForMs) &&
			!isRecent(overwrittenAt, dayMs),
	};
}

/** Why the file had to be published again, in words. */
function whatIsWrong(found: Reading, { token }: KnownToken): string {
	switch (found.kind) {
		case "absent":
			return "nothing";
		case "unusable":
			return found.problem;
		case "token":
			if (found.token.value !== token.value) return "another token";
			return found.token.expiresAt === token.expiresAt
				? "another mode, owner, group or layout"
				: "another end of the token";
		default:
			return found satisfies never;
	}
}

/**
 * What is logged of the keepers' events. A failure that lasts is one line when it
 * begins, and not one for each attempt; what a person must act on is an error.
 */
import type { Clock } from "../core/clock.ts";
import {
	type Credential,
	type CredentialId,
	type KnownToken,
	nounOf,
	type Reading,
	usualLifetimeMs,
} from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import { refreshAt } from "../core/limits.ts";
import type { KeeperEvent, Log } from "../core/ports.ts";
import { foreignFetcherHint, interfaceOf } from "../core/status.ts";

type EventOf<Kind extends KeeperEvent["kind"]> = Extract<
	KeeperEvent,
	{ readonly kind: Kind }
>;

/** Events that are logged each time that they happen. */
type PlainEvent = EventOf<
	| "adopted"
	| "repaired"
	| "refreshed"
	| "shared"
	| "expired"
	| "lock-lost"
	| "probed"
>;

/** What was logged of a credential, and is not to be logged again soon. */
interface Logged {
	/** The code of the last failure; "" after a success. */
	failure: string;
	/** When `token.overwritten` was logged, epoch ms. */
	overwrittenAt: number | undefined;
	/** When the budget was last exceeded, epoch ms. */
	exceededAt: number | undefined;
	/** How long after `exceededAt` that is not logged again. */
	exceededForMs: number;
}

const dayMs = 86_400_000;

/**
 * Logs the events of all keepers. It remembers only the credentials that something
 * is wrong with: of ten thousand others there is nothing to remember.
 */
export function createEventLog(
	log: Log,
	clock: Clock,
): (credential: Credential, event: KeeperEvent) => void {
	const loggedOf = new Map<CredentialId, Logged>();

	// Made at the first failure, see `forgetFailure` for its end.
	const rememberedOf = ({ id }: Credential): Logged => {
		const known = loggedOf.get(id);
		if (known !== undefined) return known;
		const blank: Logged = {
			failure: "",
			overwrittenAt: undefined,
			exceededAt: undefined,
			exceededForMs: usualLifetimeMs,
		};
		loggedOf.set(id, blank);
		return blank;
	};

	const isRecent = (at: number | undefined, ms: number) =>
		at !== undefined && clock.now() - at < ms;

	// What is said once a day, or once a lifetime, outlives a success in between.
	const forgetFailure = ({ id }: Credential) => {
		const known = loggedOf.get(id);
		if (known === undefined) return;
		known.failure = "";
		if (
			!isRecent(known.exceededAt, known.exceededForMs) &&
			!isRecent(known.overwrittenAt, dayMs)
		)
			loggedOf.delete(id);
	};

	const failed = (credential: Credential, event: EventOf<"failed">) => {
		const known = rememberedOf(credential);
		const { error, isAsked } = event;
		// The same failure again is only for level debug, unless a person asked for
		// the refresh and waits for its end.
		const isNews = known.failure !== error.code || isAsked;
		const level = !isNews
			? "debug"
			: error.kind === "transient" || error.kind === "unreachable"
				? "warn"
				: "error";
		known.failure = error.code;
		log[level](failureFields(credential, event), error.message);
	};

	const budgetExceeded = (
		credential: Credential,
		{ until, lifetimeMs }: EventOf<"budget-exceeded">,
	) => {
		const known = rememberedOf(credential);
		// A budget can be exceeded for days, with successful refreshes in between. One
		// line for each token lifetime is enough.
		if (!isRecent(known.exceededAt, known.exceededForMs))
			log.warn(
				{
					event: "budget.exceeded",
					...nameOf(credential),
					budget: credential.limits.budget,
					until: new Date(until),
				},
				"the calls of this token lifetime are used up; they go on at one per twelfth of a lifetime",
			);
		known.exceededAt = clock.now();
		known.exceededForMs = lifetimeMs;
	};

	const overwritten = (
		credential: Credential,
		{ deaths }: EventOf<"overwritten">,
	) => {
		const known = rememberedOf(credential);
		if (isRecent(known.overwrittenAt, dayMs)) return;
		known.overwrittenAt = clock.now();
		log.error(
			{
				event: "token.overwritten",
				...nameOf(credential),
				deaths,
				hint: foreignFetcherHint(credential),
			},
			"tokens die long before their end: another program fetches with this AppSecret",
		);
	};

	// Every kind of event is listed, so that a new one cannot be forgotten.
	return (credential, event) => {
		switch (event.kind) {
			case "repaired":
			case "refreshed":
				forgetFailure(credential);
				logPlain(log, credential, event);
				break;
			case "failed":
				failed(credential, event);
				break;
			case "budget-exceeded":
				budgetExceeded(credential, event);
				break;
			case "overwritten":
				overwritten(credential, event);
				break;
			case "adopted":
			case "shared":
			case "expired":
			case "lock-lost":
			case "probed":
				logPlain(log, credential, event);
				break;
			case "asked":
			case "forced":
			case "lock-busy": // Only the metrics need these.
				break;
			default:
				event satisfies never;
		}
	};
}

/** An account has one access token, which its appid names; of all else the file is named as well. */
function nameOf(credential: Credential) {
	const { appid, file } = credential;
	return isAccessToken(credential) ? { appid } : { appid, credential: file };
}

function isAccessToken(credential: Credential): boolean {
	return interfaceOf(credential) !== null;
}

function logPlain(log: Log, credential: Credential, event: PlainEvent): void {
	const { level, message, fields } = plainLine(event, credential);
	const name = nameOf(credential);
	log[level]({ event: eventName(event), ...name, ...fields }, message);
}

/** The name of the log event, which operators and their alerts know. */
function eventName(event: PlainEvent): string {
	switch (event.kind) {
		case "adopted":
			return "token.adopted";
		case "repaired":
			return "file.repaired";
		case "refreshed":
			return event.isSame ? "token.confirmed" : "token.refreshed";
		case "shared":
			return "refresh.shared";
		case "expired":
			return "token.expired";
		case "lock-lost":
			return "lock.lost";
		case "probed":
			return "token.probed";
		default:
			return event satisfies never;
	}
}

/** A line of the log, but for the event's name and the appid. */
interface PlainLine {
	readonly level: keyof Log;
	readonly message: string;
	readonly fields: Readonly<Record<string, unknown>>;
}

/** Level and words of an event; the fields never hold a token, only its id. */
function plainLine(event: PlainEvent, credential: Credential): PlainLine {
	const noun = nounOf(credential);
	switch (event.kind) {
		case "adopted":
			return {
				level: "info",
				message: `took over the valid ${noun} on disk`,
				fields: describeToken(event.current, credential),
			};
		case "repaired":
			return {
				level: "warn",
				message: `the ${noun} file did not hold the current ${noun}; now it does, without a call to WeChat`,
				fields: {
					...describeToken(event.current, credential),
					found: whatIsWrong(event.found, event.current),
				},
			};
		case "refreshed":
			return refreshedLine(event, credential);
		case "shared":
			return {
				level: "info",
				message: "another refresh at the same time answers this request, too",
				fields: describeToken(event.current, credential),
			};
		case "expired":
			return {
				level: "error",
				message: `the ${noun} has ended, and there is no new one: apps fail until there is`,
				fields: describeToken(event.current, credential),
			};
		case "lock-lost": {
			const { message, hint } = event.error;
			return { level: "warn", message, fields: { hint } };
		}
		case "probed":
			return {
				level: "info",
				message: "an app reported the token as refused, so WeChat was asked",
				fields: { token: event.current.id, verdict: event.result },
			};
		default:
			return event satisfies never;
	}
}

/** `isSame`: the stable interface gives the same token until its last minutes. */
function refreshedLine(
	{ current, isSame, reason, replaces, afterFailures }: EventOf<"refreshed">,
	credential: Credential,
): PlainLine {
	const noun = nounOf(credential);
	return {
		// A ticket is asked for a hundred times a day.
		level: isSame && current.sighting !== undefined ? "debug" : "info",
		message: isSame
			? `WeChat still gives the same ${noun}`
			: `a new ${noun} is on disk`,
		fields: {
			reason,
			...describeToken(current, credential),
			replaces: isSame ? undefined : replaces,
			afterFailures,
		},
	};
}

/** What a person needs to find the cause, and when the next attempt is made. */
function failureFields(
	credential: Credential,
	{ error, failure, notBefore, current }: EventOf<"failed">,
) {
	const { code, hint, kind } = error;
	return {
		event: error instanceof StoreError ? "store.failed" : "fetch.failed",
		...nameOf(credential),
		kind,
		code,
		hint,
		rid: failure?.rid,
		attempts: failure?.attempts,
		notBefore: notBefore === undefined ? undefined : new Date(notBefore),
		...(current === undefined ? {} : describeToken(current, credential)),
	};
}

/** Instants as `Date`: most lines are not written, and making their text costs time. */
function describeToken(known: KnownToken, credential: Credential) {
	return {
		token: known.id,
		expiresAt: new Date(known.token.expiresAt),
		dueAt: new Date(refreshAt(known, credential)),
	};
}

/** Why the file had to be published again, in words; never a token. */
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

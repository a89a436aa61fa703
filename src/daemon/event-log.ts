/** What is logged of the keepers' events: each fact once, when it changes. */
import type { Clock } from "../core/clock.ts";
import {
	type Credential,
	type CredentialId,
	type KnownToken,
	type Reading,
	usualLifetimeMs,
} from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import { refreshAt } from "../core/limits.ts";
import type { KeeperEvent, Log } from "../core/ports.ts";
import { foreignFetcherHint } from "../core/status.ts";

type EventOf<Kind extends KeeperEvent["kind"]> = Extract<
	KeeperEvent,
	{ readonly kind: Kind }
>;

/** What was said of a credential, and is not to be said again soon. */
interface Said {
	/** The code of the last failure; "" after a success. */
	failure: string;
	overwrittenAt: number | undefined;
	exceededAt: number | undefined;
	/** After `exceededAt`, ms. */
	exceededForMs: number;
}

const dayMs = 86_400_000;

/** Logs the events of all keepers. Of credentials that work nothing is remembered. */
export function createEventLog(
	log: Log,
	clock: Clock,
): (credential: Credential, event: KeeperEvent) => void {
	const said = new Map<CredentialId, Said>();

	const saidOf = ({ id }: Credential): Said => {
		const known = said.get(id);
		if (known !== undefined) return known;
		const blank: Said = {
			failure: "",
			overwrittenAt: undefined,
			exceededAt: undefined,
			exceededForMs: usualLifetimeMs,
		};
		said.set(id, blank);
		return blank;
	};

	const isRecent = (at: number | undefined, ms: number) =>
		at !== undefined && clock.now() - at < ms;

	const forgetFailure = ({ id }: Credential) => {
		const known = said.get(id);
		if (known === undefined) return;
		known.failure = "";
		if (
			!isRecent(known.exceededAt, known.exceededForMs) &&
			!isRecent(known.overwrittenAt, dayMs)
		)
			said.delete(id);
	};

	const failed = (credential: Credential, event: EventOf<"failed">) => {
		const known = saidOf(credential);
		const { error, isAsked } = event;
		// One line per change, and per signal; the same again is for level debug.
		const isNews = known.failure !== error.code || isAsked;
		const level = !isNews
			? "debug"
			: error.kind === "transient"
				? "warn"
				: "error";
		known.failure = error.code;
		log[level](failureFields(credential, event), error.message);
	};

	const budgetExceeded = (
		credential: Credential,
		{ until, lifetimeMs }: EventOf<"budget-exceeded">,
	) => {
		const known = saidOf(credential);
		// It may last for days, with successes in between.
		if (!isRecent(known.exceededAt, known.exceededForMs))
			log.warn(
				{
					event: "budget.exceeded",
					appid: credential.appid,
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
		const known = saidOf(credential);
		if (isRecent(known.overwrittenAt, dayMs)) return;
		known.overwrittenAt = clock.now();
		log.error(
			{
				event: "token.overwritten",
				appid: credential.appid,
				deaths,
				hint: foreignFetcherHint(credential),
			},
			"tokens die long before their end: another program fetches with this AppSecret",
		);
	};

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
			case "lock-busy": // Of interest to metrics only.
				break;
			default:
				event satisfies never;
		}
	};
}

/** Events that are logged each time. */
function logPlain(
	log: Log,
	credential: Credential,
	event: EventOf<
		| "adopted"
		| "repaired"
		| "refreshed"
		| "shared"
		| "expired"
		| "lock-lost"
		| "probed"
	>,
): void {
	const { appid } = credential;
	const describe = (known: KnownToken) => ({
		appid,
		...describeToken(known, credential),
	});
	switch (event.kind) {
		case "adopted":
			log.info(
				{ event: "token.adopted", ...describe(event.current) },
				"took over the valid token on disk",
			);
			break;
		case "repaired":
			log.warn(
				{
					event: "file.repaired",
					...describe(event.current),
					found: whatIsWrong(event.found, event.current),
				},
				"the token file did not hold the current token; now it does, without a call to WeChat",
			);
			break;
		case "refreshed": {
			const { current, isSame, reason, replaces, afterFailures } = event;
			log.info(
				{
					event: isSame ? "token.confirmed" : "token.refreshed",
					appid,
					reason,
					...describeToken(current, credential),
					replaces: isSame ? undefined : replaces,
					afterFailures,
				},
				isSame ? "WeChat still gives the same token" : "a new token is on disk",
			);
			break;
		}
		case "shared":
			log.info(
				{ event: "refresh.shared", ...describe(event.current) },
				"another refresh of the same moment answers this one, too",
			);
			break;
		case "expired":
			log.error(
				{ event: "token.expired", ...describe(event.current) },
				"the token has ended, and there is no new one: apps fail until there is",
			);
			break;
		case "lock-lost":
			log.warn(
				{ event: "lock.lost", appid, hint: event.error.hint },
				event.error.message,
			);
			break;
		case "probed":
			log.info(
				{
					event: "token.probed",
					appid,
					token: event.current.id,
					verdict: event.result,
				},
				"an app reported the token as refused, so it was tried",
			);
			break;
		default:
			event satisfies never;
	}
}

function failureFields(
	credential: Credential,
	{ error, failure, notBefore, current }: EventOf<"failed">,
) {
	const { code, hint, kind } = error;
	return {
		event: error instanceof StoreError ? "store.failed" : "fetch.failed",
		appid: credential.appid,
		kind,
		code,
		hint,
		rid: failure?.rid,
		attempts: failure?.attempts,
		notBefore: notBefore === undefined ? undefined : new Date(notBefore),
		...(current === undefined ? {} : describeToken(current, credential)),
	};
}

/** Instants as dates: they become text only if the line is written. */
function describeToken(known: KnownToken, credential: Credential) {
	return {
		token: known.id,
		expiresAt: new Date(known.token.expiresAt),
		dueAt: new Date(refreshAt(known, credential)),
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

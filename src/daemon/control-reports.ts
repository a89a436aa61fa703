/** Answers about all credentials: they are made in slices, as there may be a hundred thousand. */
import { type Clock, systemClock } from "../core/clock.ts";
import type { ClockSkew } from "../core/clock-skew.ts";
import { traitsOf } from "../core/credential.ts";
import { dayOf, lettersOf, withCurrent } from "../core/day.ts";
import { iso } from "../core/iso-time.ts";
import { type CredentialStatus, statusFrom } from "../core/status.ts";
import { statusJson } from "../core/status-json.ts";
import { createYielding, nextTurn } from "../keeper/limiter.ts";
import type { ManagedCredential } from "../keeper/managed-credential.ts";
import {
	type ControlAnswer,
	type ControlFailure,
	failure,
} from "./control-http.ts";
import type { History } from "./history.ts";

/** Reading the status of many accounts yields to the keepers after this time. */
const sliceMs = 5;

/** Half an hour each. */
const lettersOfDay = 48;

/** A file's name, and what a text takes beside its letters, in bytes. */
const maxOverhead = 100;

/** A piece of a list has some more characters. */
const pieceLength = 65_536;

/** Accounts that `/healthz` gives a reason for; the status has all of them. */
const maxReasons = 100;

/** What the lists are made with. */
interface ListParts {
	readonly clock: Clock;
	readonly skew: () => ClockSkew | null;
}

/** `{"source":"daemon","clock":…,"KEY":[…]}` with the status of each, as it is at its turn. */
export function listOf(
	key: string,
	all: Iterable<ManagedCredential>,
	parts: ListParts,
): ControlAnswer {
	return listAnswer(listTexts(key, all, parts));
}

/** The same for credentials, and the last day of each by the name of its file, as `lettersOf`. */
export function listWithDays(
	all: ReadonlyMap<string, ManagedCredential>,
	history: Pick<History, "of">,
	parts: ListParts,
): ControlAnswer {
	return {
		...listAnswer(daysTexts(all.values(), history, parts)),
		heldBytes: all.size * (lettersOfDay + maxOverhead),
	};
}

function listAnswer(texts: Iterable<string>): ControlAnswer {
	return {
		status: 200,
		content: inPieces(texts),
		headers: { "Content-Type": "application/json" },
	};
}

/** Between two pieces the caller lets the event loop turn. */
async function* inPieces(texts: Iterable<string>): AsyncGenerator<string> {
	await nextTurn();
	let piece = "";
	let since = systemClock.monotonic();
	for (const text of texts) {
		piece += text;
		const isLong = systemClock.monotonic() - since >= sliceMs;
		if (piece.length < pieceLength && !isLong) continue;
		yield piece;
		piece = "";
		since = systemClock.monotonic();
	}
	yield piece;
}

function* listTexts(
	key: string,
	all: Iterable<ManagedCredential>,
	{ clock, skew }: ListParts,
): Generator<string> {
	yield headOf(key, skew);
	let separator = "";
	for (const one of all) {
		yield separator + one.json(clock.now());
		separator = ",";
	}
	yield "]}\n";
}

/** The days stand behind all credentials: until then they are held. */
function* daysTexts(
	all: Iterable<ManagedCredential>,
	history: Pick<History, "of">,
	{ clock, skew }: ListParts,
): Generator<string> {
	yield headOf("credentials", skew);
	const days: string[] = [];
	let separator = "";
	for (const one of all) {
		const { credential } = one;
		const now = clock.now();
		const facts = one.facts(now);
		const events = withCurrent(history.of(credential.id, now), facts);
		const day = dayOf(events, traitsOf(credential).replacedLivesMs, now);
		const letters = lettersOf(day, now, lettersOfDay);
		days.push(`${separator}${JSON.stringify(credential.file)}:"${letters}"`);
		yield separator + statusJson(facts);
		separator = ",";
	}
	yield '],"days":{';
	yield* days;
	yield "}}\n";
}

function headOf(key: string, skew: ListParts["skew"]): string {
	return `{"source":"daemon","clock":${JSON.stringify(skew())},"${key}":[`;
}

/** 503 if a file holds no valid token: a load balancer or monitor needs no more. */
export async function healthOf(
	all: Iterable<ManagedCredential>,
	clock: Clock,
): Promise<ControlAnswer> {
	const seen = await lookAtAll(all, clock);
	const { withoutValue, atRisk, count, tokens } = seen;
	if (seen.countWithoutValue === 0) {
		const content = { status: "ok", accounts: tokens };
		return {
			status: 200,
			content:
				atRisk.length === 0
					? content
					: { ...content, failing: atRisk.map(riskOf) },
		};
	}
	const [what, value] =
		tokens === count ? ["accounts", "token"] : ["tokens and tickets", "value"];
	const content: ControlFailure & { readonly reasons: unknown } = {
		code: "no-valid-token",
		message: `${seen.countWithoutValue} of ${count} ${what} have no valid ${value} on disk`,
		hint:
			withoutValue[0]?.lastError?.hint ??
			"the daemon is fetching them: see GET /v1/credentials, or wxtokend status",
		reasons: withoutValue.map(reasonOf),
	};
	return failure(503, content);
}

/** What is to be told of all credentials; of each kind only the first ones. */
interface Health {
	readonly withoutValue: readonly CredentialStatus[];
	/** With a valid value that could not be renewed. */
	readonly atRisk: readonly CredentialStatus[];
	readonly countWithoutValue: number;
	readonly count: number;
	/** Of these, those that hang on no other. */
	readonly tokens: number;
}

async function lookAtAll(
	all: Iterable<ManagedCredential>,
	clock: Clock,
): Promise<Health> {
	const withoutValue: CredentialStatus[] = [];
	const atRisk: CredentialStatus[] = [];
	let countWithoutValue = 0;
	let count = 0;
	let tokens = 0;
	const yielding = createYielding(sliceMs);
	await nextTurn();
	for (const one of all) {
		const facts = one.facts(clock.now());
		count += 1;
		if (facts.parent === null) tokens += 1;
		if (!facts.valid) countWithoutValue += 1;
		const told = facts.valid ? atRisk : withoutValue;
		if ((!facts.valid || facts.lastError !== null) && told.length < maxReasons)
			told.push(statusFrom(facts));
		const pause = yielding.yieldIfLong();
		if (pause !== undefined) await pause;
	}
	return { withoutValue, atRisk, countWithoutValue, count, tokens };
}

function reasonOf({
	appid,
	credential,
	state,
	file,
	lastError,
	expire,
}: CredentialStatus) {
	// A file that is missing, or not ours, says nothing about that.
	const since =
		state === "expired" && expire !== null ? iso(expire * 1000) : null;
	const effect = since === null ? "apps fail" : `apps fail since ${since}`;
	return {
		appid,
		credential,
		state,
		reason: `${file}: ${reasonWords[state]}: ${effect}`,
		appsFailSince: since,
		error: lastError,
	};
}

/** Of one that is valid, but could not be renewed: from when on apps will fail. */
function riskOf({
	appid,
	credential,
	state,
	file,
	lastError,
	expire,
}: CredentialStatus) {
	const from = expire === null ? null : iso(expire * 1000);
	return {
		appid,
		credential,
		state,
		reason: `${file}: could not be renewed since ${lastError?.since}: apps will fail from ${from} on`,
		appsFailFrom: from,
		error: lastError,
	};
}

/** In the middle of a sentence about the token file. */
const reasonWords: Readonly<Record<CredentialStatus["state"], string>> = {
	valid: "holds a valid token",
	failing: "holds a valid token",
	expired: "its token has ended",
	missing: "there is no such file",
	unusable: "it is not what was published",
};

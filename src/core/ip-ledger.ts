/**
 * What all calls from this machine to one host of 企业微信 have in common. Several wrong
 * secrets ban its IP for an hour, for every app behind it; and a limit on calls is one of
 * the IP. So a wrong secret is tried once an hour, and only so many secrets that nobody
 * knows to be right are tried within an hour. Pure.
 */
import { until } from "./limits.ts";

/** Of one host; all processes of a directory share it, and those of a user on this machine. */
export interface IpLedger {
	/** The last refusal of all calls. `times`: how many in a row. */
	readonly limited?: {
		readonly at: number;
		readonly waitMs: number;
		readonly times: number;
	};
	/** By the id of the secret: secrets that were refused, or that are being tried. */
	readonly secrets: Readonly<Record<string, TriedSecret>>;
	/** By the id of the secret: when a secret was last noted as accepted; epoch ms. */
	readonly proved?: Readonly<Record<string, number>>;
	/** The last ban: so many secrets had been wrong within the hour before. */
	readonly banned?: { readonly at: number; readonly wrong: number };
}

/** A secret that is not known to be right. */
export interface TriedSecret {
	/** When it was sent, or refused; epoch ms. */
	readonly at: number;
	/** The errcode; 0: there is no answer yet, or one that tells nothing of the secret. */
	readonly errcode: number;
	/** Whether it counts towards the ban; with an errcode of 0: whether it may have. */
	readonly counts: boolean;
}

export const emptyLedger: IpLedger = { secrets: {} };

/** Whether a call may leave; else for how long it must wait, and for what. */
export type Admission =
	| { readonly kind: "go"; readonly ledger: IpLedger }
	| {
			readonly kind: "wait";
			readonly waitMs: number;
			readonly for: "limit" | "secret" | "budget" | "answer";
			/** With `secret`: how it was refused. */
			readonly errcode: number;
	  };

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

/** One less than the number of wrong secrets that is said to bring the ban. */
const maxWrong = 4;
/** With fewer nobody would find out which of the others are right. */
const minWrong = 2;
/** A call without an answer may have been refused all the same. */
const answerMs = 5 * minuteMs;
/** What was refused, accepted or learnt so long ago is forgotten. */
const forgetMs = 7 * 24 * hourMs;
/** So often the time of a secret that goes on being accepted is noted. */
const noteAgainMs = 24 * hourMs;
/** A second limit so soon after the first is not one of a minute. */
const inRowMs = 10 * minuteMs;

/** Whether anything may be sent at all. */
export function admitAny(
	{ limited }: IpLedger,
	now: number,
): Extract<Admission, { kind: "wait" }> | undefined {
	const limitedUntil = until(limited?.at, limited?.waitMs ?? 0, now);
	return limitedUntil === undefined
		? undefined
		: waitFor("limit", limitedUntil - now, 45009);
}

/** Whether that secret was accepted before, by any process, and not refused since. */
export function isProved(
	{ proved = {} }: IpLedger,
	id: string,
	now: number,
): boolean {
	return until(proved[id], forgetMs, now) !== undefined;
}

/**
 * So many wrong secrets within an hour are risked. After a ban it is one less than what
 * brought it: nobody knows how many 企业微信 lets pass.
 */
function riskedWrong({ banned }: IpLedger, now: number): number {
	if (banned === undefined || until(banned.at, forgetMs, now) === undefined)
		return maxWrong;
	return Math.max(minWrong, Math.min(maxWrong, banned.wrong - 1));
}

/** Whether that secret may be sent. */
export function admitSecret(
	ledger: IpLedger,
	id: string,
	now: number,
): Admission {
	const limit = admitAny(ledger, now);
	if (limit !== undefined) return limit;
	const { [id]: tried } = ledger.secrets;
	const isRefused = tried !== undefined && tried.errcode !== 0;
	const refusedUntil = isRefused ? until(tried.at, hourMs, now) : undefined;
	if (refusedUntil !== undefined)
		return waitFor("secret", refusedUntil - now, tried?.errcode ?? 0);
	if (isProved(ledger, id, now)) return { kind: "go", ledger };
	const counted = Object.entries(ledger.secrets)
		.filter(([other, one]) => other !== id && doesCount(one, now))
		.map(([, one]) => one);
	const risked = riskedWrong(ledger, now);
	// Those that were wrong before get half of it: others must get a chance.
	if (counted.length >= (isRefused ? risked / 2 : risked)) {
		const isAsking = counted.some(({ errcode }) => errcode === 0);
		if (isAsking) return waitFor("answer", 5_000, 0);
		const oldest = Math.min(...counted.map(({ at }) => at));
		return waitFor("budget", oldest + hourMs - now, 0);
	}
	const trying = { at: now, errcode: 0, counts: true };
	return { kind: "go", ledger: withSecret(ledger, id, trying, now) };
}

function waitFor(
	what: Extract<Admission, { kind: "wait" }>["for"],
	waitMs: number,
	errcode: number,
): Extract<Admission, { kind: "wait" }> {
	return { kind: "wait", waitMs: Math.max(1_000, waitMs), for: what, errcode };
}

function doesCount({ at, errcode, counts }: TriedSecret, now: number): boolean {
	return (
		counts && until(at, errcode === 0 ? answerMs : hourMs, now) !== undefined
	);
}

/** What an answer to that secret tells. */
export type SecretAnswer =
	| { readonly kind: "accepted" }
	/** `counts`: towards the ban. */
	| {
			readonly kind: "refused";
			readonly errcode: number;
			readonly counts: boolean;
	  }
	| { readonly kind: "limited" }
	/** Nothing about the secret. */
	| { readonly kind: "other" };

/** The ledger after an answer. */
export function afterAnswer(
	ledger: IpLedger,
	id: string,
	answer: SecretAnswer,
	now: number,
): IpLedger {
	switch (answer.kind) {
		case "accepted": {
			const { limited: _, ...rest } = withSecret(ledger, id, undefined, now);
			return { ...rest, proved: { ...provedBut(ledger, id, now), [id]: now } };
		}
		case "refused": {
			const { errcode, counts } = answer;
			const trying = { at: now, errcode, counts };
			const proved = provedBut(ledger, id, now);
			return { ...withSecret(ledger, id, trying, now), proved };
		}
		case "limited":
			return {
				...settled(ledger, id, now),
				limited: again(ledger, now),
				...learnt(ledger, now),
			};
		case "other":
			return settled(ledger, id, now);
		default:
			return answer satisfies never;
	}
}

/**
 * The ledger after a 45009 to a call without a secret. It may be the limit of one ticket,
 * so it says only that for a minute nothing leaves: what is asked with a secret then tells.
 */
export function afterLimit(ledger: IpLedger, now: number): IpLedger {
	if (admitAny(ledger, now) !== undefined) return ledger;
	const { times = 0 } = ledger.limited ?? {};
	return {
		...ledger,
		limited: { at: now, waitMs: minuteMs, times: times + 1 },
	};
}

/** What two notes tell together: of what they say of the same, the later counts. */
export function mergedLedger(
	one: IpLedger,
	other: IpLedger,
	now: number,
): IpLedger {
	const proved = laterOf([one.proved, other.proved], (at) => at, now);
	const secrets = laterOf([one.secrets, other.secrets], ageOf, now);
	for (const [id, { at }] of Object.entries(secrets)) {
		// It was accepted after that, or before.
		if ((proved[id] ?? Number.NEGATIVE_INFINITY) >= at) delete secrets[id];
		else delete proved[id];
	}
	const { limited, banned } = {
		...laterOf([onlyLimited(one), onlyLimited(other)], ({ at }) => at, now),
		...laterOf([onlyBanned(one), onlyBanned(other)], ({ at }) => at, now),
	} as Pick<IpLedger, "limited" | "banned">;
	const isOver = Object.values(proved).some((at) => at > (limited?.at ?? now));
	return {
		...{ secrets, proved },
		...(limited === undefined || isOver ? {} : { limited }),
		...(banned === undefined ? {} : { banned }),
	};
}

const onlyLimited = ({ limited }: IpLedger) => (limited ? { limited } : {});
const onlyBanned = ({ banned }: IpLedger) => (banned ? { banned } : {});

/** Within a millisecond an answer comes after the question, and a refusal says most. */
function ageOf({ at, errcode, counts }: TriedSecret): number {
	if (errcode !== 0) return at + 0.5;
	return counts ? at : at + 0.25;
}

/** By the same key the later value; without what is in the future, by a clock that was wrong. */
function laterOf<T>(
	notes: readonly (Readonly<Record<string, T>> | undefined)[],
	ageOf: (value: T) => number,
	now: number,
): Record<string, T> {
	const later: Record<string, T> = {};
	for (const note of notes)
		for (const [key, value] of Object.entries(note ?? {})) {
			const { [key]: known } = later;
			const age = ageOf(value);
			const isNews = known === undefined || age > ageOf(known);
			if (isNews && Math.floor(age) <= now) later[key] = value;
		}
	return later;
}

/** Whether an answer changes the ledger: nearly all are good ones to good secrets, and do not. */
export function isNews(
	ledger: IpLedger,
	id: string,
	{ kind }: SecretAnswer,
	now: number,
): boolean {
	if (kind === "refused" || kind === "limited") return true;
	if (ledger.limited !== undefined || id in ledger.secrets) return true;
	const notedAt = ledger.proved?.[id];
	return kind === "accepted" && until(notedAt, noteAgainMs, now) === undefined;
}

/** A limit after several wrong secrets is most likely the ban. */
function learnt(ledger: IpLedger, now: number): Pick<IpLedger, "banned"> {
	const wrong = Object.values(ledger.secrets).filter(
		(one) => one.errcode !== 0 && doesCount(one, now),
	).length;
	return wrong < minWrong ? {} : { banned: { at: now, wrong } };
}

function provedBut(
	{ proved = {} }: IpLedger,
	id: string,
	now: number,
): Readonly<Record<string, number>> {
	return Object.fromEntries(
		Object.entries(proved).filter(
			([other, at]) => other !== id && until(at, forgetMs, now) !== undefined,
		),
	);
}

/** A minute, and an hour if that was not enough. */
function again(
	{ limited }: IpLedger,
	now: number,
): NonNullable<IpLedger["limited"]> {
	const first = { at: now, waitMs: minuteMs, times: 1 };
	if (limited === undefined) return first;
	const { at, waitMs, times } = limited;
	// The answers of calls that were under way together are one refusal.
	if (until(at, waitMs, now) !== undefined) return limited;
	const isInRow = until(at, waitMs + inRowMs, now) !== undefined;
	return isInRow ? { at: now, waitMs: hourMs, times: times + 1 } : first;
}

/** Its call is over. An older note, which says that it is under way, must not win. */
function settled(ledger: IpLedger, id: string, now: number): IpLedger {
	return id in ledger.secrets
		? withSecret(ledger, id, { at: now, errcode: 0, counts: false }, now)
		: ledger;
}

function withSecret(
	ledger: IpLedger,
	id: string,
	tried: TriedSecret | undefined,
	now: number,
): IpLedger {
	const kept = Object.entries(ledger.secrets).filter(
		([other, { at }]) => other !== id && until(at, forgetMs, now) !== undefined,
	);
	const secrets = Object.fromEntries(kept);
	if (tried !== undefined) secrets[id] = tried;
	return { ...ledger, secrets };
}

/** The ledgers of all hosts as a file holds them; garbage is as good as none. */
export function decodeLedgers(
	text: string,
): Readonly<Record<string, IpLedger>> {
	try {
		const content: unknown = JSON.parse(text);
		if (!isObject(content)) return {};
		return Object.fromEntries(
			Object.entries(content).filter((entry): entry is [string, IpLedger] =>
				isLedger(entry[1]),
			),
		);
	} catch {
		return {};
	}
}

function isLedger(content: unknown): content is IpLedger {
	if (!isObject(content) || !isObject(content.secrets)) return false;
	const { limited, secrets, proved = {}, banned } = content;
	const areNumbers = (of: unknown, keys: readonly string[]) =>
		isObject(of) && keys.every((key) => Number.isFinite(of[key]));
	const isLimit =
		areNumbers(limited, ["at", "waitMs", "times"]) &&
		Number(Object(limited).waitMs) <= hourMs;
	return (
		(limited === undefined || isLimit) &&
		(banned === undefined || areNumbers(banned, ["at", "wrong"])) &&
		isObject(proved) &&
		Object.values(proved).every(Number.isFinite) &&
		Object.values(secrets).every((one) => areNumbers(one, ["at", "errcode"]))
	);
}

function isObject(content: unknown): content is Record<string, unknown> {
	return (
		typeof content === "object" && content !== null && !Array.isArray(content)
	);
}

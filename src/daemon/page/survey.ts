/**
 * All credentials in the order of the status page, and the causes of their troubles. Of
 * ten thousand it reads no files: only what the last look of their keepers has left.
 */
import type { CredentialId } from "../../core/credential.ts";
import type { CredentialStatus, Glimpse } from "../../core/status.ts";
import type { ManagedCredential } from "../../keeper/managed-credential.ts";

/** How bad a state is; the order of the page. */
export type Rank = "bad" | "warn" | "ok";

/** Why a credential is in trouble: one for all that have the same trouble. */
export interface Cause {
	/** As of `causeKey`. */
	readonly key: string;
	/** WeChat's errcode, or what happened on the way; without a failure the state. */
	readonly code: string;
}

/** A credential, how bad its state is, and why; undefined: nothing is wrong. */
export interface Ranked {
	readonly one: ManagedCredential;
	readonly rank: Rank;
	readonly cause: Cause | undefined;
}

/** All credentials. */
export interface Survey {
	/**
	 * First those without a valid value, then those that could not be renewed, of which
	 * those that end first, by the minute. Children stay below their parent, the
	 * worst of them first; the worst of a family says where it stands.
	 */
	readonly ordered: readonly Ranked[];
	readonly failing: number;
	readonly dead: number;
	/** When the first of those that fail ends, epoch ms. */
	readonly firstEnd: number;
}

/** How bad it is by its status. */
export function rankOf({
	valid,
	lastError,
}: Pick<CredentialStatus, "valid" | "lastError">): Rank {
	if (!valid) return "bad";
	return lastError === null ? "ok" : "warn";
}

/** The same for credentials that can be told about in one text; undefined: there is nothing to tell. */
export function causeKey({
	lastError,
	state,
	hint,
}: Pick<CredentialStatus, "lastError" | "state" | "hint">): string | undefined {
	if (lastError !== null) return keyOf(lastError);
	return state === "valid" ? (hint ?? undefined) : state;
}

/** The steps of looking at all; in between others may have their turn. */
export function* surveySteps(
	all: Iterable<ManagedCredential>,
	now: number,
): Generator<undefined, Survey> {
	const families = new Map<CredentialId, Family>();
	const causes = new Map<string, Cause>();
	let failing = 0;
	let dead = 0;
	let firstEnd = Number.POSITIVE_INFINITY;
	for (const one of all) {
		const seen = now < one.idleUntil ? undefined : one.glimpse(now);
		const rank = seen === undefined ? "ok" : rankAt(now, seen);
		const end = rank === "warn" ? (seen?.expiresAt ?? now) : now;
		if (rank === "bad") dead += 1;
		if (rank === "warn") {
			failing += 1;
			firstEnd = Math.min(firstEnd, end);
		}
		const cause = seen && rank !== "ok" ? causeIn(seen, causes) : undefined;
		join(families, { one, rank, cause }, end);
		yield;
	}
	const ordered = yield* inOrder(families.values());
	return { ordered, failing, dead, firstEnd };
}

/** How many of them have which cause; the steps of counting. */
export function* countSteps(
	all: readonly Ranked[],
): Generator<undefined, ReadonlyMap<Cause, readonly Ranked[]>> {
	const having = new Map<Cause, Ranked[]>();
	for (const ranked of all) {
		const { cause } = ranked;
		if (cause === undefined) continue;
		const known = having.get(cause);
		if (known === undefined) having.set(cause, [ranked]);
		else known.push(ranked);
		yield;
	}
	return having;
}

/** Those with that text in the name of their file, their appid or the code of their trouble. */
export function* searchSteps(
	all: readonly Ranked[],
	text: string,
): Generator<undefined, readonly Ranked[]> {
	const wanted = text.toLowerCase();
	const found: Ranked[] = [];
	for (const ranked of all) {
		const { file, appid } = ranked.one.credential;
		const names = `${file} ${appid} ${ranked.cause?.code ?? ""}`;
		if (names.toLowerCase().includes(wanted)) found.push(ranked);
		yield;
	}
	return found;
}

/** A credential that hangs on no other one, and its children. */
interface Family {
	/** Of the worst of them. */
	rank: Rank;
	/** When the first of those that fail ends, epoch ms. */
	firstEnd: number;
	/** The parent is the first one. */
	readonly members: Ranked[];
}

const ranks: readonly Rank[] = ["bad", "warn", "ok"];

function byRank(one: { rank: Rank }, other: { rank: Rank }): number {
	return ranks.indexOf(one.rank) - ranks.indexOf(other.rank);
}

function join(
	families: Map<CredentialId, Family>,
	ranked: Ranked,
	end: number,
): void {
	const { one, rank } = ranked;
	const [parent = one.credential.id] = one.credential.needs;
	const family = families.get(parent);
	if (family === undefined) {
		families.set(parent, { rank, firstEnd: end, members: [ranked] });
		return;
	}
	if (byRank(ranked, family) < 0 || family.rank === "ok") {
		family.rank = rank;
		family.firstEnd = end;
	} else if (rank === family.rank)
		family.firstEnd = Math.min(family.firstEnd, end);
	family.members.push(ranked);
}

/** By minutes: to sort a hundred thousand in one go would hold up others. */
function* inOrder(
	families: Iterable<Family>,
): Generator<undefined, readonly Ranked[]> {
	const minutes = { bad: minutesOf(), warn: minutesOf(), ok: minutesOf() };
	for (const family of families) {
		const minute =
			family.rank === "warn" ? Math.floor(family.firstEnd / minuteMs) : 0;
		const known = minutes[family.rank].get(minute);
		if (known === undefined) minutes[family.rank].set(minute, [family]);
		else known.push(family);
		yield;
	}
	const ordered: Ranked[] = [];
	for (const rank of ranks)
		for (const [, together] of [...minutes[rank]].sort(([a], [b]) => a - b))
			for (const { members } of together) {
				const [parent, ...children] = members;
				if (parent !== undefined) ordered.push(parent);
				if (children.length > 0) ordered.push(...children.sort(byRank));
				yield;
			}
	return ordered;
}

const minuteMs = 60_000;

function minutesOf() {
	return new Map<number, Family[]>();
}

function rankAt(now: number, { expiresAt, failure }: Glimpse): Rank {
	if (expiresAt <= now) return "bad";
	return failure === null ? "ok" : "warn";
}

/** Of one that is in trouble. */
function causeIn(
	{ failure, found }: Glimpse,
	causes: Map<string, Cause>,
): Cause {
	const state = found === "token" ? "expired" : stateOf[found];
	const key = failure === null ? state : keyOf(failure);
	const known = causes.get(key);
	if (known !== undefined) return known;
	const cause = { key, code: failure?.code ?? state };
	causes.set(key, cause);
	return cause;
}

const stateOf = { absent: "missing", unusable: "unusable" } as const;

function keyOf({
	code,
	hint,
}: Pick<NonNullable<CredentialStatus["lastError"]>, "code" | "hint">): string {
	return `${code}\n${hint}`;
}

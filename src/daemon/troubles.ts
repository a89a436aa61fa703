/**
 * What people are to be told, and what they were told: one message when a trouble
 * begins, one when it is over. It reads the status of the few credentials that a
 * keeper's event points to, and touches nothing outside.
 */
import type { Clock } from "../core/clock.ts";
import type { KeeperEvent } from "../core/ports.ts";
import type { CredentialStatus } from "../core/status.ts";
import { type Trouble, troubleIn } from "../core/trouble.ts";
import type { Told } from "./alert-text.ts";

/** A credential that something was, or may be, wrong with. */
interface Entry {
	trouble: Trouble | undefined;
	/** `due`: to be told; `told`: it was. */
	phase: "watched" | "due" | "told";
	/** Epoch ms; undefined: it lasts. */
	endedAt: number | undefined;
	/** When its status is read again, epoch ms. */
	lookAt: number;
	/** An event has shown that it is mended. */
	isMended: boolean;
}

/** What outlives the process: a trouble that was told, or is still to be told. */
export interface Remembered {
	readonly credential: string;
	readonly phase: "due" | "told";
	readonly trouble: Trouble;
	readonly endedAt?: number;
	/** It is no state of the credential, but an event, which has no end. */
	readonly isEvent?: true;
}

/** The troubles of all credentials. Each method is cheap while nothing is wrong. */
export interface Troubles {
	/** Takes every event of every keeper; true if something new may have to be told. */
	note(credential: string, event: KeeperEvent): boolean;
	/** Something that no status shows, and that has no end: it is told once. */
	happened(credential: string, trouble: Trouble): void;
	/** Its status is read at the next look, without an event. */
	watch(credential: string): void;
	/**
	 * Reads the statuses that are due, in order, until `isLate`: then the rest is due at
	 * once. `afterMs`: as in `troubleIn`.
	 */
	look(afterMs: number, isLate: () => boolean): void;
	/** What is to be told now, begun or over. */
	news(): readonly Told[];
	/** These were told, as `news` gave them. */
	told(news: readonly Told[]): void;
	remembered(): readonly Remembered[];
	/** Another number whenever `remembered` may give something else. */
	changes(): number;
}

export interface TroublesParts {
	/** Of a file; undefined: it is not kept any more. */
	readonly statusOf: (credential: string) => CredentialStatus | undefined;
	readonly clock: Clock;
	/** Of an earlier process. */
	readonly remembered: readonly Remembered[];
}

/** A trouble that was told is looked at again after this time, also without an event. */
const relookMs = 300_000;

/** More are not remembered: the oldest is forgotten, for example while the robot is down. */
const maxEvents = 1_000;

export function createTroubles(parts: TroublesParts): Troubles {
	const { statusOf, clock } = parts;
	const entries = new Map<string, Entry>(
		parts.remembered
			.filter(({ isEvent }) => !isEvent)
			.map(({ credential, phase, trouble, endedAt }) => [
				credential,
				{ phase, trouble, endedAt, lookAt: clock.now(), isMended: false },
			]),
	);
	/** Still to be told. */
	let events: readonly Told[] = parts.remembered
		.filter(({ isEvent }) => isEvent)
		.map(({ credential, trouble }) => ({
			...{ credential, trouble, endedAt: undefined },
		}));

	let changes = 0;

	const note = (credential: string, event: KeeperEvent) => {
		const role = roleOf(event);
		const known = entries.get(credential);
		if (role === "none" || (role !== "hurts" && known === undefined))
			return false;
		const entry = known ?? watched();
		entry.lookAt = clock.now();
		if (role !== "tells") entry.isMended = role === "mends";
		entries.set(credential, entry);
		return true;
	};

	const lookAt = (credential: string, entry: Entry, afterMs: number) => {
		const now = clock.now();
		const status = statusOf(credential);
		if (status === undefined) {
			if (entries.delete(credential)) changes += 1;
			return;
		}
		// To the end of the line: with thousands of them each has its turn.
		entries.delete(credential);
		entries.set(credential, entry);
		entry.lookAt = now + relookMs;
		const before = { ...entry };
		const found = troubleIn(status, now, afterMs);
		if (found !== undefined) takeUp(entry, found, now);
		else if (entry.phase === "watched") {
			// A lock that is held, or a used-up budget: it is late only if this lasts.
			const isOpen = status.waitsFor !== null || isDue(status, now);
			if (!isOpen) entries.delete(credential);
		} else if (entry.endedAt === undefined && isOver(entry, status))
			entry.endedAt = now;
		if (before.phase !== entry.phase || before.endedAt !== entry.endedAt)
			changes += 1;
	};

	return {
		note,
		happened: (credential, trouble) => {
			changes += 1;
			events = [
				...events.slice(1 - maxEvents),
				{ credential, trouble, endedAt: undefined },
			];
		},
		watch: (credential) => {
			if (!entries.has(credential)) entries.set(credential, watched());
		},
		look: (afterMs, isLate) => {
			const now = clock.now();
			for (const [credential, entry] of entries) {
				if (entry.lookAt > now) continue;
				if (isLate()) return;
				lookAt(credential, entry, afterMs);
			}
		},
		news: () => [
			...events,
			...[...entries].flatMap(([name, entry]) => newsOf(name, entry)),
		],
		told: (news) => {
			changes += 1;
			const told = events.filter((one) => news.includes(one));
			events = events.filter((one) => !told.includes(one));
			for (const { credential, trouble, endedAt } of news.filter(
				(one) => !told.includes(one),
			)) {
				const entry = entries.get(credential);
				if (entry === undefined) continue;
				if (endedAt === undefined) {
					// What has come to need a person meanwhile is told once more.
					if (entry.trouble?.needsPerson === trouble.needsPerson)
						entry.phase = "told";
				} else if (entry.endedAt === endedAt) entries.delete(credential);
				// It was told to be over, and is back.
				else entry.phase = "due";
			}
		},
		changes: () => changes,
		remembered: () => [
			...events.map(
				({ credential, trouble }): Remembered => ({
					...{ credential, trouble, phase: "due", isEvent: true },
				}),
			),
			...[...entries].flatMap(([credential, { phase, trouble, endedAt }]) =>
				phase === "watched" || trouble === undefined
					? []
					: [
							{
								...{ credential, phase, trouble },
								...(endedAt === undefined ? {} : { endedAt }),
							},
						],
			),
		],
	};
}

function watched(): Entry {
	return {
		trouble: undefined,
		phase: "watched",
		endedAt: undefined,
		lookAt: 0,
		isMended: false,
	};
}

/**
 * Whether an event points to a trouble, or to the end of one; `tells`: perhaps to an
 * end, as another process has a new value.
 */
function roleOf(event: KeeperEvent): "hurts" | "mends" | "tells" | "none" {
	switch (event.kind) {
		case "failed":
		case "expired":
		case "overwritten":
		case "budget-exceeded":
		case "lock-busy":
		case "lock-lost":
			return "hurts";
		case "refreshed":
		case "repaired":
			return "mends";
		case "adopted":
		case "shared":
			return "tells";
		case "forced":
		case "asked":
		case "probed":
			return "none";
		default:
			return event satisfies never;
	}
}

/** The trouble lasts, or begins, or begins again before its end was told. */
function takeUp(entry: Entry, found: Trouble, now: number): void {
	const before = entry.trouble;
	// A trouble without a failure has no beginning of its own.
	const since =
		before?.code === found.code && found.kind === "none"
			? before.since
			: found.since;
	entry.trouble = { ...found, since };
	entry.endedAt = undefined;
	entry.isMended = false;
	const isWorse =
		entry.phase === "told" &&
		found.needsPerson &&
		before?.needsPerson === false;
	if (isWorse) entry.phase = "due";
	if (entry.phase === "watched") {
		if (found.tellAt <= now) entry.phase = "due";
		else entry.lookAt = Math.min(entry.lookAt, found.tellAt);
	}
}

/**
 * Nothing is wrong with it. That alone is no proof: a process that has just begun has
 * no failure of its own yet.
 */
function isOver(
	{ trouble, isMended }: Entry,
	{ valid, lastRefresh, foreignFetcher, waitsFor }: CredentialStatus,
): boolean {
	if (trouble === undefined || !valid || waitsFor !== null) return false;
	if (trouble.code === "foreign-fetcher") return !foreignFetcher;
	const renewedAt = lastRefresh === null ? 0 : Date.parse(lastRefresh.at);
	return isMended || renewedAt > trouble.since;
}

function isDue({ nextRefreshAt }: CredentialStatus, now: number): boolean {
	return nextRefreshAt !== null && Date.parse(nextRefreshAt) <= now;
}

function newsOf(
	credential: string,
	{ trouble, phase, endedAt }: Entry,
): readonly Told[] {
	if (trouble === undefined) return [];
	const isNews = phase === "due" || (phase === "told" && endedAt !== undefined);
	return isNews ? [{ credential, trouble, endedAt }] : [];
}

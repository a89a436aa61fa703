import { basename, dirname, join } from "node:path";

/**
 * What the keepers of one credential, in any number of processes, tell each other.
 * It lies beside the token file as `.<file>.state` and holds no secret: a record
 * per line, of which the one with the highest fence counts. Without it (deleted,
 * garbled) everything still works, at the cost of one more fetch.
 */
export interface SharedRecord {
	/**
	 * Which hold of the lock wrote this record: of several records the one with the
	 * highest fence counts. So what a writer adds after it lost its lock has no
	 * effect. Absent in records of older versions: there the generation stands for it.
	 */
	readonly fence?: number;
	/**
	 * The account and the server that all of it is about, as `Credential.source`. A
	 * record of another one is not ours. Absent in records of older versions.
	 */
	readonly source?: string;
	/** `tokenId` of a token on disk that is of another source: it is not ours to adopt. */
	readonly foreign?: string;
	/**
	 * Orders publications: the higher one is the newer, whatever the clocks say.
	 * Each is above the last one, and at least the time (epoch ms): so the order
	 * holds also after this file was lost.
	 */
	readonly generation: number;
	/** The token last published. Written just before its file is renamed into place. */
	readonly published?: Publication;
	/**
	 * The number that a fleet of hosts gave to the publication of that token (by its
	 * `tokenId`): the higher one is the newer on all of them. Absent, or of another
	 * token: no fleet knows the published one yet.
	 */
	readonly numbered?: { readonly id: string; readonly number: number };
	/**
	 * Instants of this record are by the time of a fleet. Less this they are by the
	 * clock of the host, as the end in the token file is; ms. Absent: 0.
	 */
	readonly shiftMs?: number;
	/**
	 * The intent to send a request that may change the token at WeChat: written
	 * before the request leaves. It counts for as long as the file still holds the
	 * token that the request was to replace.
	 */
	readonly inFlight?: Intent;
	/** No attempt before `at + waitMs`, and the failure that is the reason, if any. */
	readonly pause?: Pause;
	/** The last forced refresh: when it started, in which process. */
	readonly forced?: { readonly at: number; readonly by: string };
	/** When WeChat was called, for the budget; epoch ms, ascending. */
	readonly calls: readonly number[];
	/** When `force_refresh` was sent to the stable interface, for its 20 a day. */
	readonly forceCalls: readonly number[];
	/** When tokens were found dead long before their end. */
	readonly diedEarly: readonly number[];
}

/** What is remembered of a token that was published. */
export interface Publication {
	/** `tokenId` of the token. */
	readonly id: string;
	readonly expiresAt: number;
	/** From WeChat's `expires_in`. */
	readonly lifetimeMs: number;
	/** When its request was sent. */
	readonly fetchedAt: number;
	/** Why it was fetched; see `Reason` in request.ts. */
	readonly reason: string;
	/** As `KnownToken.sighting`. */
	readonly sighting?: {
		readonly seenAt: number;
		readonly endsAt: number;
		readonly endsBy: number;
		readonly isGuessed: boolean;
	};
}

/** See `SharedRecord.inFlight`. */
export interface Intent {
	/** `tokenId` of the token on disk before; "" if there was none. */
	readonly replaces: string;
	readonly at: number;
	readonly by: ProcessName;
	/** Which instance of the lock directory the process held. */
	readonly lock: string;
}

/** Enough to tell whether a process on this machine still lives. */
export interface ProcessName {
	/** Random, new in each process. */
	readonly instance: string;
	readonly pid: number;
	/** Clock ticks since boot at which it started; tells a reused pid. */
	readonly startTicks: string;
	/** The boot and the pid namespace in which `pid` means something; "" if unknown. */
	readonly realm: string;
}

/** When the next attempt may be made, and why not before. */
export interface Pause {
	/** Epoch ms. */
	readonly at: number;
	readonly waitMs: number;
	/**
	 * Whose pause it is; absent: everybody's, as a quota is the account's. See
	 * `ownerOfPause` in transition.ts.
	 */
	readonly of?: string;
	readonly failure?: Failure;
}

/** A failed attempt, as it is remembered and shown. */
export interface Failure {
	/** `IssuerErrorKind` or `StoreErrorKind`. */
	readonly kind: string;
	readonly code: string;
	readonly message: string;
	readonly hint: string;
	readonly rid?: string;
	/** How often in a row, this one included. */
	readonly attempts: number;
	/** When the row began. */
	readonly since: number;
}

/** The record of a credential that no keeper has seen yet. */
export const emptyRecord: SharedRecord = {
	generation: 0,
	calls: [],
	forceCalls: [],
	diedEarly: [],
};

/** What an account has used of its quotas, which outlives a record that was deleted. */
export type Usage = Pick<SharedRecord, "calls" | "forceCalls">;

/** The record with what was used before, if nothing stands in it: the file is gone, or was emptied. */
export function withUsage(record: SharedRecord, used: Usage): SharedRecord {
	const { published, inFlight, pause, calls } = record;
	const isBlank =
		calls.length === 0 &&
		published === undefined &&
		inFlight === undefined &&
		pause === undefined;
	if (!isBlank || used.calls.length + used.forceCalls.length === 0)
		return record;
	return { ...record, calls: used.calls, forceCalls: used.forceCalls };
}

/** Beside a token file of that name lies its state under this one. */
export function recordNameOf(file: string): string {
	return `.${file}.state`;
}

export function recordPathOf(tokenPath: string): string {
	return join(dirname(tokenPath), recordNameOf(basename(tokenPath)));
}

/** Which token file (by its name) a file of that name belongs to: itself, or its state. */
export function tokenFileOf(name: string): string {
	const isState = name.startsWith(".") && name.endsWith(".state");
	return isState ? name.slice(1, -".state".length) : name;
}

/** A record of the state file: one line. */
export function encodeRecord({ fence, ...state }: SharedRecord): string {
	return JSON.stringify(fence === undefined ? state : { fence, ...state });
}

/**
 * The record with the highest fence among the lines; the last one, if several have
 * it. Anything else, such as half a record, is passed over; without any the state is
 * the empty one: it is a memory, not a truth.
 */
export function decodeRecord(text: string): SharedRecord {
	let newest: SharedRecord | undefined;
	for (let end = text.length; end > 0; ) {
		const start = text.lastIndexOf("\n", end - 1) + 1;
		const line = text.slice(start, end);
		end = start - 1;
		// Parsing costs most, and a lower fence is told by the first characters.
		if (newest !== undefined && fenceAtStart(line) <= fenceOf(newest)) continue;
		const state = recordIn(line);
		if (state === undefined) continue;
		if (newest === undefined || fenceOf(state) > fenceOf(newest))
			newest = state;
	}
	return newest ?? emptyRecord;
}

/** The same record, whose token ends by the clock of the host. */
export function inHostTime(record: SharedRecord): SharedRecord {
	const { shiftMs = 0, published, ...rest } = record;
	if (shiftMs === 0 || published === undefined) return record;
	const expiresAt = published.expiresAt - shiftMs;
	return { ...rest, published: { ...published, expiresAt } };
}

/** What orders the records of a state file; see `SharedRecord.fence`. */
export function fenceOf({ fence, generation }: SharedRecord): number {
	return fence ?? generation;
}

/** The fence of a record that begins with it; infinite if it must be parsed to tell. */
function fenceAtStart(line: string): number {
	const [, fence] = /^\{"fence":(\d{1,16}),/.exec(line) ?? [];
	return fence === undefined ? Number.POSITIVE_INFINITY : Number(fence);
}

function recordIn(line: string): SharedRecord | undefined {
	// A record is never that short.
	if (line.length < 2) return undefined;
	let content: unknown;
	try {
		content = JSON.parse(line);
	} catch {
		return undefined;
	}
	return isSharedRecord(content) ? content : undefined;
}

function isSharedRecord(content: unknown): content is SharedRecord {
	if (!isRecord(content)) return false;
	const { fence, source, foreign, generation, published } = content;
	const { inFlight, pause, forced, numbered, shiftMs } = content;
	return (
		isAbsentOr(numbered, { id: isText, number: isInstant }) &&
		(shiftMs === undefined ||
			isInstant(Math.abs(Number(shiftMs ?? Number.NaN)))) &&
		(fence === undefined || isInstant(fence)) &&
		(source === undefined || isText(source)) &&
		(foreign === undefined || isText(foreign)) &&
		isInstant(generation) &&
		["calls", "forceCalls", "diedEarly"].every((key) =>
			isInstants(content[key]),
		) &&
		isAbsentOr(published, {
			id: isText,
			reason: isText,
			expiresAt: isInstant,
			lifetimeMs: isSpan,
			fetchedAt: isInstant,
			sighting: isSighting,
		}) &&
		isAbsentOr(inFlight, {
			replaces: isText,
			lock: isText,
			at: isInstant,
			by: isProcessName,
		}) &&
		isAbsentOr(pause, { at: isInstant, waitMs: isSpan, failure: isFailure }) &&
		(!isRecord(pause) || pause.of === undefined || isText(pause.of)) &&
		isAbsentOr(forced, { by: isText, at: isInstant })
	);
}

function isProcessName(content: unknown): boolean {
	return (
		content !== undefined &&
		isAbsentOr(content, {
			instance: isText,
			startTicks: isText,
			realm: isText,
			pid: isInstant,
		})
	);
}

function isSighting(content: unknown): boolean {
	return isAbsentOr(content, {
		seenAt: isInstant,
		endsAt: isInstant,
		endsBy: isInstant,
		isGuessed: (one) => typeof one === "boolean",
	});
}

function isFailure(content: unknown): boolean {
	return isAbsentOr(content, {
		kind: isText,
		code: isText,
		message: isText,
		hint: isText,
		attempts: isInstant,
		since: isInstant,
	});
}

type Check = (content: unknown) => boolean;

function isAbsentOr(
	content: unknown,
	fields: Readonly<Record<string, Check>>,
): boolean {
	if (content === undefined) return true;
	return (
		isRecord(content) &&
		Object.entries(fields).every(([key, check]) => check(content[key]))
	);
}

function isRecord(content: unknown): content is Record<string, unknown> {
	return typeof content === "object" && content !== null;
}

/** What `Date` can hold: a larger number would throw wherever it is shown. */
const maxInstant = 8.64e15;
/** The longest wait that WeChat ever asked for is a day. */
const maxSpanMs = 7 * 86_400_000;
/** Twice the largest `budget` that can be configured. */
const maxCalls = 20_000;
const maxTextLength = 4_096;

/** Also of a count, or of a generation, which is at least the time. */
function isInstant(content: unknown): boolean {
	return (
		typeof content === "number" &&
		Number.isFinite(content) &&
		content >= 0 &&
		content <= maxInstant
	);
}

function isSpan(content: unknown): boolean {
	return isInstant(content) && (content as number) <= maxSpanMs;
}

function isText(content: unknown): boolean {
	return typeof content === "string" && content.length <= maxTextLength;
}

function isInstants(content: unknown): boolean {
	return (
		Array.isArray(content) &&
		content.length <= maxCalls &&
		content.every(isInstant)
	);
}

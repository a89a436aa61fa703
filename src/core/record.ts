import { basename, dirname, join } from "node:path";

/**
 * What the keepers of one account, in any number of processes, tell each other.
 * It lies beside the token file as `.<file>.state` and holds no secret: a record
 * per line, of which the last one counts. Without it (deleted, garbled)
 * everything still works, with a fetch more than needed.
 */
export interface AccountState {
	/**
	 * Which hold of the lock wrote this record: of several records the one with the
	 * highest fence counts. So what a writer adds after it lost its lock has no
	 * effect. Absent in records of older versions: there the generation stands for it.
	 */
	readonly fence?: number;
	/**
	 * Orders publications: the higher one is the newer, whatever the clocks say.
	 * Each is above the last one, and at least the time (epoch ms): so the order
	 * holds also after this file was lost.
	 */
	readonly generation: number;
	/** The token last published. Written just before its file is renamed into place. */
	readonly published?: Publication;
	/**
	 * The mark of a request that may have changed the token at WeChat: written
	 * before the request leaves. It stands for as long as the file still holds the
	 * token that the request was to replace.
	 */
	readonly inFlight?: InFlight;
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

export interface Publication {
	/** `tokenId` of the token. */
	readonly id: string;
	readonly expiresAt: number;
	/** From WeChat's `expires_in`. */
	readonly lifetimeMs: number;
	/** When its request was sent. */
	readonly fetchedAt: number;
	/** Why it was fetched; see `Reason` in policy.ts. */
	readonly reason: string;
}

export interface InFlight {
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
	/** The boot and the pid namespace in which `pid` means something. */
	readonly realm: string;
}

export interface Pause {
	readonly at: number;
	readonly waitMs: number;
	readonly failure?: Failure;
}

export interface Failure {
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

export const emptyState: AccountState = {
	generation: 0,
	calls: [],
	forceCalls: [],
	diedEarly: [],
};

/** Beside a token file of that name lies its state under this one. */
export function stateNameOf(file: string): string {
	return `.${file}.state`;
}

export function statePathOf(tokenPath: string): string {
	return join(dirname(tokenPath), stateNameOf(basename(tokenPath)));
}

/** Which token file (by its name) a file of that name belongs to: itself, or its state. */
export function tokenFileOf(name: string): string {
	const isState = name.startsWith(".") && name.endsWith(".state");
	return isState ? name.slice(1, -".state".length) : name;
}

/** A record of the state file: one line. */
export function encodeState({ fence, ...state }: AccountState): string {
	return JSON.stringify(fence === undefined ? state : { fence, ...state });
}

/**
 * The record with the highest fence among the lines; the last one, if several have
 * it. Anything else, such as half a record, is passed over; without any the state is
 * the empty one: it is a memory, not a truth.
 */
export function decodeState(text: string): AccountState {
	let newest: AccountState | undefined;
	for (let end = text.length; end > 0; ) {
		const start = text.lastIndexOf("\n", end - 1) + 1;
		const line = text.slice(start, end);
		end = start - 1;
		// Parsing costs most, and a lower fence is told by the first characters.
		if (newest !== undefined && fenceAtStart(line) <= fenceOf(newest)) continue;
		const state = stateIn(line);
		if (state === undefined) continue;
		if (newest === undefined || fenceOf(state) > fenceOf(newest))
			newest = state;
	}
	return newest ?? emptyState;
}

/** What orders the records of a state file; see `AccountState.fence`. */
export function fenceOf({ fence, generation }: AccountState): number {
	return fence ?? generation;
}

/** The fence of a record that begins with it; infinite if it must be parsed to tell. */
function fenceAtStart(line: string): number {
	const [, fence] = /^\{"fence":(\d{1,16}),/.exec(line) ?? [];
	return fence === undefined ? Number.POSITIVE_INFINITY : Number(fence);
}

function stateIn(line: string): AccountState | undefined {
	// A record is never that short.
	if (line.length < 2) return undefined;
	let content: unknown;
	try {
		content = JSON.parse(line);
	} catch {
		return undefined;
	}
	return isState(content) ? content : undefined;
}

function isState(content: unknown): content is AccountState {
	if (!isRecord(content)) return false;
	const { fence, generation, published, inFlight, pause, forced } = content;
	return (
		(fence === undefined || isNumber(fence)) &&
		isNumber(generation) &&
		["calls", "forceCalls", "diedEarly"].every((key) =>
			isTimes(content[key]),
		) &&
		isAbsentOr(
			published,
			["id", "reason"],
			["expiresAt", "lifetimeMs", "fetchedAt"],
		) &&
		isAbsentOr(inFlight, ["replaces", "lock"], ["at"]) &&
		(!isRecord(inFlight) ||
			(isRecord(inFlight.by) &&
				isAbsentOr(
					inFlight.by,
					["instance", "startTicks", "realm"],
					["pid"],
				))) &&
		isAbsentOr(pause, [], ["at", "waitMs"]) &&
		(!isRecord(pause) ||
			isAbsentOr(
				pause.failure,
				["kind", "code", "message", "hint"],
				["attempts", "since"],
			)) &&
		isAbsentOr(forced, ["by"], ["at"])
	);
}

function isAbsentOr(
	content: unknown,
	strings: readonly string[],
	numbers: readonly string[],
): boolean {
	if (content === undefined) return true;
	return (
		isRecord(content) &&
		strings.every((key) => typeof content[key] === "string") &&
		numbers.every((key) => isNumber(content[key]))
	);
}

function isRecord(content: unknown): content is Record<string, unknown> {
	return typeof content === "object" && content !== null;
}

function isNumber(content: unknown): content is number {
	return typeof content === "number" && Number.isFinite(content);
}

function isTimes(content: unknown): boolean {
	return Array.isArray(content) && content.every(isNumber);
}

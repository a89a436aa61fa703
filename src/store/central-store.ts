/**
 * The store of a host that follows a central wxtokend over HTTP: it asks for what is
 * newer, and waits for it. What it hands on are forced refreshes and reports. Nothing
 * that the central server lacks or loses makes a file worse.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import { type Credential, usualLifetimeMs } from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import { createFleetClock, type FleetClock } from "../core/fleet-clock.ts";
import { numberOf, withNumber } from "../core/fleet-record.ts";
import type {
	Fleet,
	FleetStatus,
	Lease,
	Purpose,
	Slot,
	Store,
} from "../core/ports.ts";
import type { SharedRecord } from "../core/record.ts";
import { isTokenValue, type Token, tokenId } from "../core/token.ts";
import {
	type CentralAnswer,
	type CentralLink,
	CentralSilent,
	type CentralTarget,
	createCentralLink,
} from "./central-link.ts";
import { openInFleetTime, withoutFetching } from "./fleet-slot.ts";

export interface CentralFleetOptions {
	readonly target: CentralTarget;
	/** The name of this host, for people. */
	readonly host: string;
	readonly hostClock: Clock;
	/** 0 to 1. */
	readonly random: () => number;
	readonly stopping: AbortSignal;
	readonly onFollowed: (of: Credential) => void;
	readonly onTrouble: (of: Credential, error: StoreError) => void;
	readonly onUp: (address: string, offsetMs: number) => void;
	readonly onDown: (problem: CentralProblem) => void;
	readonly onBug: (error: unknown) => void;
}

/** Why the central server cannot be used, for a person. */
export interface CentralProblem {
	readonly message: string;
	readonly hint: string;
}

/** So many wait at the server for news; of more, each is asked for in turn. */
const maxWaiting = 64;
const waitSeconds = 60;
const askEveryMs = 5_000;
const callTimeoutMs = 10_000;
/** As long as the server itself lets a refresh take. */
const refreshTimeoutMs = 125_000;
const lockTimeoutMs = 2_000;
/** The header tells whole seconds. */
const minSkewMs = 2_000;

/** Follows from `keep` on, until it is closed. */
export function openCentralFleet(options: CentralFleetOptions): Fleet {
	const { target, hostClock, onBug } = options;
	const clock = createFleetClock(hostClock);
	const state = createState(options, clock);
	const link = createCentralLink(target, hostClock.monotonic);
	const parts: CentralParts = { options, clock, link, state };
	/** What is followed now; a new list ends the loops of the former one. */
	let following = new AbortController();
	let firsts: readonly Promise<void>[] = [];

	return {
		clock,
		shared: (credential) => ({ ...credential, isFollowed: true }),
		storeOver: (local) => ({
			...local,
			open: (credential, remembered) =>
				openSlot(parts, credential, local, remembered),
		}),
		keep: (local, credentials) => {
			following.abort();
			following = new AbortController();
			const { signal } = following;
			const waits = credentials.length <= maxWaiting;
			firsts = credentials.map((credential) => {
				const member = { credential, local, waits, signal };
				const first = follow(parts, member, 0).then(() => {});
				void first.then(() => followOn(parts, member)).catch(onBug);
				return first;
			});
		},
		// It follows accounts only: the configuration sees to it.
		add: () => {},
		drop: () => {},
		share: () => undefined,
		connected: async () => {},
		agreed: async (timeoutMs) => {
			const late = sleep(timeoutMs, undefined, { ref: false });
			await Promise.race([Promise.all(firsts), late]);
		},
		status: async () => statusOf(options, clock, state.problem()),
		counts: () => ({
			...{ leaseWaits: 0, offers: 0, lostLeases: 0 },
			...state.counts(),
		}),
		close: async () => {
			following.abort();
			link.close();
		},
	};
}

/** Why that server cannot be followed; undefined: it can. */
export async function checkCentral(
	target: CentralTarget,
	monotonic: () => number,
): Promise<CentralProblem | undefined> {
	const link = createCentralLink(target, monotonic);
	try {
		// Who may not have a token is refused before it is looked for.
		const path = "/v1/credentials/wxtokend-check/token";
		const answer = await link.call("GET", path, { timeoutMs: callTimeoutMs });
		return answer.status === 404
			? undefined
			: refusedBy(answer, { file: "any value" }, target);
	} catch (error) {
		if (!(error instanceof CentralSilent)) throw error;
		return silentAt(target, error);
	} finally {
		link.close();
	}
}

interface CentralParts {
	readonly options: CentralFleetOptions;
	readonly clock: FleetClock;
	readonly link: CentralLink;
	readonly state: State;
}

interface CentralMember {
	readonly credential: Credential;
	readonly local: Store;
	/** It waits at the server. */
	readonly waits: boolean;
	readonly signal: AbortSignal;
}

type State = ReturnType<typeof createState>;

/** Whether the server answers, told once at each change. */
function createState(options: CentralFleetOptions, clock: FleetClock) {
	let problem: CentralProblem | "unknown" | undefined = "unknown";
	const counted = { followed: 0, calls: 0, callsMs: 0 };
	return {
		problem: () => (problem === "unknown" ? undefined : problem),
		counts: () => ({ ...counted }),
		followed: () => {
			counted.followed += 1;
		},
		up: ({ serverTime, roundTripMs }: CentralAnswer) => {
			counted.calls += 1;
			counted.callsMs += roundTripMs;
			if (serverTime !== undefined) {
				const now = serverTime + 500 + roundTripMs / 2;
				if (Math.abs(now - clock.now()) > minSkewMs) clock.sync(now, 0);
			}
			if (problem !== undefined)
				options.onUp(options.target.url, clock.offsetMs());
			problem = undefined;
		},
		down: (found: CentralProblem) => {
			problem = found;
			options.onDown(found);
		},
	};
}

async function followOn(
	parts: CentralParts,
	member: CentralMember,
): Promise<void> {
	const { signal } = member;
	for (let failures = 0; !signal.aborted; ) {
		const isAnswered = await follow(
			parts,
			member,
			member.waits ? waitSeconds : 0,
		);
		failures = isAnswered ? 0 : failures + 1;
		const pauseMs =
			isAnswered && member.waits
				? 0
				: Math.min(askEveryMs, 500 * 2 ** failures) *
					(0.5 + parts.options.random());
		await sleep(pauseMs, undefined, { signal }).catch(() => {});
	}
}

/** Asks once for what is newer, and takes it over. False: there was no answer. */
async function follow(
	parts: CentralParts,
	member: CentralMember,
	wait: number,
): Promise<boolean> {
	const { credential, local, signal } = member;
	const { link, state, options, clock } = parts;
	const slot = openInFleetTime(local, credential, clock);
	const path = tokenPath(credential);
	try {
		const known = numberOf(slot.record());
		let answer = await link.call(
			"GET",
			`${path}?newer_than=${known}&wait=${wait}`,
			{ timeoutMs: wait * 1_000 + callTimeoutMs },
		);
		// It may have lost its count: then another value is the newer one.
		if (answer.status === 304)
			answer = await link.call("GET", `${path}?newer_than=0&wait=0`, {
				timeoutMs: callTimeoutMs,
			});
		if (signal.aborted) return true;
		state.up(answer);
		// 503, 304: it has none itself; its own status says why.
		if (answer.status === 200) await takeOver(parts, member, slot, answer);
		else if (![304, 503].includes(answer.status)) {
			state.down(refusedBy(answer, credential, options.target));
			return false;
		}
		return true;
	} catch (error) {
		if (signal.aborted) return true;
		if (error instanceof CentralSilent) {
			clock.unsync();
			state.down(silentAt(options.target, error));
		} else if (error instanceof StoreError)
			options.onTrouble(credential, error);
		else throw error;
		return false;
	}
}

async function takeOver(
	{ clock, state, options }: CentralParts,
	{ credential }: CentralMember,
	slot: Slot,
	{ content = {} }: CentralAnswer,
): Promise<void> {
	const { value, expire, generation } = content;
	if (!isTokenValue(value) || typeof expire !== "number") return;
	const now = clock.now();
	const token: Token = { value, expiresAt: Math.floor(expire) * 1_000 };
	const id = tokenId(value);
	if (slot.record().published?.id === id || token.expiresAt <= now) return;
	const lease = await slot.acquire(lockTimeoutMs, { kind: "repair" });
	// Another process of this host has it, and does the same.
	if (lease === undefined) return;
	try {
		const local = slot.record();
		if (local.published?.id === id) return;
		const number = Math.max(Number(generation) || 0, numberOf(local) + 1);
		await lease.publish(token, recordOf(local, credential, token, number, now));
	} finally {
		await lease.release();
	}
	state.followed();
	options.onFollowed(credential);
}

/** What is known of a value of the central server: not when it was fetched, nor why. */
function recordOf(
	local: SharedRecord,
	{ source }: Credential,
	{ value, expiresAt }: Token,
	number: number,
	now: number,
): SharedRecord {
	const { pause: _, inFlight: __, ...rest } = local;
	return withNumber(
		{
			...rest,
			source,
			generation: Math.max(number, local.generation + 1),
			published: {
				id: tokenId(value),
				expiresAt,
				lifetimeMs: Math.max(usualLifetimeMs, expiresAt - now),
				fetchedAt: Math.floor(now),
				reason: "found",
			},
		},
		number,
	);
}

function openSlot(
	parts: CentralParts,
	credential: Credential,
	local: Store,
	remembered: Parameters<Store["open"]>[1],
): Slot {
	const slot = openInFleetTime(local, credential, parts.clock, remembered);
	return {
		...slot,
		acquire: (timeoutMs, purpose = { kind: "refresh" }) =>
			purpose.kind === "repair" || !credential.isFollowed
				? slot.acquire(timeoutMs, purpose)
				: askCentral(parts, credential, local, slot, timeoutMs, purpose),
	};
}

/** The central server refreshes; what it publishes then is taken over. */
async function askCentral(
	parts: CentralParts,
	credential: Credential,
	local: Store,
	slot: Slot,
	timeoutMs: number,
	{ stale, isWanted = () => true }: Extract<Purpose, { kind: "refresh" }>,
): Promise<Lease | undefined> {
	if (timeoutMs === 0 || !isWanted()) return undefined;
	const { link, options } = parts;
	const reading = slot.read();
	const value = reading.kind === "token" ? reading.token.value : "";
	const isStale = stale !== undefined && stale === tokenId(value);
	const path = `/v1/credentials/${credential.file}/refresh`;
	let answer: CentralAnswer;
	try {
		answer = await link.call("POST", path, {
			timeoutMs: refreshTimeoutMs,
			...(isStale && { body: JSON.stringify({ stale: value }) }),
		});
	} catch (error) {
		if (!(error instanceof CentralSilent)) throw error;
		throw unreachable(silentAt(options.target, error), "central-unreachable");
	}
	if (answer.status !== 200) {
		const code = String(answer.content?.code ?? "central-unreachable");
		throw unreachable(refusedBy(answer, credential, options.target), code);
	}
	const signal = options.stopping;
	await follow(parts, { credential, local, waits: true, signal }, 0);
	const lease = await slot.acquire(timeoutMs);
	return lease && withoutFetching(lease, credential.file);
}

function tokenPath({ file }: Credential): string {
	return `/v1/credentials/${file}/token`;
}

function unreachable(
	{ message, hint }: CentralProblem,
	code: string,
): StoreError {
	return new StoreError(
		"unreachable",
		`could not ask the central wxtokend: ${message}`,
		hint,
		code,
	);
}

function silentAt(
	{ url }: CentralTarget,
	error: CentralSilent,
): CentralProblem {
	return {
		message: `${url}: ${error.message}`,
		hint: "look whether the central wxtokend runs and has [http], and whether this host reaches it; with a certificate of an own authority set ca_file",
	};
}

function refusedBy(
	{ status, content = {} }: CentralAnswer,
	{ file }: Pick<Credential, "file">,
	{ url }: CentralTarget,
): CentralProblem {
	const hints: Readonly<Record<number, string>> = {
		401: "compare bearer_file below [fleet] with that below [http] of the central wxtokend",
		403: "set bearer_file below [http] of the central wxtokend",
		404: `keep ${file} on the central wxtokend, too`,
	};
	const words = String(content.message ?? "no answer of a wxtokend").slice(
		0,
		200,
	);
	return {
		message: `${url} answers ${status} for ${file}: ${words}`,
		hint:
			hints[status] ?? String(content.hint ?? "look at the central wxtokend"),
	};
}

function statusOf(
	{ host, target }: CentralFleetOptions,
	clock: FleetClock,
	problem: CentralProblem | undefined,
): FleetStatus {
	return {
		...{ self: host, role: "follower", server: target.url },
		connected: problem === undefined,
		problem: problem ?? null,
		offsetMs: clock.offsetMs(),
		hosts: [],
		publishedBy: {},
	};
}

/**
 * The records of a fleet in Redis, as typed questions and answers. Every method rejects
 * with a `StoreError` (unreachable), if Redis cannot be asked.
 */
import type { Credential } from "../core/credential.ts";
import { StoreError } from "../core/errors.ts";
import {
	decodeFleetRecord,
	decodeWish,
	encodeState,
	encodeWish,
	type FleetRecord,
	fleetNameOf,
	numberIn,
	type Wish,
} from "../core/fleet-record.ts";
import type { ProbeResult } from "../core/ports.ts";
import type { SharedRecord } from "../core/record.ts";
import type { Token } from "../core/token.ts";
import { LinkError, type RedisLink } from "./redis-link.ts";
import {
	claim,
	offer,
	publish,
	type RedisScript,
	release,
	remember,
	renew,
	verdict,
	wish,
} from "./redis-scripts.ts";

/** The answer to a claim. */
export type Claimed =
	| {
			readonly kind: "granted";
			/** Also the number of what is published under it. */
			readonly fence: number;
			readonly record: FleetRecord;
	  }
	| {
			readonly kind: "busy";
			/** After that the lease ends, unless its holder renews it. */
			readonly leftMs: number;
			readonly record: FleetRecord;
	  };

/** A publication, as it is sent. */
export interface Publishing {
	readonly number: number;
	readonly token: Token;
	readonly record: SharedRecord;
}

/**
 * `unnumbered`: any living value is better; `mending`: what stands there under the same
 * number cannot be read.
 */
export type OfferKind = "numbered" | "unnumbered" | "mending";

/** What is known of a probe; `mine`: nobody asks WeChat, and this host is to do it. */
export type Standing = "mine" | "asked" | ProbeResult;

/** A host that asks and dies meanwhile holds up the others for so long. */
export const askedMs = 10_000;

export interface RedisRecords {
	claim(of: Credential): Promise<Claimed>;
	/** False: the lease is another's. */
	remember(
		of: Credential,
		fence: number,
		record: SharedRecord,
	): Promise<boolean>;
	/** False: another lease was granted since. */
	publish(of: Credential, what: Publishing): Promise<boolean>;
	/** False: the fleet knows a newer one. */
	offer(of: Credential, what: Publishing, how: OfferKind): Promise<boolean>;
	/** False: the lease is another's. */
	renew(of: Credential, fence: number): Promise<boolean>;
	release(of: Credential, fence: number): Promise<void>;
	/** Another host is asked for another value. → the time of the wish. */
	wish(of: Credential, stale: string | undefined): Promise<number>;
	/** Whether WeChat was asked what it thinks of the value with that `tokenId`. */
	standingOf(of: Credential, id: string): Promise<Standing>;
	/** It was asked, and this is to be believed for that long. */
	tellVerdict(
		of: Credential,
		id: string,
		verdict: ProbeResult,
		forMs: number,
	): Promise<void>;
	/** Each with the wish that stands there, in the same order. */
	read(
		of: readonly Credential[],
	): Promise<readonly { record: FleetRecord; wish: Wish | undefined }[]>;
	/** The numbers alone, and the wishes; for a comparison of many. */
	numbers(
		of: readonly Credential[],
	): Promise<readonly { number: number; wish: Wish | undefined }[]>;
	/** Tells all hosts of a publication, or of a wish. */
	tell(of: Credential, news: string): Promise<void>;
}

export interface RecordsOptions {
	readonly link: Pick<RedisLink, "call" | "run">;
	readonly prefix: string;
	/** Of this process. */
	readonly instance: string;
	/** The name of this host. */
	readonly host: string;
	readonly leaseMs: number;
	readonly replicas: number;
	/** By the fleet's time. */
	readonly now: () => number;
}

const dayMs = 86_400_000;
/** How long replicas have to confirm. */
const confirmMs = 100;

export function createRedisRecords(options: RecordsOptions): RedisRecords {
	const { link, prefix, instance, leaseMs } = options;
	const keysOf = (of: Credential) => {
		const record = keyOf(prefix, of);
		return [record, `${record}:lease`];
	};
	const run = (script: RedisScript, of: Credential, args: readonly unknown[]) =>
		asStoreError(link.run(script, keysOf(of), args.map(String)));
	const call = (...args: readonly string[]) => asStoreError(link.call(args));
	const isDone = async (answer: Promise<unknown>) => (await answer) === 1;
	const areEnough = () => areConfirmed(call, options.replicas);
	const sent = ({ number, token, record }: Publishing) => [
		number,
		token.value,
		token.expiresAt,
		encodeState(record),
		options.host,
		Math.max(0, token.expiresAt - options.now()) + dayMs,
	];
	const holder = (fence: number) => `${fence}:${instance}`;
	const releaseOf = async (of: Credential, fence: number) => {
		await run(release, of, [holder(fence)]);
	};
	const fieldsOf = (of: Credential, ...fields: readonly string[]) =>
		call("HMGET", keyOf(prefix, of), ...fields).then(listOf);

	return {
		claim: async (of) => {
			const answer = listOf(await run(claim, of, [instance, leaseMs, dayMs]));
			const [isGranted, what, , gen, value, expire, state, host] = answer;
			const fields = { gen, value, expire, state, host };
			const record = decodeFleetRecord(fields, options.now());
			if (isGranted !== 1)
				return { kind: "busy", leftMs: Number(what), record };
			const fence = Number(what);
			if (await areEnough()) return { kind: "granted", fence, record };
			await releaseOf(of, fence);
			throw unconfirmed(options.replicas);
		},
		remember: (of, fence, record) =>
			isDone(run(remember, of, [holder(fence), leaseMs, encodeState(record)])),
		publish: async (of, what) => {
			const isPublished = await isDone(run(publish, of, sent(what)));
			// Without them the hosts hold it still, and offer it to the next primary.
			if (isPublished) await areEnough();
			return isPublished;
		},
		offer: (of, what, how) => isDone(run(offer, of, [...sent(what), how])),
		renew: (of, fence) => isDone(run(renew, of, [holder(fence), leaseMs])),
		release: releaseOf,
		wish: async (of, stale) => {
			return Number(await run(wish, of, [encodeWish(stale), dayMs]));
		},
		standingOf: async (of, id) => {
			const keys = [verdictKeyOf(prefix, of)];
			const answer = await asStoreError(
				link.run(verdict, keys, [id, `${askedMs}`]),
			);
			if (answer === "") return "mine";
			const [, told = ""] = String(answer).split(" ");
			return isVerdict(told) ? told : "asked";
		},
		tellVerdict: async (of, id, told, forMs) => {
			const key = verdictKeyOf(prefix, of);
			await call("SET", key, `${id} ${told}`, "PX", `${forMs}`);
		},
		read: (all) =>
			Promise.all(
				all.map(async (of) => {
					const names = ["gen", "value", "expire", "state", "host", "wish"];
					const [gen, value, expire, state, host, wished] = await fieldsOf(
						of,
						...names,
					);
					return {
						record: decodeFleetRecord(
							{ gen, value, expire, state, host },
							options.now(),
						),
						wish: decodeWish(wished),
					};
				}),
			),
		numbers: (all) =>
			Promise.all(
				all.map(async (of) => {
					const [gen, wished] = await fieldsOf(of, "gen", "wish");
					const number = numberIn(gen, options.now());
					return { number, wish: decodeWish(wished) };
				}),
			),
		tell: (of, news) => tellFleet(call, prefix, [`${fleetNameOf(of)} ${news}`]),
	};
}

/** A command; rejects with `StoreError`. */
export type RedisCall = (...args: readonly string[]) => Promise<unknown>;

/** Whether that many replicas have all that was written on this connection. */
export async function areConfirmed(
	call: RedisCall,
	replicas: number,
): Promise<boolean> {
	if (replicas === 0) return true;
	const count = await call("WAIT", `${replicas}`, `${confirmMs}`);
	return Number(count) >= replicas;
}

/** All hosts hear these lines, or learn by the number that they have missed some. */
export async function tellFleet(
	call: RedisCall,
	prefix: string,
	lines: readonly string[],
): Promise<void> {
	// In one go: who hears of the number shall find the news behind it soon.
	await Promise.all([
		call("INCR", `${prefix}seq`),
		...lines.map((line) => call("PUBLISH", `${prefix}news`, line)),
	]);
}

/** All keys of one credential are in one slot of a cluster. */
function keyOf(prefix: string, of: Credential): string {
	return `${prefix}{${fleetNameOf(of)}}`;
}

function verdictKeyOf(prefix: string, of: Credential): string {
	return `${keyOf(prefix, of)}:verdict`;
}

function isVerdict(text: string): text is ProbeResult {
	return text === "dead" || text === "alive" || text === "unsure";
}

function listOf(answer: unknown): readonly unknown[] {
	return Array.isArray(answer) ? answer : [];
}

/** An error of the link as a `StoreError` (unreachable). */
export async function asStoreError<T>(answer: Promise<T>): Promise<T> {
	try {
		return await answer;
	} catch (error) {
		if (!(error instanceof LinkError)) throw error;
		throw redisUnreachable(error);
	}
}

/** The error of a refresh that Redis could not be asked for. */
export function redisUnreachable({
	message,
	hint,
}: Pick<LinkError, "message" | "hint">): StoreError {
	return new StoreError(
		"unreachable",
		`could not ask the fleet: ${message}`,
		hint,
		"redis-unreachable",
	);
}

/** The error when they have not. */
export function unconfirmed(replicas: number): StoreError {
	return redisUnreachable({
		message: `fewer than ${replicas} replicas of Redis confirmed in ${confirmMs} ms`,
		hint: "look at the replicas of the server (INFO replication), or lower `replicas` below [fleet]",
	});
}

/**
 * What is pushed to platforms, shared through Redis: a hash of facts, and beside it a
 * sorted set of their stamps, so that a host which was away learns what it has missed
 * without reading everything. Their keys hold no secret; the facts do, and are as readable
 * there as in the state directory of each host.
 */
import {
	isUnreachable,
	StoreError,
	unlessUnreachable,
} from "../core/errors.ts";
import type { LocalFacts, SharedFacts, StampedFact } from "../core/ports.ts";
import { isCodeKey } from "./platform-state.ts";
import type { RedisLink } from "./redis-link.ts";
import {
	areConfirmed,
	asStoreError,
	tellFleet,
	unconfirmed,
} from "./redis-records.ts";
import { putFact, release } from "./redis-scripts.ts";

export interface RedisFactsParts {
	readonly link: Pick<RedisLink, "call" | "run">;
	readonly prefix: string;
	/** Of this process. */
	readonly instance: string;
	readonly role: "keeper" | "follower";
	readonly replicas: number;
	/** By the fleet's time, epoch ms. */
	readonly now: () => number;
	/** What other hosts told could not be kept: the disk of this host fails. */
	readonly onPlatformTrouble: (platform: string, error: StoreError) => void;
}

export interface RedisFacts {
	share(platform: string, own: LocalFacts): SharedFacts;
	/** A message of the channel that is not about a credential. */
	hear(name: string, key: string): Promise<void>;
	/** All platforms. Rejects with `StoreError`. */
	compare(): Promise<void>;
}

/** So many are read or written in one go. */
const chunkSize = 500;
/** Of more keys it is told that there are many. */
const maxTold = 50;
const everything = "*";
/** Codes live for an hour; that one was exchanged is remembered for longer. */
const codeKeptMs = 86_400_000;

export function createRedisFacts(parts: RedisFactsParts): RedisFacts {
	const shared = new Map<string, SharedFacts>();
	/** The next comparison tries it again. */
	const telling = async (name: string, act: () => Promise<void>) => {
		try {
			await act();
		} catch (error) {
			if (!(error instanceof StoreError) || isUnreachable(error)) throw error;
			parts.onPlatformTrouble(name.slice(1), error);
		}
	};
	return {
		share: (platform, own) => {
			const facts = shareOne(parts, platform, own);
			shared.set(nameOf(platform), facts);
			return facts;
		},
		hear: (name, key) => {
			const facts = shared.get(name);
			return telling(name, async () => {
				await (key === everything ? facts?.compare() : facts?.fetch([key]));
			});
		},
		compare: async () => {
			for (const [name, one] of shared) await telling(name, one.compare);
		},
	};
}

/** In a message: no file can have such a name. */
function nameOf(platform: string): string {
	return `@${platform}`;
}

function shareOne(
	parts: RedisFactsParts,
	platform: string,
	own: LocalFacts,
): SharedFacts {
	const { link, prefix, instance, replicas, now } = parts;
	const base = `${prefix}{${nameOf(platform)}}`;
	const [facts, stamps] = [`${base}:facts`, `${base}:stamps`];
	const call = (...args: readonly string[]) => asStoreError(link.call(args));

	/** Under these keys Redis has newer ones. */
	const take = async (keys: readonly string[]) => {
		const newer: StampedFact[] = [];
		for (const chunk of chunksOf(keys)) {
			const found = await call("HMGET", facts, ...chunk);
			for (const [index, key] of chunk.entries()) {
				const fact = decode(
					Array.isArray(found) ? found[index] : undefined,
					key,
				);
				if (fact !== undefined && fact.stamp > own.stampOf(key))
					newer.push(fact);
			}
		}
		if (newer.length > 0) await own.take(newer);
	};

	const send = async (key: string): Promise<boolean> => {
		const fact = own.factOf(key);
		if (fact === undefined) return true;
		const stamp = String(fact.stamp);
		const text = JSON.stringify({ ...fact.fact, stamp: fact.stamp });
		const put = link.run(putFact, [facts, stamps], [key, stamp, text]);
		return (await asStoreError(put)) === 1;
	};

	const put = async (keys: readonly string[]) => {
		const unseen = keys.filter((key) => own.stampOf(key) === 0);
		if (unseen.length > 0) await own.stampAnew(unseen);
		const older: string[] = [];
		for (const chunk of chunksOf(keys)) {
			const sent = await Promise.all(chunk.map(send));
			older.push(...chunk.filter((_, index) => !sent[index]));
		}
		if (!(await areConfirmed(call, replicas))) throw unconfirmed(replicas);
		const told = keys.length > maxTold ? [everything] : keys;
		const name = nameOf(platform);
		await tellFleet(
			call,
			prefix,
			told.map((key) => `${name} ${key}`),
		);
		await take(older);
	};

	const compare = async () => {
		const theirs = stampsIn(
			await call("ZRANGE", stamps, "0", "-1", "WITHSCORES"),
		);
		const missed = [...theirs]
			.filter(([key, stamp]) => stamp > own.stampOf(key))
			.map(([key]) => key);
		await take(missed);
		const owed = [...own.keys()].filter(
			(key) =>
				!isForgotten(key, own.stampOf(key)) &&
				(own.stampOf(key) > (theirs.get(key) ?? 0) || !theirs.has(key)),
		);
		if (owed.length > 0) await put(owed);
		await forgetCodes(theirs);
	};

	/** A host remembers it for longer: what Redis drops must not come back from there. */
	const isForgotten = (key: string, stamp: number) =>
		isCodeKey(key) && stamp > 0 && stamp < now() - codeKeptMs;

	const forgetCodes = async (theirs: ReadonlyMap<string, number>) => {
		const old = [...theirs]
			.filter(([key, stamp]) => isForgotten(key, stamp))
			.map(([key]) => key);
		for (const chunk of chunksOf(old)) {
			await call("HDEL", facts, ...chunk);
			await call("ZREM", stamps, ...chunk);
		}
	};

	return {
		put,
		compare,
		fetch: take,
		hold: async (forMs) => {
			if (parts.role === "follower") return undefined;
			const lease = `${base}:lease`;
			const answer = await call("SET", lease, instance, "NX", "PX", `${forMs}`);
			if (answer === null) return undefined;
			return async () => {
				// Else the lease runs out by itself.
				await asStoreError(link.run(release, [base, lease], [instance])).catch(
					unlessUnreachable,
				);
			};
		},
	};
}

/** Undefined: there is none, or nobody here wrote it. */
function decode(text: unknown, key: string): StampedFact | undefined {
	if (typeof text !== "string") return undefined;
	let content: unknown;
	try {
		content = JSON.parse(text);
	} catch {
		return undefined;
	}
	const { stamp, ...fact } = Object(content) as Record<string, unknown>;
	return typeof stamp === "number" ? { key, stamp, fact } : undefined;
}

function stampsIn(answer: unknown): ReadonlyMap<string, number> {
	const list = Array.isArray(answer) ? answer.map(String) : [];
	const stamps = new Map<string, number>();
	for (let index = 0; index + 1 < list.length; index += 2)
		stamps.set(list[index] ?? "", Number(list[index + 1]));
	return stamps;
}

function* chunksOf<T>(items: readonly T[]): Iterable<readonly T[]> {
	for (let start = 0; start < items.length; start += chunkSize)
		yield items.slice(start, start + chunkSize);
}

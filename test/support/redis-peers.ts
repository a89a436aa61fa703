/**
 * How SDKs share a token through Redis, as far as it decides who fetches: written anew
 * from what they do, for a comparison. Each is one host.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
import { onTestFinished } from "vitest";

/** One host's way to a token. */
export interface Peer {
	token(): Promise<string>;
	/** WeChat has refused that one. */
	refused(token: string): Promise<void>;
}

export interface PeerParts {
	readonly redisUrl: string;
	/** One call to WeChat. `seconds`: its `expires_in`. */
	readonly fetch: () => Promise<{ value: string; seconds: number }>;
	/** So long before its end a token counts as ended. */
	readonly earlySeconds: number;
}

export type PeerName = "wxjava" | "wechatpy" | "zlcatwu";

export async function openPeer(
	name: PeerName,
	parts: PeerParts,
): Promise<Peer> {
	const client = await connected(parts.redisUrl);
	switch (name) {
		case "wxjava":
			return likeWxJava(client, parts);
		case "wechatpy":
			return likeWechatpy(client, parts);
		case "zlcatwu":
			return likeZlcatwu(client, await connected(parts.redisUrl), parts);
		default:
			return name satisfies never;
	}
}

async function connected(url: string) {
	const client = createClient({ url, RESP: 2 });
	client.on("error", () => {});
	await client.connect();
	onTestFinished(() => client.destroy());
	return client;
}

type Client = Awaited<ReturnType<typeof connected>>;

function call(client: Client, ...args: readonly string[]) {
	return client.sendCommand([...args]);
}

/** SET NX with a lease of 60 s, polled each second for 3 s; no look after the lock. */
function likeWxJava(client: Client, parts: PeerParts): Peer {
	const [key, lock] = ["wx:access_token", "wx:lock"];
	const own = randomBytes(8).toString("hex");
	const current = async () => {
		const value = await call(client, "GET", key);
		const left = Number(await call(client, "TTL", key));
		return left >= 2 ? String(value) : undefined;
	};
	const refresh = async (): Promise<string> => {
		for (let tries = 0; tries < 3; tries += 1) {
			if (
				(await call(client, "SET", lock, own, "NX", "PX", "60000")) !== null
			) {
				try {
					const { value, seconds } = await parts.fetch();
					await call(client, "SET", key, value, "EX", `${seconds}`);
					return value;
				} finally {
					await call(client, "DEL", lock);
				}
			}
			await sleep(1_000);
		}
		throw new Error("no lock in 3 s");
	};
	return {
		token: async () => (await current()) ?? refresh(),
		refused: async () => {
			await call(client, "PEXPIRE", key, "0");
			await refresh();
		},
	};
}

/** No lock: who finds it near its end, or is refused, fetches. */
function likeWechatpy(client: Client, parts: PeerParts): Peer {
	const [key, end] = ["wechatpy:token", "wechatpy:token_expires_at"];
	const fetch = async () => {
		const { value, seconds } = await parts.fetch();
		await call(client, "SET", key, JSON.stringify(value), "EX", `${seconds}`);
		const endsAt = Math.floor(Date.now() / 1_000) + seconds;
		await call(client, "SET", end, `${endsAt}`);
		return value;
	};
	return {
		token: async () => {
			const value = await call(client, "GET", key);
			const endsAt = Number(await call(client, "GET", end));
			const isLiving = endsAt - Date.now() / 1_000 > parts.earlySeconds;
			return value !== null && isLiving ? JSON.parse(String(value)) : fetch();
		},
		refused: async () => {
			await fetch();
		},
	};
}

/** SETNX, then EXPIRE; each node fetches at its start; a channel carries the token. */
async function likeZlcatwu(
	client: Client,
	listener: Client,
	parts: PeerParts,
): Promise<Peer> {
	const [lock, channel] = ["lock-token", "token"];
	let known: { value: string; endsAt: number } | undefined;
	await listener.subscribe(channel, (text) => {
		known = JSON.parse(text);
	});
	const fetch = async (): Promise<string> => {
		if (Number(await call(client, "SETNX", lock, "1")) === 1) {
			await call(client, "EXPIRE", lock, "10");
			const { value, seconds } = await parts.fetch();
			known = { value, endsAt: Date.now() + seconds * 1_000 };
			await call(client, "PUBLISH", channel, JSON.stringify(known));
			await call(client, "DEL", lock);
			return value;
		}
		await sleep(100);
		return known === undefined ? fetch() : known.value;
	};
	const ends = () => (known?.endsAt ?? 0) - parts.earlySeconds * 1_000;
	const first = fetch();
	return {
		token: async () => {
			await first;
			return known !== undefined && Date.now() < ends() ? known.value : fetch();
		},
		refused: async () => {
			await fetch();
		},
	};
}

/**
 * What a site would take instead: how often hosts that share a token by an SDK's scheme
 * fetch it, and how many calls of their apps get a dead one, beside wxtokend in the same
 * run. By PEERS=12 (hosts); left out otherwise, as it is a measurement.
 */
import { loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { newAccounts } from "./support/config-file.ts";
import { appid, startHosts } from "./support/hosts.ts";
import { startRedis } from "./support/redis.ts";
import { openPeer, type Peer, type PeerName } from "./support/redis-peers.ts";
import { startWeChat } from "./support/wechat.ts";

const hosts = Number(process.env.PEERS ?? 0);

const lifetimeSeconds = 15;
const seconds = Number(process.env.PEER_SECONDS ?? 40);
const latencyMs = 100;

interface Scene {
	readonly peers: readonly Peer[];
	readonly wechat: Awaited<ReturnType<typeof startWeChat>>;
}

/** The apps of all hosts call WeChat five times a second; twice the token dies. */
async function measure({ peers, wechat }: Scene) {
	const tally = { calls: 0, dead: 0 };
	const endAt = performance.now() + seconds * 1_000;
	const kills = (async () => {
		for (const share of [3, 3]) {
			await sleep((seconds * 1_000) / share);
			wechat.platform.kill(appid, wechat.now());
		}
	})();
	const isLiving = (token: string) => {
		const found = wechat.platform.state.book.find(token);
		return found !== undefined && wechat.now() < found.endsAt;
	};
	await Promise.all(
		peers.map(async (peer) => {
			while (performance.now() < endAt) {
				const token = await peer.token().catch(() => "");
				tally.calls += 1;
				if (!isLiving(token)) {
					tally.dead += 1;
					await peer.refused(token).catch(() => {});
				}
				await sleep(200);
			}
		}),
	);
	await kills;
	const fetches = wechat.requests.filter(
		({ endpoint }) => endpoint === "token",
	).length;
	return { ...tally, fetches };
}

async function ours(): Promise<Scene> {
	const redis = await startRedis();
	const fleet = await startHosts({
		fleet: () => ({ url: redis.url }),
		wechat: { cooldown: 0 },
		count: hosts,
		...{ lifetimeSeconds, latencyMs },
	});
	const peers = fleet.hosts.map(
		(host): Peer => ({
			token: async () => host.token().value,
			refused: async (stale) => {
				await host.call(`/v1/accounts/${appid}/refresh`, {
					method: "POST",
					body: JSON.stringify({ stale }),
				});
			},
		}),
	);
	return { peers, wechat: fleet.wechat };
}

async function theirs(name: PeerName): Promise<Scene> {
	const redis = await startRedis();
	const accounts = newAccounts();
	const wechat = await startWeChat({
		...{ accounts, latencyMs },
		knobs: { tokenLifetimeSeconds: lifetimeSeconds },
	});
	const query = `grant_type=client_credential&appid=${appid}&secret=${encodeURIComponent(accounts[0]?.secret ?? "")}`;
	const fetchToken = async () => {
		const answer = await fetch(`${wechat.url}/cgi-bin/token?${query}`);
		const {
			access_token: value,
			expires_in: left,
			errmsg,
		} = (await answer.json()) as {
			access_token?: string;
			expires_in?: number;
			errmsg?: string;
		};
		// A comparison with a driver that never gets a token would say nothing.
		if (value === undefined || left === undefined) throw new Error(errmsg);
		return { value, seconds: left };
	};
	const peers = await Promise.all(
		Array.from({ length: hosts }, () =>
			openPeer(name, {
				...{ redisUrl: redis.url, fetch: fetchToken, earlySeconds: 3 },
			}),
		),
	);
	return { peers, wechat };
}

test.skipIf(hosts === 0).each([
	["wxtokend", ours],
	["the lock of WxJava", () => theirs("wxjava")],
	["wechatpy on Redis", () => theirs("wechatpy")],
	["the scheme of zlcatwu", () => theirs("zlcatwu")],
] as const)(
	`%s on ${hosts} hosts: fetches, and calls with a dead token`,
	async (name, open) => {
		const { calls, dead, fetches } = await measure(await open());
		console.log(
			`${name}: ${fetches} fetches in ${seconds} s (tokens of ${lifetimeSeconds} s, two of them died), ${dead} of ${calls} calls with a dead token; load ${loadavg()[0]?.toFixed(1)}`,
		);
		expect(calls).toBeGreaterThan(0);
	},
	900_000,
);

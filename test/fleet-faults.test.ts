/**
 * What can happen to a fleet, row by row of the table in docs/fleet.md: to the record in
 * Redis, to the way of one host to it, to the host that fetches, to clocks. Real daemons,
 * real servers; the fetches are counted at the simulator.
 */
import { cpSync, rmSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { type Host, hangUp, startHosts } from "./support/hosts.ts";
import {
	faketimeLibrary,
	noRedis,
	type Redis,
	startRedis,
	startRedisWithClock,
} from "./support/redis.ts";
import { startRelay } from "./support/relay.ts";

const withRedis = test.skipIf(noRedis !== undefined);
const library = faketimeLibrary();

const key = "wxtokend:{wx1}";

/** Of several hosts: the first, which something happens to, and the rest. */
function firstOf(hosts: readonly Host[]): [Host, readonly Host[]] {
	const [first, ...rest] = hosts;
	if (first === undefined) throw new Error("no host");
	return [first, rest];
}

function untilStored(redis: Redis, value: string): Promise<true> {
	return untilOneIsStored(redis, () => value);
}

function untilOneIsStored(
	redis: Redis,
	value: () => string | undefined,
): Promise<true> {
	return eventually(
		async () => (await redis.cli("HGET", key, "value")) === value(),
		{ what: "that value in Redis" },
	);
}

function untilConnected({ daemon }: Host, times: number): Promise<true> {
	return eventually(
		() =>
			daemon.events().filter(({ event }) => event === "fleet.connected")
				.length >= times,
		{ what: `connection ${times}` },
	);
}

/** All hosts, by now or soon. */
function untilAll(hosts: readonly Host[], value: string): Promise<true> {
	return eventually(() => hosts.every((host) => host.token().value === value), {
		what: "that value on all hosts",
	});
}

function refresh(host: Host, stale?: string) {
	return host.call("/v1/accounts/wx1/refresh", {
		method: "POST",
		...(stale !== undefined && { body: JSON.stringify({ stale }) }),
	});
}

withRedis(
	"a record that is flushed, evicted, spoilt, foreign or of yesterday costs no token: the hosts' files outlive it",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, agreement, isLive } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 3,
			wechat: { cooldown: 0 },
		});
		const [one] = firstOf(hosts);
		let value = await agreement();
		let fetched = 1;
		const renewed = async () => {
			expect(fetches()).toBe(fetched);
			hangUp([one]);
			value = await agreement(value);
			fetched += 1;
			expect(fetches()).toBe(fetched);
			expect(isLive(value)).toBe(true);
			await untilStored(redis, value);
		};

		await redis.cli("FLUSHALL");
		await untilStored(redis, value);
		await renewed();

		// A single key goes unnoticed until somebody needs it.
		await redis.cli("DEL", key);
		await renewed();

		// Spoilt: it cannot be read; a host that starts keeps its file.
		await redis.cli("HSET", key, "state", "{");
		await one.end();
		await one.start();
		expect(one.token().value).toBe(value);
		await renewed();

		// A number that no later one could outrank.
		await redis.cli("HSET", key, "gen", "9007199254740991");
		await redis.cli("INCR", "wxtokend:seq");
		await renewed();
		const gen = Number(await redis.cli("HGET", key, "gen"));
		expect(Math.abs(gen - Date.now())).toBeLessThan(3_600_000);
		await redis.cli("HSET", key, "gen", "x", "fence", "y");
		await redis.cli("INCR", "wxtokend:seq");
		await untilStored(redis, value);
		await renewed();

		// Of another server, a simulator perhaps.
		const state = await redis.cli("HGET", key, "state");
		const foreign = state.replace(/"source":"[^"]*"/, '"source":"elsewhere"');
		expect(foreign).not.toBe(state);
		const later = Number(await redis.cli("HGET", key, "gen")) + 5;
		await redis.cli("HSET", key, "state", foreign, "gen", `${later}`);
		await redis.cli("INCR", "wxtokend:seq");
		await redis.cli("PUBLISH", "wxtokend:news", `wx1 ${later}`);
		await renewed();

		// Of yesterday, and so is the counter of news.
		const seq = await redis.cli("GET", "wxtokend:seq");
		const fields = (await redis.cli("HGETALL", key)).split("\n");
		await renewed();
		await redis.cli("HSET", key, ...fields);
		await redis.cli("SET", "wxtokend:seq", seq);
		await untilStored(redis, value);
		await renewed();
	},
);

withRedis(
	"a message that is lost is found by the counter; a key of another program is named",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, agreement } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 2,
			wechat: { cooldown: 0 },
		});
		const [one] = firstOf(hosts);
		const before = await agreement();
		await redis.cli("ACL", "SETUSER", "default", "-publish");
		hangUp([one]);
		const after = await agreement(before);
		expect(fetches()).toBe(2);

		await redis.cli("SET", key, "mine");
		const answer = await refresh(one);
		expect(answer.status).toBe(503);
		expect(answer.json().hint).toContain("prefix");
		await redis.cli("DEL", key);
		await refresh(one);
		await agreement(after);
		expect(fetches()).toBe(3);
	},
);

withRedis(
	"a host that is cut off from Redis keeps its file and answers at once, with classic; healed, it takes over what the others fetched",
	async () => {
		const redis = await startRedis();
		const relay = await startRelay(redis.port);
		const { hosts, fetches, agreement, isLive } = await startHosts({
			fleet: (index) => ({
				url: index === 0 ? `redis://127.0.0.1:${relay.port}/0` : `${redis.url}`,
			}),
			count: 3,
			wechat: { cooldown: 0 },
		});
		const [away, others] = firstOf(hosts);
		const before = await agreement();
		let takenOverAt = 0;
		for (const fault of ["cut", "silence"] as const) {
			const known = away.token().value;
			const fetched = fetches();
			const told = away.daemon
				.events()
				.filter(({ event }) => event === "fleet.unreachable").length;
			relay[fault]();
			await eventually(
				() =>
					away.daemon
						.events()
						.filter(({ event }) => event === "fleet.unreachable").length > told,
				{ what: "that it is cut off" },
			);
			hangUp(others);
			const next = await eventually(
				() => {
					const values = new Set(others.map((host) => host.token().value));
					const [value] = values;
					return values.size === 1 && value !== known && value;
				},
				{ what: "another token elsewhere" },
			);
			// A refresh that another host made less than two seconds ago answers this one, too.
			const asked = takenOverAt + 2_500;
			await eventually(() => Date.now() > asked, { what: "a later instant" });
			const answer = await refresh(away);
			expect([answer.status, answer.json().code]).toEqual([
				503,
				"redis-unreachable",
			]);
			expect(away.token().value).toBe(known);
			relay.mend();
			await untilAll(hosts, next);
			takenOverAt = Date.now();
			expect(fetches()).toBe(fetched + 1);
			expect(isLive(next)).toBe(true);
		}
		expect(before).not.toBe("");
	},
);

withRedis(
	"with stable a host that is cut off goes on alone, and has the same token as the others",
	async () => {
		const redis = await startRedis();
		const relay = await startRelay(redis.port);
		const { hosts, agreement, value } = await startHosts({
			fleet: (index) => ({
				url: index === 0 ? `redis://127.0.0.1:${relay.port}/0` : `${redis.url}`,
			}),
			count: 2,
			wechat: { interface: "stable" },
		});
		const [away] = firstOf(hosts);
		const before = await agreement();
		relay.cut();
		await away.daemon.event("fleet.unreachable");
		const answer = await refresh(away);
		expect([answer.status, answer.json().value]).toEqual([200, before]);
		relay.mend();
		await untilConnected(away, 2);
		expect(value()).toBe(before);
	},
);

withRedis(
	"a holder that is stopped within its lease goes on; one that is stopped for longer is followed by another host, and then takes over what that one fetched",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, wechat, agreement, isLive } = await startHosts({
			fleet: () => ({ url: redis.url, lease: 4 }),
			count: 3,
			wechat: { cooldown: 0, timeout: 30 },
		});
		const [holder, others] = firstOf(hosts);
		onTestFinished(() => {
			holder.daemon.kill("SIGCONT");
		});
		const first = await agreement();
		const leaseMs = async () => Number(await redis.cli("PTTL", `${key}:lease`));

		await wechat.addFault({ mode: "delay", seconds: 1, count: 1 });
		hangUp([holder]);
		await eventually(() => fetches() === 2, { what: "its request" });
		holder.daemon.kill("SIGSTOP");
		await eventually(async () => (await leaseMs()) < 2_500, {
			what: "less of the lease",
		});
		holder.daemon.kill("SIGCONT");
		const second = await agreement(first);
		expect(fetches()).toBe(2);

		await wechat.addFault({ mode: "delay", seconds: 1, count: 1 });
		hangUp([holder]);
		await eventually(() => fetches() === 3, { what: "its request" });
		holder.daemon.kill("SIGSTOP");
		hangUp(others);
		const third = await eventually(
			() => {
				const values = new Set(others.map((host) => host.token().value));
				const [value] = values;
				return values.size === 1 && value !== second && value;
			},
			{ what: "the token of another host" },
		);
		expect(fetches()).toBe(4);
		holder.daemon.kill("SIGCONT");
		const last = await eventually(
			() => {
				const values = new Set(hosts.map((host) => host.token().value));
				const [value = ""] = values;
				return values.size === 1 && isLive(value) && value;
			},
			{ what: "one living token on all hosts" },
		);
		// The answer was read after the claim of the other one: which of the two lives on
		// cannot be known, so a third one may have been fetched.
		expect(fetches()).toBeLessThanOrEqual(5);
		expect([third, second].includes(last) || fetches() === 5).toBe(true);
	},
);

withRedis(
	"a lease that is lost in a failover, with the mark of a request under way, costs a call or two, and no host keeps a dead token",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, wechat, agreement, isLive } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 3,
			wechat: { cooldown: 0, timeout: 30 },
		});
		const [holder, others] = firstOf(hosts);
		const first = await agreement();
		await wechat.addFault({ mode: "delay", seconds: 3, count: 1 });
		hangUp([holder]);
		await eventually(() => fetches() === 2, { what: "a request" });
		await redis.cli("FLUSHALL");
		hangUp(others);
		await eventually(() => fetches() === 3, { what: "the second one" });
		await eventually(
			() => {
				const values = new Set(hosts.map((host) => host.token().value));
				const [value = ""] = values;
				return values.size === 1 && value !== first && isLive(value);
			},
			{ what: "one living token on all hosts" },
		);
		expect(fetches()).toBeLessThanOrEqual(4);

		// The mark alone is lost, and who set it is gone: the others believe in a token
		// that WeChat has replaced, until an app says so.
		const known = hosts[1]?.token().value ?? "";
		await wechat.addFault({ mode: "hang", processed: true, count: 1 });
		const fetched = fetches();
		hangUp([holder]);
		await eventually(() => fetches() === fetched + 1, { what: "a request" });
		await redis.cli("FLUSHALL");
		await holder.end("SIGKILL");
		await untilStored(redis, known);
		wechat.platform.kill("wx1", wechat.now());
		const answers = await Promise.all(
			others.map((host) => refresh(host, known)),
		);
		expect(answers.map(({ status }) => status)).toEqual([200, 200]);
		expect(fetches()).toBe(fetched + 2);
		await holder.start();
		expect(isLive(await agreement(known))).toBe(true);
		expect(fetches()).toBe(fetched + 2);
	},
);

withRedis(
	"a primary that lives on behind a split gives no lease, as no replica confirms it",
	async () => {
		const old = await startRedis();
		const replica = await startRedis([
			"--replicaof",
			"127.0.0.1",
			`${old.port}`,
		]);
		const other = await startRedis([
			...["--replicaof", "127.0.0.1", `${replica.port}`],
		]);
		const linked = (one: Redis) =>
			eventually(
				async () =>
					(await one.cli("INFO", "replication")).includes(
						"master_link_status:up",
					),
				{ what: "a replica" },
			);
		await linked(replica);
		await linked(other);
		const { hosts, fetches, agreement, isLive } = await startHosts({
			fleet: () => ({ url: old.url, replicas: 1 }),
			count: 2,
			wechat: { cooldown: 0 },
		});
		const [away, [healthy]] = firstOf(hosts);
		if (healthy === undefined) throw new Error("no second host");
		const before = await agreement();
		await eventually(
			async () => (await replica.cli("HGET", key, "value")) === before,
			{ what: "the replicated record" },
		);
		// The rest of the fleet follows the new primary, as behind sentinels.
		await replica.cli("REPLICAOF", "NO", "ONE");
		await linked(other);
		await healthy.end();
		healthy.setFleet({ url: replica.url, replicas: 1 });
		await healthy.start();
		const refused = await refresh(away);
		expect([refused.status, refused.json().code]).toEqual([
			503,
			"redis-unreachable",
		]);
		expect(refused.json().message).toContain("replicas");
		expect(fetches()).toBe(1);
		hangUp([healthy]);
		await eventually(() => healthy.token().value !== before, {
			what: "the token of the healthy side",
		});
		expect(fetches()).toBe(2);
		await away.end();
		away.setFleet({ url: replica.url, replicas: 1 });
		await away.start();
		const value = await agreement(before);
		expect(isLive(value)).toBe(true);
		expect(fetches()).toBe(2);
	},
);

test.skipIf(noRedis !== undefined || library === undefined)(
	"steps of Redis' own clock cost a call at most, and one that was an hour ahead and then lost everything is not waited for (needs libfaketime)",
	async () => {
		const redis = await startRedisWithClock(library ?? "");
		const fleet = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 3,
			wechat: { cooldown: 0 },
		});
		const { hosts, fetches, agreement, isLive } = fleet;
		const [one] = firstOf(hosts);
		let value = await agreement();
		/** All hosts have another token than that, and WeChat has given no newer one. */
		const newest = (than: string) =>
			eventually(
				async () => {
					const one = await agreement(than);
					return isLive(one) ? one : undefined;
				},
				{ what: "the newest token on all hosts" },
			);
		for (const seconds of [3_600, 0]) {
			const fetched = fetches();
			redis.setClock(seconds);
			// Each host has asked for the time by then, as it has looked at its account.
			for (const host of hosts)
				await eventually(
					async () => {
						const told = (await host.call("/v1/fleet")).json();
						return Math.abs(Number(told.offsetMs) - seconds * 1_000) < 60_000;
					},
					{ what: "the other time" },
				);
			hangUp([one]);
			value = await newest(value);
			// One for the signal, and one for the step if its turn came before.
			expect(fetches()).toBeGreaterThan(fetched);
			expect(fetches()).toBeLessThanOrEqual(fetched + 2);
		}
		// The numbers of the hour that has not come yet outrank nothing.
		redis.setClock(3_600);
		for (const host of hosts)
			await eventually(
				async () =>
					Number((await host.call("/v1/fleet")).json().offsetMs) > 3_500_000,
				{ what: "the other time" },
			);
		hangUp([one]);
		value = await newest(value);
		const fetched = fetches();
		await redis.kill();
		redis.setClock(0);
		await redis.restart();
		// The step may cost a call now: then another value is stored than the hosts had.
		await untilOneIsStored(redis, fleet.value);
		hangUp([one]);
		value = await newest(value);
		expect(fetches()).toBeGreaterThan(fetched);
		expect(fetches()).toBeLessThanOrEqual(fetched + 2);
	},
);

withRedis(
	"a host with an old AppSecret pauses alone; WeChat that cannot be reached from one host is asked by another one",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, wechat, agreement, isLive } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 3,
			wechat: { cooldown: 0 },
			hasWrongSecret: (index) => index === 0,
			lifetimeSeconds: 12,
		});
		const first = await agreement();
		const pauses = hosts.map(({ daemon }) =>
			daemon
				.events()
				.some(({ code }) => /errcode 40(125|001)/.test(String(code))),
		);
		expect(pauses.slice(1)).toEqual([false, false]);
		const second = await agreement(first);
		await wechat.addFault({ mode: "reset", appid: "wx1", count: 1 });
		const third = await agreement(second);
		expect(isLive(third)).toBe(true);
		expect(fetches()).toBeGreaterThanOrEqual(3);
	},
);

withRedis(
	"a host that is restored from an image of yesterday takes over what the fleet knows, and fetches nothing",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, agreement, isLive } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 3,
			wechat: { cooldown: 0 },
		});
		const [restored, others] = firstOf(hosts);
		const before = await agreement();
		const { directory } = restored.config;
		await restored.end();
		const image = `${directory}.image`;
		cpSync(directory, image, { recursive: true });
		await restored.start();
		hangUp(others);
		const after = await agreement(before);
		await restored.end();
		rmSync(directory, { recursive: true });
		cpSync(image, directory, { recursive: true, preserveTimestamps: true });
		await restored.start();
		expect(await agreement()).toBe(after);
		expect(isLive(after)).toBe(true);
		expect(fetches()).toBe(2);
	},
);

withRedis(
	"a host whose token file is gone, while its record is not, takes the token over again, and fetches nothing",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, agreement } = await startHosts({
			fleet: (index) => ({
				url: redis.url,
				role: index === 0 ? "keeper" : "follower",
			}),
			count: 2,
		});
		const before = await agreement();
		for (const host of hosts) {
			await host.end();
			rmSync(host.config.tokenFile("wx1"));
			await host.start();
			expect(await agreement()).toBe(before);
		}
		expect(fetches()).toBe(1);
	},
);

withRedis(
	"the one host that may go on alone fetches once the classic token has ended, and not before; the others have it when Redis is back",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, agreement, isLive } = await startHosts({
			fleet: (index) => ({
				url: redis.url,
				without_redis: index === 0 ? "alone" : "wait",
			}),
			count: 3,
			lifetimeSeconds: 12,
		});
		const [alone, others] = firstOf(hosts);
		const before = await agreement();
		const { expire } = alone.token();
		await redis.kill();
		await eventually(() => alone.token().value !== before, {
			what: "its own token",
		});
		expect(Date.now() / 1_000).toBeGreaterThanOrEqual(expire);
		expect(others.map((host) => host.token().value)).toEqual([before, before]);
		await redis.restart();
		const after = await agreement(before);
		expect(isLive(after)).toBe(true);
		expect(fetches()).toBeLessThanOrEqual(3);
	},
);

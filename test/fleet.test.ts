/**
 * Several hosts and one Redis: what they fetch between them, counted at the simulator;
 * and what becomes of their files when Redis, a host or a clock fails. Real daemons, each
 * with its own directory, and a real server.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import { type Host, hangUp, startHosts } from "./support/hosts.ts";
import { noRedis, startRedis } from "./support/redis.ts";
import { hasFile } from "./support/token-file.ts";

const withRedis = test.skipIf(noRedis !== undefined);

withRedis(
	"one fetch at the start, for HUPs on all hosts, and for a dead token that all of them report",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, wechat, agreement } = await startHosts({
			fleet: () => ({ url: redis.url }),
			wechat: { cooldown: 0 },
		});
		const first = await agreement();
		expect(fetches()).toBe(1);

		hangUp(hosts);
		const forced = await agreement(first);
		expect(fetches()).toBe(2);

		wechat.platform.kill("wx1", wechat.now());
		const answers = await Promise.all(
			hosts.map((host) =>
				host.call("/v1/accounts/wx1/refresh", {
					method: "POST",
					body: JSON.stringify({ stale: forced }),
				}),
			),
		);
		const values = answers.map((answer) => answer.json().value);
		expect(new Set(values).size).toBe(1);
		expect(answers.map(({ status }) => status)).toEqual(hosts.map(() => 200));
		expect(await agreement(forced)).toBe(values[0]);
		expect(fetches()).toBe(3);
		const probes = wechat.requests.filter(
			({ endpoint }) => endpoint === "get_api_domain_ip",
		);
		expect(probes).toHaveLength(1);
	},
);

withRedis("one fetch for each renewal, whichever host makes it", async () => {
	const redis = await startRedis();
	const { fetches, agreement } = await startHosts({
		fleet: () => ({ url: redis.url }),
		lifetimeSeconds: 9,
	});
	let last = await agreement();
	for (let renewals = 1; renewals <= 2; renewals += 1) {
		expect(fetches()).toBe(renewals);
		last = await agreement(last);
	}
	expect(fetches()).toBe(3);
});

withRedis(
	"a reload that names another fleet and an unfit directory changes nothing; with the right directory this host is in the other fleet",
	async () => {
		const [redis, other] = await Promise.all([startRedis(), startRedis()]);
		const { hosts, agreement } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 2,
			lifetimeSeconds: 9,
		});
		const [host, peer] = hosts;
		if (host === undefined || peer === undefined) throw new Error("no hosts");
		const first = await agreement();
		const { file } = host.config;
		const content = parse(readFileSync(file, "utf8"));
		const moved = { ...content, fleet: { url: other.url } };
		// A file is no directory.
		const directory = join(file, "tokens");
		writeFileSync(file, stringify({ ...moved, directory }));
		hangUp([host]);
		await host.daemon.event("config.refused");
		const second = await agreement(first);
		// By a renewal.
		await agreement(second);
		const fleetOf = async (one: Host) => (await one.call("/v1/fleet")).json();
		expect(await fleetOf(host)).toMatchObject({
			connected: true,
			server: `127.0.0.1:${redis.port}`,
			hosts: { length: 2 },
		});
		expect(await other.cli("KEYS", "*")).toBe("");

		writeFileSync(file, stringify(moved));
		hangUp([host]);
		await eventually(
			async () =>
				(await fleetOf(host)).server === `127.0.0.1:${other.port}` &&
				Object((await fleetOf(peer)).hosts).length === 1,
			{ what: "this host in the other fleet, and no more in the former" },
		);
		const last = host.token().value;
		await eventually(() => host.token().value !== last, {
			what: "a renewal in the other fleet",
		});
		expect(await other.cli("KEYS", "*")).not.toBe("");
	},
);

withRedis(
	"while Redis is away classic hosts fetch nothing and answer at once; an empty one that comes back is filled from their files, without a fetch",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, value, agreement } = await startHosts({
			fleet: () => ({ url: redis.url }),
		});
		const before = await agreement();
		await redis.kill();
		const [host] = hosts;
		if (host === undefined) throw new Error("no host");
		await host.daemon.event("fleet.unreachable");
		const answer = await host.call("/v1/accounts/wx1/refresh", {
			method: "POST",
		});
		expect(answer.status).toBe(503);
		expect(answer.json()).toMatchObject({
			code: "redis-unreachable",
			hint: expect.any(String),
		});
		// A file that was deleted is repaired without Redis.
		const file = host.config.tokenFile("wx1");
		rmSync(file);
		await eventually(() => hasFile(file), { what: "the repaired file" });
		expect(value()).toBe(before);

		await redis.restart();
		await eventually(
			async () =>
				(await redis.cli("HGET", "wxtokend:{wx1}", "value")) === before,
			{ what: "the record in Redis" },
		);
		expect(fetches()).toBe(1);
		hangUp([host]);
		await agreement(before);
		expect(fetches()).toBe(2);
	},
);

withRedis(
	"stable hosts renew alone while Redis is away, without force, and agree afterwards",
	async () => {
		const redis = await startRedis();
		const { hosts, wechat, value, agreement } = await startHosts({
			fleet: () => ({ url: redis.url }),
			wechat: { interface: "stable" },
			count: 3,
		});
		const before = await agreement();
		await redis.kill();
		await Promise.all(
			hosts.map(({ daemon }) => daemon.event("fleet.unreachable")),
		);
		const answers = await Promise.all(
			hosts.map((host) =>
				host.call("/v1/accounts/wx1/refresh", { method: "POST" }),
			),
		);
		expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
		expect(value()).toBe(before);
		const forced = wechat.requests.filter(
			({ endpoint, query }) =>
				endpoint === "stable_token" && JSON.stringify(query).includes("force"),
		);
		expect(forced).toEqual([]);
		await redis.restart();
		await eventually(
			async () =>
				(await redis.cli("HGET", "wxtokend:{wx1}", "value")) === before,
			{ what: "the record in Redis" },
		);
	},
);

withRedis(
	"a holder that is killed in its request is followed by another host after its lease, and the token is fetched once more",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, wechat, agreement } = await startHosts({
			fleet: () => ({ url: redis.url, lease: 3 }),
			count: 3,
		});
		const before = await agreement();
		await wechat.addFault({ mode: "hang", count: 1 });
		const [holder, ...others] = hosts;
		if (holder === undefined) throw new Error("no host");
		hangUp([holder]);
		await eventually(() => fetches() === 2, { what: "a request that hangs" });
		await holder.end("SIGKILL");
		hangUp(others);
		await eventually(() => fetches() === 3, { what: "the next host's fetch" });
		await holder.start();
		expect(await agreement(before)).not.toBe(before);
		expect(fetches()).toBe(3);
	},
);

withRedis("a Redis that hangs is noticed, and costs no file", async () => {
	const redis = await startRedis();
	const { hosts, fetches, value, agreement } = await startHosts({
		fleet: () => ({ url: redis.url }),
		count: 2,
	});
	const before = await agreement();
	onTestFinished(() => redis.signal("SIGCONT"));
	redis.signal("SIGSTOP");
	for (const { daemon } of hosts) await daemon.event("fleet.unreachable");
	expect(value()).toBe(before);
	redis.signal("SIGCONT");
	for (const { daemon } of hosts)
		await eventually(
			() =>
				daemon.events().filter(({ event }) => event === "fleet.connected")
					.length === 2,
			{ what: "the fleet again" },
		);
	hangUp(hosts);
	await agreement(before);
	expect(fetches()).toBe(2);
});

withRedis(
	"a server that becomes a replica is told once, with the remedy, and so is its return",
	async () => {
		const redis = await startRedis();
		const primary = await startRedis();
		const fleet = { url: redis.url };
		const { hosts } = await startHosts({ fleet: () => fleet, count: 1 });
		const [host] = hosts;
		if (host === undefined) throw new Error("there is no host");
		await host.daemon.event("fleet.connected");
		let asked = 0; // Each look is a connection of its own.
		const asking = (...command: readonly string[]) => {
			asked += 1;
			return redis.cli(...command);
		};
		const connections = async () => {
			const stats = await asking("INFO", "stats");
			return Number(/connections_received:(\d+)/.exec(stats)?.[1]) - asked;
		};
		await asking("REPLICAOF", "127.0.0.1", `${primary.port}`);
		const lost = await host.daemon.event("fleet.unreachable");
		expect(lost.hint).toContain("this server is a replica");
		const openings = async (count: number) => {
			const before = await connections();
			await eventually(async () => (await connections()) > before + count, {
				everyMs: 200,
				what: "several openings",
			});
		};
		// While it loads what the primary has, it says so.
		await eventually(
			async () =>
				(await asking("INFO", "replication")).includes("master_link_status:up"),
			{ what: "a replica that is up to date" },
		);
		await openings(4);
		const told = (event: string) =>
			host.daemon.events().filter((one) => one.event === event);
		const { length } = told("fleet.unreachable");
		await openings(8);
		expect(told("fleet.unreachable")).toHaveLength(length);
		expect(told("fleet.connected")).toHaveLength(1);
		await redis.cli("REPLICAOF", "NO", "ONE");
		await eventually(() => told("fleet.connected").length === 2, {
			what: "its return",
		});
	},
);

withRedis(
	"a wrong password is named, with the remedy, and counts as an absent Redis",
	async () => {
		const redis = await startRedis(["--requirepass", "not-that-one"]);
		const fleet = { url: redis.url };
		const { hosts } = await startHosts({ fleet: () => fleet, count: 1 });
		const [host] = hosts;
		const line = await host?.daemon.event("fleet.unreachable");
		expect(line?.msg).toContain(`127.0.0.1:${redis.port}`);
		expect(line?.hint).toContain("password_file");
		const answer = await host?.call("/v1/accounts/wx1/refresh", {
			method: "POST",
		});
		expect(answer?.status).toBe(503);
	},
);

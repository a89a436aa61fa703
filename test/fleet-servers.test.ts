/** The servers that a fleet may have: with TLS and an ACL user, and behind sentinels. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { certificate } from "./support/certificate.ts";
import { writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { freePort } from "./support/free-port.ts";
import { hangUp, startHosts } from "./support/hosts.ts";
import { runProgram } from "./support/program.ts";
import {
	noRedis,
	type Redis,
	startCluster,
	startRedis,
	startSentinel,
} from "./support/redis.ts";
import { startRelay } from "./support/relay.ts";

const withRedis = test.skipIf(noRedis !== undefined);

/** As docs/fleet.md lists them. */
const rights =
	"~wxtokend:* &wxtokend:* -@all +eval +evalsha +get +set +del +exists +incr +hget +hset +hdel +hmget +hgetall +zadd +zrange +zscore +zrem +pexpire +pttl +time +publish +subscribe +ping +wait +select";

withRedis(
	"over TLS as an ACL user with the least rights; check says that it can be used, and names a certificate that is not trusted",
	async () => {
		const place = newDirectory();
		const day = 86_400_000;
		const { key, cert } = certificate(
			new Date(Date.now() - day),
			new Date(Date.now() + day),
		);
		const file = (name: string, text: string) => {
			const path = join(place, name);
			writeFileSync(path, text, { mode: 0o600 });
			return path;
		};
		const port = await freePort();
		await startRedis([
			...["--tls-port", `${port}`, "--tls-auth-clients", "no"],
			...["--tls-cert-file", file("cert.pem", cert)],
			...["--tls-key-file", file("key.pem", key)],
			...["--tls-ca-cert-file", join(place, "cert.pem")],
			...[
				"--aclfile",
				file(
					"users.acl",
					`user default off\nuser wxtokend on >secret-of-redis ${rights}\n`,
				),
			],
		]);
		const fleet = {
			url: `rediss://127.0.0.1:${port}/0`,
			username: "wxtokend",
			password_file: file("password", "secret-of-redis\n"),
			ca_file: join(place, "cert.pem"),
		};
		const { hosts, fetches, agreement } = await startHosts({
			count: 2,
			fleet: (index) => ({
				...fleet,
				role: index === 0 ? "keeper" : "follower",
			}),
		});
		const before = await agreement();
		hangUp(hosts.slice(1));
		await agreement(before);
		expect(fetches()).toBe(2);

		const [host] = hosts;
		const config = host?.config.file ?? "";
		const fit = await runProgram(["check", "--config", config]);
		expect([fit.code, fit.stderr]).toEqual([0, expect.any(String)]);
		expect(fit.stdout).toContain(
			`fleet: Redis at 127.0.0.1:${port} can be used`,
		);
		writeFileSync(fleet.ca_file, otherCertificate());
		const refused = await runProgram(["check", "--config", config]);
		expect(refused.code).toBe(75);
		expect(refused.stdout).toContain("ca_file");

		const shown = await runProgram(["status", "--fleet", "--config", config]);
		expect(shown.code).toBe(0);
		expect(shown.stdout).toMatch(/keeper.*\n(.*\n)*.*follower/);
		expect(shown.stdout).toContain("FETCHED BY");
	},
);

function otherCertificate(): string {
	return certificate(new Date(), new Date(Date.now() + 86_400_000)).cert;
}

withRedis(
	"with cluster mode each script keeps to one slot; of several nodes none can be used, and check says so",
	async () => {
		const [single] = await startCluster(1);
		const { hosts, fetches, agreement } = await startHosts({
			count: 2,
			fleet: () => ({ url: single?.url, publish_as: ["json", "wxjava"] }),
		});
		const before = await agreement();
		hangUp(hosts);
		await agreement(before);
		expect(fetches()).toBe(2);
		await eventually(
			async () => (await single?.cli("EXISTS", "wx:access_token:wx1")) === "1",
			{ what: "the keys of SDKs" },
		);

		const nodes = await startCluster(2);
		for (const { url } of nodes) {
			const config = writeConfig({
				url: "http://127.0.0.1:9",
				top: { fleet: { url } },
			});
			const checked = await runProgram(["check", "--config", config.file]);
			expect(checked.code).toBe(75);
			expect(checked.stdout).toContain("MOVED");
			expect(checked.stdout).toContain("Redis Cluster");
		}
	},
);

withRedis(
	"check names a proxy that ends the connection at SUBSCRIBE, and a server that lacks a command",
	async () => {
		const redis = await startRedis();
		const proxy = await startRelay(redis.port, { endsAt: "subscribe" });
		const lacking = await startRedis(["--rename-command", "PUBLISH", ""]);
		for (const [port, words] of [
			[proxy.port, "does not know SUBSCRIBE"],
			[lacking.port, "lacks a command"],
		] as const) {
			const config = writeConfig({
				url: "http://127.0.0.1:9",
				top: { fleet: { url: `redis://127.0.0.1:${port}/0` } },
			});
			const checked = await runProgram(["check", "--config", config.file]);
			expect(checked.code).toBe(75);
			expect(checked.stdout).toContain(words);
		}
	},
);

/** A primary, two replicas and three sentinels that know them all. */
async function startSentinels() {
	const primary = await startRedis();
	for (let count = 0; count < 2; count += 1)
		await startRedis(["--replicaof", "127.0.0.1", `${primary.port}`]);
	const sentinels: Redis[] = [];
	for (let count = 0; count < 3; count += 1) {
		const file = join(newDirectory(), "sentinel.conf");
		writeFileSync(
			file,
			`sentinel monitor mymaster 127.0.0.1 ${primary.port} 2
sentinel down-after-milliseconds mymaster 1000
sentinel failover-timeout mymaster 5000
`,
		);
		sentinels.push(await startSentinel(file));
	}
	const fieldOf = async (one: Redis, name: string) => {
		const lines = (await one.cli("SENTINEL", "MASTER", "mymaster")).split("\n");
		return lines[lines.indexOf(name) + 1];
	};
	for (const one of sentinels) {
		await eventually(
			async () =>
				(await fieldOf(one, "num-slaves")) === "2" &&
				(await fieldOf(one, "num-other-sentinels")) === "2",
			{ what: "sentinels that know each other", everyMs: 100 },
		);
	}
	return { primary, sentinels };
}

/** How many primaries are killed; each one takes some ten seconds. */
const failovers = Number(process.env.FAILOVERS ?? 1);

withRedis.for(Array.from({ length: failovers }, (_, index) => index + 1))(
	"behind sentinels the primary is killed right after a publication (%i): all hosts agree again, at one fetch more at most",
	async () => {
		const { primary, sentinels } = await startSentinels();
		const addresses = sentinels.map(({ port }) => `127.0.0.1:${port}`);
		const { hosts, fetches, agreement } = await startHosts({
			count: 3,
			fleet: () => ({ sentinels: addresses, name: "mymaster" }),
		});
		const before = await agreement();
		hangUp(hosts);
		await eventually(() => fetches() === 2, { what: "a publication" });
		await primary.kill();
		const killedAt = performance.now();
		for (const { daemon } of hosts)
			await eventually(
				() =>
					daemon.events().filter(({ event }) => event === "fleet.connected")
						.length === 2,
				{ what: "the new primary" },
			);
		const after = await agreement(before);
		const seconds = (performance.now() - killedAt) / 1_000;
		console.log(
			`failover: agreed after ${seconds.toFixed(1)} s, ${fetches()} fetches`,
		);
		expect(fetches()).toBeLessThanOrEqual(3);
		hangUp(hosts);
		await agreement(after);
	},
);

/**
 * Many hosts at once, by FLEET=50 (daemons) and HERD=1000 (accounts, by that many hosts
 * in this process): how many fetches, and how soon everybody knows. Left out otherwise.
 */
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../src/core/clock.ts";
import type { Credential } from "../src/core/credential.ts";
import { emptyRecord, type SharedRecord } from "../src/core/record.ts";
import { tokenId } from "../src/core/token.ts";
import { createDirectoryStore } from "../src/store/directory-store.ts";
import { createOutputDirectory } from "../src/store/output-directory.ts";
import { nameThisProcess } from "../src/store/process-name.ts";
import { accessToken } from "./support/account.ts";
import { newDirectoryInMemory } from "./support/directory.ts";
import { newFleetOf } from "./support/fleet.ts";
import { hangUp, startHosts } from "./support/hosts.ts";
import { startRedis } from "./support/redis.ts";

const daemons = Number(process.env.FLEET ?? 0);
const accounts = Number(process.env.HERD ?? 0);

test.skipIf(daemons === 0)(
	`${daemons} daemons on one Redis: one fetch for the start, a HUP on all, a dead token that all report`,
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, wechat, agreement } = await startHosts({
			fleet: () => ({ url: redis.url }),
			wechat: { cooldown: 0, timeout: 10 },
			count: daemons,
		});
		const first = await agreement();
		const atStart = fetches();
		const operations = async () =>
			Number(
				/total_commands_processed:(\d+)/.exec(
					await redis.cli("INFO", "stats"),
				)?.[1],
			);
		const before = await operations();
		const hupAt = performance.now();
		hangUp(hosts);
		const forced = await agreement(first);
		const hupMs = performance.now() - hupAt;
		const forHup = fetches() - atStart;
		const used = (await operations()) - before;
		wechat.platform.kill("wx1", wechat.now());
		const answers = await Promise.all(
			hosts.map((host) =>
				host.call("/v1/accounts/wx1/refresh", {
					method: "POST",
					body: JSON.stringify({ stale: forced }),
				}),
			),
		);
		await agreement(forced);
		const forDeath = fetches() - atStart - forHup;
		console.log(
			`${daemons} daemons: fetches ${atStart} at the start, ${forHup} for HUPs (all new after ${hupMs.toFixed(0)} ms, ${(used / daemons).toFixed(1)} commands of Redis per host), ${forDeath} for a dead token; ${new Set(answers.map((one) => one.json().value)).size} value`,
		);
		expect([atStart, forHup, forDeath]).toEqual([1, 1, 1]);
	},
	900_000,
);

test.skipIf(accounts === 0)(
	`${accounts} accounts due at once on 50 hosts: as many fetches`,
	async () => {
		const redis = await startRedis();
		const credentials = Array.from(
			{ length: accounts },
			(_, index): Credential => ({
				...accessToken(),
				...{ id: `token${index}`, file: `token${index}`, appid: `wx${index}` },
			}),
		);
		let fetches = 0;
		const hosts = await Promise.all(
			Array.from({ length: 50 }, async (_, index) => {
				const local = createDirectoryStore({
					directory: createOutputDirectory(newDirectoryInMemory()),
					mode: 0o640,
					gid: undefined,
					self: { ...nameThisProcess(), instance: `host${index}` },
					clock: systemClock,
					random: Math.random,
					stopping: new AbortController().signal,
				});
				const fleet = newFleetOf(redis.port, { host: `host${index}` });
				onTestFinished(() => fleet.close());
				await fleet.connected(60_000);
				fleet.keep(local, credentials);
				return { store: fleet.storeOver(local), fleet };
			}),
		);
		const beganAt = performance.now();
		await Promise.all(
			hosts.map(async ({ store }, index) => {
				const queue = credentials.values();
				const worker = async () => {
					for (const credential of queue) {
						const turn = ((index * 7919 + credential.id.length * 31) % 50) / 50;
						await sleep(turn);
						const slot = store.open(credential);
						if (slot.read().kind === "token") continue;
						const lease = await slot.acquire(60_000);
						if (lease === undefined) continue;
						if (slot.read().kind !== "token") {
							fetches += 1;
							await sleep(50);
							const token = {
								value: `token-${credential.appid}`,
								expiresAt: Math.floor(Date.now() / 1_000) * 1_000 + 7_200_000,
							};
							await lease.publish(token, recordOf(token, credential));
						}
						await lease.release();
					}
				};
				await Promise.all(Array.from({ length: 48 }, worker));
			}),
		);
		for (const { store } of hosts)
			for (const credential of credentials)
				while (store.open(credential).read().kind !== "token") await sleep(20);
		const seconds = (performance.now() - beganAt) / 1_000;
		const stats = await redis.cli("INFO", "commandstats");
		const scripts = /cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1];
		console.log(
			`${accounts} accounts on 50 hosts: ${fetches} fetches, all known everywhere after ${seconds.toFixed(1)} s, ${scripts} scripts`,
		);
		expect(fetches).toBe(accounts);
	},
	900_000,
);

function recordOf(
	token: { readonly value: string; readonly expiresAt: number },
	{ source }: Credential,
): SharedRecord {
	return {
		...emptyRecord,
		source,
		generation: Date.now(),
		published: {
			id: tokenId(token.value),
			expiresAt: token.expiresAt,
			lifetimeMs: 7_200_000,
			fetchedAt: Date.now(),
			reason: "due",
		},
	};
}

/**
 * Many hosts at once, by FLEET=50 (daemons), and with HERD=1000 (accounts of each) also
 * what happens when all are due in one instant: how many fetches, what Redis has to do for
 * it, and how soon everybody knows. Left out otherwise.
 */
import { readFileSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import {
	appid,
	type Host,
	hangUp,
	type StartedFleet,
	startHosts,
} from "./support/hosts.ts";
import { type Redis, startRedis } from "./support/redis.ts";
import { hasFile } from "./support/token-file.ts";

const accounts = Number(process.env.HERD ?? 0);
const daemons = Number(process.env.FLEET ?? (accounts > 0 ? 10 : 0));

test.skipIf(daemons === 0)(
	`${daemons} daemons on one Redis: one fetch for the start, a HUP on all, a dead token that all report, a renewal`,
	async () => {
		const redis = await startRedis();
		const fleet = await startHosts({
			fleet: () => ({ url: redis.url }),
			isInMemory: true,
			wechat: { cooldown: 0, timeout: 10 },
			count: daemons,
		});
		const { hosts, wechat } = fleet;
		let last = await fleet.agreement();
		const fetches = [fleet.fetches()];
		/** What all do at once, until all have another value. */
		const measure = async (what: string, act: () => unknown) => {
			const before = fleet.fetches();
			const beganAt = Date.now();
			const used = await commandsDuring(redis, async () => {
				await act();
				last = await anotherValue(fleet, last);
			});
			fetches.push(fleet.fetches() - before);
			report(what, used, timesOf(fleet, beganAt));
		};

		await redis.cli("CONFIG", "RESETSTAT");
		await sleep(15_000);
		console.log(
			`at rest: ${perSecond(await redis.cli("INFO", "commandstats"), 15)} commands of Redis per host and second`,
		);
		await measure("HUP on all", () => hangUp(hosts));
		const forced = last;
		await measure("a dead token", async () => {
			wechat.platform.kill(appid, wechat.now());
			await Promise.all(
				hosts.map((host) =>
					host.call(`/v1/accounts/${appid}/refresh`, {
						method: "POST",
						body: JSON.stringify({ stale: forced }),
					}),
				),
			);
		});
		wechat.platform.turn({ tokenLifetimeSeconds: 30 });
		// Signals of two seconds are one: another daemon may have served this one already.
		await sleep(2_500);
		await measure("HUP on one", () => hangUp(hosts.slice(0, 1)));
		await measure("a renewal", () => {});
		expect(fetches).toEqual([1, 1, 1, 1, 1]);
	},
	900_000,
);

test.skipIf(accounts === 0)(
	`${accounts} accounts due at once on ${daemons} daemons: as many fetches`,
	async () => {
		const redis = await startRedis();
		await redis.kill();
		const fleet = await startHosts({
			fleet: () => ({ url: redis.url }),
			isInMemory: true,
			count: daemons,
			accounts,
			latencyMs: 50,
		});
		expect(fleet.fetches()).toBe(0);
		// Nobody has a value, and all hosts find in one instant that they may fetch.
		const first = await herd(redis, fleet, () => redis.restart());
		expect(first).toBe(accounts);
	},
	900_000,
);

/** How many fetches there were from `act` on, until all files of all hosts are new. */
async function herd(
	redis: Redis,
	fleet: StartedFleet,
	act: () => Promise<void>,
): Promise<number> {
	const { hosts } = fleet;
	const before = fleet.fetches();
	const cpuBefore = hosts.map(cpuMsOf);
	await act();
	const beganAt = Date.now();
	await eventually(() => hosts.every((host) => isNew(host, beganAt)), {
		...{ what: "all values on all hosts", withinMs: 600_000, everyMs: 1_000 },
	});
	const cpu = hosts.map(
		(host, index) => cpuMsOf(host) - (cpuBefore[index] ?? 0),
	);
	await sleep(2_000);
	const used = commandsIn(await redis.cli("INFO", "commandstats"));
	const fetches = fleet.fetches() - before;
	report(
		`${accounts} accounts: ${fetches} fetches; CPU of a host ${at(sorted(cpu), 0.5)} ms`,
		used,
		hosts.flatMap((host) =>
			filesOf(host).map((file) => ctimeOf(file) - beganAt),
		),
	);
	console.log(lossesOf(hosts));
	return fetches;
}

function filesOf({ config }: Host): readonly string[] {
	return config.accounts.map((one) => config.tokenFile(one.appid));
}

function isNew(host: Host, since: number): boolean {
	return filesOf(host).every((file) => hasFile(file) && ctimeOf(file) >= since);
}

/** What the logs warn of, and how often. */
function lossesOf(hosts: readonly Host[]): Record<string, number> {
	const counts: Record<string, number> = {};
	for (const { daemon } of hosts)
		for (const { level, event, code } of daemon.events()) {
			if (level !== "warn" && level !== "error") continue;
			const name = `${event} ${code ?? ""}`;
			counts[name] = (counts[name] ?? 0) + 1;
		}
	return counts;
}

/** One value in all files, and another than `than`. Looked for seldom: it takes time from the hosts. */
function anotherValue({ value }: StartedFleet, than: string): Promise<string> {
	return eventually(
		() => {
			const one = value();
			return one === than ? undefined : one;
		},
		{ what: "one token on all hosts", withinMs: 60_000, everyMs: 250 },
	);
}

/** When each file came into its place, in ms since then. */
function timesOf(
	{ hosts, wechat }: StartedFleet,
	since: number,
): readonly number[] {
	const { at: askedAt } = wechat.requests.findLast(({ endpoint }) =>
		/^(stable_)?token$/.test(endpoint),
	) ?? { at: since };
	console.log(`WeChat answered after ${Math.round(askedAt - since)} ms`);
	return hosts.map(({ config }) => ctimeOf(config.tokenFile(appid)) - askedAt);
}

function ctimeOf(file: string): number {
	return statSync(file).ctimeMs;
}

function report(
	what: string,
	commands: ReadonlyMap<string, number>,
	times: readonly number[],
): void {
	const ms = sorted(times);
	const all = [...commands.values()].reduce((sum, one) => sum + one, 0);
	console.log(
		`${daemons} daemons, ${what}: new after ${at(ms, 0.5)} ms (median), ${at(ms, 0.99)} (p99), ${at(ms, 1)} (last); ${(all / daemons).toFixed(1)} commands of Redis per host, ${commands.get("exists") ?? 0} claims: ${[...commands].map(([name, count]) => `${name} ${count}`).join(", ")}`,
	);
}

function sorted(numbers: readonly number[]): readonly number[] {
	return [...numbers].sort((one, other) => one - other);
}

function at(numbers: readonly number[], share: number): number {
	const index = Math.max(0, Math.ceil(numbers.length * share) - 1);
	return Math.round(numbers[index] ?? Number.NaN);
}

/**
 * What Redis did meanwhile, also within scripts, but for what each host asks each second
 * whatever happens. Only a claim asks for EXISTS.
 */
async function commandsDuring(
	redis: Redis,
	act: () => Promise<void>,
): Promise<ReadonlyMap<string, number>> {
	await redis.cli("CONFIG", "RESETSTAT");
	await act();
	return commandsIn(await redis.cli("INFO", "commandstats"));
}

function commandsIn(stats: string): ReadonlyMap<string, number> {
	const calls = new Map<string, number>();
	for (const [, name = "", count] of stats.matchAll(
		/cmdstat_([a-z]+)\S*:calls=(\d+)/g,
	))
		calls.set(name, (calls.get(name) ?? 0) + Number(count));
	const of = (name: string) => calls.get(name) ?? 0;
	// Each script asks for the time once.
	const polls = of("time") - of("evalsha") - of("eval");
	calls.set("get", of("get") - polls);
	for (const name of ["time", "ping", "config", "info"]) calls.delete(name);
	return calls;
}

function perSecond(stats: string, seconds: number): string {
	const calls = [...stats.matchAll(/cmdstat_(\S+):calls=(\d+)/g)]
		.filter(([, name]) => name !== "config|resetstat" && name !== "info")
		.reduce((sum, [, , count]) => sum + Number(count), 0);
	return (calls / seconds / daemons).toFixed(1);
}

function cpuMsOf({ daemon }: Host): number {
	const stat = readFileSync(`/proc/${daemon.pid}/stat`, "utf8");
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Apps of 企业微信 behind one IP, kept as the daemon does: what reaches 企业微信, and who is served. */
import {
	chmodSync,
	existsSync,
	mkdirSync,
	readFileSync,
	writeFileSync,
} from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Config, loadConfig } from "../../src/config/config.ts";
import { atOnce } from "../../src/core/steps.ts";
import {
	type CredentialSet,
	createCredentialSet,
} from "../../src/daemon/credential-set.ts";
import { wecomHost } from "../../src/simulator/hosts.ts";
import { type Simulator, startSimulator } from "../../src/simulator/server.ts";
import { addWecomApp } from "../../src/simulator/wecom.ts";
import { newDirectoryInMemory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { newSecret } from "../support/leaks.ts";
import { logTo } from "../support/log-to.ts";

const minute = 60_000;
const hour = 60 * minute;
const corpid = "ww0123456789abcdef";

interface App {
	readonly name: string;
	readonly secret: string;
}

/** Apps a0, a1…, of which the simulator knows all but the first `wrong` ones. */
async function scene(count: number, wrong: number) {
	const apps = Array.from({ length: count }, (_, index) => ({
		...{ name: `a${index}`, secret: newSecret() },
	}));
	const simulator = await startSimulator({
		accounts: [],
		wecom: apps.slice(wrong).map(({ secret }) => ({ corpid, secret })),
		hosts: { [wecomHost]: 0 },
		knobs: { wecomPlainHttp: "served" },
	});
	onTestFinished(() => simulator.close());
	const place = newDirectoryInMemory();
	/** As /dev/shm; the real one is not for tests. */
	const placeOfNotes = join(place, "notes");
	mkdirSync(placeOfNotes);
	chmodSync(placeOfNotes, 0o1777);
	const configWith = (
		changed: readonly App[],
		{ directory = "tokens", url = simulator.hosts[wecomHost]?.url } = {},
	): Config => {
		const file = join(place, "config.toml");
		const entries = changed.map(
			({ name, secret }) =>
				`[[wecom]]\ncorpid = "${corpid}"\nname = "${name}"\nsecret = ${JSON.stringify(secret)}\nbase_urls = ["${url}"]\n`,
		);
		writeFileSync(
			file,
			`directory = "${place}/${directory}"\n${entries.join("\n")}`,
			{ mode: 0o600 },
		);
		return loadConfig({ file, env: {}, secrets: true });
	};
	/** Files whose fetch failed. */
	const failed: string[] = [];
	let now = simulator.now();
	/** As a process of its own. */
	const start = (config: Config, env = {}) => {
		const stopping = new AbortController();
		const set = atOnce(
			createCredentialSet({
				...{ config, env, placeOfNotes },
				clock: { now: () => now, monotonic: () => now },
				log: logTo(() => {}),
				stopping: stopping.signal,
				wakeAt: () => {},
				emit: ({ file }, { kind }) => {
					if (kind === "failed") failed.push(file);
				},
				onBug: (error) => {
					throw error;
				},
			}),
		);
		const end = async () => {
			stopping.abort();
			set.stop();
			await set.settle();
			await set.close();
		};
		onTestFinished(end);
		return { set, end };
	};
	const pass = async (ms: number) => {
		now += ms;
		await simulator.advance(ms / 1000);
	};
	const isKept = ({ name }: App) =>
		existsSync(join(place, "tokens", `wecom_access_token_${corpid}_${name}`));
	const ledger = () =>
		readFileSync(join(place, "tokens", ".wecom-calls"), "utf8");
	return { apps, simulator, configWith, start, pass, isKept, ledger, failed };
}

/** Calls of gettoken by their outcomes. */
function outcomes({ requests }: Simulator): Record<string, number> {
	const counts: Record<string, number> = {};
	for (const { endpoint, outcome } of requests)
		if (endpoint === "gettoken") counts[outcome] = (counts[outcome] ?? 0) + 1;
	return counts;
}

/** A tick, and the end of all that it began. */
async function tick(set: CredentialSet): Promise<void> {
	await set.tick();
	const all = [...set.managed().byFile.values()];
	await eventually(
		() => all.every((one) => !one.isQueued && !one.activeKeeper?.isBusy()),
		{ what: "the end of what a tick began", everyMs: 1 },
	);
}

test("of a hundred apps three have wrong secrets: one call an hour each, no ban, and 97 are served", async () => {
	const { apps, simulator, configWith, start, pass, isKept, ledger, failed } =
		await scene(100, 3);
	const config = configWith(apps);
	const first = start(config);
	await first.set.first();
	expect(apps.filter(isKept)).toHaveLength(97);
	expect(outcomes(simulator)).toEqual({ issued: 97, "errcode 40001": 3 });
	for (const { secret } of apps) expect(ledger()).not.toContain(secret);
	expect(failed).toHaveLength(3);

	// HUPs with the same configuration, ticks, and another process: nothing is sent with them.
	await first.set.forceAll(simulator.now());
	await tick(first.set);
	await first.end();
	await pass(10 * minute);
	const second = start(config);
	await second.set.first();
	await tick(second.set);
	expect(outcomes(simulator)["errcode 40001"]).toBe(3);

	// An hour after the refusals they are tried again: two in an hour.
	await pass(51 * minute);
	await tick(second.set);
	expect(outcomes(simulator)["errcode 40001"]).toBe(5);

	// A corrected secret is tried at once.
	const mended = apps.map((app, index) =>
		index === 0 ? { ...app, secret: newSecret() } : app,
	);
	const { secret = "" } = mended[0] ?? {};
	addWecomApp(simulator.platform.state.wecom, { corpid, secret });
	await second.set.replace(configWith(mended));
	await tick(second.set);
	expect(mended.slice(0, 3).map(isKept)).toEqual([true, false, false]);
});

test("however many secrets are wrong, this IP is not banned", async () => {
	const { apps, simulator, configWith, start, pass, isKept } = await scene(
		20,
		12,
	);
	const { set } = start(configWith(apps));
	await set.first();
	for (let n = 0; n < 60; n += 1) {
		await pass(7 * minute);
		await tick(set);
	}
	expect(outcomes(simulator)).not.toHaveProperty("errcode 45009");
	// Each hour at least two tries are left to those that were not tried before.
	expect(apps.slice(12).filter(isKept)).toHaveLength(8);
});

test("a limit of the IP: a minute, then an hour, for all of it", async () => {
	const { apps, simulator, configWith, start, pass, isKept } = await scene(
		30,
		0,
	);
	const remove = await simulator.addFault({
		...{ mode: "errcode", errcode: 45009, endpoint: "gettoken" },
	});
	const { set } = start(configWith(apps));
	await set.first();
	// Four untested secrets at a time.
	const atFirst = simulator.requests.length;
	expect(atFirst).toBeLessThanOrEqual(4);
	await pass(50_000);
	await tick(set);
	expect(simulator.requests.length).toBe(atFirst);
	await pass(2 * minute);
	await tick(set);
	expect(simulator.requests.length).toBe(atFirst + 1);
	for (let n = 0; n < 10; n += 1) {
		await pass(5 * minute);
		await tick(set);
	}
	expect(simulator.requests.length).toBe(atFirst + 1);
	await remove();
	await pass(hour);
	for (let n = 0; n < 30 && !apps.every(isKept); n += 1) {
		await tick(set);
		await pass(minute);
	}
	expect(apps.filter(isKept)).toHaveLength(30);
});

/** Passes plain http on to that URL, whatever host was asked for. */
async function startProxy(to: string | undefined): Promise<string> {
	const target = new URL(to ?? "");
	const server = createServer((asked, answer) => {
		const { pathname, search } = new URL(asked.url ?? "");
		const passed = request(
			{
				...{ host: target.hostname, port: target.port, method: asked.method },
				...{ path: pathname + search, headers: asked.headers },
			},
			(answered) => {
				answer.writeHead(answered.statusCode ?? 502, answered.headers);
				answered.pipe(answer);
			},
		);
		passed.on("error", () => answer.destroy());
		asked.pipe(passed);
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	onTestFinished(() => void server.close());
	return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("two daemons with directories of their own know of each other's wrong secrets, as they have one IP", async () => {
	const { apps, simulator, configWith, start, isKept } = await scene(12, 6);
	const env = {
		http_proxy: await startProxy(simulator.hosts[wecomHost]?.url),
	};
	const url = "http://qyapi.example";
	const first = start(configWith(apps.slice(0, 3), { url }), env);
	const second = start(
		configWith(apps.slice(3), { directory: "others", url }),
		env,
	);
	await Promise.all([first.set.first(), second.set.first()]);
	await tick(second.set);
	const after = outcomes(simulator);
	expect(after["errcode 40001"]).toBeLessThanOrEqual(4);
	expect(after).not.toHaveProperty("errcode 45009");
	// A third one finds out nothing anew.
	const calls = simulator.requests.length;
	const third = start(
		configWith(apps.slice(0, 3), { directory: "thirds", url }),
		env,
	);
	await third.set.first();
	expect(simulator.requests.length).toBe(calls);
	expect(apps.filter(isKept)).toEqual([]);
});

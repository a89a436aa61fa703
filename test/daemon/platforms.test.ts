/**
 * Platforms in virtual time, kept as the daemon does: what reaches WeChat over hours and
 * days, and what of it concerns whom.
 */
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import { atOnce } from "../../src/core/steps.ts";
import { createCredentialSet } from "../../src/daemon/credential-set.ts";
import { createEventLog } from "../../src/daemon/event-log.ts";
import { wecomHost } from "../../src/simulator/hosts.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import { ticketEvent } from "../../src/simulator/pushes.ts";
import { startSimulator } from "../../src/simulator/server.ts";
import { newDirectoryInMemory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { newSecret } from "../support/leaks.ts";
import { type LogLine, logTo } from "../support/log-to.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const appid = "wx1123456789abcdef";
const suiteId = "ww2123456789abcdef";
const provider = "ww1111111111111111";

/** A component and a suite; nothing is pushed, and no time passes, but as the test says. */
async function scene({
	knobs = {},
	seed = 1,
	component = "",
}: {
	readonly knobs?: Partial<Knobs>;
	readonly seed?: number;
	/** More keys of `[[component]]`. */
	readonly component?: string;
} = {}) {
	const secret = newSecret();
	const startAtMs = Date.UTC(2026, 0, 5, 2);
	const simulator = await startSimulator({
		...{ accounts: [], seed, startAtMs, timeScale: 0.000_001 },
		components: [{ appid, secret }],
		suites: [{ suiteId, secret, provider }],
		wecom: [{ corpid: provider, secret, isProvider: true }],
		hosts: { [wecomHost]: 0 },
		knobs: { wecomPlainHttp: "served", ...knobs },
	});
	onTestFinished(() => simulator.close());
	const { platform, hosts } = simulator;
	const place = newDirectoryInMemory();
	const url = JSON.stringify([hosts[wecomHost]?.url]);
	const file = join(place, "config.toml");
	mkdirSync(join(place, "state"), { mode: 0o700 });
	// The clock stands still meanwhile, but requests take real time: on a busy machine
	// more than ten seconds, if there are hundreds of them.
	writeFileSync(
		file,
		`directory = "${place}/tokens"
state_directory = "${place}/state"
[wechat]
base_urls = ["${simulator.url}"]
timeout = 300
[[provider]]
timeout = 300
corpid = "${provider}"
secret = "${secret}"
base_urls = ${url}
[[component]]
timeout = 300
appid = "${appid}"
secret = "${secret}"
${component}
[[suite]]
timeout = 300
suite_id = "${suiteId}"
provider = "${provider}"
secret = "${secret}"
base_urls = ${url}
`,
		{ mode: 0o600 },
	);
	let now = startAtMs;
	const clock = { now: () => now, monotonic: () => now - startAtMs };
	const events: LogLine[] = [];
	const log = logTo((line) => events.push(line));
	const stopping = new AbortController();
	const bugs: unknown[] = [];
	const eventLog = createEventLog(log, clock);
	const set = atOnce(
		createCredentialSet({
			config: loadConfig({ file, env: {}, secrets: true }),
			...{ env: {}, clock, log, stopping: stopping.signal },
			wakeAt: () => {},
			emit: (credential, event) => eventLog(credential, event),
			onBug: (error) => bugs.push(error),
		}),
	);
	onTestFinished(async () => {
		stopping.abort();
		set.stop();
		await set.settle();
		await set.close();
		expect(bugs).toEqual([]);
	});
	/** Ticks until nothing more comes of it; what waits for its turn may be left. */
	const settle = async (isAllDone = true) => {
		for (let calls = -1; calls !== simulator.requests.length; ) {
			calls = simulator.requests.length;
			await set.tick();
			await eventually(
				() =>
					[...set.managed().byFile.values()].every(
						(one) =>
							!(isAllDone && one.isQueued) && !one.activeKeeper?.isBusy(),
					),
				{ what: "the end of what a tick began", everyMs: 1 },
			);
			await set.platforms.settle();
		}
	};
	const found = (table: "component" | "suite", id: string) => {
		const one = set.platforms.platform(table, id);
		if (one === undefined) throw new Error(`no ${table}`);
		return one;
	};
	const kept = {
		component: found("component", appid),
		suite: found("suite", suiteId),
	};
	const simulated = {
		component: platform.component(appid) ?? never(),
		suite: platform.suite(suiteId) ?? never(),
	};
	for (const one of Object.values(simulated))
		one.nextTicketAt = Number.POSITIVE_INFINITY;
	/** WeChat pushes a ticket to each of them. */
	const push = async () => {
		for (const table of ["component", "suite"] as const) {
			const event = ticketEvent(platform.state, simulated[table], now);
			const [ticket = ""] = Object.values(event.fields ?? {});
			await kept[table].takeTicket(String(ticket), now / second);
		}
	};
	const pass = async (ms: number) => {
		now += ms;
		await simulator.advance(ms / second);
	};
	return {
		...{ simulator, platform, set, events, place, kept, pass, settle, push },
		simulated,
		now: () => now,
		/** Time with a push each ten minutes, and a look every `stepMs`. */
		live: async (ms: number, stepMs = 10 * minute) => {
			for (let passed = 0; passed < ms; passed += stepMs) {
				await pass(stepMs);
				await push();
				await settle();
			}
		},
		calls: (endpoint: string, of?: string, since = 0) =>
			simulator.requests.filter(
				(one) =>
					one.endpoint === endpoint &&
					one.at >= since &&
					(of === undefined || one.appid === of),
			).length,
		told: (event: string) => events.filter((one) => one.event === event),
		load: (count: number) => platform.loadAuthorizers(appid, "wxa", count, now),
		file: (name: string) => join(place, "tokens", name),
	};
}

function never(): never {
	throw new Error("not simulated");
}

const nameOf = (at: number) => `wxa${String(at).padStart(6, "0")}`;

test("a sick account costs two calls an hour, and delays no other one", async () => {
	const { simulator, load, push, settle, live, calls, now, ...rest } =
		await scene();
	const { platform, simulated, set } = rest;
	load(20);
	await push();
	await settle();
	const sick = [
		[nameOf(0), 61023],
		[nameOf(1), 61003],
		[nameOf(2), 45009],
	] as const;
	// The first one's refresh token is another one, which nobody is told.
	const first = simulated.component.authorizers.get(nameOf(0)) ?? never();
	first.refreshToken = "refreshtoken@@@of-nobody";
	first.isExchanged = false;
	// The second one's event is lost, and WeChat says so only of its token.
	for (const [appid, errcode] of sick.slice(1))
		await simulator.addFault({
			...{ mode: "errcode", errcode, appid },
			endpoint: "api_authorizer_token",
		});
	expect(platform.component(appid)?.authorizers.size).toBe(20);
	const since = now();
	for (let step = 0; step < 24; step += 1) {
		await live(10 * minute);
		for (let index = 3; index < 20; index += 1) {
			const one = set.managed().byFile.get(`wx_access_token_${nameOf(index)}`);
			// A third of its life is always left.
			expect(one?.living(now())?.expiresAt).toBeGreaterThan(
				now() + 40 * minute - 10 * minute,
			);
		}
	}
	for (const [appid, errcode] of sick) {
		const made = ["api_authorizer_token", "api_get_authorizer_info"]
			.map((endpoint) => calls(endpoint, appid, since))
			.reduce((sum, one) => sum + one);
		expect(made).toBeLessThanOrEqual(2 * 4);
		const outcomes = simulator.requests
			.filter((one) => one.appid === appid && one.at >= since)
			.map(({ outcome, endpoint }) =>
				endpoint === "api_authorizer_token" ? outcome : "",
			);
		expect(outcomes.join()).toContain(
			errcode === 61023 ? "errcode 61023" : "fault errcode",
		);
	}
});

test("the list of accounts is compared each day, and finds what events did not tell", async () => {
	const { load, push, settle, live, calls, set, platform, now, told } =
		await scene();
	load(3);
	await push();
	await settle();
	expect(calls("api_get_authorizer_list")).toBe(1);
	platform.consent(appid, "wx-unheard", now());
	const lost = platform.component(appid)?.authorizers.get("wx-unheard");
	if (lost !== undefined) lost.isExchanged = true;
	await live(day - 20 * minute);
	expect(calls("api_get_authorizer_list")).toBe(1);
	await live(30 * minute);
	expect(calls("api_get_authorizer_list")).toBe(2);
	expect(set.managed().byAppid.has("wx-unheard")).toBe(true);
	await live(day);
	expect(calls("api_get_authorizer_list")).toBe(3);
	expect(told("component.listed")).toHaveLength(3);
});

test("the files of who has withdrawn are removed once their tokens are over", async () => {
	const { load, push, settle, live, kept, set, platform, file, now, calls } =
		await scene({ component: 'authorizer_tickets = ["jsapi"]' });
	load(2);
	await push();
	await settle();
	const corpid = "ww4123456789abcdef";
	const { code } = platform.authorizeSuite(suiteId, corpid, now());
	await kept.suite.takeCode(code);
	await settle();
	const gone = [
		`wx_access_token_${nameOf(0)}`,
		`wx_jsapi_ticket_${nameOf(0)}`,
		`wecom_access_token_${corpid}_${suiteId}`,
	];
	for (const name of gone) expect(existsSync(file(name))).toBe(true);
	platform.withdraw(appid, nameOf(0), now());
	platform.withdrawSuite(suiteId, corpid);
	await kept.component.withdraw(nameOf(0));
	await kept.suite.withdraw(corpid);
	await settle();
	const made = calls("api_authorizer_token", nameOf(0));
	await live(110 * minute);
	for (const name of [gone[0] ?? "", gone[2] ?? ""]) {
		expect(existsSync(file(name))).toBe(true);
		const { lastError } = set.managed().byFile.get(name)?.status(now()) ?? {};
		expect(lastError).toMatchObject({ code: "unauthorized" });
	}
	await live(20 * minute);
	await eventually(() => gone.every((name) => !existsSync(file(name))), {
		what: "the end of the files",
	});
	expect(calls("api_authorizer_token", nameOf(0))).toBe(made);
	expect(calls("get_corp_token")).toBe(1);
	expect(existsSync(file(`wx_access_token_${nameOf(1)}`))).toBe(true);
	expect(
		readdirSync(join(file("."))).filter((name) => name.includes(nameOf(0))),
	).toEqual([]);
	// A new consent needs nothing of before.
	const again = platform.consent(appid, nameOf(0), now());
	await kept.component.takeCode(again.code, nameOf(0));
	await settle();
	expect(existsSync(file(gone[0] ?? ""))).toBe(true);
});

test.each([
	["with the same keepers", "", 'log_level = "warn"\n'],
	["with other keepers", "[wechat]\n", "[wechat]\ncooldown = 20\n"],
])(
	"members that come and go while another configuration is taken over, %s",
	async (_how, before, after) => {
		const { set, kept, place } = await scene({
			component: 'authorizer_tickets = ["jsapi"]',
		});
		const { component } = kept;
		// So many that it takes several turns of the event loop.
		const ids = Array.from({ length: 20_000 }, (_, n) => `wxa${n}`);
		const secretOf = (id: string) => [id, `refreshtoken-${id}`] as const;
		await component.authorize(ids.map(secretOf));
		const file = join(place, "config.toml");
		const text = readFileSync(file, "utf8");
		writeFileSync(file, text.replace(before, after));
		const wanted = loadConfig({ file, env: {}, secrets: true });
		const replaced = set.replace(wanted);
		await nextTurn();
		expect(set.config()).not.toBe(wanted);
		await component.withdraw("wxa0");
		await component.withdraw("wxa1");
		await component.authorize([secretOf("wxa1"), secretOf("wxnew")]);
		expect(await replaced).toBe("replaced");
		expect(set.config()).toBe(wanted);
		const { byFile, byAppid } = set.managed();
		const isKept = (file: string) => byFile.has(file);
		expect(byAppid.size).toBe(ids.length + 1);
		expect(isKept("wx_access_token_wxnew")).toBe(true);
		expect(isKept("wx_jsapi_ticket_wxa0")).toBe(false);
		expect(isKept("wx_jsapi_ticket_wxa1")).toBe(true);
		expect(isKept("wx_jsapi_ticket_wxa2")).toBe(true);
	},
);

test("while no push comes WeChat is asked once an hour to push again, and a person is told", async () => {
	const { push, settle, pass, calls, told, simulated } = await scene();
	await push();
	await settle();
	simulated.component.isStopped = true;
	for (let passed = 0; passed < 5 * hour; passed += 5 * minute) {
		await pass(5 * minute);
		await settle();
	}
	// After half an hour, and then each hour.
	expect(calls("api_start_push_ticket")).toBe(5);
	const missing = told("push.missing");
	expect(missing.filter((one) => one.component === appid)).toHaveLength(5);
	expect(missing.filter((one) => one.suite === suiteId)).toHaveLength(5);
	expect(missing[0]?.message).toContain("no push to");
});

test("a verify ticket is used for the 12 hours of its life and not after, so that 11 h 59 min without pushes cost nothing", async () => {
	const { push, settle, pass, set, now, calls } = await scene();
	await push();
	await settle();
	const since = now();
	const file = `wx_component_access_token_${appid}`;
	const isLiving = () =>
		set.managed().byFile.get(file)?.living(now()) !== undefined;
	while (now() < since + 12 * hour - minute) {
		await pass(Math.min(10 * minute, since + 12 * hour - minute - now()));
		await settle();
		expect(isLiving()).toBe(true);
	}
	await pass(2 * minute);
	const calls12h = calls("api_component_token");
	while (isLiving()) {
		await pass(10 * minute);
		await settle();
	}
	expect(now()).toBeGreaterThan(since + 12 * hour);
	expect(calls("api_component_token")).toBe(calls12h);
}, 60_000);

test("the component token is fetched by its age, whatever is pushed", async () => {
	const { push, settle, live, now, calls } = await scene();
	await push();
	await settle();
	const since = now();
	await live(day);
	const ofDay = calls("api_component_token", undefined, since);
	expect(ofDay).toBeGreaterThan(12);
	expect(ofDay).toBeLessThanOrEqual(40);
}, 60_000);

test("a platform without a ticket is told once, and each of its members says what it waits for", async () => {
	const { simulator, load, push, settle, pass, told, set, now, ...rest } =
		await scene();
	const { platform, kept, calls } = rest;
	load(50);
	await push();
	await settle();
	const corps = Array.from({ length: 5 }, (_, at) => `ww-corp-${at}`);
	for (const corpid of corps)
		await kept.suite.takeCode(
			platform.authorizeSuite(suiteId, corpid, now()).code,
		);
	await settle();
	for (let passed = 0; passed < 16 * hour; passed += 30 * minute) {
		await pass(30 * minute);
		await settle();
	}
	// An access token of an account is named by its appid alone.
	const failed = told("fetch.failed").map(
		(one) => `${one.credential ?? ""} ${one.appid}`,
	);
	const ofComponent = failed.filter((one) => one.includes(" wx"));
	const ofSuite = failed.filter((one) => /^wecom_(suite_)?access/.test(one));
	expect([...new Set(ofComponent)]).toEqual([
		`wx_component_access_token_${appid} ${appid}`,
	]);
	expect([...new Set(ofSuite)]).toEqual([
		`wecom_suite_access_token_${suiteId} ${suiteId}`,
	]);
	for (const file of [
		`wx_access_token_${nameOf(7)}`,
		`wecom_access_token_ww-corp-1_${suiteId}`,
	]) {
		const { waitsFor } = set.managed().byFile.get(file)?.status(now()) ?? {};
		expect(waitsFor?.reason).toMatch(/no push since 2026-01-05T02:00/);
	}
	// With the ticket of the start: by age for 12 hours, and for 30 minutes.
	expect(calls("api_component_token")).toBeLessThanOrEqual(10);
	expect(calls("get_suite_token")).toBeLessThanOrEqual(3);
	expect(simulator.requests.map(({ outcome }) => outcome)).not.toContain(
		"errcode 61005",
	);
});

describe("after an hour without a link", () => {
	test("renewals come at a pace, those of dead tokens first, and all are served", async () => {
		const { load, push, settle, pass, simulator, set, now } = await scene();
		load(1_200);
		await push();
		await settle();
		// So far that the first ones are nearly due, and all will be before the link is back.
		for (let passed = 0; passed < 40 * minute; passed += 10 * minute) {
			await pass(10 * minute);
			await push();
			await settle();
		}
		const restore = await simulator.addFault({
			mode: "refuse",
			host: "api.weixin.qq.com",
			forSeconds: 4_000,
		});
		await pass(hour);
		await restore();
		await push();
		const since = now();
		const begun = () =>
			simulator.requests.filter(
				({ endpoint, at }) =>
					endpoint === "api_authorizer_token" && at >= since,
			).length;
		await set.tick();
		for (let n = 0; n < 3; n += 1) await settle(false);
		// No time has passed: one burst.
		expect(begun()).toBeLessThanOrEqual(300);
		expect(begun()).toBeGreaterThan(100);
		for (let passed = 0; passed < 60; passed += 1) {
			await pass(second);
			await settle(false);
			expect(begun()).toBeLessThanOrEqual(300 + 50 * (passed + 1));
		}
		const dead = [...set.managed().byFile.values()].filter(
			(one) => one.living(now()) === undefined,
		);
		expect(dead.map(({ credential }) => credential.file)).toEqual([]);
	});
});

test("the same scenario with the same seed makes the same calls and the same files", async () => {
	const run = async () => {
		const { load, push, settle, live, simulator, kept, platform, now, file } =
			await scene({ seed: 7 });
		load(5);
		await push();
		await settle();
		await kept.suite.takeCode(
			platform.authorizeSuite(suiteId, "ww-corp", now()).code,
		);
		await live(3 * hour);
		const calls = simulator.requests
			.map(
				({ at, endpoint, appid, outcome }) =>
					`${at} ${endpoint} ${appid} ${outcome}`,
			)
			.sort();
		const files = readdirSync(file("."))
			.filter((name) => /^w/.test(name))
			.sort()
			.map(
				(name) =>
					`${name} ${Object.keys(JSON.parse(readFileSync(file(name), "utf8")))}`,
			);
		return { calls, files };
	};
	const first = await run();
	expect(first.calls.length).toBeGreaterThan(20);
	expect(await run()).toEqual(first);
});

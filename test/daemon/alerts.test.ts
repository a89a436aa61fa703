/** Alerts in virtual time, against a robot on loopback that fails, delays and limits. */
import { setImmediate as turnOfTheLoop } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import {
	type AlertFormat,
	settingsFor,
} from "../../src/config/alert-settings.ts";
import type { Credential } from "../../src/core/credential.ts";
import { IssuerError } from "../../src/core/errors.ts";
import type { KeeperEvent } from "../../src/core/ports.ts";
import type { CredentialStatus } from "../../src/core/status.ts";
import type { Trouble } from "../../src/core/trouble.ts";
import { readAlertMemory } from "../../src/daemon/alert-memory.ts";
import { createAlerts } from "../../src/daemon/alerts.ts";
import { createHttp, type HttpRequest } from "../../src/issuer/http.ts";
import { newDirectory } from "../support/directory.ts";
import { leaksIn, newSecret } from "../support/leaks.ts";
import { type LogLine, logTo } from "../support/log-to.ts";
import { startRobot } from "../support/robot.ts";

const startAt = Date.parse("2026-03-01T02:00:00+08:00");

const failedEvent: KeeperEvent = {
	kind: "failed",
	error: new IssuerError({
		...{ kind: "admin", code: "errcode 40164", message: "m", hint: "h" },
		...{ mayHaveIssued: false, sent: true },
	}),
	failure: undefined,
	notBefore: undefined,
	current: undefined,
	isAsked: false,
};

const mendedEvent = { kind: "refreshed" } as KeeperEvent;

interface WorldOptions {
	readonly format?: AlertFormat;
	readonly secret?: string;
	readonly language?: "zh" | "en";
	/** Of the former process. */
	readonly directory?: string;
	readonly startAt?: number;
	/** What the reading of a status takes. */
	readonly msPerStatus?: number;
}

/** A daemon's alerts, with statuses that the test sets and a clock that it moves. */
async function startWorld(options: WorldOptions = {}) {
	const clock = { at: options.startAt ?? startAt };
	const now = () => clock.at;
	const { format = "wecom", secret, language = "en" } = options;
	const directory = options.directory ?? newDirectory();
	const robot = await startRobot({
		...{ format, now },
		...(secret === undefined ? {} : { secret }),
	});
	const statuses = new Map<string, CredentialStatus>();
	const log: LogLine[] = [];
	const bugs: unknown[] = [];
	let reads = 0;
	let underWay = 0;
	const makeHttp = () => {
		const http = createHttp({ connectTimeoutMs: 5_000, env: {} });
		return {
			send: (request: HttpRequest) => {
				underWay += 1;
				return http.send(request).finally(() => {
					underWay -= 1;
				});
			},
			close: http.close,
		};
	};
	const alerts = createAlerts({
		statusOf: (file) => {
			reads += 1;
			clock.at += options.msPerStatus ?? 0;
			return statuses.get(file);
		},
		directory: () => directory,
		isSimulated: false,
		makeHttp,
		host: "web-1",
		remembered: readAlertMemory(directory),
		clock: { now, monotonic: now },
		log: logTo((line) => log.push(line)),
		onBug: (error) => bugs.push(error),
	});
	alerts.use(settingsFor({ format, language }, robot.url, secret));
	onTestFinished(async () => {
		await alerts.stop();
		expect(bugs).toEqual([]);
		expect(leaksIn(JSON.stringify(log), true)).toEqual([]);
		expect(leaksIn(JSON.stringify(robot.bodies), true)).toEqual([]);
	});
	const note = (name: string, event: KeeperEvent) =>
		alerts.note({ file: fileOf(name) } as Credential, event);
	return {
		...{ robot, alerts, log, directory, now, note },
		reads: () => reads,
		set: (name: string, status: Partial<CredentialStatus>) =>
			statuses.set(fileOf(name), statusOf(name, status)),
		fail: (name: string, error: Partial<ErrorFields> = {}) => {
			statuses.set(
				fileOf(name),
				statusOf(name, failing(name, clock.at, error)),
			);
			note(name, failedEvent);
		},
		mend: (name: string) => {
			statuses.set(
				fileOf(name),
				statusOf(name, {
					lastRefresh: { at: iso(clock.at), reason: "due" },
					expire: (clock.at + 7_200_000) / 1000,
				}),
			);
			note(name, mendedEvent);
		},
		/** Time passes in steps of five seconds, as the daemon's beats do. */
		pass: async (seconds: number) => {
			const until = clock.at + seconds * 1000;
			while (clock.at < until) {
				clock.at = Math.min(until, clock.at + 5_000);
				alerts.turn();
				do await turnOfTheLoop();
				while (underWay > 0);
			}
		},
	};
}

type ErrorFields = NonNullable<CredentialStatus["lastError"]>;

function fileOf(name: string): string {
	return `wx_access_token_${name}`;
}

function iso(at: number): string {
	return new Date(at).toISOString();
}

function failing(
	name: string,
	at: number,
	error: Partial<ErrorFields>,
): Partial<CredentialStatus> {
	return {
		state: "failing",
		expire: (startAt + 3_600_000) / 1000,
		lastError: {
			kind: "admin",
			code: "errcode 40164",
			message: `could not fetch a token for ${name}: this server's IP is not in the whitelist`,
			hint: "add 203.0.113.7 to the API IP whitelist",
			rid: null,
			at: iso(at),
			since: iso(at),
			attempts: 1,
			nextTryAt: iso(at + 300_000),
			...error,
		},
	};
}

function statusOf(
	appid: string,
	given: Partial<CredentialStatus>,
): CredentialStatus {
	return {
		...{ appid, state: "valid", valid: true, interface: "classic" },
		...{ file: `/run/wxtokend/${fileOf(appid)}`, credential: fileOf(appid) },
		...{ expire: (startAt + 7_200_000) / 1000, secondsLeft: 3_600 },
		...{ lifetime: 7_200, lastRefresh: null, lastError: null, hint: null },
		...{ nextRefreshAt: iso(startAt + 3_600_000), foreignFetcher: false },
		...{ budget: { used: 0, of: 60 }, kind: "access_token", waitsFor: null },
		...{ guessed: false, overdue: false },
		...given,
	} as CredentialStatus;
}

test("one message when it begins, one when it is over, with name, cause, times and remedy", async () => {
	const world = await startWorld();
	world.fail("wx1");
	await world.pass(10);
	const clock = (at: number) => new Date(at).toTimeString().slice(0, 5);
	expect(world.robot.taken).toEqual([
		[
			"wxtokend @ web-1: 1 in trouble",
			"● wx_access_token_wx1: could not fetch a token for wx1: this server's IP is not in the whitelist",
			`  failing since ${clock(startAt)}; apps will fail from ${clock(startAt + 3_600_000)} on`,
			"  To do: add 203.0.113.7 to the API IP whitelist",
		].join("\n"),
	]);
	// The same failure at each attempt is no news.
	for (let attempt = 2; attempt < 10; attempt += 1) {
		world.fail("wx1", { attempts: attempt, since: iso(startAt) });
		await world.pass(300);
	}
	expect(world.robot.taken).toHaveLength(1);
	const mendedAt = world.now();
	world.mend("wx1");
	await world.pass(600);
	expect(world.robot.taken.slice(1)).toEqual([
		[
			"wxtokend @ web-1: 1 fine again",
			`○ wx_access_token_wx1: fine again; it failed ${clock(startAt)}–${clock(mendedAt + 5_000)}`,
		].join("\n"),
	]);
	expect(world.log.map(({ event }) => event)).toEqual([
		"alert.sent",
		"alert.sent",
	]);
});

/** A permanent code that nobody can fetch again. */
const lost: Trouble = {
	...{ code: "code-lost", kind: "none", of: "wecom_suite_access_token" },
	...{ message: "an auth code has brought nothing", hint: "let it authorise" },
	...{ since: startAt - 60_000, tellAt: startAt, failsAt: undefined },
	needsPerson: true,
};

test("what no status shows and has no end is told once, also by the next process", async () => {
	const world = await startWorld();
	world.robot.twist((_nth, response) => {
		response.writeHead(502).end();
		return true;
	});
	world.alerts.happened("wecom_suite_access_token_ww1", lost);
	world.alerts.happened("wecom_access_token_corp_ww1", lost);
	await world.pass(10);
	expect(world.robot.bodies.length).toBeGreaterThan(0);
	await world.alerts.stop();
	const { directory, now } = world;
	const next = await startWorld({ directory, startAt: now(), language: "zh" });
	await next.pass(10);
	expect(next.robot.taken).toEqual([
		expect.stringMatching(
			/2 个凭据出了问题\n● wecom_suite_access_token_ww1、wecom_access_token_corp_ww1：一个企业的永久授权码没有拿到.*（code-lost）\n.*\n {2}处理：如果是别的程序换走的/,
		),
	]);
	await next.pass(600);
	expect(next.robot.bodies).toHaveLength(1);
	await next.alerts.stop();
	expect(readAlertMemory(directory)).toEqual([]);
});

test("of what nobody can be told a thousand are remembered, the newest", async () => {
	const world = await startWorld();
	for (let nth = 0; nth < 1_100; nth += 1)
		world.alerts.happened(`wecom_access_token_corp${nth}_ww1`, lost);
	await world.alerts.stop();
	const names = readAlertMemory(world.directory).map((one) => one.credential);
	expect(names).toHaveLength(1_000);
	expect(names.at(-1)).toBe("wecom_access_token_corp1099_ww1");
});

test("in Chinese it says the same, with the IP that WeChat saw", async () => {
	const world = await startWorld({ language: "zh" });
	world.fail("wx1");
	await world.pass(10);
	expect(world.robot.taken[0]).toMatch(
		/^wxtokend @ web-1：1 个凭据出了问题\n● wx_access_token_wx1：本服务器的 IP 不在 IP 白名单里（errcode 40164）\n {2}从 \d\d:\d\d 起失败，应用将从 \d\d:\d\d 起报错\n {2}处理：把 203\.0\.113\.7 加进/,
	);
});

test("what may pass by itself is told only if it lasts", async () => {
	const world = await startWorld();
	const passing = { kind: "transient", code: "timeout", hint: "" } as const;
	world.fail("wx1", passing);
	await world.pass(290);
	world.mend("wx1");
	await world.pass(600);
	expect(world.robot.bodies).toEqual([]);
	const beganAt = world.now();
	world.fail("wx1", passing);
	await world.pass(290);
	expect(world.robot.taken).toEqual([]);
	await world.pass(20);
	expect(world.robot.taken).toHaveLength(1);
	// It has come to need a person: that is told once more.
	world.fail("wx1", { since: iso(beganAt) });
	await world.pass(120);
	expect(world.robot.taken).toHaveLength(2);
	expect(world.robot.taken[1]).toContain("whitelist");
});

test("many at once are one message that fits, and at most one arrives in a minute", async () => {
	const world = await startWorld();
	for (let index = 1; index <= 500; index += 1) world.fail(`wx${index}`);
	world.fail("wxother", { code: "errcode 40125", hint: "a new secret" });
	await world.pass(10);
	const [text = ""] = world.robot.taken;
	expect(world.robot.taken).toHaveLength(1);
	expect(text).toContain("501 in trouble");
	expect(text).toContain(
		"wx_access_token_wx1, wx_access_token_wx2, wx_access_token_wx3 and 497 more: ",
	);
	expect(text).toContain("wx_access_token_wxother");
	expect(Buffer.byteLength(text)).toBeLessThanOrEqual(2_000);
	world.fail("wxlate");
	await world.pass(45);
	expect(world.robot.taken).toHaveLength(1);
	await world.pass(30);
	expect(world.robot.taken).toHaveLength(2);
	expect(world.robot.taken[1]).toContain("1 in trouble");
});

test("eighty different causes are cut to what a robot takes, and counted", async () => {
	const world = await startWorld({ language: "zh" });
	for (let index = 1; index <= 80; index += 1)
		world.fail(`wx${index}`, { hint: `add 203.0.113.${index}` });
	await world.pass(10);
	expect(world.robot.taken).toHaveLength(1);
	expect(world.robot.taken[0]).toMatch(/\n……另有 7\d 项，见 wxtokend status$/);
});

test("a robot that fails, hangs up, delays and limits gets each trouble once, and none is lost", async () => {
	const world = await startWorld();
	const { robot } = world;
	robot.twist((nth, response) => {
		if (nth === 1) response.destroy();
		else if (nth === 2) response.writeHead(502).end();
		else if (nth === 3) response.end("<html>");
		else if (nth === 4) response.end('{"errcode":45009,"errmsg":"limit"}');
		else if (nth === 5) setTimeout(() => response.end('{"errcode":-1}'), 50);
		else return false;
		return true;
	});
	world.fail("wx1");
	world.fail("wx2");
	await world.pass(60);
	// One begins and ends while nobody can be told of it.
	world.fail("wx3");
	await world.pass(10);
	world.mend("wx3");
	for (let step = 0; robot.taken.length === 0 && step < 100; step += 1)
		await world.pass(10);
	await world.pass(1_200);
	expect(robot.taken).toHaveLength(1);
	const [text = ""] = robot.taken;
	expect(text).toContain("2 in trouble, 1 fine again");
	expect(text).toMatch(/● wx_access_token_wx1, wx_access_token_wx2: /);
	expect(text).toMatch(/○ wx_access_token_wx3: fine again; it failed/);
	expect(robot.bodies).toHaveLength(6);
	// One line for each way to fail, and none for a repetition.
	expect(world.log.map(({ event, code = "" }) => `${event} ${code}`)).toEqual([
		"alert.unsent closed",
		"alert.unsent http 502",
		"alert.unsent not-json",
		"alert.unsent errcode 45009",
		"alert.unsent errcode -1",
		"alert.sent ",
	]);
});

test("an address that is wrong for a day costs one line, and few requests", async () => {
	const world = await startWorld();
	world.robot.twist((_nth, response) => {
		response.end('{"errcode":93000,"errmsg":"invalid webhook url"}');
		return true;
	});
	world.fail("wx1");
	await world.pass(86_400);
	expect(world.log).toMatchObject([
		{
			level: "warn",
			event: "alert.unsent",
			code: "errcode 93000",
			hint: expect.stringMatching(/^the robot was removed/),
		},
	]);
	expect(world.robot.bodies.length).toBeGreaterThan(100);
	expect(world.robot.bodies.length).toBeLessThan(160);
	world.robot.twist(undefined);
	await world.pass(700);
	expect(world.robot.taken).toHaveLength(1);
});

test.each([
	["dingtalk", newSecret()],
	["dingtalk", undefined],
	["feishu", newSecret()],
	["feishu", undefined],
	["json", undefined],
] as const)("%s takes the message, also signed", async (format, secret) => {
	const world = await startWorld({
		format,
		...(secret === undefined ? {} : { secret }),
	});
	world.fail("wx1");
	await world.pass(10);
	expect(world.robot.taken).toHaveLength(1);
	expect(world.robot.taken[0]).toContain("wx_access_token_wx1");
	if (format === "json")
		expect(world.robot.bodies[0]).toMatchObject({
			event: "wxtokend.alert",
			host: "web-1",
			begun: [
				{
					credential: "wx_access_token_wx1",
					code: "errcode 40164",
					since: iso(startAt),
					appsFailFrom: iso(startAt + 3_600_000),
				},
			],
			over: [],
		});
});

test("the next process does not tell it again, but tells its end", async () => {
	const first = await startWorld();
	first.fail("wx1");
	await first.pass(10);
	await first.alerts.stop();
	const { directory } = first;
	const second = await startWorld({ directory, startAt: first.now() });
	// A process that has just begun has no failure of its own yet: that is no end.
	second.set("wx1", {});
	await second.pass(120);
	second.fail("wx1", { since: iso(startAt) });
	await second.pass(120);
	expect(second.robot.bodies).toEqual([]);
	second.mend("wx1");
	await second.pass(70);
	expect(second.robot.taken).toHaveLength(1);
	expect(second.robot.taken[0]).toContain("fine again");
});

test("what a status tells before its event does waits for the others, too", async () => {
	const first = await startWorld();
	first.fail("wx1");
	first.fail("wx2");
	await first.pass(10);
	await first.alerts.stop();
	const { directory } = first;
	const second = await startWorld({ directory, startAt: first.now() });
	second.set("wx2", {});
	second.set("wx1", {
		lastRefresh: { at: iso(second.now()), reason: "first" },
		expire: (second.now() + 7_200_000) / 1000,
	});
	second.alerts.turn();
	second.mend("wx1");
	second.mend("wx2");
	await second.pass(120);
	expect(second.robot.taken).toEqual([expect.stringContaining("2 fine again")]);
});

test("what no robot took before the end of a process is told by the next one", async () => {
	const first = await startWorld();
	first.robot.twist((_nth, response) => {
		response.writeHead(500).end();
		return true;
	});
	first.fail("wx1");
	await first.pass(10);
	first.mend("wx1");
	await first.pass(10);
	await first.alerts.stop();
	const { directory } = first;
	const second = await startWorld({ directory, startAt: first.now() });
	second.set("wx1", { lastRefresh: { at: iso(first.now()), reason: "due" } });
	await second.pass(10);
	expect(second.robot.taken).toEqual([
		expect.stringContaining("fine again; it failed"),
	]);
});

test("a trouble that comes back before its end was told is no news; afterwards it is", async () => {
	const world = await startWorld();
	world.fail("wx1");
	await world.pass(10);
	world.mend("wx1");
	await world.pass(10);
	world.fail("wx1");
	await world.pass(300);
	expect(world.robot.taken).toHaveLength(1);
	world.mend("wx1");
	await world.pass(70);
	expect(world.robot.taken).toHaveLength(2);
	world.fail("wx1");
	await world.pass(70);
	expect(world.robot.taken.map((text) => text.split("\n")[0])).toEqual([
		"wxtokend @ web-1: 1 in trouble",
		"wxtokend @ web-1: 1 fine again",
		"wxtokend @ web-1: 1 in trouble",
	]);
});

test("thousands of troubles are looked at in slices, and each is told once", async () => {
	const world = await startWorld({ msPerStatus: 0.1 });
	for (let index = 0; index < 3_000; index += 1) world.fail(`wx${index}`);
	const before = world.reads();
	world.alerts.turn();
	expect(world.reads() - before).toBeLessThan(110);
	await world.pass(1_200);
	const begun = world.log
		.filter(({ event }) => event === "alert.sent")
		.map(({ begun }) => Number(begun));
	expect(begun.length).toBeLessThan(20);
	expect(begun.reduce((sum, one) => sum + one, 0)).toBe(3_000);
});

import { describe, expect, test } from "vitest";
import { defaultKnobs } from "../../src/simulator/knobs.ts";
import { createRequestLog } from "../../src/simulator/request-log.ts";
import {
	type SimulatorOptions,
	startSimulator,
} from "../../src/simulator/server.ts";
import { startWeChat } from "../support/wechat.ts";
import { call } from "./call.ts";
import { at, mini, mp, sample } from "./scene.ts";

/** A simulator whose clock stands still, with functions that control it over HTTP. */
async function controlled(options: Partial<SimulatorOptions> = {}) {
	const started = await startWeChat({
		accounts: [mp],
		startAtMs: at(0),
		timeScale: 0,
		...options,
	});
	const ask = async (path: string) => {
		const { status, body } = await call(`${started.url}${path}`);
		return { status, content: JSON.parse(body) };
	};
	const order = async (path: string, content: unknown) => {
		const { status, body } = await call(`${started.url}${path}`, {
			method: "POST",
			body: typeof content === "string" ? content : JSON.stringify(content),
		});
		return { status, content: JSON.parse(body) };
	};
	const fetchToken = async (secret = mp.secret) =>
		(
			await ask(
				`/cgi-bin/token?grant_type=client_credential&appid=${mp.appid}&secret=${secret}`,
			)
		).content;
	const use = async (token: string) =>
		(await ask(`/sim/use?access_token=${token}`)).content.errcode;
	return { ...started, ask, order, fetchToken, use };
}

const { appid } = mp;

describe("the control port", () => {
	test("kill: a use answers 40001 at once", async () => {
		const { fetchToken, use, order } = await controlled();
		const { access_token } = await fetchToken();
		expect(await use(access_token)).toBe(0);
		await order("/sim/kill", { appid });
		expect(await use(access_token)).toBe(40001);
	});

	test("expire: a use answers 42001 at once", async () => {
		const { fetchToken, use, order } = await controlled();
		const { access_token } = await fetchToken();
		await order("/sim/expire", { appid });
		expect(await use(access_token)).toBe(42001);
	});

	test("foreign-fetch and advance: the former token ends after the overlap", async () => {
		const { fetchToken, use, order, now } = await controlled();
		const { access_token } = await fetchToken();
		await order("/sim/foreign-fetch", { appid });
		await order("/sim/advance", { seconds: 299 });
		expect(await use(access_token)).toBe(0);
		await order("/sim/advance", { seconds: 2 });
		expect(now()).toBe(at(301));
		expect(await use(access_token)).toBe(40001);
	});

	test("foreign-fetch on the stable interface, with and without force", async () => {
		const { order, platform, now } = await controlled();
		const answered = platform.stableToken(mp, now());
		const { access_token } = JSON.parse(answered.body);
		const foreign = { appid, interface: "stable" };
		await order("/sim/foreign-fetch", foreign);
		expect(platform.isAlive(appid, access_token, now())).toBe(true);
		await order("/sim/foreign-fetch", { ...foreign, force: true });
		expect(platform.isAlive(appid, access_token, now())).toBe(false);
	});

	test("tickets and foreign-ticket: put one in place, and fetch the next one first", async () => {
		const { order, ask, platform, now, url } = await controlled();
		const jsapi = () => platform.account(appid, now())?.tickets.get("jsapi");
		await order("/sim/tickets", { appid, ticket: "a-known-ticket" });
		await order("/sim/foreign-ticket", { appid });
		expect(jsapi()?.current.value).toBe("a-known-ticket");
		await order("/sim/foreign-ticket", { appid, type: "2" });
		await order("/sim/advance", { seconds: 7200 });
		await order("/sim/foreign-ticket", { appid });
		const { current } = jsapi() ?? expect.unreachable();
		expect(current).toMatchObject({ issuedAt: at(7200), endsAt: at(14_400) });
		const begins = `${current.value.slice(0, 10)}…`;
		expect((await ask("/sim/state")).content.accounts).toMatchObject([
			{
				tickets: {
					jsapi: [{ begins, issuedAt: at(7200), endsAt: at(14_400) }],
					2: [],
				},
				usedToday: { getticket: 3 },
			},
		]);
		const { body } = await call(`${url}/sim/state`);
		expect(body).not.toContain(current.value);
	});

	test("S57: verify-signature: alive, dead-ticket or invalid", async () => {
		const { order } = await controlled({ accounts: [mp, mini] });
		await order("/sim/tickets", { appid, ticket: sample.ticket });
		const judge = async (fields: object) => {
			const given = { ...sample.page, ...fields };
			return (await order("/sim/verify-signature", given)).content;
		};
		expect(await judge({})).toEqual({ result: "alive" });
		expect(await judge({ timestamp: 1414587457 })).toEqual({ result: "alive" });
		expect(await judge({ appid, type: "jsapi" })).toEqual({ result: "alive" });
		for (const fields of [
			{ url: "http://mp.weixin.qq.com/" },
			{ type: "wx_card" },
			{ appid: mini.appid },
		])
			expect(await judge(fields)).toEqual({ result: "invalid" });
		await order("/sim/advance", { seconds: 7200 });
		expect(await judge({})).toEqual({ result: "dead-ticket" });
	});

	test("faults: adds them, shows what is left of them, and removes them", async () => {
		const { ask, order, fetchToken } = await controlled();
		const fault = { mode: "errcode", errcode: -1, endpoint: "token", count: 5 };
		await order("/sim/faults", fault);
		expect(await fetchToken()).toMatchObject({ errcode: -1 });
		expect((await ask("/sim/faults")).content.faults).toEqual([
			{ ...fault, count: 4 },
		]);
		await order("/sim/faults", { clear: true });
		expect(await fetchToken()).toHaveProperty("access_token");
	});

	test("faults: a refusal of the control port itself needs an end", async () => {
		const { order, ask } = await controlled();
		const { status, content } = await order("/sim/faults", { mode: "refuse" });
		expect(status).toBe(400);
		expect(content.error).toContain("give a host, or forSeconds");
		expect((await ask("/sim/state")).status).toBe(200);
	});

	test("knobs: shows and changes them", async () => {
		const { order, ask, fetchToken } = await controlled();
		expect((await ask("/sim/knobs")).content).toEqual(defaultKnobs);
		await order("/sim/knobs", { tokenLifetimeSeconds: 6 });
		expect(await fetchToken()).toMatchObject({ expires_in: 6 });
	});

	test("accounts: adds one, and changes each of its fields", async () => {
		const { order, fetchToken, platform, now } = await controlled();
		const account = { appid: "wxnew", secret: "s", kind: "mini" };
		await order("/sim/accounts", account);
		expect(platform.account("wxnew", now())?.kind).toBe("mini");

		const change = (fields: object) =>
			order("/sim/accounts", { appid, ...fields });
		await change({ secret: "new" });
		expect(await fetchToken()).toMatchObject({ errcode: 40125 });
		await change({ state: "frozen" });
		expect(await fetchToken("new")).toMatchObject({ errcode: 50007 });
		await change({ state: "ok", limits: { token: { perDay: 0 } } });
		expect(await fetchToken("new")).toMatchObject({ errcode: 45009 });
		await change({ limits: { token: { perDay: 2000 } }, ipConfirmation: true });
		expect(await fetchToken("new")).toMatchObject({ errcode: 89503 });
		await change({ refuse: "127.0.0.1" });
		expect(await fetchToken("new")).toMatchObject({ errcode: 89507 });
		await change({ ipConfirmation: false, whitelist: ["9.9.9.9"] });
		await order("/sim/advance", { seconds: 300 });
		expect(await fetchToken("new")).toMatchObject({ errcode: 40164 });
		await change({ whitelist: null, frozen: true });
		await order("/sim/advance", { seconds: 600 });
		expect(await fetchToken("new")).toMatchObject({ errcode: 40243 });
	});

	test("accounts: a change that acts later says when, and how to have it at once", async () => {
		const { order, fetchToken } = await controlled();
		const change = async (fields: object) =>
			(await order("/sim/accounts", { appid, ...fields })).content;
		expect(await change({ state: "ok" })).toEqual({});
		expect(await change({ whitelist: ["9.9.9.9"] })).toEqual({
			pending: [
				{
					field: "whitelist",
					actsInSeconds: 300,
					knob: "whitelistDelaySeconds",
				},
			],
			hint: expect.stringContaining('POST /sim/advance {"seconds":300}'),
		});
		expect(await fetchToken()).toHaveProperty("access_token");
		expect(await change({ whitelist: null, frozen: false })).toMatchObject({
			pending: [
				{ field: "whitelist" },
				{ field: "frozen", actsInSeconds: 600 },
			],
			hint: expect.stringContaining('{"seconds":600}'),
		});
		await order("/sim/knobs", { whitelistDelaySeconds: 0 });
		expect(await change({ whitelist: [] })).toEqual({});
	});

	test("state: shows counters by endpoint and outcome, without secrets and whole tokens", async () => {
		const { ask, fetchToken, order, url } = await controlled();
		const { access_token } = await fetchToken();
		await fetchToken("wrong");
		await order("/sim/foreign-fetch", { appid });
		const { content } = await ask("/sim/state");
		expect(content.counters).toEqual({
			token: { issued: 1, "errcode 40125": 1 },
		});
		expect(content.accounts).toMatchObject([
			{ appid, kind: "mp", classic: { issued: 2 }, usedToday: { token: 2 } },
		]);
		const { body } = await call(`${url}/sim/state`);
		expect(body).not.toContain(access_token);
		expect(body).not.toContain(mp.secret);
	});

	test("requests: shows them from an id on, with secrets and tokens masked in query and body", async () => {
		const { ask, order, fetchToken, use, url } = await controlled();
		const { access_token } = await fetchToken();
		await use(access_token);
		await use("not-from-here");
		await order("/cgi-bin/stable_token", {
			grant_type: "client_credential",
			...mp,
		});
		await order("/cgi-bin/stable_token", `not JSON ${mp.secret}`);
		await call(`${url}/cgi-bin/token?appsecret=${mp.secret}&x=${access_token}`);
		const { body } = await call(`${url}/sim/requests`);
		expect(body).not.toContain(access_token);
		expect(body).not.toContain(mp.secret);
		expect(body).not.toContain("not-from-here");
		const shown = JSON.parse(body);
		expect(shown.map(({ outcome }: { outcome: string }) => outcome)).toEqual([
			"issued",
			"ok",
			"errcode 40001",
			"issued",
			"errcode 41002",
			"errcode 41002",
		]);
		// The first characters differ from token to token, and are useless for a call.
		expect(shown[1].query.access_token).toBe(`${access_token.slice(0, 10)}…`);
		const later = await ask(`/sim/requests?since=${shown[3].id}`);
		expect(later.content).toEqual(shown.slice(4));
	});

	test.each([
		["/sim/nothing", {}, 404, "there is no /sim/nothing"],
		["/sim/state", {}, 405, "/sim/state knows only GET /sim/state"],
		["/sim/kill", {}, 400, "appid is missing"],
		["/sim/kill", { appid: "wxnobody" }, 400, 'there is no account "wxnobody"'],
		["/sim/kill", "{", 400, "the body is not JSON"],
		["/sim/faults", { mode: "x" }, 400, "mode cannot be"],
		["/sim/knobs", { flappingShare: 2 }, 400, "a number from 0 to 1"],
		["/sim/knobs", { nonsense: 2 }, 400, 'there is no knob "nonsense"'],
		["/sim/knobs", { agedOutCode: 1 }, 400, "42001 or 40014 or 40001"],
		["/sim/advance", { seconds: -1 }, 400, "not below 0"],
		["/sim/foreign-fetch", { appid, interface: "x" }, 400, "classic or stable"],
		["/sim/foreign-ticket", { appid, type: "x" }, 400, "jsapi, wx_card, 2"],
		["/sim/tickets", { appid }, 400, "ticket is missing"],
		["/sim/verify-signature", { url: "x" }, 400, "noncestr is missing"],
		[
			"/sim/verify-signature",
			{ ...sample.page, appid: "wxnobody" },
			400,
			'there is no account "wxnobody"',
		],
		["/sim/accounts", { appid: "wxnew" }, 400, "secret is missing"],
		["/sim/accounts", { appid, state: "x" }, 400, 'by "state"'],
		["/sim/accounts", { appid, whitelist: ["x"] }, 400, "whitelist entry"],
		["/sim/accounts", { appid, limits: { x: {} } }, 400, "no limit"],
		[
			"/sim/accounts",
			{ appid, limits: { token: { perHour: 1 } } },
			400,
			"token.perHour",
		],
	])(
		"POST %s %j is refused with %i and a reason",
		async (path, body, status, reason) => {
			const { order } = await controlled();
			const refused = await order(path, body);
			expect(refused.status).toBe(status);
			expect(refused.content.error).toContain(reason);
		},
	);
});

describe("the simulator in the same process", () => {
	test("keeps each request as it was sent, secrets included", async () => {
		const { requests, fetchToken } = await controlled();
		await fetchToken();
		expect(requests).toMatchObject([
			{
				id: 1,
				at: at(0),
				method: "GET",
				host: "api.weixin.qq.com",
				path: "/cgi-bin/token",
				target: `/cgi-bin/token?grant_type=client_credential&appid=${appid}&secret=${mp.secret}`,
				query: { grant_type: "client_credential", ...mp },
				ip: "127.0.0.1",
				appid,
				outcome: "issued",
			},
		]);
	});

	test("waits for a request; past ones count too, from an id on", async () => {
		const { waitFor, fetchToken } = await controlled();
		await fetchToken();
		const first = await waitFor(({ path }) => path === "/cgi-bin/token", 10);
		expect(first.id).toBe(1);
		const second = waitFor(() => true, 10_000, first.id);
		await fetchToken();
		expect((await second).id).toBe(2);
		await expect(waitFor(() => false, 10)).rejects.toThrow(
			"GET /cgi-bin/token issued",
		);
	});

	test("keeps the last requests up to a limit, and at most twice as many", async () => {
		const { requests, fetchToken } = await controlled();
		await fetchToken();
		const [record] = requests;
		if (record === undefined) return expect.unreachable();
		const { records, add } = createRequestLog(10);
		for (let count = 1; count <= 100; count += 1) {
			add(record);
			expect(records.length).toBeGreaterThanOrEqual(Math.min(count, 10));
			expect(records.length).toBeLessThanOrEqual(20);
			expect(records.at(-1)?.id).toBe(count);
		}
	});

	test("runs its clock as fast as the scale says", async () => {
		const { now } = await controlled({ timeScale: 1_000_000 });
		while (now() < at(1000)) await new Promise(setImmediate);
	});

	test("frees its ports if one of them is taken", async () => {
		const { port: taken } = await controlled();
		const { port, close } = await startSimulator({ accounts: [mp] });
		await close();
		const hosts = { "api2.weixin.qq.com": taken };
		await expect(
			startSimulator({ accounts: [mp], port, hosts }),
		).rejects.toMatchObject({ code: "EADDRINUSE" });
		const again = await startSimulator({ accounts: [mp], port });
		await again.close();
	});
});

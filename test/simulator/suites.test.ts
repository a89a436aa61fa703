/** The simulated suites of 企业微信: what their endpoints answer, count and push. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { decodeEcho, decodePush } from "../../src/core/push.ts";
import { pushKeyOf } from "../../src/core/push-crypt.ts";
import { queryIn } from "../../src/daemon/push-answers.ts";
import { wecomHost } from "../../src/simulator/hosts.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import { createPlatform } from "../../src/simulator/platform.ts";
import { startSimulator } from "../../src/simulator/server.ts";
import { makeSuiteTicket } from "../../src/simulator/suites.ts";

const third = { suiteId: "ww-third", secret: "secret-of-third" };
const custom = { suiteId: "dk-custom", secret: "secret-of-custom" };
const corpid = "ww0123456789abcdef";
const start = Date.UTC(2026, 0, 5, 2);

function scene(knobs: Partial<Knobs> = {}) {
	const platform = createPlatform({
		...{ accounts: [], suites: [third, custom], knobs },
	});
	let now = start;
	const call = (
		path: string,
		given: {
			readonly query?: Readonly<Record<string, string>>;
			readonly body?: object;
			readonly ip?: string;
		} = {},
	) => {
		const { query = {}, body, ip = "198.51.100.7" } = given;
		const answer = platform.answer(
			{
				...{ host: wecomHost, path, query, ip, secure: true },
				method: body === undefined ? "GET" : "POST",
				...(body === undefined ? {} : { body: JSON.stringify(body) }),
			},
			now,
		);
		return JSON.parse(answer.body);
	};
	const found = ({ suiteId }: typeof third) => {
		const suite = platform.suite(suiteId);
		if (suite === undefined) throw new Error("no suite");
		return suite;
	};
	const newTicket = (of = third) =>
		makeSuiteTicket(found(of), platform.state, now);
	const suiteToken = (of = third, changes: object = {}, ip?: string) =>
		call("/cgi-bin/service/get_suite_token", {
			body: {
				...{ suite_id: of.suiteId, suite_secret: of.secret },
				...{ suite_ticket: newTicket(of), ...changes },
			},
			...(ip === undefined ? {} : { ip }),
		});
	const asSuite = (
		suite_access_token: string,
		name: string,
		body: object,
		ip?: string,
	) =>
		call(`/cgi-bin/service/${name}`, {
			...{ query: { suite_access_token }, body },
			...(ip === undefined ? {} : { ip }),
		});
	return {
		...{ platform, call, newTicket, suiteToken, asSuite, found },
		consent: (of = third, corp = corpid) =>
			platform.authorizeSuite(of.suiteId, corp, now),
		pass: (seconds: number) => {
			now += seconds * 1000;
		},
		now: () => now,
	};
}

describe("get_suite_token", () => {
	test("refuses as 企业微信 does, in this order", () => {
		const { suiteToken, call, platform, newTicket, pass } = scene();
		const path = "/cgi-bin/service/get_suite_token";
		expect(call(path)).toMatchObject({ errcode: 40083 });
		expect(call(path).errmsg).toMatch(/^invalid SuiteId, hint: /);
		expect(call(path, { body: {} }).errcode).toBe(41021);
		const wrong = { suite_id: "ww-other", suite_secret: "?" };
		expect(suiteToken(third, wrong).errcode).toBe(40083);
		const neither = { suite_secret: "?", suite_ticket: "?" };
		expect(suiteToken(third, neither).errcode).toBe(40080);
		expect(suiteToken(third, { suite_ticket: "?" }).errcode).toBe(40085);
		const old = newTicket();
		pass(1_800);
		expect(suiteToken(third, { suite_ticket: old }).errcode).toBe(0);
		pass(1);
		expect(suiteToken(third, { suite_ticket: old }).errcode).toBe(40085);
		platform.changeSuite(third.suiteId, { trustedIps: ["9.9.9.9"] });
		expect(suiteToken().errcode).toBe(60020);
		expect(suiteToken(third, {}, "9.9.9.9").errcode).toBe(0);
	});

	test("takes older tickets for their own half hour, or only the newest", () => {
		for (const [olderSuiteTickets, errcode] of [
			["own-life", 0],
			["newest-only", 40085],
		] as const) {
			const { newTicket, suiteToken } = scene({ olderSuiteTickets });
			const older = newTicket();
			newTicket();
			expect(suiteToken(third, { suite_ticket: older }).errcode).toBe(errcode);
		}
	});

	test("pushes a new value each time, or the same one for half an hour", () => {
		const plain = scene();
		expect(plain.newTicket()).not.toBe(plain.newTicket());
		const { newTicket, pass, suiteToken } = scene({
			suiteTicketValue: "same-30-min",
		});
		const first = newTicket();
		pass(1_799);
		expect(newTicket()).toBe(first);
		pass(1_799);
		// It was pushed again since.
		expect(suiteToken(third, { suite_ticket: first }).errcode).toBe(0);
		expect(newTicket()).not.toBe(first);
	});

	test("gives the same token within its life; ended it is 42009, garbage is 40082", () => {
		const { suiteToken, asSuite, pass, call } = scene();
		const token = suiteToken().suite_access_token;
		pass(7_199);
		expect(suiteToken()).toMatchObject({
			...{ suite_access_token: token, expires_in: 7200 },
		});
		const ask = (value: string) =>
			asSuite(value, "get_permanent_code", { auth_code: "?" }).errcode;
		expect(ask(token)).toBe(40078);
		expect(ask("garbage")).toBe(40082);
		pass(1);
		expect(ask(token)).toBe(42009);
		const access_token = suiteToken().suite_access_token;
		expect(access_token).not.toBe(token);
		// It is no token of an app.
		expect(
			call("/cgi-bin/get_api_domain_ip", { query: { access_token } }).errcode,
		).toBe(40014);
	});

	test("answers with or without an errcode", () => {
		expect(scene().suiteToken()).toHaveProperty("errcode", 0);
		const bare = scene({ serviceErrcode: "on-failure" });
		expect(bare.suiteToken()).not.toHaveProperty("errcode");
	});
});

describe("a permanent code", () => {
	test("is given once, within ten minutes", () => {
		const { suiteToken, asSuite, consent, pass } = scene();
		const token = suiteToken().suite_access_token;
		const exchange = (auth_code: string) =>
			asSuite(token, "get_permanent_code", { auth_code });
		const { code, event } = consent();
		expect(event).toMatchObject({ infoType: "create_auth" });
		const given = exchange(code);
		expect(given).toMatchObject({ auth_corp_info: { corpid } });
		expect(given.access_token).toHaveLength(136);
		expect(exchange(code).errcode).toBe(40078);
		const late = consent(third, "ww-late").code;
		pass(601);
		expect(exchange(late).errcode).toBe(40078);
	});

	test("of a 第三方应用 works at get_corp_token, of 代开发 at gettoken alone", () => {
		const { suiteToken, asSuite, consent, call } = scene();
		for (const of of [third, custom]) {
			const token = suiteToken(of).suite_access_token;
			const { code: auth_code } = consent(of);
			const { permanent_code: code, access_token } = asSuite(
				...([token, "get_permanent_code", { auth_code }] as const),
			);
			expect(access_token === undefined).toBe(of === custom);
			const corp = asSuite(token, "get_corp_token", {
				...{ auth_corpid: corpid, permanent_code: code },
			});
			expect(corp.errcode).toBe(of === third ? 0 : 40084);
			const app = call("/cgi-bin/gettoken", {
				query: { corpid, corpsecret: code },
			});
			expect(app.errcode).toBe(of === third ? 40013 : 0);
			const living = of === third ? corp.access_token : app.access_token;
			for (const path of ["get_api_domain_ip", "get_jsapi_ticket"])
				expect(
					call(`/cgi-bin/${path}`, { query: { access_token: living } }).errcode,
				).toBe(0);
		}
	});

	test("that is reset is another one, and the former dies at once or with the exchange", () => {
		for (const formerPermanentCode of [
			"dead-at-once",
			"until-fetched",
		] as const) {
			const { platform, suiteToken, asSuite, consent, call, now } = scene({
				formerPermanentCode,
			});
			const token = suiteToken(custom).suite_access_token;
			const exchange = (auth_code: string): string =>
				asSuite(token, "get_permanent_code", { auth_code }).permanent_code;
			const works = (corpsecret: string) =>
				call("/cgi-bin/gettoken", { query: { corpid, corpsecret } }).errcode ===
				0;
			const former = exchange(consent(custom).code);
			const { code, event } = platform.resetSuiteCode(
				...([custom.suiteId, corpid, now()] as const),
			);
			expect(event.infoType).toBe("reset_permanent_code");
			expect(works(former)).toBe(formerPermanentCode === "until-fetched");
			const next = exchange(code);
			expect(works(former)).toBe(false);
			expect(works(next)).toBe(true);
		}
	});

	test("of a corp that has withdrawn is wrong", () => {
		const { platform, suiteToken, asSuite, consent } = scene();
		const token = suiteToken().suite_access_token;
		const { code: auth_code } = consent();
		const { permanent_code } = asSuite(token, "get_permanent_code", {
			auth_code,
		});
		const ask = () =>
			asSuite(token, "get_corp_token", { auth_corpid: corpid, permanent_code })
				.errcode;
		expect(ask()).toBe(0);
		expect(platform.withdrawSuite(third.suiteId, corpid)).toEqual({
			infoType: "cancel_auth",
			fields: { AuthCorpId: corpid },
		});
		expect(ask()).toBe(40084);
	});
});

test("wrong secrets of all kinds ban the address together, good ones included, for an hour", () => {
	const { suiteToken, asSuite, consent, call, pass } = scene();
	const token = suiteToken().suite_access_token;
	consent(custom);
	const wrong = [
		() => suiteToken(third, { suite_secret: "?" }).errcode,
		() =>
			asSuite(token, "get_corp_token", {
				...{ auth_corpid: corpid, permanent_code: "?" },
			}).errcode,
		() =>
			call("/cgi-bin/gettoken", { query: { corpid, corpsecret: "?" } }).errcode,
	];
	const said = [...wrong, ...wrong.slice(0, 2)].map((one) => one());
	expect(said).toEqual([40080, 40084, 40001, 40080, 40084]);
	expect(suiteToken().errcode).toBe(45009);
	expect(suiteToken(third, {}, "9.9.9.9").errcode).toBe(0);
	pass(3_600);
	expect(suiteToken().errcode).toBe(0);
});

test("pushes and the check of a URL are as 企业微信 makes them", async () => {
	const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
	const token = "sampletoken";
	const got: { method: string; url: string; body: string }[] = [];
	const answers: string[] = [];
	const server = createServer((request, response) => {
		let body = "";
		request.on("data", (chunk) => {
			body += chunk;
		});
		request.on("end", () => {
			got.push({ method: request.method ?? "", url: request.url ?? "", body });
			response.end(answers.shift() ?? "success");
		});
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	onTestFinished(() => void server.close());
	const { port } = server.address() as AddressInfo;
	const push = { url: `http://127.0.0.1:${port}/suite/ww-third`, token, key };
	const simulator = await startSimulator({
		accounts: [],
		suites: [{ ...third, provider: "ww-provider", push }],
		hosts: { [wecomHost]: 0 },
	});
	onTestFinished(() => simulator.close());
	const suite = simulator.platform.suite(third.suiteId);
	if (suite === undefined) throw new Error("no suite");
	suite.nextTicketAt = Number.POSITIVE_INFINITY;
	const secrets = { token, keys: [pushKeyOf(key) ?? never()] };
	const queryOf = (url: string) => queryIn(url.split("?")[1] ?? "");
	const { event } = simulator.platform.authorizeSuite(
		...([third.suiteId, corpid, simulator.now()] as const),
	);
	expect((await simulator.pushes.push(suite, event)).outcome).toBe("success");
	const [pushed] = got.splice(0);
	const query = queryOf(pushed?.url ?? "");
	expect([...query.keys()]).toEqual(["msg_signature", "timestamp", "nonce"]);
	expect(pushed?.body).toContain("<ToUserName><![CDATA[ww-third]]>");
	const read = decodePush(
		{ query, body: pushed?.body ?? "" },
		{ ...secrets, idField: "SuiteId", id: "ww-third" },
	);
	expect(read).toMatchObject({ infoType: "create_auth" });
	// Only the plain text, and nothing else, is right.
	expect(await simulator.pushes.checkUrl(suite)).toBe("status 200");
	const [check] = got.splice(0);
	expect(check?.method).toBe("GET");
	const receiver = { ...secrets, idField: "SuiteId", id: "ww-third" } as const;
	const asked = queryOf(check?.url ?? "");
	expect(decodeEcho(asked, receiver)).toBe("foreign-id");
	expect(
		decodeEcho(asked, { ...receiver, otherIds: ["ww-provider"] }),
	).toHaveProperty("message", expect.stringMatching(/^\d+$/));
});

function never(): never {
	throw new Error("no key");
}

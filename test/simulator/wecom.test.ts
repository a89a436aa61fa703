/** The simulated qyapi.weixin.qq.com: what it answers, counts and bans. */
import { describe, expect, test } from "vitest";
import { wecomHost } from "../../src/simulator/hosts.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import { createPlatform } from "../../src/simulator/platform.ts";
import { signatureOf } from "../../src/simulator/ticket-signature.ts";
import type { SimulatedWecomApp } from "../../src/simulator/wecom.ts";

const corpid = "ww0123456789abcdef";
const second = 1_000;
const hour = 3600 * second;
const start = Date.UTC(2026, 0, 5, 2);

const first = { corpid, secret: "the-secret-of-the-first-app" };
const other = { corpid, secret: "the-secret-of-another-app" };
const provider = {
	...{ corpid: "ww00000000000000aa", secret: "a-provider-secret" },
	isProvider: true,
};

/** A corp with two apps, and a 服务商; time stands still until `pass`. */
function scene(knobs: Partial<Knobs> = {}) {
	const platform = createPlatform({
		...{ accounts: [], wecom: [first, other, provider], knobs },
	});
	let now = start;
	interface Options {
		readonly query?: Readonly<Record<string, string>>;
		readonly body?: object;
		readonly ip?: string;
		readonly secure?: boolean;
	}
	const call = (path: string, options: Options = {}) => {
		const { query = {}, body, ip = "198.51.100.7", secure = true } = options;
		const answer = platform.answer(
			{
				...{ host: wecomHost, path, query, ip, secure },
				method: body === undefined ? "GET" : "POST",
				...(body === undefined ? {} : { body: JSON.stringify(body) }),
			},
			now,
		);
		const content = answer.body === "" ? undefined : JSON.parse(answer.body);
		return { ...answer, content };
	};
	const gettoken = (
		{ corpid, secret }: SimulatedWecomApp,
		options: Options = {},
	) =>
		call("/cgi-bin/gettoken", {
			...options,
			query: { corpid, corpsecret: secret },
		}).content;
	const use = (access_token: string, options: Options = {}) =>
		call("/cgi-bin/get_api_domain_ip", { ...options, query: { access_token } })
			.content;
	return {
		...{ platform, call, gettoken, use },
		pass: (seconds: number) => {
			now += seconds * second;
		},
		now: () => now,
	};
}

describe("gettoken", () => {
	test("asks for the secret first, then knows the corp, then the secret", () => {
		const { call, gettoken } = scene();
		expect(call("/cgi-bin/gettoken").content.errcode).toBe(41004);
		expect(gettoken({ corpid: "ww1", secret: "x" }).errcode).toBe(40013);
		expect(gettoken({ corpid, secret: "x" })).toMatchObject({
			errcode: 40001,
			errmsg: expect.stringMatching(
				/^invalid credential, hint: \[\d+\], from ip: 198\.51\.100\.7, more info at .*\?e=40001$/,
			),
		});
	});

	test("apps of one corp have tokens of their own", () => {
		const { gettoken } = scene();
		const { access_token, expires_in, errcode } = gettoken(first);
		expect({ expires_in, errcode }).toEqual({ expires_in: 7200, errcode: 0 });
		expect(gettoken(other).access_token).not.toBe(access_token);
	});

	const repeats: readonly (readonly [
		Knobs["wecomRepeat"],
		{ same: boolean; formerLives: boolean; livesAfterTwoHours: boolean },
	])[] = [
		["same", { same: true, formerLives: true, livesAfterTwoHours: false }],
		[
			"same-extended",
			{ same: true, formerLives: true, livesAfterTwoHours: true },
		],
		[
			"same-outlives",
			{ same: true, formerLives: true, livesAfterTwoHours: true },
		],
		["new", { same: false, formerLives: true, livesAfterTwoHours: false }],
		[
			"new-former-dead",
			{ same: false, formerLives: false, livesAfterTwoHours: false },
		],
	];
	test.each(repeats)("repeated, with %s", (wecomRepeat, expected) => {
		const { gettoken, use, pass } = scene({ wecomRepeat });
		const { access_token } = gettoken(first);
		pass(3_600);
		const again = gettoken(first);
		const formerLives = use(access_token).errcode === 0;
		pass(3_600);
		expect({
			same: again.access_token === access_token,
			formerLives,
			livesAfterTwoHours: use(access_token).errcode === 0,
		}).toEqual(expected);
		expect(again.expires_in).toBe(7200);
	});

	test("`expires_in` may be what is left", () => {
		const { gettoken, pass } = scene({ wecomExpiresIn: "remaining" });
		gettoken(first);
		pass(100);
		expect(gettoken(first).expires_in).toBe(7100);
	});
});

test("a token ends by age with 42001, and by the operator with 40014; errors keep empty fields", () => {
	const { gettoken, use, pass, platform } = scene();
	const { access_token } = gettoken(first);
	expect(use(access_token).ip_list.length).toBeGreaterThan(0);
	pass(7_200);
	expect(use(access_token)).toMatchObject({ errcode: 42001, ip_list: [] });
	const next = gettoken(first).access_token;
	const token = platform.state.wecom.tokens.get(next);
	if (token !== undefined) token.isInvalid = true;
	expect(use(next)).toMatchObject({ errcode: 40014, ip_list: [] });
	expect(gettoken(first).access_token).not.toBe(next);
});

test("from an address that is not trusted: 60020 at the use, with the address", () => {
	const { gettoken, use, platform } = scene();
	const [app] = platform.state.wecom.apps;
	if (app !== undefined) app.trustedIps = ["203.0.113.1"];
	const { access_token } = gettoken(first);
	expect(use(access_token)).toMatchObject({
		errcode: 60020,
		errmsg: expect.stringContaining("from ip: 198.51.100.7"),
	});
	expect(use(access_token, { ip: "203.0.113.1" }).errcode).toBe(0);
});

describe("several wrong secrets ban the address for an hour, for all calls", () => {
	test.each([
		[5, "all"],
		[3, "all"],
		[10, "all"],
		[5, "40001"],
	] as const)("after %s, counting %s", (wecomBanAfter, wecomBanCounts) => {
		const { gettoken, call, pass } = scene({ wecomBanAfter, wecomBanCounts });
		const wrongProvider = () =>
			call("/cgi-bin/service/get_provider_token", {
				body: { corpid: provider.corpid, provider_secret: "wrong" },
			}).content.errcode;
		expect(wrongProvider()).toBe(40080);
		const left = wecomBanCounts === "all" ? wecomBanAfter - 1 : wecomBanAfter;
		for (let n = 0; n < left; n += 1) {
			expect(gettoken(other).errcode).toBe(0);
			expect(gettoken({ corpid, secret: "wrong" }).errcode).toBe(40001);
		}
		expect(gettoken(first).errcode).toBe(45009);
		expect(gettoken(first, { ip: "198.51.100.8" }).errcode).toBe(0);
		pass(3_599);
		expect(gettoken(first).errcode).toBe(45009);
		pass(1);
		expect(gettoken(first).errcode).toBe(0);
	});

	test("not if an hour lies between them", () => {
		const { gettoken, pass } = scene();
		for (let n = 0; n < 20; n += 1) {
			expect(gettoken({ corpid, secret: "wrong" }).errcode).toBe(40001);
			pass(1_000);
		}
	});
});

describe("tickets", () => {
	test("7200 for ever; the corp's is shared or not, the agents' differ; both sign pages", () => {
		for (const wecomCorpTicket of ["same", "per-app"] as const) {
			const { call, gettoken, pass, platform, now } = scene({
				wecomCorpTicket,
			});
			const ticketOf = (app: SimulatedWecomApp, path: string, more = {}) =>
				call(path, {
					query: { access_token: gettoken(app).access_token, ...more },
				}).content;
			const corp = [first, other].map((app) =>
				ticketOf(app, "/cgi-bin/get_jsapi_ticket"),
			);
			const agent = [first, other].map((app) =>
				ticketOf(app, "/cgi-bin/ticket/get", { type: "agent_config" }),
			);
			pass(60);
			expect(ticketOf(first, "/cgi-bin/get_jsapi_ticket")).toEqual(corp[0]);
			expect(corp[0].expires_in).toBe(7200);
			expect(corp[0].ticket === corp[1].ticket).toBe(
				wecomCorpTicket === "same",
			);
			expect(agent[0].ticket).not.toBe(agent[1].ticket);
			const page = { url: "https://a/", noncestr: "n", timestamp: "1" };
			const verdict = (type: "jsapi" | "agent_config", ticket: string) =>
				platform.verifySignature(
					{
						...{ ...page, type, appid: corpid },
						signature: signatureOf(ticket, page),
					},
					now(),
				);
			expect(verdict("jsapi", corp[1].ticket)).toBe("alive");
			expect(verdict("agent_config", agent[1].ticket)).toBe("alive");
			expect(verdict("jsapi", agent[1].ticket)).toBe("invalid");
		}
	});

	test("the 101st in an hour is refused for an hour, for that app alone", () => {
		const { call, gettoken, pass } = scene();
		const ask = (app: SimulatedWecomApp) =>
			call("/cgi-bin/get_jsapi_ticket", {
				query: { access_token: gettoken(app).access_token },
			}).content;
		for (let n = 0; n < 100; n += 1) expect(ask(first).errcode).toBe(0);
		expect(ask(first)).toMatchObject({ errcode: 45009, ticket: "" });
		expect(ask(other).errcode).toBe(0);
		pass(hour / second - 1);
		expect(ask(first).errcode).toBe(45009);
		pass(1);
		expect(ask(first).errcode).toBe(0);
	});
});

test("plain HTTP is redirected, and an unknown path has no body", () => {
	const { call } = scene();
	const plain = call("/cgi-bin/gettoken", { secure: false });
	expect(plain).toMatchObject({
		...{ status: 301, body: "" },
		headers: { Location: `https://${wecomHost}/cgi-bin/gettoken` },
	});
	expect(call("/cgi-bin/token")).toMatchObject({ status: 404, body: "" });
	const served = scene({ wecomPlainHttp: "served" });
	expect(served.gettoken(first, { secure: false }).errcode).toBe(0);
});

test("a 服务商 has a token of its own, and no tickets", () => {
	const { call } = scene();
	const path = "/cgi-bin/service/get_provider_token";
	const body = { corpid: provider.corpid, provider_secret: provider.secret };
	const { provider_access_token } = call(path, { body }).content;
	expect(call(path, { body }).content).toMatchObject({
		...{ provider_access_token, expires_in: 7200 },
	});
	expect(call(path, { query: body }).content.errcode).toBe(43002);
	expect(
		call("/cgi-bin/get_jsapi_ticket", {
			query: { access_token: provider_access_token },
		}).content.errcode,
	).toBe(48002);
});

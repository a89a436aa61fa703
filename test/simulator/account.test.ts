import { describe, expect, test } from "vitest";
import type { AccountState } from "../../src/simulator/accounts.ts";
import { at, mini, mp, scene } from "./scene.ts";

describe("S27: the whitelist", () => {
	const outside = "222.240.168.30";
	const listed = scene({
		accounts: [
			{ ...mp, whitelist: ["1.2.3.4", "127.0.0.1"] },
			{ ...mini, whitelist: ["1.2.3.4", "127.0.0.1"] },
		],
	});
	const { classic, get } = listed;

	test("accepts a listed address, and names an unlisted one in IPv4 and IPv6 form", () => {
		expect(classic(0, mp, "1.2.3.4").errcode).toBeUndefined();
		const refused = classic(0, mp, outside);
		expect(refused.errcode).toBe(40164);
		expect(refused.errmsg).toMatch(
			/^invalid ip 222\.240\.168\.30 ipv6 ::ffff:222\.240\.168\.30, not in whitelist rid: /,
		);
	});

	test.each([
		["/cgi-bin/get_api_domain_ip"],
		["/cgi-bin/getcallbackip"],
		["/cgi-bin/ticket/getticket"],
		["/sim/use"],
	])(
		"of a 公众号 is checked at %s too, for live and for dead tokens",
		(path) => {
			const { classic, get, platform } = scene({
				accounts: [{ ...mp, whitelist: ["127.0.0.1"] }],
			});
			const { access_token } = classic(0);
			const ask = (ip: string) =>
				get(path, { access_token, type: "jsapi" }, 1, ip).errcode ?? 0;
			expect([ask("127.0.0.1"), ask(outside)]).toEqual([0, 40164]);
			platform.kill(mp.appid, at(1));
			expect(ask(outside)).toBe(40164);
		},
	);

	test("of a 小程序 is checked only for calls with the secret", () => {
		const { access_token } = classic(0, mini);
		expect(classic(0, mini, outside).errcode).toBe(40164);
		for (const path of ["/cgi-bin/get_api_domain_ip", "/sim/use"])
			expect(get(path, { access_token }, 1, outside).errcode ?? 0).toBe(0);
		const { platform } = listed;
		const body = JSON.stringify({
			grant_type: "client_credential",
			appid: mini.appid,
			secret: mini.secret,
			appsecret: mini.secret,
		});
		for (const path of ["/cgi-bin/stable_token", "/cgi-bin/clear_quota/v2"])
			expect(
				platform.answer({ method: "POST", path, body, ip: outside }, at(1))
					.outcome,
			).toBe("errcode 40164");
	});

	test("U9: is checked before the secret if the knob says so", () => {
		const accounts = [{ ...mp, whitelist: ["1.2.3.4"] }];
		const wrong = { ...mp, secret: "wrong" };
		expect(scene({ accounts }).classic(0, wrong).errcode).toBe(40125);
		const knobs = { checkOrder: "ip-before-secret" } as const;
		expect(scene({ accounts, knobs }).classic(0, wrong).errcode).toBe(40164);
	});

	test("is checked against the addresses of an egress pool in turn", () => {
		const { classic } = scene({
			accounts: [{ ...mp, whitelist: ["5.5.5.5"] }],
			knobs: { egressIps: ["4.4.4.4", "5.5.5.5"] },
		});
		const codes = [0, 1, 2].map((second) => classic(second).errcode);
		expect(codes).toEqual([40164, undefined, 40164]);
	});
});

describe("S28: whitelist entries", () => {
	const isListed = (
		account: typeof mp | typeof mini,
		entry: string,
		ip: string,
	) =>
		scene({ accounts: [{ ...account, whitelist: [entry] }] }).classic(
			0,
			account,
			ip,
		).errcode === undefined;

	test.each([
		["1.2.3.4", "1.2.3.4", true],
		["1.2.3.4", "1.2.3.5", false],
		["1.2.3.4/24", "1.2.3.250", true],
		["1.2.3.4/24", "1.2.4.4", false],
		["10.0.0.0/8", "10.200.3.4", true],
		["200.1.1.128/25", "200.1.1.127", false],
		["0.0.0.0/0", "255.255.255.255", true],
		["1.2.3.4/24", "not an address", false],
	])("%s lists %s: %s", (entry, ip, expected) => {
		expect(isListed(mp, entry, ip)).toBe(expected);
		expect(isListed(mini, entry, ip)).toBe(expected);
	});

	test("may end in a star for 小程序, but not for 公众号", () => {
		expect(isListed(mini, "1.2.3.*", "1.2.3.77")).toBe(true);
		expect(isListed(mini, "1.2.3.*", "1.2.4.77")).toBe(false);
		expect(() => isListed(mp, "1.2.3.*", "1.2.3.77")).toThrow(RangeError);
	});

	test.each([
		"1.2.3",
		"1.2.3.4:80",
		"1.2.3.256",
		"1.2.3.4/33",
		"1.2.3.4/24/24",
		"",
	])("%j is refused, as the console does", (entry) => {
		expect(() => isListed(mini, entry, "1.2.3.4")).toThrow(
			"is no whitelist entry",
		);
	});

	test("are limited to ten for 小程序", () => {
		const whitelist = Array.from({ length: 11 }, (_, last) => `1.2.3.${last}`);
		expect(() => scene({ accounts: [{ ...mini, whitelist }] })).toThrow("ten");
		expect(() => scene({ accounts: [{ ...mp, whitelist }] })).not.toThrow();
	});

	test.each([
		[undefined, 300],
		[60, 60],
	])(
		"act after the delay when they are changed (%s: %i s)",
		(whitelistDelaySeconds, delay) => {
			const { classic, platform } = scene({
				knobs:
					whitelistDelaySeconds === undefined ? {} : { whitelistDelaySeconds },
			});
			platform.setWhitelist(mp.appid, ["9.9.9.9"], at(0));
			expect(classic(delay - 0.001).errcode).toBeUndefined();
			expect(classic(delay).errcode).toBe(40164);
			platform.setWhitelist(mp.appid, undefined, at(delay));
			expect(classic(2 * delay - 0.001).errcode).toBe(40164);
			expect(classic(2 * delay).errcode).toBeUndefined();
		},
	);
});

describe("S29: the secret", () => {
	test.each([
		[false, undefined],
		[true, 40001],
	])(
		"after a reset the old secret is refused at once; U3: tokens end: %s",
		(secretResetKillsTokens, errcode) => {
			const { classic, stable, probed, platform } = scene({
				knobs: { secretResetKillsTokens },
			});
			const tokens = [classic(0), stable(0)];
			platform.resetSecret(mp.appid, "new", at(10));
			expect(classic(10).errcode).toBe(40125);
			for (const { access_token } of tokens)
				expect(probed(access_token, 10)).toBe(errcode);
			expect(classic(11, { ...mp, secret: "new" }).errcode).toBeUndefined();
		},
	);

	test.each([
		[false, undefined],
		[true, 40001],
	])(
		"a freeze answers 40243 after 600 s, a thaw ends that after 600 s; U4: tokens end: %s",
		(freezeKillsTokens, errcode) => {
			const { classic, stable, probed, platform } = scene({
				knobs: { freezeKillsTokens },
			});
			platform.freezeSecret(mp.appid, true, at(0));
			const { access_token } = classic(599);
			expect(stable(600).errcode).toBe(40243);
			expect(probed(access_token, 600)).toBe(errcode);
			platform.freezeSecret(mp.appid, false, at(1000));
			expect(classic(1599).errcode).toBe(40243);
			expect(classic(1600).errcode).toBeUndefined();
		},
	);

	test("a freeze and a thaw within the delay act one after the other", () => {
		const { classic, platform } = scene();
		platform.freezeSecret(mp.appid, true, at(0));
		platform.freezeSecret(mp.appid, false, at(60));
		expect(
			[599, 600, 659, 660].map((second) => classic(second).errcode),
		).toEqual([undefined, 40243, 40243, undefined]);
	});

	test("U4: tokens end at the instant of the freeze, also if no call was made then", () => {
		const { classic, alive, platform } = scene({
			knobs: { freezeKillsTokens: true },
		});
		const { access_token } = classic(0);
		platform.freezeSecret(mp.appid, true, at(0));
		platform.freezeSecret(mp.appid, false, at(1));
		expect(alive(access_token, 599)).toBe(true);
		expect(alive(access_token, 700)).toBe(false);
	});
});

test.each([
	["limited", 50002],
	["tokenForbidden", 50004],
	["frozen", 50007],
	["component", 61024],
] as const)(
	"S30: the account state %s answers %i on both interfaces",
	(state, errcode) => {
		const { classic, stable, platform } = scene();
		platform.setState(mp.appid, state satisfies AccountState);
		expect([classic(0).errcode, stable(0).errcode]).toEqual([errcode, errcode]);
		platform.setState(mp.appid, "ok");
		expect([classic(1).errcode, stable(1).errcode]).toEqual([
			undefined,
			undefined,
		]);
	},
);

describe("S31: an address that the administrator must confirm", () => {
	const ip = "5.6.7.8";
	const asked = () => {
		const all = scene({ accounts: [{ ...mp, ipConfirmation: true }] });
		const decide = (decision: "approve" | "refuse", seconds: number) =>
			all.platform.decideIp(mp.appid, ip, decision, at(seconds));
		const call = (seconds: number) => all.classic(seconds, mp, ip).errcode;
		return { ...all, decide, call };
	};

	test("gets 89503 first, 89501 while the question is pending, and a token after the approval", () => {
		const { call, decide, classic } = asked();
		expect([call(0), call(1), call(9999)]).toEqual([89503, 89501, 89501]);
		decide("approve", 10_000);
		expect(call(10_000)).toBeUndefined();
		// Each address is confirmed separately.
		expect(classic(10_000, mp, "8.8.8.8").errcode).toBe(89503);
	});

	test("gets 89507 for an hour after a refusal, and calls do not change that", () => {
		const { call, decide } = asked();
		call(0);
		decide("refuse", 100);
		for (let second = 100; second < 3700; second += 300)
			expect(call(second)).toBe(89507);
		expect([call(3699), call(3700)]).toEqual([89507, 89503]);
	});

	test("gets 89506 for a day after a second refusal", () => {
		const { call, decide } = asked();
		call(0);
		decide("refuse", 0);
		call(3600);
		decide("refuse", 3700);
		expect([call(3701), call(3700 + 86_399), call(3700 + 86_400)]).toEqual([
			89506, 89506, 89503,
		]);
	});

	test("can only be decided while the question is pending", () => {
		const { decide } = asked();
		expect(() => decide("approve", 0)).toThrow("no confirmation is pending");
	});

	test("is not asked about if the whitelist is on", () => {
		const { classic } = scene({
			accounts: [{ ...mp, ipConfirmation: true, whitelist: [ip] }],
		});
		expect(classic(0, mp, ip).errcode).toBeUndefined();
	});
});

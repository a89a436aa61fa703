import { describe, expect, test } from "vitest";
import { at, bodyOf, mini, mp, scene } from "./scene.ts";

describe.each(["/cgi-bin/get_api_domain_ip", "/cgi-bin/getcallbackip"])(
	"S35: the probe %s",
	(path) => {
		test("answers an ip_list without errcode for a live token, otherwise the errcode", () => {
			const { classic, get, platform } = scene();
			expect(get(path, {}).errcode).toBe(41001);
			const madeUp = get(path, { access_token: "made-up" });
			expect(madeUp.errcode).toBe(40001);
			expect(madeUp.errmsg).toContain(
				"access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r rid: ",
			);
			const { access_token } = classic(0);
			const live = get(path, { access_token }, 1);
			expect(Object.keys(live)).toEqual(["ip_list"]);
			expect(live.ip_list.length).toBeGreaterThan(0);
			expect(get(path, { access_token }, 7201).errcode).toBe(42001);
			const killed = classic(8000).access_token;
			platform.kill(mp.appid, at(8001));
			expect(get(path, { access_token: killed }, 8001).errcode).toBe(40001);
			const aged = classic(9000).access_token;
			platform.expire(mp.appid, at(9001));
			expect(get(path, { access_token: aged }, 9001).errcode).toBe(42001);
		});
	},
);

test("S35: a token of the wrong account kind answers 48001", () => {
	const { classic, get } = scene();
	const { access_token } = classic(0, mini);
	expect(get("/sim/use", { access_token, for: "mp" }).errcode).toBe(48001);
	expect(get("/sim/use", { access_token, for: "mini" }).errcode).toBe(0);
});

test("S36: an API that is not simulated is a use as well, if it comes with a token", () => {
	const { classic, get, platform } = scene();
	const path = "/cgi-bin/user/get";
	expect(get(path, {}).errcode).toBe(40066);
	expect(get(path, { access_token: "made-up" }).errcode).toBe(40001);
	const { access_token } = classic(0);
	expect(get(path, { access_token }, 1)).toEqual({ errcode: 0, errmsg: "ok" });
	expect(get(path, { access_token }, 7201).errcode).toBe(42001);
	const killed = classic(8000).access_token;
	platform.kill(mp.appid, at(8001));
	expect(get(path, { access_token: killed }, 8001).errcode).toBe(40001);
});

describe("S36: a use", () => {
	test("answers as the probe does", () => {
		const { classic, get } = scene();
		const { access_token } = classic(0);
		const use = (query: Record<string, string>, seconds: number) =>
			get("/sim/use", query, seconds).errcode;
		expect(use({}, 1)).toBe(41001);
		expect(use({ access_token: "made-up" }, 1)).toBe(40001);
		expect(use({ access_token }, 1)).toBe(0);
		expect(use({ access_token }, 7201)).toBe(42001);
	});

	const shareOf = (knobs: object, errcode: number) => {
		const { classic, platform } = scene({ knobs });
		const { access_token } = classic(0);
		const codes = Array.from(
			{ length: 2000 },
			() => bodyOf(platform.use(access_token, at(1))).errcode,
		);
		expect(platform.isAlive(mp.appid, access_token, at(1))).toBe(true);
		return codes.filter((code) => code === errcode).length / codes.length;
	};

	test("U18: answers 40001 for a live token as often as the knob says", () => {
		expect(shareOf({}, 40001)).toBe(0);
		expect(shareOf({ flappingShare: 0.25 }, 40001)).toBeCloseTo(0.25, 1);
		expect(shareOf({ flappingShare: 1 }, 40001)).toBe(1);
	});

	test("answers -1 as often as the knob says", () => {
		expect(shareOf({ busyShare: 0.25 }, -1)).toBeCloseTo(0.25, 1);
		expect(shareOf({ busyShare: 0 }, -1)).toBe(0);
	});
});

test("S37: a probe above the limit answers 45009 although the token is alive", () => {
	const { classic, probed, alive, get } = scene({
		limits: { get_api_domain_ip: { perDay: 2 } },
	});
	const { access_token } = classic(0);
	expect([1, 2, 3].map((second) => probed(access_token, second))).toEqual([
		undefined,
		undefined,
		45009,
	]);
	expect(alive(access_token, 3)).toBe(true);
	// The other probe has its own limit.
	expect(
		get("/cgi-bin/getcallbackip", { access_token }, 3).errcode,
	).toBeUndefined();
});

describe("S38: quota/get", () => {
	const path = "/cgi-bin/openapi/quota/get";
	const asked = () => {
		const all = scene();
		// A stable token: the classic calls below do not end it.
		const { access_token } = all.stable(0);
		const ask = (cgi_path: unknown) =>
			all.post(path, { cgi_path }, 1, { access_token });
		return { ...all, ask };
	};

	test("answers limit, use and rest of a path, and they add up", () => {
		const { ask, classic } = asked();
		for (let count = 0; count < 7; count += 1) classic(1);
		const { errcode, quota, rate_limit } = ask("/cgi-bin/token");
		expect({ errcode, quota }).toEqual({
			errcode: 0,
			quota: { daily_limit: 2000, used: 7, remain: 1993 },
		});
		expect(rate_limit).toEqual({ call_count: 9993, refresh_second: 59 });
		expect(ask("/cgi-bin/stable_token").quota).toEqual({
			daily_limit: 500_000,
			used: 1,
			remain: 499_999,
		});
	});

	test.each([
		["cgi-bin/token", 76003],
		["https://api.weixin.qq.com/cgi-bin/token", 76003],
		["api.weixin.qq.com/cgi-bin/token", 76003],
		[7, 76003],
		["/cgi-bin/unknown", 76021],
		["/constructor", 76021],
	])("answers %j with %i", (cgiPath, errcode) => {
		expect(asked().ask(cgiPath).errcode).toBe(errcode);
	});

	test("is refused as a GET and without a token", () => {
		const { get, post } = asked();
		expect(get(path, {}).errcode).toBe(43002);
		expect(post(path, { cgi_path: "/cgi-bin/token" }).errcode).toBe(41001);
	});
});

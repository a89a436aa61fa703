import { describe, expect, test } from "vitest";
import { at, bodyOf, mini, mp, sandbox, scene } from "./scene.ts";

const path = "/cgi-bin/token";
const good = { grant_type: "client_credential", ...mp };

describe("S7: the parameters are checked in WeChat's order", () => {
	const { get } = scene();
	const without = (...names: string[]) =>
		Object.fromEntries(
			Object.entries(good).filter(([name]) => !names.includes(name)),
		);
	test.each([
		["GET without appid", without("appid"), 41002],
		["GET with nothing at all", {}, 41002],
		["an unknown appid", { ...good, appid: "wxnobody" }, 40013],
		[
			"an unknown appid, even with grant_type missing",
			{ appid: "wxnobody" },
			40013,
		],
		["a wrong grant_type", { ...good, grant_type: "password" }, 40002],
		["no grant_type", without("grant_type", "secret"), 40002],
		["no secret", without("secret"), 41004],
		["a wrong secret", { ...good, secret: "wrong" }, 40125],
	])("%s answers the documented errcode", (_case, query, errcode) => {
		expect(get(path, query).errcode).toBe(errcode);
	});

	test("a wrong secret answers 40001 if the knob says so", () => {
		const { get } = scene({ knobs: { wrongSecretCode: 40001 } });
		expect(get(path, { ...good, secret: "wrong" }).errcode).toBe(40001);
	});
});

test("S8: a POST with its parameters only in the body answers 41002, because only the query is read", () => {
	const { post } = scene();
	expect(post(path, good).errcode).toBe(41002);
	expect(
		post(path, "grant_type=client_credential&appid=wxmp&secret=x").errcode,
	).toBe(41002);
});

test.each([
	["accepted", undefined],
	["refused", 43001],
] as const)(
	"U10: a POST with a query is %s as the knob says",
	(classicPost, errcode) => {
		const { post } = scene({ knobs: { classicPost } });
		expect(post(path, "", 0, good).errcode).toBe(errcode);
	},
);

describe("S9: each success issues a new token, and the former one ends within the overlap", () => {
	test("the new token lives for 7200 s, the former one for 300 s", () => {
		const { classic, alive } = scene();
		const first = classic(0);
		const second = classic(1000);
		expect([first.expires_in, second.expires_in]).toEqual([7200, 7200]);
		expect(second.access_token).not.toBe(first.access_token);
		expect(alive(first.access_token, 1299)).toBe(true);
		expect(alive(first.access_token, 1300)).toBe(false);
	});

	test("the former token ends at its own end if that is earlier", () => {
		const { classic, alive } = scene();
		const first = classic(0);
		classic(7100);
		expect(alive(first.access_token, 7199)).toBe(true);
		expect(alive(first.access_token, 7200)).toBe(false);
	});

	test("a short lifetime shortens the overlap too", () => {
		const { classic, alive } = scene({ knobs: { tokenLifetimeSeconds: 20 } });
		const first = classic(0);
		expect(first.expires_in).toBe(20);
		classic(10);
		expect(alive(first.access_token, 14)).toBe(true);
		expect(alive(first.access_token, 15)).toBe(false);
	});

	test("the knob sets the overlap", () => {
		const { classic, alive } = scene({ knobs: { overlapSeconds: 60 } });
		const first = classic(0);
		classic(10);
		expect(alive(first.access_token, 69)).toBe(true);
		expect(alive(first.access_token, 70)).toBe(false);
	});
});

test("S10: the former token is accepted at 299 s and answers 40001 at 301 s", () => {
	const { classic, probed } = scene();
	const first = classic(0);
	classic(100);
	expect(probed(first.access_token, 399)).toBeUndefined();
	expect(probed(first.access_token, 401)).toBe(40001);
});

describe("S11: a token that expired without being overwritten answers 42001", () => {
	test("from its end on, also after a newer token was fetched", () => {
		const { classic, probed } = scene();
		const { access_token } = classic(0);
		expect(probed(access_token, 7199)).toBeUndefined();
		expect(probed(access_token, 7200)).toBe(42001);
		classic(7300);
		expect(probed(access_token, 7301)).toBe(42001);
	});

	test.each([
		[42001, 42001, 42001],
		[40014, 40014, 40014],
		[40001, 42001, 40001],
	] as const)(
		"U8 %i: it answers %i first, and %i once it counts as unknown",
		(agedOutCode, soon, late) => {
			const { classic, probed } = scene({
				knobs: { agedOutCode, forgetAfterSeconds: 3600 },
			});
			const { access_token } = classic(0);
			expect(probed(access_token, 7201)).toBe(soon);
			expect(probed(access_token, 7200 + 3601)).toBe(late);
		},
	);
});

test("S12: two parallel fetches give two tokens; both work now, and after 300 s only the later", () => {
	const { classic, alive } = scene();
	const [first, second] = [classic(0), classic(0)];
	expect(first.access_token).not.toBe(second.access_token);
	expect([
		alive(first.access_token, 299),
		alive(second.access_token, 299),
	]).toEqual([true, true]);
	expect([
		alive(first.access_token, 301),
		alive(second.access_token, 301),
	]).toEqual([false, true]);
});

test.each([
	["evicts", 40001],
	["keeps", undefined],
] as const)(
	"U2: a third fetch within the overlap %s the oldest token",
	(thirdClassicFetch, errcode) => {
		const { classic, probed } = scene({ knobs: { thirdClassicFetch } });
		const [oldest, middle, newest] = [classic(0), classic(10), classic(20)];
		expect(probed(oldest.access_token, 21)).toBe(errcode);
		expect(probed(oldest.access_token, 311)).toBe(40001);
		expect(probed(middle.access_token, 319)).toBeUndefined();
		expect(probed(middle.access_token, 321)).toBe(40001);
		expect(probed(newest.access_token, 321)).toBeUndefined();
	},
);

test("S13: a foreign fetch ends our token after 300 s with 40001", () => {
	const { classic, probed, platform } = scene();
	const ours = classic(0);
	const theirs = platform.foreignFetch(mp.appid, "classic", at(600));
	expect(probed(ours.access_token, 899)).toBeUndefined();
	expect(probed(ours.access_token, 901)).toBe(40001);
	expect(probed(theirs, 901)).toBeUndefined();
});

describe("S14: the daily quota", () => {
	const advice = "could get access_token by getStableAccessToken";

	test.each([
		[2_000, mp],
		[200, sandbox],
	])(
		"allows %i successes, then answers 45009 with the advice to use the stable interface",
		(quota, account) => {
			const { classic } = scene();
			for (let count = 0; count < quota; count += 1)
				expect(classic(count, account).errcode).toBeUndefined();
			const over = classic(quota, account);
			expect(over.errcode).toBe(45009);
			expect(over.errmsg).toContain(advice);
			// Each account has its own quota.
			expect(classic(quota, mini).errcode).toBeUndefined();
		},
	);

	const small = { limits: { token: { perDay: 3 } } };

	test("starts again at 00:00 in Beijing, 14 hours after the start of the scene", () => {
		const { classic } = scene(small);
		for (const second of [0, 1, 2]) classic(second);
		expect(classic(14 * 3600 - 1).errcode).toBe(45009);
		expect(classic(14 * 3600).errcode).toBeUndefined();
	});

	test("U13: or counts the last 24 hours", () => {
		const { classic } = scene({ ...small, knobs: { quotaDay: "rolling" } });
		for (const second of [0, 100, 200]) classic(second);
		expect(classic(86_399).errcode).toBe(45009);
		expect(classic(86_401).errcode).toBeUndefined();
		expect(classic(86_402).errcode).toBe(45009);
		expect(classic(86_501).errcode).toBeUndefined();
	});

	test.each([
		[false, undefined],
		[true, 45009],
	])("U12: failed calls count against it: %s", (failuresUseQuota, errcode) => {
		const { classic } = scene({ ...small, knobs: { failuresUseQuota } });
		for (const second of [0, 1, 2])
			expect(classic(second, { ...mp, secret: "wrong" }).errcode).toBe(40125);
		expect(classic(3).errcode).toBe(errcode);
	});

	test("clear_quota/v2 resets it ten times a month; the eleventh call answers 48006", () => {
		const { classic, post } = scene(small);
		const clear = (seconds: number) =>
			post(
				"/cgi-bin/clear_quota/v2",
				{ appid: mp.appid, appsecret: mp.secret },
				seconds,
			).errcode;
		for (const second of [0, 1, 2]) classic(second);
		expect(classic(3).errcode).toBe(45009);
		expect(clear(4)).toBe(0);
		expect(classic(5).errcode).toBeUndefined();
		for (let count = 2; count <= 10; count += 1) expect(clear(count)).toBe(0);
		expect(clear(20)).toBe(48006);
		// The first of February in Beijing.
		const february = (Date.UTC(2026, 0, 31, 16) - at(0)) / 1000;
		expect(clear(february - 1)).toBe(48006);
		expect(clear(february)).toBe(0);
	});

	test("clear_quota with a token resets it, for the account of that token only", () => {
		const { classic, post } = scene(small);
		const { access_token } = classic(0);
		classic(1);
		const token = classic(2).access_token;
		const clear = (appid: string) =>
			post("/cgi-bin/clear_quota", { appid }, 3, { access_token: token })
				.errcode;
		expect(clear(mini.appid)).toBe(40013);
		expect(classic(4).errcode).toBe(45009);
		expect(clear(mp.appid)).toBe(0);
		expect(classic(5).errcode).toBeUndefined();
		expect(access_token).not.toBe(token);
	});

	test("a limit per minute answers 45011, and the next minute starts again", () => {
		const { classic } = scene({ limits: { token: { perMinute: 2 } } });
		expect([0, 1, 2, 59, 60].map((second) => classic(second).errcode)).toEqual([
			undefined,
			undefined,
			45011,
			45011,
			undefined,
		]);
	});
});

test.each(["reset", "hang", "cut", "delay", "drip"] as const)(
	"S15: if the answer is lost by %s, the token is rotated nevertheless",
	(mode) => {
		const { classic, alive, platform } = scene();
		const before = classic(0);
		platform.faults.add({ mode, count: 1, processed: true }, at(1));
		const lost = platform.classicToken(mp, at(1));
		expect(lost).toMatchObject({
			outcome: `fault ${mode}`,
			processed: "issued",
			delivery: { how: mode },
		});
		expect(alive(before.access_token, 300)).toBe(true);
		expect(alive(before.access_token, 302)).toBe(false);
		const after = bodyOf(platform.classicToken(mp, at(2)));
		expect(after.errcode).toBeUndefined();
	},
);

test("S15: a fault that is not marked as processed leaves the token as it is", () => {
	const { classic, alive, platform } = scene();
	const before = classic(0);
	platform.faults.add({ mode: "reset", count: 1 }, at(1));
	const lost = platform.classicToken(mp, at(1));
	expect(lost.processed).toBeUndefined();
	expect(alive(before.access_token, 7199)).toBe(true);
});

test("U9: an exceeded quota is answered before all other checks if the knob says so", () => {
	const wrong = { ...mp, secret: "wrong" };
	const limits = { token: { perDay: 0 } };
	const documented = scene({ limits });
	expect(documented.classic(0, wrong).errcode).toBe(40125);
	const { classic } = scene({ limits, knobs: { checkOrder: "quota-first" } });
	expect(classic(0, wrong).errcode).toBe(45009);
});

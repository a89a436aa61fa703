import { describe, expect, test } from "vitest";
import { mp, sandbox, scene } from "./scene.ts";

const path = "/cgi-bin/stable_token";
const good = { grant_type: "client_credential", ...mp };

describe("S16: only a POST with JSON is accepted", () => {
	const { get, post } = scene();

	test("a GET answers 43002", () => {
		expect(get(path, good).errcode).toBe(43002);
	});

	test.each([
		["no appid", { ...good, appid: undefined }, 41002],
		["an appid that is no string", { ...good, appid: 7 }, 41002],
		["an unknown appid", { appid: "wxnobody" }, 40013],
		["a wrong grant_type", { ...good, grant_type: "x" }, 40002],
		["no secret", { ...good, secret: undefined }, 41004],
		["a wrong secret", { ...good, secret: "wrong" }, 40125],
		["JSON that is no object", [], 41002],
		["JSON null", "null", 41002],
	])("%s answers the documented errcode", (_case, body, errcode) => {
		expect(post(path, body).errcode).toBe(errcode);
	});

	test.each([
		[41002, 41002, 41002],
		[47001, 47001, 44002],
	] as const)(
		"U15 %i: a body that is not JSON answers %i, an empty body %i",
		(unparsableBodyCode, broken, empty) => {
			const { post } = scene({ knobs: { unparsableBodyCode } });
			expect(post(path, "appid=wxmp").errcode).toBe(broken);
			expect(post(path, "").errcode).toBe(empty);
		},
	);
});

test("S17: with more than 300 s left a normal call answers the same token and its remaining seconds", () => {
	const { stable } = scene();
	const first = stable(0);
	expect(first.expires_in).toBe(7200);
	expect(stable(6855)).toEqual({ ...first, expires_in: 345 });
	expect(stable(6899.4)).toEqual({ ...first, expires_in: 300 });
});

test("S18: with 300 s or less left a normal call answers a new token, and the old one lives to its end", () => {
	const { stable, alive, probed } = scene();
	const first = stable(0);
	const second = stable(6900);
	expect(second.access_token).not.toBe(first.access_token);
	expect(second.expires_in).toBe(7200);
	expect(alive(first.access_token, 7199)).toBe(true);
	expect(probed(first.access_token, 7200)).toBe(42001);
	expect(alive(second.access_token, 6900 + 7199)).toBe(true);
});

test("S19: no normal call ever answers less than 300 or more than 7200 seconds", () => {
	const { stable } = scene();
	for (let second = 0; second < 40_000; second += 7) {
		const { expires_in } = stable(second);
		expect(expires_in).toBeGreaterThanOrEqual(300);
		expect(expires_in).toBeLessThanOrEqual(7200);
	}
});

test("S20: without calls a token expires with 42001, and the next call issues a new one", () => {
	const { stable, probed } = scene();
	const first = stable(0);
	expect(probed(first.access_token, 7199)).toBeUndefined();
	expect(probed(first.access_token, 7200)).toBe(42001);
	const second = stable(9000);
	expect(second.access_token).not.toBe(first.access_token);
	expect(second.expires_in).toBe(7200);
});

describe("U5: if the stable interface renews without a call", () => {
	const knobs = { stableRotatesAlone: true };

	test("a call in the renewal window gets the token issued at its start", () => {
		const { stable, alive } = scene({ knobs });
		const first = stable(0);
		const second = stable(7000);
		expect(second.access_token).not.toBe(first.access_token);
		expect(second.expires_in).toBe(7100);
		expect(alive(first.access_token, 7199)).toBe(true);
		expect(alive(first.access_token, 7200)).toBe(false);
	});

	test("a call days later gets a token of the last period", () => {
		const { stable } = scene({ knobs });
		stable(0);
		// 60 rotations, one every 6900 s, and 200 s more.
		expect(stable(60 * 6900 + 200).expires_in).toBe(7000);
	});
});

describe("S21: a forced refresh", () => {
	test("issues a new token and ends the former one at once", () => {
		const { stable, force, probed } = scene();
		const first = stable(0);
		const second = force(100);
		expect(second.expires_in).toBe(7200);
		expect(probed(first.access_token, 100)).toBe(40001);
		expect(stable(101).access_token).toBe(second.access_token);
	});

	test("U1: or ends the former one after 300 s, if the knob says so", () => {
		const { stable, force, probed } = scene({
			knobs: { forcedFormerSeconds: 300 },
		});
		const first = stable(0);
		force(100);
		expect(probed(first.access_token, 399)).toBeUndefined();
		expect(probed(first.access_token, 400)).toBe(40001);
	});

	test.each([0, 300])(
		"U1 %i: a second one 30 s later leaves only the newest token alive",
		(forcedFormerSeconds) => {
			const { stable, force, probed } = scene({
				knobs: { forcedFormerSeconds },
			});
			const leaked = stable(0);
			const second = force(100);
			const third = force(130);
			expect(probed(leaked.access_token, 130)).toBe(40001);
			expect(probed(second.access_token, 130)).toBe(40001);
			expect(probed(third.access_token, 130)).toBeUndefined();
		},
	);

	test("within 30 s of another changes nothing and answers the current token", () => {
		const { force, probed } = scene();
		const first = force(0);
		expect(force(29)).toEqual({ ...first, expires_in: 7171 });
		expect(probed(first.access_token, 29)).toBeUndefined();
		expect(force(30).access_token).not.toBe(first.access_token);
	});

	test("U16: or answers 45011 if the knob says so", () => {
		const { force } = scene({ knobs: { earlyForce: 45011 } });
		force(0);
		expect(force(29).errcode).toBe(45011);
		expect(force(30).errcode).toBeUndefined();
	});
});

describe("S22: the 21st forced refresh of a day answers 45009", () => {
	test.each([
		[false, undefined],
		[true, 45009],
	])(
		"U14: normal calls are blocked until the next day: %s",
		(forceCapBlocksNormal, errcode) => {
			const { stable, force } = scene({ knobs: { forceCapBlocksNormal } });
			for (let count = 0; count < 20; count += 1)
				expect(force(count * 30).errcode).toBeUndefined();
			// Twenty are allowed. Only the refusal of the next one blocks normal calls.
			expect(stable(600).errcode).toBeUndefined();
			expect(force(630).errcode).toBe(45009);
			expect(stable(660).errcode).toBe(errcode);
			const nextDay = 14 * 3600;
			expect(stable(nextDay).errcode).toBeUndefined();
			expect(force(nextDay + 30).errcode).toBeUndefined();
		},
	);
});

describe("S23: calls are limited", () => {
	test("to 10,000 a minute: the next answers 45011, and the next minute starts again", () => {
		const { stable } = scene();
		for (let count = 0; count < 10_000; count += 1)
			if (stable(1).errcode !== undefined) expect.unreachable();
		expect(stable(2).errcode).toBe(45011);
		expect(stable(60).errcode).toBeUndefined();
	});

	test("to 500,000 a day, or the number that is set: the next answers 45009", () => {
		const { platform, stable } = scene();
		const account = platform.account(mp.appid, 0);
		expect(account?.limits.stable_token.perDay).toBe(500_000);
		platform.setLimits(mp.appid, { stable_token: { perDay: 5 } });
		for (let count = 0; count < 5; count += 1)
			expect(stable(count).errcode).toBeUndefined();
		expect(stable(5).errcode).toBe(45009);
	});
});

test("S24: classic and stable calls never change each other's token", () => {
	const { classic, stable, force, probed } = scene();
	const ours = stable(0).access_token;
	const other = classic(0).access_token;
	for (let count = 1; count <= 5; count += 1) classic(count);
	expect(probed(ours, 1000)).toBeUndefined();
	const latest = classic(1000).access_token;
	for (let count = 0; count < 5; count += 1) force(1100 + count * 30);
	expect(probed(latest, 2000)).toBeUndefined();
	expect(probed(ours, 2000)).toBe(40001);
	expect(other).not.toBe(ours);
});

test("S25: twenty parallel normal calls get the same token", () => {
	const { stable } = scene();
	const values = Array.from({ length: 20 }, () => stable(0).access_token);
	expect(new Set(values).size).toBe(1);
});

describe("S26: a force_refresh that is not a boolean", () => {
	const ask = (knobs: object, force_refresh: unknown) => {
		const { post, stable } = scene({ knobs });
		const before = stable(0).access_token;
		const { errcode, access_token } = post(
			path,
			{ ...good, force_refresh },
			60,
		);
		return errcode ?? (access_token === before ? "same" : "new");
	};
	test.each([
		["true", "new"],
		[1, "new"],
		["false", "same"],
		[0, "same"],
		[null, "same"],
	])("%j is accepted by default", (value, outcome) => {
		expect(ask({}, value)).toBe(outcome);
	});
	test.each(["true", 1, 0])("%j is refused if the knob is strict", (value) => {
		expect(ask({ strictForceRefresh: true }, value)).toBe(47001);
	});
	test("a boolean is accepted if the knob is strict", () => {
		expect(ask({ strictForceRefresh: true }, true)).toBe("new");
	});
});

test.each([
	["supported", undefined],
	[48001, 48001],
	[40013, 40013],
] as const)(
	"U11 %s: a call of a test account is answered as the knob says",
	(stableOnTestAccount, errcode) => {
		const { stable } = scene({ knobs: { stableOnTestAccount } });
		expect(stable(0, sandbox).errcode).toBe(errcode);
		expect(stable(0, mp).errcode).toBeUndefined();
	},
);

test("with a short lifetime the renewal window is a quarter of it", () => {
	const { stable } = scene({ knobs: { tokenLifetimeSeconds: 20 } });
	const first = stable(0);
	expect(stable(14.9).access_token).toBe(first.access_token);
	expect(stable(15).access_token).not.toBe(first.access_token);
});

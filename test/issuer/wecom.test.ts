/** The issuers of 企业微信, and their errcodes, which have nothing to do with those of 公众号. */
import { describe, expect, test } from "vitest";
import { IssuerError } from "../../src/core/errors.ts";
import { knownErrcodes, meaningOf } from "../../src/issuer/errcode.ts";
import type { HttpRequest } from "../../src/issuer/http.ts";
import { createIpGate } from "../../src/issuer/ip-gate.ts";
import {
	createAppTicketIssuer,
	createAppTokenIssuer,
	createProviderTokenIssuer,
} from "../../src/issuer/wecom.ts";
import {
	knownWecomErrcodes,
	wecomMeaningOf,
	wecomTicketMeaningOf,
} from "../../src/issuer/wecom-errcode.ts";
import { newSecret } from "../support/leaks.ts";

const corpid = "ww0123456789abcdef";
const minute = 60_000;
const hour = 60 * minute;

/** Issuers over a host that answers with that body, and what they sent. */
function issuersWith(body: object) {
	const sent: HttpRequest[] = [];
	const secret = newSecret();
	const clock = { now: () => 1_767_578_400_000, monotonic: () => 0 };
	const options = {
		...{ corpid, name: "1000002", secret, clock },
		baseUrls: ["https://qyapi.weixin.qq.com"],
		timeoutMs: 10_000,
		http: {
			send: async (request: HttpRequest) => {
				sent.push(request);
				request.onSent?.();
				return {
					status: 200,
					text: JSON.stringify(body),
					serverTime: undefined,
				};
			},
		},
		monitor: { serverTime: () => {}, answered: () => {} },
		stopping: new AbortController().signal,
		gate: createIpGate(clock),
	};
	return {
		...{ sent, secret },
		app: createAppTokenIssuer(options),
		provider: createProviderTokenIssuer(options),
		corpTicket: createAppTicketIssuer({
			...{ ...options, ticket: "jsapi", parent: "token" },
		}),
		agentTicket: createAppTicketIssuer({
			...{ ...options, ticket: "agent_config", parent: "token" },
		}),
	};
}

const ask = {
	force: false,
	parents: new Map([["token", "the token of the app"]]),
};
const errorOf = (issued: Promise<unknown>): Promise<IssuerError> =>
	issued.then(
		() => {
			throw new Error("it was issued");
		},
		(error: IssuerError) => error,
	);

test("asks as the official pages say, and takes the value of each endpoint's own field", async () => {
	const { sent, secret, app, provider, corpTicket, agentTicket } = issuersWith({
		...{ errcode: 0, errmsg: "ok", expires_in: 7200 },
		...{ access_token: "A", provider_access_token: "P", ticket: "T" },
	});
	const values = [];
	for (const issuer of [app, provider, corpTicket, agentTicket])
		values.push((await issuer.issue(ask)).value);
	expect(values).toEqual(["A", "P", "T", "T"]);
	const token = encodeURIComponent("the token of the app");
	expect(sent.map(({ path, body }) => [path, body])).toEqual([
		[
			`/cgi-bin/gettoken?corpid=${corpid}&corpsecret=${encodeURIComponent(secret)}`,
			undefined,
		],
		[
			"/cgi-bin/service/get_provider_token",
			JSON.stringify({ corpid, provider_secret: secret }),
		],
		[`/cgi-bin/get_jsapi_ticket?access_token=${token}`, undefined],
		[`/cgi-bin/ticket/get?access_token=${token}&type=agent_config`, undefined],
	]);
});

test("an error keeps empty fields, which are no success", async () => {
	const { app, corpTicket } = issuersWith({
		...{ errcode: 40013, errmsg: "invalid corpid" },
		...{ access_token: "", ticket: "", expires_in: 0, ip_list: [] },
	});
	expect(await errorOf(app.issue(ask))).toMatchObject({
		code: "errcode 40013",
	});
	expect(await errorOf(corpTicket.issue(ask))).toBeInstanceOf(IssuerError);
	expect(await app.probe("token")).toBe("unsure");
	for (const errcode of [40014, 42001]) {
		const dead = issuersWith({ errcode, errmsg: "x", ip_list: [] });
		expect(await dead.app.probe("token")).toBe("dead");
		const refused = await errorOf(dead.corpTicket.issue(ask));
		expect(refused).toMatchObject({ kind: "parent" });
	}
	const alive = issuersWith({ errcode: 0, errmsg: "ok", ip_list: [] });
	expect(await alive.app.probe("token")).toBe("alive");
	expect(await issuersWith({}).app.probe("token")).toBe("unsure");
});

test("an address that is not trusted is named, with the place in the console", async () => {
	const { app } = issuersWith({
		errcode: 60020,
		errmsg:
			"not allow to access from your ip, hint: [1787373915609110759172198], from ip: 203.0.113.9, more info at https://open.work.weixin.qq.com/devtool/query?e=60020",
	});
	const { message, hint, waitMs } = await errorOf(app.issue(ask));
	expect(message).toContain("203.0.113.9");
	expect(hint).toMatch(/203\.0\.113\.9.*企业可信IP/);
	expect(waitMs).toBeLessThanOrEqual(5 * minute);
});

test("after a wrong secret nothing is sent with it, and the error stays the same", async () => {
	const { app, sent, secret } = issuersWith({
		...{ errcode: 40001, errmsg: "invalid credential" },
	});
	const first = await errorOf(app.issue(ask));
	const second = await errorOf(app.issue(ask));
	expect(sent).toHaveLength(1);
	for (const { code, kind, hint, waitMs } of [first, second])
		expect({ code, kind, hint, waitMs }).toEqual({
			...{ code: "errcode 40001", kind: "config", waitMs: hour },
			hint: expect.stringMatching(/Secret again.*应用管理.*once an hour/),
		});
	expect([first.sent, second.sent]).toEqual([true, false]);
	expect(second.message).not.toContain(secret);
});

describe("the tables of the two hosts share nothing", () => {
	const call = { interface: "classic", force: false, at: 0 } as const;

	test.each([
		// At api.weixin.qq.com it is the AppSecret, and no IP is banned for it.
		[40001, { waitMs: 10 * minute }, { waitMs: hour }],
		[45009, { meaning: /day's quota/ }, { meaning: /this IP/ }],
		[40013, { meaning: /appid/ }, { meaning: /corpid/ }],
		// Each is known to one of them only.
		[40125, { kind: "config" }, { kind: "admin", meaning: /does not know/ }],
		[60020, { meaning: /does not know/ }, { meaning: /IP is not trusted/ }],
		[42007, { meaning: /does not know/ }, { meaning: /does not know/ }],
	])("%s", (errcode, weixin, wecom) => {
		const like = (fields: object) =>
			Object.fromEntries(
				Object.entries(fields).map(([key, value]) => [
					key,
					value instanceof RegExp ? expect.stringMatching(value) : value,
				]),
			);
		expect(meaningOf(errcode, call)).toMatchObject(like(weixin));
		expect(wecomMeaningOf(errcode)).toMatchObject(like(wecom));
	});

	test("no shared number has the same meaning, but that of a request that did not arrive", () => {
		const shared = knownWecomErrcodes.filter((one) =>
			knownErrcodes.includes(one),
		);
		expect(shared.length).toBeGreaterThan(5);
		for (const errcode of shared)
			expect(wecomMeaningOf(errcode).meaning).not.toBe(
				meaningOf(errcode, call).meaning,
			);
	});

	test("of a ticket 45009 is its own limit, and an hour long", () => {
		expect(wecomTicketMeaningOf(45009)).toMatchObject({
			...{ kind: "limited", waitMs: hour },
			meaning: expect.stringContaining("100 for an app"),
		});
		expect(wecomTicketMeaningOf(48002).meaning).toContain("API 禁止调用");
	});
});

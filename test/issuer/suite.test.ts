/** The issuers of suites of 企业微信: what they send, what its errcodes mean, and the ban of an IP. */
import { describe, expect, test } from "vitest";
import type { IssuerError } from "../../src/core/errors.ts";
import type { HttpRequest } from "../../src/issuer/http.ts";
import { createIpGate } from "../../src/issuer/ip-gate.ts";
import {
	createCorpTokenIssuer,
	createSuiteCalls,
	createSuiteTokenIssuer,
} from "../../src/issuer/suite.ts";
import {
	customizedMeaningOf,
	knownSuiteErrcodes,
	suiteMeaningOf,
} from "../../src/issuer/suite-errcode.ts";
import { createAppTokenIssuer } from "../../src/issuer/wecom.ts";
import { newSecret } from "../support/leaks.ts";

const corpid = "ww0123456789abcdef";
const suiteId = "ww2123456789abcdef";
const minute = 60_000;
const hour = 60 * minute;

/** Issuers over a host that answers with that body, what they sent, and which tickets were refused. */
function issuersWith(body: object) {
	const sent: HttpRequest[] = [];
	const refused: string[] = [];
	const secret = newSecret();
	const clock = { now: () => 1_767_578_400_000, monotonic: () => 0 };
	const options = {
		...{ corpid, suiteId, clock, timeoutMs: 10_000 },
		baseUrls: ["https://qyapi.weixin.qq.com"],
		http: {
			send: async (request: HttpRequest) => {
				sent.push(request);
				request.onSent?.();
				const text = JSON.stringify(body);
				return { status: 200, text, serverTime: undefined };
			},
		},
		monitor: { serverTime: () => {}, answered: () => {} },
		stopping: new AbortController().signal,
		gate: createIpGate(clock),
	};
	const suite = (secret: string) =>
		createSuiteTokenIssuer({
			...{ ...options, secret },
			ticket: {
				current: () => "the-ticket",
				refused: (ticket) => void refused.push(ticket),
			},
		});
	const corp = (parent: string | undefined, code: string) =>
		createCorpTokenIssuer({
			...{ ...options, parent },
			code: {
				current: () => code,
				keep: async () => {},
				refused: () => {},
			},
		});
	const app = (secret: string) =>
		createAppTokenIssuer({ ...options, name: "1000002", secret });
	return {
		...{ sent, refused, secret, suite, corp, app },
		calls: createSuiteCalls(options),
	};
}

const ask = { force: false, parents: new Map([["suite", "the suite token"]]) };
const errorOf = (issued: Promise<unknown>): Promise<IssuerError> =>
	issued.then(
		() => {
			throw new Error("it was issued");
		},
		(error: IssuerError) => error,
	);

test("asks as the official pages say: a 第三方应用 through its suite, 代开发 as any app", async () => {
	const { sent, secret, suite, corp, calls } = issuersWith({
		...{ suite_access_token: "S", access_token: "C", expires_in: 7200 },
		...{ permanent_code: "the-code", auth_corp_info: { corpid } },
	});
	expect((await suite(secret).issue(ask)).value).toBe("S");
	expect((await corp("suite", "code-1").issue(ask)).value).toBe("C");
	expect((await corp(undefined, "code-2").issue(ask)).value).toBe("C");
	expect(await calls.permanentCode("the suite token", "auth-code")).toEqual({
		...{ id: corpid, secret: "the-code" },
	});
	const query = `suite_access_token=${encodeURIComponent("the suite token")}`;
	expect(
		sent.map(({ path, body }) => [path, body && JSON.parse(body)]),
	).toEqual([
		[
			"/cgi-bin/service/get_suite_token",
			{
				...{ suite_id: suiteId, suite_secret: secret },
				suite_ticket: "the-ticket",
			},
		],
		[
			`/cgi-bin/service/get_corp_token?${query}`,
			{ auth_corpid: corpid, permanent_code: "code-1" },
		],
		[`/cgi-bin/gettoken?corpid=${corpid}&corpsecret=code-2`, undefined],
		[
			`/cgi-bin/service/get_permanent_code?${query}`,
			{ auth_code: "auth-code" },
		],
	]);
	// A used-up code must not be sent by the connection's own second try.
	expect(sent.map(({ onlyOnce }) => onlyOnce)).toEqual([
		...[false, false, false, true],
	]);
});

test("without a suite token nothing is sent for a corp", async () => {
	const { sent, corp } = issuersWith({});
	const issued = corp("suite", "code").issue({ ...ask, parents: new Map() });
	expect(await errorOf(issued)).toMatchObject({ kind: "parent" });
	expect(sent).toEqual([]);
});

test("an answer without a permanent code, or without its corp, is no success", async () => {
	for (const body of [
		{},
		{ permanent_code: "" },
		{ permanent_code: "code" },
		{ permanent_code: "code", auth_corp_info: { corpid: "../x" } },
	]) {
		const { calls } = issuersWith(body);
		const error = await errorOf(calls.permanentCode("token", "code"));
		expect(error).toMatchObject({ code: "no-token", mayHaveIssued: true });
	}
});

describe("an errcode", () => {
	test.each([
		[40029, "admin", hour],
		[40078, "admin", hour],
		[40080, "config", hour],
		[40082, "parent", undefined],
		[40083, "config", hour],
		[40084, "admin", hour],
		[40085, "limited", minute],
		[41021, "config", hour],
		[41022, "config", hour],
		[41023, "limited", minute],
		[41025, "config", hour],
		[42009, "parent", undefined],
		[48003, "config", hour],
		[60020, "admin", 5 * minute],
	] as const)("%i is %s", (errcode, kind, waitMs) => {
		expect(knownSuiteErrcodes).toContain(errcode);
		expect(suiteMeaningOf(errcode).kind).toBe(kind);
		expect(suiteMeaningOf(errcode).waitMs).toBe(waitMs);
	});

	test("of the rest of the host means what it means there", () => {
		expect(suiteMeaningOf(-1).kind).toBe("transient");
		expect(suiteMeaningOf(45009).kind).toBe("limited");
	});

	test("of gettoken is about the permanent code of 代开发, not about a Secret in the console", () => {
		const { kind, hint } = customizedMeaningOf(40001);
		expect(kind).toBe("admin");
		expect(hint).toContain("重新获取secret");
	});

	test("that refuses the ticket tells whose ticket it was", async () => {
		const { suite, refused } = issuersWith({ errcode: 40085, errmsg: "x" });
		await errorOf(suite("secret").issue(ask));
		expect(refused).toEqual(["the-ticket"]);
		const other = issuersWith({ errcode: 40080, errmsg: "x" });
		await errorOf(other.suite("secret").issue(ask));
		expect(other.refused).toEqual([]);
	});
});

test("wrong secrets of suites, permanent codes and Secrets of apps share one budget of this IP", async () => {
	const wrong = issuersWith({ errcode: 40084, errmsg: "x" });
	const { sent, suite, corp, app } = wrong;
	const tries = [
		corp("suite", "code-1"),
		corp("suite", "code-2"),
		app("secret-1"),
		suite("secret-2"),
	];
	for (const issuer of tries) await errorOf(issuer.issue(ask));
	expect(sent).toHaveLength(4);
	// Four in an hour, of whatever kind; neither these nor another one is sent after that.
	for (const issuer of [...tries, corp(undefined, "code-3"), app("secret-3")]) {
		const error = await errorOf(issuer.issue(ask));
		expect(error.sent).toBe(false);
	}
	expect(sent).toHaveLength(4);
});

/** The issuer: what it sends, byte for byte; which base URLs it tries; which answers it believes. */
import { describe, expect, test } from "vitest";
import type { IssuerError } from "../../src/core/errors.ts";
import type { ProbeResult } from "../../src/core/ports.ts";
import {
	createAccessTokenIssuer,
	type IssuerOptions,
} from "../../src/issuer/access-token.ts";
import type { HttpAnswer, HttpRequest } from "../../src/issuer/http.ts";
import { createHttp } from "../../src/issuer/http.ts";
import { LinkError } from "../../src/issuer/link-error.ts";
import { createLinkMonitor } from "../../src/issuer/link-monitor.ts";
import { noteSecret } from "../support/leaks.ts";
import { logTo } from "../support/log-to.ts";
import { rawAnswer, startRaw } from "../support/raw-server.ts";

/** With every character that has a meaning in URLs or JSON. */
const secret = noteSecret(`s3cr3t+/&=?#%25 "'<>\\{}|^~\`;:@,[]!$*()`);
const appid = "wx_1-A";
const now = Date.UTC(2026, 0, 5, 2);
const clock = { now: () => now, monotonic: () => 0 };
const first = "https://api.weixin.qq.com";
const second = "https://api2.weixin.qq.com";

type Answer = string | number | LinkError;

/** An issuer whose network is a list of answers: a body, a status, or a broken link. */
function scripted(
	answers: readonly Answer[],
	overrides: Partial<IssuerOptions> & { readonly date?: number } = {},
) {
	const sent: HttpRequest[] = [];
	const logged: string[] = [];
	const left = [...answers];
	const send = async (request: HttpRequest): Promise<HttpAnswer> => {
		sent.push(request);
		const answer = left.shift();
		if (answer === undefined) throw new Error("one request too many");
		if (answer instanceof LinkError) throw answer;
		return typeof answer === "number"
			? { status: answer, text: "", serverTime: undefined }
			: { status: 200, text: answer, serverTime: overrides.date };
	};
	const issuer = createAccessTokenIssuer({
		appid,
		secret,
		interface: "classic",
		baseUrls: [first, second],
		timeoutMs: 10_000,
		http: { send },
		clock,
		monitor: createLinkMonitor(
			clock,
			logTo(({ message }) => logged.push(message)),
		),
		stopping: new AbortController().signal,
		...overrides,
	});
	return {
		issuer,
		logged,
		hosts: () => sent.map(({ baseUrl }) => new URL(baseUrl).host),
		sent,
		failure: async (force = false): Promise<IssuerError> =>
			issuer.issue({ force }).then(
				() => {
					throw new Error("the fetch did not fail");
				},
				(error: IssuerError) => error,
			),
	};
}

const token = '{"access_token":"token","expires_in":7200}';
const refused = new LinkError("unreachable", "ECONNREFUSED", false);
const lost = new LinkError("timeout", "timeout", true);

describe("an address that is not in the whitelist (40164)", () => {
	const notListed = (ip: string) =>
		`{"errcode":40164,"errmsg":"invalid ip ${ip} ipv6 ::ffff:${ip}, not in whitelist"}`;

	test.each([
		["the first call", [notListed("203.0.113.1")], 300_000],
		[
			"a call from the same address",
			[notListed("203.0.113.1"), notListed("203.0.113.1")],
			300_000,
		],
		[
			"a call from another address",
			[notListed("203.0.113.1"), notListed("203.0.113.2")],
			60_000,
		],
		[
			"a call after one that was accepted",
			[notListed("203.0.113.1"), token, notListed("203.0.113.1")],
			60_000,
		],
		[
			"a call whose address is not named",
			[token, '{"errcode":40164,"errmsg":"x"}'],
			300_000,
		],
	])("%s: the wait before the next one", async (_what, answers, waitMs) => {
		const { issuer, failure } = scripted(answers);
		for (const _ of answers.slice(1))
			await issuer.issue({ force: false }).catch(() => {});
		expect((await failure()).waitMs).toBe(waitMs);
	});

	test("the hint lists every address of a pool, the last eight of many", async () => {
		const ips = Array.from({ length: 10 }, (_, n) => `203.0.113.${n}`);
		const { failure } = scripted(ips.map(notListed));
		const hints: string[] = [];
		for (const _ of ips) hints.push((await failure()).hint);
		expect(hints[0]).toMatch(
			/^add the IP 203\.0\.113\.0 to the API IP whitelist/,
		);
		expect(hints[1]).toMatch(
			/^add each of the IPs 203\.0\.113\.0, 203\.0\.113\.1 \(calls leave from several, as behind a NAT pool\) to/,
		);
		expect(hints[9]).toContain(`IPs ${ips.slice(2).join(", ")} (`);
	});
});

describe("a request is sent byte for byte as the contract says:", () => {
	async function captured(
		wire: "classic" | "stable",
		act: (
			issuer: ReturnType<typeof createAccessTokenIssuer>,
		) => Promise<unknown>,
	) {
		const raw = await startRaw(({ socket }) => {
			socket.write(rawAnswer({ body: token }));
		});
		const http = createHttp({ connectTimeoutMs: 5_000, env: {} });
		await act(
			createAccessTokenIssuer({
				appid,
				secret,
				interface: wire,
				baseUrls: [`http://127.0.0.1:${raw.port}`],
				timeoutMs: 10_000,
				http,
				clock: { now: Date.now, monotonic: () => 0 },
				monitor: { serverTime: () => {}, answered: () => {} },
				stopping: new AbortController().signal,
			}),
		);
		await http.close();
		expect(raw.requests).toHaveLength(1);
		const text = raw.requests[0]?.text ?? "";
		return text.replaceAll(`:${raw.port}`, ":PORT");
	}
	const headers =
		"host: 127.0.0.1:PORT\r\nconnection: close\r\naccept: application/json\r\ncache-control: no-cache\r\nuser-agent: wxtokend\r\n";

	test("classic, with every special character of a secret encoded", async () => {
		const text = await captured("classic", (issuer) =>
			issuer.issue({ force: false }),
		);
		expect(text).toBe(
			`GET /cgi-bin/token?grant_type=client_credential&appid=wx_1-A&secret=${encoded} HTTP/1.1\r\n${headers}\r\n`,
		);
		const target = text.split(" ")[1] ?? "";
		const query = new URL(target, "http://x").searchParams;
		expect([...query]).toEqual([
			["grant_type", "client_credential"],
			["appid", appid],
			["secret", secret],
		]);
	});

	test.each([false, true])("stable, with force %s", async (force) => {
		const text = await captured("stable", (issuer) => issuer.issue({ force }));
		const body = `{"grant_type":"client_credential","appid":"wx_1-A","secret":${JSON.stringify(secret)},"force_refresh":${force}}`;
		expect(text).toBe(
			`POST /cgi-bin/stable_token HTTP/1.1\r\n${headers}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
		);
	});

	test("the probe", async () => {
		const text = await captured("classic", (issuer) =>
			issuer.probe("12_a-B+c/d=&e"),
		);
		expect(text).toBe(
			`GET /cgi-bin/get_api_domain_ip?access_token=12_a-B%2Bc%2Fd%3D%26e HTTP/1.1\r\n${headers}\r\n`,
		);
	});
});

const encoded =
	"s3cr3t%2B%2F%26%3D%3F%23%2525%20%22'%3C%3E%5C%7B%7D%7C%5E~%60%3B%3A%40%2C%5B%5D!%24*()";

describe("the base URLs", () => {
	const linkFaults: readonly Answer[] = [
		refused,
		lost,
		new LinkError("interrupted", "ECONNRESET", true),
		new LinkError("certificate", "CERT_HAS_EXPIRED", false),
		new LinkError("intercepted", "DEPTH_ZERO_SELF_SIGNED_CERT", false),
		new LinkError("no-tls", "EPROTO", false),
		new LinkError("no-proxy", "ECONNREFUSED", false),
		500,
		502,
		503,
		504,
	];

	test.each(linkFaults)("after %s the next one is tried", async (fault) => {
		const { issuer, hosts } = scripted([fault, token]);
		await expect(issuer.issue({ force: false })).resolves.toEqual({
			value: "token",
			lifetimeMs: 7_200_000,
			requestedAt: now,
		});
		expect(hosts()).toEqual(["api.weixin.qq.com", "api2.weixin.qq.com"]);
	});

	test.each([
		'{"errcode":-1,"errmsg":"system error"}',
		'{"errcode":45009,"errmsg":"x"}',
		'{"errcode":40164,"errmsg":"x"}',
		'{"errcode":10001,"errmsg":"x"}',
		"{}",
		"",
		"<html>",
		301,
		403,
		404,
		407,
		412,
		429,
		new LinkError("too-large", "over 65536 bytes", true),
		new LinkError("not-http", "no HTTP", true),
	])("after %j no further one is tried", async (answer) => {
		const { failure, hosts } = scripted([answer]);
		await failure();
		expect(hosts()).toHaveLength(1);
	});

	test("are tried from the first one in each attempt, so that it is used again as soon as it works", async () => {
		const { issuer, hosts, logged } = scripted([
			...[refused, token],
			...[lost, token],
			token,
			token,
			...[502, token],
		]);
		for (let attempt = 0; attempt < 5; attempt += 1)
			await issuer.issue({ force: false });
		const [a, b] = ["api.weixin.qq.com", "api2.weixin.qq.com"];
		expect(hosts()).toEqual([a, b, a, b, a, a, a, b]);
		// Logged at each change, and not at each attempt.
		const failed = `${a} does not answer, but ${b} does: each refresh tries the first, then the second`;
		expect(logged).toEqual([failed, `${a} answers again`, failed]);
	});

	test("are all named when all fail, and the error is that of a wrong configuration if there is one", async () => {
		const broken = new LinkError(
			"intercepted",
			"DEPTH_ZERO_SELF_SIGNED_CERT",
			false,
		);
		for (const [faults, expected] of [
			[
				[lost, refused],
				{ kind: "transient", code: "ECONNREFUSED", sent: true },
			],
			[
				[refused, refused],
				{ kind: "transient", code: "ECONNREFUSED", sent: false },
			],
			[
				[broken, lost],
				{ kind: "config", code: "DEPTH_ZERO_SELF_SIGNED_CERT", sent: true },
			],
			[
				[refused, broken],
				{ kind: "config", code: "DEPTH_ZERO_SELF_SIGNED_CERT", sent: false },
			],
			[[refused, 404], { kind: "config", code: "http 404" }],
		] as const) {
			const { failure, logged } = scripted(faults);
			const error = await failure();
			expect(error).toMatchObject(expected);
			expect(error.mayHaveIssued).toBe(error.sent);
			expect(error.message).toMatch(
				/^could not fetch a token for wx_1-A from api\.weixin\.qq\.com: .+ \(.+\); nor from api2\.weixin\.qq\.com: .+ \(.+\)$/,
			);
			expect(logged).toEqual([]);
		}
	});

	test("that refuse do not undo what an earlier one, whose answer was lost, may have issued", async () => {
		const busy = '{"errcode":-1,"errmsg":"system error"}';
		expect(await scripted([busy]).failure()).toMatchObject({
			mayHaveIssued: false,
		});
		expect(await scripted([refused, busy]).failure()).toMatchObject({
			mayHaveIssued: false,
		});
		expect(await scripted([lost, busy]).failure()).toMatchObject({
			code: "errcode -1",
			mayHaveIssued: true,
		});
	});

	test("are not tried any more after the signal to stop", async () => {
		const stopping = new AbortController();
		stopping.abort();
		const options = { stopping: stopping.signal };
		const fetching = scripted([lost], options);
		await fetching.failure();
		expect(fetching.hosts()).toHaveLength(1);
		const probing = scripted([lost], options);
		expect(await probing.issuer.probe("token")).toBe("unsure");
	});

	test("get force_refresh only once, and first the one that answered the call before", async () => {
		const stable = { interface: "stable" } as const;
		const [a, b] = ["api.weixin.qq.com", "api2.weixin.qq.com"];
		const answered = scripted([lost, token, token], stable);
		await answered.issuer.issue({ force: false });
		await answered.issuer.issue({ force: true });
		expect(answered.hosts()).toEqual([a, b, b]);
		// WeChat may have processed it, and allows one in 30 s.
		for (const fault of [lost, 502]) {
			const silent = scripted([fault], stable);
			expect(await silent.failure(true)).toMatchObject({ mayHaveIssued: true });
			expect(silent.hosts()).toEqual([a]);
		}
		// It has not left this machine, so the next base URL may be tried.
		const unsent = scripted([refused, token], stable);
		await unsent.issuer.issue({ force: true });
		expect(unsent.hosts()).toEqual([a, b]);
		expect(unsent.sent.map(({ onlyOnce }) => onlyOnce)).toEqual([true, true]);
	});
});

describe("a lifetime", () => {
	test.each([
		[1, 1_000],
		[7200, 7_200_000],
		[345, 345_000],
		[59.9, 59_000],
		[86_400, 86_400_000],
	])("of %s is believed", async (seconds, lifetimeMs) => {
		const { issuer } = scripted([
			`{"access_token":"t","expires_in":${seconds}}`,
		]);
		const grant = await issuer.issue({ force: false });
		expect(grant.lifetimeMs).toBe(lifetimeMs);
	});
});

describe("a probe", () => {
	const results: readonly (readonly [Answer, ProbeResult])[] = [
		['{"ip_list":["1.2.3.4"]}', "alive"],
		['{"ip_list":[]}', "alive"],
		['{"errcode":0,"errmsg":"ok"}', "alive"],
		['{"errcode":"0","errmsg":"ok"}', "alive"],
		['{"errcode":40001,"errmsg":"invalid credential"}', "dead"],
		['{"errcode":"40001"}', "dead"],
		['{"errcode":40014,"ip_list":[]}', "dead"],
		['{"errcode":42001}', "dead"],
		['{"errcode":-1}', "unsure"],
		['{"errcode":40164,"errmsg":"invalid ip"}', "unsure"],
		['{"errcode":45009}', "unsure"],
		['{"errcode":45011}', "unsure"],
		['{"errcode":48001}', "unsure"],
		['{"errcode":41001}', "unsure"],
		// Not from WeChat, but from a captive portal or another service.
		["{}", "unsure"],
		['{"status":"ok"}', "unsure"],
		['{"errcode":null}', "unsure"],
		['{"errcode":40001,"errmsg":{"toString":1}}', "dead"],
		["", "unsure"],
		["[]", "unsure"],
		["null", "unsure"],
		["<html>", "unsure"],
		[404, "unsure"],
		[302, "unsure"],
		[new LinkError("too-large", "over 65536 bytes", true), "unsure"],
	];
	test.each(results)(
		"answered with %j gives %s, for one request",
		async (answer, result) => {
			const { issuer, hosts } = scripted([answer]);
			expect(await issuer.probe("token")).toBe(result);
			expect(hosts()).toHaveLength(1);
		},
	);

	test("tries the next base URL when a link fails, and is unsure when all fail", async () => {
		const dead = '{"errcode":40001}';
		expect(await scripted([lost, dead]).issuer.probe("token")).toBe("dead");
		expect(await scripted([502, dead]).issuer.probe("token")).toBe("dead");
		expect(await scripted([refused, lost]).issuer.probe("token")).toBe(
			"unsure",
		);
	});
});

describe("a clock that differs from WeChat's", () => {
	const aheadBy = (seconds: number) =>
		`the clock of this server is ${seconds} s ahead of WeChat's`;
	const behindBy = (seconds: number) =>
		`the clock of this server is ${seconds} s behind WeChat's`;
	const answerAt = (offsetMs: number) => ({ date: now + offsetMs });

	test.each([
		[-60_000, []],
		[-61_000, [aheadBy(61)]],
		[61_000, [behindBy(61)]],
		[60_000, []],
		[0, []],
		[-86_400_000, [aheadBy(86_400)]],
	])(
		"by %s ms in the Date header leads to the warnings %j",
		async (offset, warned) => {
			const { issuer, logged } = scripted([token], answerAt(offset));
			await issuer.issue({ force: false });
			expect(logged).toEqual(warned);
		},
	);

	test("is logged once, not at each answer", async () => {
		const { issuer, logged } = scripted(
			[token, token, token],
			answerAt(90_000),
		);
		for (let count = 0; count < 3; count += 1)
			await issuer.issue({ force: false });
		expect(logged).toEqual([behindBy(90)]);
	});

	test("is also found by the rid, if there is no Date", async () => {
		const rid = ((now - 120_000) / 1000).toString(16);
		const { failure, logged } = scripted([
			`{"errcode":40013,"errmsg":"invalid appid rid: ${rid}-48ab1e18-7b8d2a01"}`,
		]);
		expect(await failure()).toMatchObject({ rid: `${rid}-48ab1e18-7b8d2a01` });
		expect(logged).toEqual([aheadBy(120)]);
	});

	test("is not read from the Date of a gateway's error page", async () => {
		const { failure, logged } = scripted(["<html>"], answerAt(600_000));
		await failure();
		expect(logged).toEqual([]);
	});

	test.each([
		"invalid appid",
		"invalid appid hint: [3t96CA08684525]",
		"invalid appid, hints: [ req_id: qZqAlA04072350 ]",
		"invalid appid rid: 6aac005a",
		"invalid appid rid: ZZZZZZZZ-01bfdbee-79769285",
	])("cannot be found in %j", async (errmsg) => {
		const { failure, logged } = scripted([
			JSON.stringify({ errcode: 40013, errmsg }),
		]);
		expect((await failure()).rid).toBeUndefined();
		expect(logged).toEqual([]);
	});
});

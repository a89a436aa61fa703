import fs, { readFileSync } from "node:fs";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { IssuerErrorKind } from "../../src/core/errors.ts";
import { decodeRecord } from "../../src/core/record.ts";
import { knownErrcodes } from "../../src/issuer/errcode.ts";
import { type LinkErrorKind, linkErrors } from "../../src/issuer/link-error.ts";
import {
	type Fault,
	type FaultMode,
	faultModes,
} from "../../src/simulator/faults.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import type { Simulator } from "../../src/simulator/server.ts";
import { certificate } from "../support/certificate.ts";
import { freePort } from "../support/free-port.ts";
import {
	type Attempt,
	type Keeping,
	type KeepingOptions,
	keepInVirtualTime,
} from "../support/keeping.ts";
import { newSecret } from "../support/leaks.ts";
import { type RawRequest, rawAnswer, startRaw } from "../support/raw-server.ts";
import { startWeChat } from "../support/wechat.ts";

type Wire = "classic" | "stable";

interface Row {
	readonly kind: IssuerErrorKind;
	/** Seconds; undefined: exponential backoff. */
	readonly wait?: number;
	/** What the operator is told to do. */
	readonly hint: RegExp;
}

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;

const secretRow: Row = { kind: "config", wait: 10 * minute, hint: /AppSecret/ };
const bugRow: Row = {
	kind: "config",
	wait: 10 * minute,
	hint: /base_urls.*rid/,
};
const confirmRow: Row = {
	kind: "admin",
	wait: 5 * minute,
	hint: /管理员.*confirm/,
};
const noticeRow: Row = { kind: "admin", wait: hour, hint: /通知中心/ };
const unknownRow: Row = { kind: "admin", wait: 5 * minute, hint: /全局返回码/ };

/** Errcodes of a fetch. 45009 has tests of its own. */
const rows: Readonly<Record<number, Row>> = {
	[-1]: { kind: "transient", hint: /tried again/ },
	40001: secretRow,
	40002: bugRow,
	40013: { kind: "config", wait: 10 * minute, hint: /appid.*基本配置/ },
	40066: { kind: "config", wait: 10 * minute, hint: /base_urls.*host/ },
	40125: secretRow,
	// Right after a success the address is new: it may change again soon.
	40164: { kind: "admin", wait: minute, hint: /API IP白名单/ },
	40243: { kind: "admin", wait: 10 * minute, hint: /解冻/ },
	41002: bugRow,
	41004: bugRow,
	43002: bugRow,
	44002: bugRow,
	45011: { kind: "limited", wait: minute, hint: /after a minute/ },
	47001: bugRow,
	48001: { kind: "config", wait: 10 * minute, hint: /interface = "classic"/ },
	48004: noticeRow,
	50002: noticeRow,
	50004: noticeRow,
	50007: noticeRow,
	61024: { kind: "config", wait: hour, hint: /component tokens/ },
	89501: confirmRow,
	89502: confirmRow,
	89503: confirmRow,
	89504: confirmRow,
	89505: confirmRow,
	89506: { kind: "admin", wait: day, hint: /管理员/ },
	89507: { kind: "admin", wait: hour, hint: /管理员/ },
	10001: unknownRow,
	9501: unknownRow,
	4294967295: unknownRow,
	[-2]: unknownRow,
};

test("every errcode of the table is tested here", () => {
	const tested = [...Object.keys(rows).map(Number), 45009];
	expect(tested).toEqual(expect.arrayContaining([...knownErrcodes]));
});

describe.each(["classic", "stable"] as const)("%s:", (wire) => {
	/** The least jitter for one interface, the most for the other. */
	const random = () => (wire === "classic" ? 0 : 0.999);

	test.each(Object.entries(rows))("errcode %s", async (code, row) => {
		const { keeping, simulator } = await kept(wire, { random });
		const errcode = Number(code);
		await simulator.addFault({ mode: "errcode", errcode, count: 1 });
		const failed = await failure(keeping, row);
		expect(failed.error).toMatchObject({
			code: `errcode ${code}`,
			mayHaveIssued: false,
			sent: true,
		});
		// WeChat's number for the call, which begins with its time.
		const time = Math.floor(failed.at / 1000).toString(16);
		const rid = expect.stringMatching(`^${time}-[0-9a-f]{8}-[0-9a-f]{8}$`);
		expect(lastFailure(keeping)).toMatchObject({ rid });
		expect(failed.error.message).toContain(`errcode ${code}: `);
		await nextToken(keeping, failed, row);
	});

	test("45009 waits until midnight in Beijing, by WeChat's clock and not by ours", async () => {
		const hint = wire === "classic" ? /interface = "stable".*清零/ : /清零/;
		// Our clock is an hour ahead, an hour behind, or right.
		for (const skewSeconds of [-hour, 0, hour]) {
			const { keeping, simulator } = await kept(wire);
			simulator.platform.turn({ clockOffsetSeconds: skewSeconds });
			await simulator.addFault({ mode: "errcode", errcode: 45009, count: 1 });
			const failed = await failure(keeping, { kind: "limited", hint });
			if (wire === "stable")
				expect(failed.error.hint).not.toContain("interface");
			const there = failed.at + skewSeconds * 1000;
			const midnight =
				Math.ceil((there + 8 * hour * 1000) / (day * 1000)) * day;
			const wait = midnight - (there / 1000 + 8 * hour);
			await nextToken(keeping, failed, { wait: Math.floor(wait) });
		}
	});

	test("45009 just after midnight waits ten minutes, as the reset may be late", async () => {
		const almost =
			Date.UTC(2026, 0, 5, 16) - dueAfter[wire] * 1000 + minute * 1000;
		const { keeping, simulator } = await kept(wire, { startAt: almost });
		await simulator.addFault({ mode: "errcode", errcode: 45009, count: 1 });
		const failed = await failure(keeping, { kind: "limited", hint: /清零/ });
		await nextToken(keeping, failed, { wait: 10 * minute });
	});

	test("a failure that repeats waits longer each time, for less than a minute, and is logged once", async () => {
		const { keeping, simulator } = await kept(wire, { random });
		await simulator.addFault({ mode: "errcode", errcode: -1 });
		await keeping.advance(dueAfter[wire]);
		const attempts = [await keeping.nextAttempt(30 * minute)];
		const lines = keeping.log.length;
		while (attempts.length < 12) {
			await keeping.advance(1);
			attempts.push(await keeping.nextAttempt(2 * minute, 1));
		}
		const gaps = attempts
			.slice(1)
			.map(({ at }, index) => (at - (attempts[index]?.at ?? 0)) / 1000);
		expect(gaps).toEqual([...gaps].sort((a, b) => a - b));
		expect(gaps[0]).toBeLessThanOrEqual(2);
		// With a tick of 5 s and a timeout in addition it is at most a minute.
		expect(gaps.at(-1)).toBeLessThanOrEqual(55);
		expect(gaps.at(-1)).toBeGreaterThanOrEqual(48);
		const later = keeping.log
			.slice(lines)
			.filter(({ event }) => event !== "token.expired")
			.map(({ level }) => level);
		expect(new Set(later)).toEqual(new Set(["debug"]));
		expect(decodeRecord(keeping.state()).pause?.failure).toMatchObject({
			attempts: 12,
			since: attempts[0]?.at,
		});
		await simulator.clearFaults();
		const back = await keeping.nextAttempt(minute);
		expect(back.kind).toBe("refreshed");
		expect(keeping.log.at(-1)).toMatchObject({ afterFailures: 12 });
	});
});

test("a token that ends while WeChat does not answer is logged once, at its end", async () => {
	const { keeping, simulator } = await kept("classic", { random: () => 0.5 });
	await simulator.addFault({ mode: "errcode", errcode: -1 });
	await keeping.advance(dueAfter.classic);
	const end = () =>
		keeping.log.filter(({ event }) => event === "token.expired");
	for (let seconds = 0; seconds < hour; seconds += 5) {
		await keeping.tick();
		const isOver =
			keeping.now() >=
			JSON.parse(readFileSync(keeping.path, "utf8")).expire * 1000;
		if (!isOver) expect(end()).toEqual([]);
		await keeping.advance(5);
	}
	expect(end()).toMatchObject([{ level: "error", appid: "wx1" }]);
});

test("each signal is answered in the log, also if nothing has changed", async () => {
	const { keeping, simulator } = await kept("classic");
	await simulator.addFault({ mode: "errcode", errcode: 40164 });
	const failures = () =>
		keeping.log.filter(
			({ event, level }) => event === "fetch.failed" && level === "error",
		);
	for (let signals = 1; signals <= 3; signals += 1) {
		await keeping.advance(60);
		await keeping.keeper().force();
		expect(failures()).toHaveLength(signals);
	}
});

test("a second signal within the cooldown, after a failure, is served at the end of the cooldown", async () => {
	const { keeping, simulator } = await kept("classic");
	await keeping.advance(dueAfter.classic);
	await simulator.addFault({ mode: "errcode", errcode: 40164 });
	await keeping.keeper().force();
	await simulator.clearFaults();
	await keeping.advance(2);
	const answer = keeping.keeper().force();
	await keeping.keeper().whenIdle();
	await keeping.advance(8.1);
	expect(await keeping.tick()).toMatchObject({ kind: "refreshed" });
	expect(await answer).toMatchObject({ outcome: "refreshed" });
});

test("an early death is noticed also for a token of 20 s", async () => {
	const { keeping, simulator } = await kept("classic", {
		knobs: { tokenLifetimeSeconds: 20 },
		cooldownMs: 0,
	});
	for (let deaths = 1; deaths <= 2; deaths += 1) {
		const dead = keeping.value();
		simulator.platform.kill("wx1", keeping.now());
		expect(await keeping.keeper().report(dead)).toMatchObject({
			outcome: "refreshed",
		});
		await keeping.advance(2);
	}
	const named = keeping.log.filter(
		({ event }) => event === "token.overwritten",
	);
	expect(named).toHaveLength(1);
});

test("a change of the interface takes effect at the next refresh, and the token of the former one lives on", async () => {
	const { keeping, simulator } = await kept("classic");
	const endpoints = () => simulator.requests.map(({ endpoint }) => endpoint);
	for (const [wire, endpoint] of [
		["stable", "stable_token"],
		["classic", "token"],
	] as const) {
		const before = keeping.file();
		const value = keeping.value();
		keeping.restart({ interface: wire });
		expect(await keeping.tick()).toBeUndefined();
		expect(keeping.file()).toBe(before);
		const sent = endpoints().length;
		await keeping.advance(dueAfter[wire]);
		expect((await keeping.nextAttempt(30 * minute)).kind).toBe("refreshed");
		expect(endpoints().slice(sent)).toEqual([endpoint]);
		expect(keeping.value()).not.toBe(value);
		expect(simulator.platform.isAlive("wx1", value, keeping.now())).toBe(true);
	}
});

test("the limits of force_refresh hold across restarts, so that a crash loop cannot use up the day's 20", async () => {
	const { keeping, simulator } = await kept("stable");
	await keeping.advance(1);
	await keeping.keeper().force();
	expect(forcesOf(simulator)).toBe(1);
	for (let crashes = 0; crashes < 10; crashes += 1) {
		keeping.restart();
		await keeping.advance(1);
		void keeping.keeper().force();
		await keeping.tick();
		// The keeper before a restart is still there. What it has begun ends first.
		await keeping.keeper().whenIdle();
	}
	expect(forcesOf(simulator)).toBe(1);
	for (let crashes = 0; crashes < 60; crashes += 1) {
		keeping.restart();
		await keeping.advance(60);
		await keeping.answer(keeping.keeper().force());
	}
	expect(forcesOf(simulator)).toBe(20);
});

test("a report during an outage is checked when WeChat answers again: a dead token is replaced by force, a living one is kept", async () => {
	const { keeping, simulator } = await kept("stable");
	const reported = async (afterwards?: Fault) => {
		const repair = await simulator.addFault({ mode: "errcode" });
		await keeping.advance(minute);
		const stale = keeping.value();
		expect(await keeping.keeper().report(stale)).toMatchObject({
			outcome: "failed",
		});
		await repair();
		if (afterwards !== undefined) await simulator.addFault(afterwards);
		const answer = keeping.keeper().report(stale);
		expect((await keeping.nextAttempt(2 * minute)).kind).toBe("refreshed");
		const isNew = keeping.value() !== stale;
		return { ...(await answer), isNew };
	};
	expect(await reported()).toMatchObject({ outcome: "alive", isNew: false });
	expect(forcesOf(simulator)).toBe(0);

	const endpoint = "get_api_domain_ip";
	expect(
		await reported({ mode: "errcode", errcode: 40001, endpoint }),
	).toMatchObject({ outcome: "refreshed", isNew: true });
	expect(forcesOf(simulator)).toBe(1);
});

test("when the forced refreshes of the day are used up, the renewals go on", async () => {
	const { keeping, simulator } = await kept("stable");
	const first = keeping.value();
	simulator.platform.setLimits("wx1", { force_refresh: { perDay: 0 } });
	await keeping.advance(hour);
	const answer = await keeping.keeper().force();
	expect(answer).toMatchObject({
		outcome: "failed",
		error: { code: "force-limit", hint: expect.stringContaining("renews") },
	});
	expect(keeping.value()).toBe(first);
	const asked = simulator.requests.length;
	// Nothing more is asked until the token nears its end, and then it renews.
	const next = await keeping.nextAttempt(2 * hour);
	expect(next.kind).toBe("refreshed");
	expect(simulator.requests.length - asked).toBe(1);
	expect(keeping.value()).not.toBe(first);
});

describe("the hint of 40164 names the IP to be added,", () => {
	const addresses: readonly (readonly [string, string | undefined])[] = [
		[
			"invalid ip 222.240.168.30 ipv6 ::ffff:222.240.168.30, not in whitelist rid: 67ee3e5f-29ee6d51-62c390eb",
			"222.240.168.30",
		],
		["invalid ip 1.2.3.4, not in whitelist hint: [x8Fgga0352ge21]", "1.2.3.4"],
		["invalid ip ::ffff:10.0.0.7, not in whitelist", "10.0.0.7"],
		[
			"invalid ip 2408:4003:10a5::1 ipv6 2408:4003:10a5::1, not in whitelist rid: 67ee3e5f-29ee6d51-62c390eb",
			"2408:4003:10a5::1",
		],
		["ip:9.8.7.6 is not in whitelist, from ip: 9.8.7.6", "9.8.7.6"],
		["invalid ip, not in whitelist hint: [Abad1de5]", undefined],
		[
			"invalid ip address, not in whitelist rid: 67ee3e5f-29ee6d51-62c390eb",
			undefined,
		],
		["", undefined],
	];
	test.each(addresses)("as in %j", async (errmsg, address) => {
		const { keeping, simulator } = await kept("classic");
		await simulator.addFault({
			mode: "errcode",
			errcode: 40164,
			errmsg,
			count: 1,
		});
		const { error } = await failure(keeping, rows[40164] as Row);
		expect(error.hint).toContain(
			address === undefined
				? "add this server's public IP to"
				: `add the IP ${address} to`,
		);
	});
});

describe("an answer in an unusual form is understood:", () => {
	const forms: readonly (readonly [string, string])[] = [
		["an errcode as a string", '{"errcode":"40013","errmsg":"invalid appid"}'],
		["a byte order mark", '\ufeff{"errcode":40013,"errmsg":"invalid appid"}'],
		[
			"keys that nobody knows",
			'{"warning_msg":"TLS v1","errcode":40013,"errmsg":"invalid appid","more":{"nested":[1,null]}}',
		],
		[
			"a token beside the errcode",
			'{"errcode":40013,"errmsg":"invalid appid","access_token":"evil","expires_in":7200}',
		],
		["no errmsg", '{"errcode":40013}'],
		["an errmsg that is no text", '{"errcode":40013,"errmsg":{"toString":1}}'],
		["an errmsg that is null", '{"errcode":40013,"errmsg":null}'],
	];
	test.each(forms)("%s", async (_, body) => {
		const { keeping, simulator } = await kept("classic");
		await simulator.addFault({ mode: "body", body, count: 1 });
		const failed = await failure(keeping, rows[40013] as Row);
		expect(failed.error.code).toBe("errcode 40013");
		await nextToken(keeping, failed, rows[40013] as Row);
	});

	test("an errmsg with control characters and the secret is made harmless", async () => {
		const { keeping, simulator } = await kept("classic");
		const { secret } = keeping.account;
		const errmsg = `a\u001b[2J\r\nb\u2028c\u202e ${secret} ${encodeURIComponent(secret)} ${"x".repeat(5_000)}`;
		await simulator.addFault({
			mode: "errcode",
			errcode: 40013,
			errmsg,
			count: 1,
		});
		const { error } = await failure(keeping, rows[40013] as Row);
		expect(error.message).toContain("a [2J b c  *** *** xxx");
		expect(error.message.length).toBeLessThan(500);
	});

	test.each(["classic", "stable"] as const)(
		"extra keys in a good one (%s)",
		async (wire) => {
			const { keeping, simulator } = await kept(wire);
			simulator.platform.turn({ extraKeys: true });
			await keeping.advance(dueAfter[wire]);
			expect((await keeping.nextAttempt(hour)).kind).toBe("refreshed");
		},
	);
});

// --- What is not an answer of WeChat. ---

interface LinkErrorRow extends Row {
	readonly code?: string | RegExp;
	/** Of an answer that makes no sense: what it held. Its code is the kind of the link error. */
	readonly detail?: string;
	readonly sent: boolean;
}

const garbled = {
	kind: "garbled",
	hint: /in WeChat's place/,
	sent: true,
} as const;
const slow = { kind: "config", wait: 5 * minute, sent: false } as const;

/** What the server at the base URL does instead of answering. */
const spoilt: readonly (readonly [
	string,
	LinkErrorKind,
	LinkErrorRow,
	(request: RawRequest) => void,
])[] = [
	[
		"a reset",
		"interrupted",
		{ kind: "transient", hint: /it is tried again/, sent: true },
		({ socket }) => socket.resetAndDestroy(),
	],
	[
		"a close",
		"interrupted",
		{
			kind: "transient",
			hint: /it is tried again/,
			code: "closed",
			sent: true,
		},
		({ socket }) => socket.end(),
	],
	[
		"half a body",
		"interrupted",
		{ kind: "transient", hint: /it is tried again/, sent: true },
		({ socket }) =>
			socket.end("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"),
	],
	[
		"silence",
		"timeout",
		{ kind: "transient", hint: /`timeout`/, code: "timeout", sent: true },
		() => {},
	],
	[
		"500",
		"server-error",
		{ kind: "transient", hint: /tried again/, code: "http 500", sent: true },
		status("500 Internal Server Error"),
	],
	[
		"502 with HTML",
		"server-error",
		{ kind: "transient", hint: /tried again/, code: "http 502", sent: true },
		status("502 Bad Gateway"),
	],
	[
		"503",
		"server-error",
		{ kind: "transient", hint: /tried again/, code: "http 503", sent: true },
		status("503 Service Unavailable"),
	],
	[
		"504",
		"server-error",
		{ kind: "transient", hint: /tried again/, code: "http 504", sent: true },
		status("504 Gateway Timeout"),
	],
	[
		"301",
		"redirect",
		{ ...slow, hint: /base_urls/, code: "http 301" },
		status("301 Moved Permanently"),
	],
	[
		"307",
		"redirect",
		{ ...slow, hint: /base_urls/, code: "http 307" },
		status("307 Temporary Redirect"),
	],
	[
		"403",
		"proxy-refused",
		{ ...slow, hint: /https_proxy/, code: "http 403" },
		status("403 Forbidden"),
	],
	[
		"407",
		"proxy-refused",
		{ ...slow, hint: /https_proxy/, code: "http 407" },
		status("407 Proxy Authentication Required"),
	],
	[
		"404",
		"not-found",
		{ ...slow, hint: /without \/cgi-bin/, code: "http 404" },
		status("404 Not Found"),
	],
	[
		"411",
		"length-required",
		{ ...slow, hint: /no_proxy/, code: "http 411" },
		status("411 Length Required"),
	],
	[
		"412",
		"length-required",
		{ ...slow, hint: /no_proxy/, code: "http 412" },
		status("412 Precondition Failed"),
	],
	[
		"400",
		"http-status",
		{ ...garbled, code: "http 400" },
		status("400 Bad Request"),
	],
	[
		"429",
		"http-status",
		{ ...garbled, code: "http 429" },
		status("429 Too Many Requests"),
	],
	[
		"no HTTP",
		"not-http",
		garbled,
		({ socket }) => socket.write("SSH-2.0-OpenSSH_9.6\r\n\r\n"),
	],
	[
		"giant headers",
		"too-large",
		garbled,
		({ socket }) =>
			socket.write(`HTTP/1.1 200 OK\r\nX: ${"x".repeat(99_999)}\r\n\r\n`),
	],
	[
		"a giant body",
		"too-large",
		garbled,
		({ socket }) => socket.write(rawAnswer({ body: "x".repeat(99_999) })),
	],
	["an empty body", "not-json", garbled, body("")],
	["a login page", "not-json", garbled, body("<html>请登录 Wi-Fi</html>")],
	["half of the JSON", "not-json", garbled, body('{"access_token":"to')],
	["null", "not-json", { ...garbled, detail: "a JSON null" }, body("null")],
	["an array", "not-json", { ...garbled, detail: "a JSON array" }, body("[]")],
	[
		"a number",
		"not-json",
		{ ...garbled, detail: "a JSON number" },
		body("7200"),
	],
	[
		"nothing in it",
		"no-token",
		{ ...garbled, detail: "access_token absent" },
		body("{}"),
	],
	...[
		["an empty token", '""'],
		["a token that is not a string", '{"a":1}'],
		["a token with a line break", '"a\\nb"'],
		["a giant token", `"${"t".repeat(1025)}"`],
	].map(
		([what, token]) =>
			[
				what ?? "",
				"no-token",
				{ ...garbled, detail: "access_token not a token" },
				body(`{"access_token":${token},"expires_in":7200}`),
			] as const,
	),
	...[
		["an errcode of null", "null"],
		["an errcode of words", '"ok"'],
		["an empty errcode", '""'],
	].map(
		([what, errcode]) =>
			[
				what ?? "",
				"no-token",
				{ ...garbled, detail: "errcode is not a number" },
				body(`{"errcode":${errcode},"access_token":"t","expires_in":7200}`),
			] as const,
	),
	[
		"no lifetime",
		"bad-lifetime",
		{ ...garbled, detail: "expires_in undefined" },
		body('{"access_token":"t"}'),
	],
	[
		"a lifetime of null",
		"bad-lifetime",
		{ ...garbled, detail: "expires_in null" },
		body('{"access_token":"t","expires_in":null}'),
	],
	...[
		"0",
		"-1",
		"0.5",
		"86401",
		"1e12",
		'"7200"',
		"null",
		"true",
		"[7200]",
	].map(
		(lifetime) =>
			[
				`a lifetime of ${lifetime}`,
				"bad-lifetime",
				garbled,
				body(`{"access_token":"t","expires_in":${lifetime}}`),
			] as const,
	),
];

/** A base URL that no request reaches. */
const unreachable: readonly (readonly [
	string,
	LinkErrorKind,
	LinkErrorRow,
	() => Promise<string>,
])[] = [
	[
		"a closed port",
		"unreachable",
		{
			kind: "transient",
			hint: /DNS and firewall/,
			code: "ECONNREFUSED",
			sent: false,
		},
		async () => `http://127.0.0.1:${await freePort()}`,
	],
	[
		"no such name",
		"unreachable",
		{
			kind: "transient",
			hint: /DNS/,
			code: /^(ENOTFOUND|EAI_AGAIN)$/,
			sent: false,
		},
		async () => "http://api.wxtokend.invalid",
	],
	[
		"a connection that is never established",
		"unreachable",
		{
			kind: "transient",
			hint: /firewall/,
			code: "UND_ERR_CONNECT_TIMEOUT",
			sent: false,
		},
		async () => {
			const { port } = await startRaw(() => {}, { onConnection: () => {} });
			return `https://127.0.0.1:${port}`;
		},
	],
	[
		"a self-signed certificate",
		"intercepted",
		{
			kind: "config",
			wait: minute,
			hint: /^.*NODE_EXTRA_CA_CERTS.*微信云托管.*http:\/\/api\.weixin\.qq\.com/,
			code: "DEPTH_ZERO_SELF_SIGNED_CERT",
			sent: false,
		},
		async () => {
			const tls = certificate(
				new Date(Date.now() - day * 1000),
				new Date(Date.now() + day * 1000),
			);
			const { port } = await startRaw(() => {}, { tls });
			return `https://127.0.0.1:${port}`;
		},
	],
	[
		"no TLS where it should be",
		"no-tls",
		{ kind: "config", wait: minute, hint: /base_urls/, sent: false },
		async () => {
			const { port } = await startRaw(() => {}, {
				onConnection: (socket) =>
					socket.once("data", () =>
						socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
					),
			});
			return `https://127.0.0.1:${port}`;
		},
	],
];

test("every link error of the table is tested here", () => {
	const tested = new Set(
		[...spoilt, ...unreachable].map(([, linkError]) => linkError),
	);
	// These are tested in once.test.ts and http.test.ts.
	for (const kind of [
		"certificate",
		"no-proxy",
		"unasked",
		"no-memory",
	] as const)
		tested.add(kind);
	expect(Object.keys(linkErrors).sort()).toEqual([...tested].sort());
});

describe("instead of an answer", () => {
	test.each(spoilt)("%s", async (_, linkError, row, respond) => {
		const { keeping, server } = await keptByRaw({});
		server.respond = respond;
		const failed = await failure(keeping, row);
		expectLinkError(failed, linkError, row);
		server.respond = undefined;
		await nextToken(keeping, failed, row);
	});

	test.each(unreachable)("%s", async (_, linkError, row, urlOf) => {
		const { keeping } = await keptByRaw({
			timeoutMs: 9_000,
			connectTimeoutMs: 200,
		});
		const { baseUrls } = keeping.account;
		keeping.restart({ baseUrls: [await urlOf()] });
		const failed = await failure(keeping, row);
		expectLinkError(failed, linkError, row);
		const again = await failure(keeping, row, { isRepeated: true });
		expectWait(again.at - failed.at, row);
		// With the right address the next attempt succeeds at once.
		keeping.restart({ baseUrls });
		expect((await keeping.nextAttempt(0)).kind).toBe("refreshed");
	});
});

describe.each(["classic", "stable"] as const)("S45, %s:", (wire) => {
	/** Faults that change the form of an answer, but not its meaning. */
	const believed: readonly FaultMode[] = ["bom", "delay"];
	test.each(faultModes)("%s", async (mode) => {
		const { keeping, simulator } = await kept(wire, { timeoutMs: 400 });
		const before = keeping.file();
		const remove = await simulator.addFault(
			mode === "delay" ? { mode, seconds: 0 } : { mode },
		);
		await keeping.advance(dueAfter[wire]);
		const attempt = await keeping.nextAttempt(hour);
		if (believed.includes(mode)) {
			expect(attempt.kind).toBe("refreshed");
			return;
		}
		expect(attempt.kind).toBe("failed");
		expect(keeping.file()).toBe(before);
		await remove();
		const next = await keeping.nextAttempt(10 * minute);
		expect(next.kind).toBe("refreshed");
		expect(keeping.value()).toBe(next.kind === "refreshed" && next.value);
		expect(keeping.leaks()).toEqual([]);
	});
});

// --- The scene. ---

/** Seconds from the fetch of a token to just before it is due. */
const dueAfter: Readonly<Record<Wire, number>> = {
	classic: 4_600,
	stable: 6_880,
};

async function kept(
	wire: Wire,
	given: Partial<KeepingOptions> & { readonly knobs?: Partial<Knobs> } = {},
) {
	const { knobs = {}, ...options } = given;
	const { startAt = Date.UTC(2026, 0, 5, 2) } = options;
	const account = { appid: "wx1", secret: newSecret() };
	const simulator = await startWeChat({
		accounts: [account],
		startAtMs: startAt,
		timeScale: 0,
		knobs,
	});
	const keeping = keepInVirtualTime({
		...account,
		baseUrls: [simulator.url],
		interface: wire,
		startAt,
		onAdvance: simulator.advance,
		...options,
	});
	expect((await keeping.nextAttempt(0)).kind).toBe("refreshed");
	return { keeping, simulator };
}

/** As `kept`, but with a raw server instead of the simulator. */
async function keptByRaw(options: Partial<KeepingOptions>) {
	const server: { respond: ((request: RawRequest) => void) | undefined } = {
		respond: undefined,
	};
	let issued = 0;
	const { port } = await startRaw((request) => {
		if (server.respond !== undefined) return server.respond(request);
		issued += 1;
		body(`{"access_token":"token-${issued}","expires_in":7200}`)(request);
	});
	const keeping = keepInVirtualTime({
		baseUrls: [`http://127.0.0.1:${port}`],
		timeoutMs: 400,
		...options,
	});
	expect((await keeping.nextAttempt(0)).kind).toBe("refreshed");
	return { keeping, server };
}

function forcesOf({ requests }: Simulator): number {
	return requests.filter(({ body }) => /"force_refresh":true/.test(body))
		.length;
}

type Failed = Extract<Attempt, { kind: "failed" }>;

/** The next attempt, which must fail as the row says, and change no file. */
async function failure(
	keeping: Keeping,
	{ kind, hint }: Row,
	{ isRepeated = false } = {},
): Promise<Failed> {
	const before = keeping.file();
	await keeping.advance(isRepeated ? 1 : dueAfter[keeping.account.interface]);
	const attempt = await keeping.nextAttempt(hour);
	if (attempt.kind !== "failed") throw new Error("the attempt did not fail");
	expect(attempt.error).toMatchObject({ kind });
	expect(attempt.error.hint).toMatch(hint);
	expect(lastFailure(keeping)).toMatchObject({
		event: "fetch.failed",
		level: isRepeated ? "debug" : kind === "transient" ? "warn" : "error",
		kind,
		hint: attempt.error.hint,
		message: attempt.error.message,
	});
	expect(attempt.error.message).toMatch(/^could not fetch a token for wx1 ?/);
	expect(keeping.file()).toBe(before);
	expect(keeping.leaks()).toEqual([]);
	return attempt;
}

function lastFailure({ log }: Keeping) {
	return log.findLast(({ event }) => event === "fetch.failed");
}

/** The next attempt must come neither too early nor too late, and succeed. */
async function nextToken(
	keeping: Keeping,
	{ at }: Failed,
	row: Pick<Row, "wait">,
): Promise<void> {
	const before = keeping.file();
	await keeping.advance(1);
	const { wait = 0 } = row;
	const tick = wait > hour ? 60 : 5;
	const next = await keeping.nextAttempt(wait + 3 * minute, tick);
	if (next.kind !== "refreshed") throw next.error;
	expectWait(next.at - at, row, tick);
	expect(keeping.file()).not.toBe(before);
	expect(keeping.value()).toBe(next.value);
}

/** Not a second too early, and too late by at most the jitter (up to a minute) and a tick. */
function expectWait(
	waitedMs: number,
	{ wait }: Pick<Row, "wait">,
	tickSeconds = 5,
): void {
	const [min, max] =
		wait === undefined
			? [0.75, 1]
			: [wait, wait + Math.min(0.05 * wait, minute)];
	expect(waitedMs / 1000).toBeGreaterThanOrEqual(min);
	expect(waitedMs / 1000).toBeLessThanOrEqual(max + tickSeconds + 1);
}

function expectLinkError(
	{ error }: Failed,
	linkError: LinkErrorKind,
	{ kind, code, detail = "", sent }: LinkErrorRow,
): void {
	expect(error.message).toContain(linkErrors[linkError].meaning);
	expect(error).toMatchObject({ sent, mayHaveIssued: sent });
	expect(error.message).toContain(detail);
	if (code !== undefined) expect(error.code).toMatch(code);
	// Each code is a series of the metrics, so a stranger's answer must not make new codes.
	else if (kind === "garbled") expect(error.code).toBe(linkError);
}

function status(line: string): (request: RawRequest) => void {
	return ({ socket }) => {
		const headers = {
			Location: "http://127.0.0.1:1/",
			"Content-Type": "text/html",
		};
		socket.write(
			rawAnswer({ status: line, headers, body: `<html>${line}</html>` }),
		);
	};
}

function body(text: string): (request: RawRequest) => void {
	return ({ socket }) => {
		socket.write(rawAnswer({ body: text }));
	};
}

test("a keeper that has nothing to fetch, or may not fetch yet, makes no lock", async () => {
	const { keeping, simulator } = await kept("classic");
	const made = vi.spyOn(fs, "mkdirSync");
	onTestFinished(() => {
		made.mockRestore();
	});
	keeping.restart();
	expect(await keeping.keeper().reconcile()).toMatchObject({ kind: "idle" });
	expect(made).not.toHaveBeenCalled();

	await simulator.addFault({ mode: "errcode", errcode: 40164 });
	await keeping.advance(dueAfter.classic);
	const { kind } = await keeping.nextAttempt(hour);
	expect(kind).toBe("failed");
	expect(made).toHaveBeenCalledOnce();
	await keeping.advance(5);
	expect(await keeping.tick()).toMatchObject({ kind: "deferred" });
	expect(made).toHaveBeenCalledOnce();
});

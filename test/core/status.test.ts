import { expect, test } from "vitest";
import {
	columnsOf,
	inWords,
	type TableOptions,
	tableOf,
	wrapped,
} from "../../src/cli/status-table.ts";
import type { Credential, Reading } from "../../src/core/credential.ts";
import { spreadOf } from "../../src/core/limits.ts";
import { emptyRecord, type SharedRecord } from "../../src/core/record.ts";
import { nextAskAt } from "../../src/core/sighting.ts";
import {
	type CredentialStatus,
	reportOf,
	statusOf,
} from "../../src/core/status.ts";
import { tokenId } from "../../src/core/token.ts";

const now = Date.parse("2026-03-01T12:00:00Z");
const value = "70_the_present_token";
const credential: Credential = {
	id: "wx_access_token_wx1",
	kind: "access_token",
	appid: "wx1",
	file: "wx_access_token_wx1",
	formats: [],
	source: "wx1 from WeChat",
	needs: [],
	limits: {
		refreshBeforeMs: 2_400_000,
		cooldownMs: 10_000,
		budget: 60,
		timeoutMs: 10_000,
	},
};

/** A token that ends so many seconds from now. */
function onDisk(seconds: number, text = value): Reading {
	const token = { value: text, expiresAt: now + seconds * 1_000 };
	return { kind: "token", token, exact: true };
}

function published(seconds: number, lifetimeSeconds = 7_200) {
	const expiresAt = now + seconds * 1_000;
	const lifetimeMs = lifetimeSeconds * 1_000;
	const fetchedAt = expiresAt - lifetimeMs;
	const reason = "due";
	return { id: tokenId(value), expiresAt, lifetimeMs, fetchedAt, reason };
}

const failure = {
	kind: "admin",
	code: "errcode 40164",
	message: "could not fetch a token for wx1: not in the whitelist",
	hint: "add the IP 10.0.0.1 to the whitelist",
	rid: "6b03a941-1",
	attempts: 3,
	since: now - 60_000,
};

function statusFor(
	reading: Reading,
	state: Partial<SharedRecord> = {},
	of: Partial<Credential> = {},
): CredentialStatus {
	return statusOf({
		credential: { ...credential, ...of },
		path: "/run/wxtokend/wx_access_token_wx1",
		reading,
		record: { ...emptyRecord, ...state },
		now,
	});
}

test("a healthy account tells its end, its lifetime, its last refresh and its next one", () => {
	const state = { generation: 4, published: published(5_000) };
	const status = statusFor(onDisk(5_000), state);
	expect(status).toMatchObject({
		state: "valid",
		valid: true,
		expire: now / 1_000 + 5_000,
		secondsLeft: 5_000,
		lifetime: 7_200,
		lastRefresh: { at: "2026-03-01T11:23:20.000Z", reason: "due" },
		lastError: null,
		budget: { used: 0, of: 60 },
		foreignFetcher: false,
		hint: null,
		interface: "classic",
		file: "/run/wxtokend/wx_access_token_wx1",
	});
	// 2400 s before the end, and up to 2 % earlier so that not all are due at once.
	const next = Date.parse(status.nextRefreshAt ?? "");
	expect(next).toBeLessThanOrEqual(now + 2_600_000);
	expect(next).toBeGreaterThanOrEqual(now + 2_600_000 - 144_000);
});

test("while the next token is on its way to the disk, the one there lives, for five minutes at most", () => {
	const next = tokenId("71_the_next_token");
	const at = now - 1_000;
	const by = { instance: "i", pid: 1, startTicks: "2", realm: "r" };
	const state = {
		...emptyRecord,
		published: { ...published(7_200), id: next },
		inFlight: { replaces: tokenId(value), at, by, lock: "l" },
	};
	const kept = {
		id: next,
		token: { value: "71_the_next_token", expiresAt: now + 7_200_000 },
		generation: 2,
		lifetimeMs: 7_200_000,
		fetchedAt: at,
		reason: "due",
	} as const;
	const path = "/run/wxtokend/wx_access_token_wx1";
	const seen = (reading: Reading, one: typeof kept | undefined) =>
		statusOf({ credential, path, reading, record: state, kept: one, now });
	for (const one of [kept, undefined]) {
		expect(seen(onDisk(2_400), one)).toMatchObject({
			state: "valid",
			secondsLeft: 299,
		});
		expect(seen(onDisk(60), one)).toMatchObject({ secondsLeft: 60 });
	}
	expect(seen(onDisk(60, "72_of_somebody_else"), kept).state).toBe("unusable");
});

test.each([
	["jsapi_ticket", false],
	["wecom_access_token", false],
	["component_access_token", true],
] as const)(
	"a %s that WeChat has replaced, while the disk refuses the next one: it lives on: %s",
	(kind, livesOn) => {
		const at = now - 1_000;
		const by = { instance: "i", pid: 1, startTicks: "2", realm: "r" };
		const record = {
			...emptyRecord,
			published: { ...published(7_200), id: tokenId("71_the_next_one") },
			inFlight: { replaces: tokenId(value), at, by, lock: "l" },
		};
		const { valid } = statusOf({
			credential: { ...credential, kind },
			...{ path: "/run/wxtokend/f", reading: onDisk(2_400), record, now },
		});
		expect(valid).toBe(livesOn);
	},
);

test.for([
	["a token that lives", onDisk(10), {}, "valid", true],
	["one whose refresh fails", onDisk(10), { failing: true }, "failing", true],
	["one that ends in this instant", onDisk(0), {}, "expired", false],
	["one that has ended", onDisk(-10), { failing: true }, "expired", false],
	["no file", { kind: "absent" }, {}, "missing", false],
	["rubbish", { kind: "unusable", problem: "empty" }, {}, "unusable", false],
] as const)("%s is called by its name", ([, reading, more, word, valid]) => {
	const pause = { at: now - 1_000, waitMs: 300_000, failure };
	const status = statusFor(reading, "failing" in more ? { pause } : {});
	expect(status.state).toBe(word);
	expect(status.valid).toBe(valid);
	expect(status.secondsLeft).toBe(valid ? 10 : 0);
	if (!valid)
		expect(status.hint ?? status.lastError?.hint).toEqual(expect.any(String));
});

test("who is asked about the daemon is nobody whom the daemon answers, nor who is told what failed", () => {
	const pause = { at: now - 1_000, waitMs: 300_000, failure };
	for (const reading of [onDisk(-10), { kind: "absent" }] as const) {
		expect(statusFor(reading).hint).toContain("the daemon puts a good one");
		expect(statusFor(reading, { pause }).hint).toBeNull();
		const asked = { credential, path: "", reading, record: emptyRecord, now };
		expect(statusOf({ ...asked, withoutDaemon: true }).hint).toContain(
			"is the daemon running?",
		);
	}
});

test("a failure stands there with what to do, its rid, and when it is tried again", () => {
	const pause = { at: now - 1_000, waitMs: 300_000, failure };
	const status = statusFor(onDisk(5), { pause, published: published(5) });
	expect(status.lastError).toEqual({
		kind: "admin",
		code: "errcode 40164",
		message: failure.message,
		hint: failure.hint,
		rid: "6b03a941-1",
		attempts: 3,
		at: "2026-03-01T11:59:59.000Z",
		since: "2026-03-01T11:59:00.000Z",
		nextTryAt: "2026-03-01T12:04:59.000Z",
	});
	expect(status.nextRefreshAt).toBe("2026-03-01T12:04:59.000Z");
});

test("calls count in the window of one lifetime, and a used-up budget moves the next refresh", () => {
	const calls = [-7_300, -7_100, -30, -10].map((at) => now + at * 1_000);
	const state = { published: published(10), calls };
	expect(statusFor(onDisk(10), state).budget).toEqual({ used: 3, of: 60 });
	const limited = statusFor(onDisk(10), state, {
		limits: { ...credential.limits, budget: 3 },
	});
	// One call per twelfth of a lifetime: 600 s after the last one.
	expect(limited.nextRefreshAt).toBe("2026-03-01T12:09:50.000Z");
});

test("what somebody asked for and failed is not said to be tried before the budget allows it", () => {
	const calls = Array.from({ length: 55 }, (_, index) => now - index * 10_000);
	const pause = { at: now - 1_000, waitMs: 0, failure };
	const state = { pause, calls: calls.toReversed() };
	const nextTryAt = (seconds: number) =>
		statusFor(onDisk(seconds), { ...state, published: published(seconds) })
			.lastError?.nextTryAt;
	// Five calls are for renewals: this one is not due.
	expect(nextTryAt(5_000)).toBe("2026-03-01T12:10:00.000Z");
	expect(nextTryAt(10)).toBe("2026-03-01T11:59:59.000Z");
});

test("tokens that die early again and again point to somebody else who fetches", () => {
	const state = {
		published: published(5_000),
		diedEarly: [now - 7_200_000, now - 3_600_000],
	};
	const status = statusFor(onDisk(5_000), state);
	expect(status.foreignFetcher).toBe(true);
	expect(status.hint).toContain("stable");
});

test("of a file whose end somebody altered the earlier end counts", () => {
	const state = { published: published(-5) };
	expect(statusFor(onDisk(99_999), state).state).toBe("expired");
	const live = { published: published(60) };
	expect(statusFor(onDisk(99_999), live).secondsLeft).toBe(60);
	expect(statusFor(onDisk(20), live).secondsLeft).toBe(20);
	expect(statusFor(onDisk(-5), live)).toMatchObject({
		state: "expired",
		valid: false,
		expire: now / 1_000 - 5,
	});
});

test("a token that nobody published is none of ours to a daemon that has one, and is taken at its word without", () => {
	const state = { ...emptyRecord, published: published(60) };
	const reading = onDisk(50, "70_by_hand");
	const asked = { credential, path: "", reading, record: state, now };
	const kept = {
		token: { value, expiresAt: now + 60_000 },
		id: tokenId(value),
		generation: 1,
		lifetimeMs: 7_200_000,
		fetchedAt: 0,
		reason: "due",
	};
	expect(statusOf({ ...asked, kept })).toMatchObject({
		state: "unusable",
		valid: false,
		expire: null,
		hint: expect.stringContaining("altered"),
	});
	expect(statusOf(asked)).toMatchObject({ state: "valid", lifetime: null });
	// Taken over from a file that was there before: nobody has published it.
	const found = onDisk(60);
	expect(
		statusOf({ ...asked, reading: found, record: emptyRecord, kept }),
	).toMatchObject({ state: "valid", secondsLeft: 60 });
});

test("no status holds a token, or a part of it", () => {
	const status = statusFor(onDisk(5_000), { published: published(5_000) });
	expect(JSON.stringify(status)).not.toContain("present_token");
});

function linesFor(
	accounts: readonly CredentialStatus[],
	look: Partial<TableOptions> = {},
): readonly string[] {
	const options = { bars: false, width: 200, colors: false, now, ...look };
	return tableOf(reportOf("files", accounts), options);
}

/** The time of day on this machine, so many seconds from now. */
const clock = (seconds: number) =>
	new Date(now + seconds * 1_000).toTimeString().slice(0, 5);

const cellsIn = (line: string | undefined) => line?.split(/ {2,}/) ?? [];

test("the table has a line for each account, and under it what is wrong and what to do", () => {
	const pause = { at: now - 1_000, waitMs: 300_000, failure };
	const lines = linesFor([
		statusFor(onDisk(60), { pause, published: published(60) }),
		statusFor({ kind: "absent" }),
	]);
	expect(lines.map(cellsIn)).toEqual([
		["APPID", "STATE", "LEFT", "REFRESHED", "NEXT"],
		["wx1", "failing", "1m0s", "1h59m ago (due)", "in 4m59s"],
		["", failure.message],
		["", `failed 3 times since ${clock(-60)} (1m0s ago), next try in 4m59s`],
		["", `apps will fail from ${clock(60)} on`],
		["", `hint: ${failure.hint}`],
		["wx1", "missing", "-", "never", "now"],
		["", "apps fail now"],
		[
			"",
			"hint: there is no token file: the daemon puts a good one in its place",
		],
	]);
	// Columns stand under their heads.
	const column = lines[0]?.indexOf("NEXT") ?? -1;
	expect(lines[1]?.indexOf("in 4m59s")).toBe(column);
});

test("a failure that a person asked for before its time shows one time for the next try, as the table does", () => {
	const pause = { at: now - 1_000, waitMs: 60_000, failure };
	const lines = linesFor([
		statusFor(onDisk(7_000), { pause, published: published(7_000) }),
	]);
	const times = lines.join("\n").match(/\bin \d\w+/g) ?? [];
	expect(times.length).toBe(2);
	expect(new Set(times).size).toBe(1);
});

test.for([
	["within the day", 60, /^apps will fail from \d\d:\d\d on$/],
	[
		"on another day",
		90_000,
		/^apps will fail from 2026-03-0[23] \d\d:\d\d on$/,
	],
	["since some time", -60, /^apps fail since \d\d:\d\d$/],
] as const)("when apps begin to fail is said: %s", ([, seconds, words]) => {
	const pause = { at: now - 1_000, waitMs: 300_000, failure };
	const lines = linesFor([
		statusFor(onDisk(seconds), { pause, published: published(seconds) }),
	]);
	const effect = lines
		.map((line) => line.trim())
		.filter((line) => /^apps/.test(line));
	expect(effect).toEqual([expect.stringMatching(words)]);
});

test("a valid token says nothing of apps that fail", () => {
	const lines = linesFor([statusFor(onDisk(60), { published: published(60) })]);
	expect(lines.join("\n")).not.toContain("fail");
});

test.for([
	["token 将在明天结束，请检查 IP 白名单", 10],
	["中文（括号）和，标点。", 6],
	["plain words and 一二三四五六七八九十", 12],
	["か\u3099な\u0301 ﾊﾝｶｸ", 4],
] as const)(
	"%j in %i columns: no line is wider, and nothing is lost",
	([text, width]) => {
		const lines = wrapped(text, width);
		for (const line of lines)
			expect(columnsOf(line), line).toBeLessThanOrEqual(width);
		expect(lines.join("").replaceAll(" ", "")).toBe(text.replaceAll(" ", ""));
		for (const line of lines) {
			expect(line).not.toMatch(/^[，。）]/);
			expect(line).not.toMatch(/（$/);
		}
	},
);

test("a long line of Chinese fills the terminal, and its end is where it should be", () => {
	const lines = wrapped("字".repeat(100), 80);
	expect(lines.map((line) => line.length)).toEqual([40, 40, 20]);
});

test.for([
	["token", 5],
	["微信", 4],
	["＝：", 4],
	["é", 1],
	["🎉", 2],
] as const)("%s takes %i columns", ([text, columns]) => {
	expect(columnsOf(text)).toBe(columns);
});

test("a bar shows what is left of the token's life, in ASCII", () => {
	const barFor = (seconds: number) =>
		/\[[#-]+\]/.exec(
			linesFor(
				[statusFor(onDisk(seconds), { published: published(seconds) })],
				{ bars: true },
			)[1] ?? "",
		)?.[0];
	expect([7_200, 3_600, 1, 0].map(barFor)).toEqual([
		"[####################]",
		"[##########----------]",
		"[#-------------------]",
		"[--------------------]",
	]);
});

test.for([
	[200, "APPID STATE LEFT REFRESHED NEXT", true],
	[70, "APPID STATE LEFT REFRESHED NEXT", false],
	[40, "APPID STATE LEFT NEXT", false],
	[20, "APPID STATE LEFT", false],
] as const)("in %d columns: %s, with a bar: %s", ([width, head, hasBar]) => {
	const pause = { at: now - 1_000, waitMs: 300_000, failure };
	const state = { pause, published: published(3_600) };
	const lines = linesFor([statusFor(onDisk(3_600), state)], {
		bars: true,
		width,
	});
	expect(lines[0]?.split(/ +/).join(" ")).toBe(head);
	expect(lines[1]?.includes("[#")).toBe(hasBar);
	const longest = Math.max(...lines.map((line) => line.length));
	if (width >= 40) expect(longest).toBeLessThanOrEqual(width);
	const said = lines.slice(2).join(" ").replace(/ +/g, " ");
	expect(said).toContain(failure.hint);
});

test.each([
	["a known end", -600, 600, false, [false, false], undefined],
	["a guess", -60, 5_000, true, [true, false], /guessed: .* each 5 minutes/],
	["past its end", -10, -30, false, [false, true], /overdue: it is past/],
	["a guess past its end", -10, -30, true, [true, true], /overdue: it is past/],
] as const)(
	"a ticket: %s",
	(_, seenAgo, endsIn, isGuessed, [guessed, overdue], says) => {
		const endsAt = now + endsIn * 1_000;
		const seenAt = now + seenAgo * 1_000;
		const sighting = { seenAt, endsAt, endsBy: endsAt, isGuessed };
		// Readers are told a later end while WeChat still gives it.
		const state = { published: { ...published(600), sighting } };
		const of = { kind: "jsapi_ticket", needs: ["token"] } as const;
		const status = statusFor(onDisk(600), state, of);
		expect(status).toMatchObject({
			state: "valid",
			interface: null,
			kind: "jsapi_ticket",
			...{ guessed, overdue, waitsFor: null },
		});
		const next = Date.parse(status.nextRefreshAt ?? "");
		expect(next).toBe(
			Math.max(now, nextAskAt(sighting, spreadOf(tokenId(value)))),
		);
		const said = linesFor([status], { width: 200 }).slice(2).join(" ");
		if (says === undefined) expect(said).toBe("");
		else expect(said).toMatch(says);
	},
);

test("a ticket whose token is missing says what it waits for, and why", () => {
	const waitsFor = { credential: "wx_access_token_wx1", reason: "no route" };
	const status = statusOf({
		credential: { ...credential, kind: "jsapi_ticket" },
		path: "/run/wxtokend/wx_jsapi_ticket_wx1",
		reading: { kind: "absent" },
		record: emptyRecord,
		now,
		waitsFor,
	});
	expect(status).toMatchObject({ state: "missing", waitsFor });
	expect(linesFor([status], { width: 200 }).join(" ")).toContain(
		"waits for wx_access_token_wx1: no route",
	);
});

test("colours are only there when they are asked for", () => {
	const account = statusFor(onDisk(3_600), { published: published(3_600) });
	expect(linesFor([account], { bars: true }).join("")).not.toContain("\u001b");
	const colored = linesFor([account], { bars: true, colors: true }).join("");
	expect(colored).toContain("\u001b[32mvalid");
	expect(colored.replaceAll("\u001b[32m", "").replaceAll("\u001b[0m", "")).toBe(
		linesFor([account], { bars: true }).join(""),
	);
});

test.for([
	[0, "0s"],
	[59.4, "59s"],
	[60, "1m0s"],
	[3_599, "59m59s"],
	[7_199, "1h59m"],
	[90_000, "1d1h"],
	[-5, "0s"],
] as const)("%d seconds are %s", ([seconds, words]) => {
	expect(inWords(seconds)).toBe(words);
});

test("the last day is a line of letters below its account, with a legend, where the terminal is wide enough", () => {
	const account = statusFor(onDisk(3_600), { published: published(3_600) });
	const letters = `${".".repeat(10)}${"#".repeat(30)}!!xx####`;
	const report = {
		...reportOf("daemon", [account]),
		days: { [account.credential]: letters },
	};
	const plain: TableOptions = { bars: true, colors: false, width: 80, now };
	const [, , line, legend] = tableOf(report, plain);
	expect(line).toBe(`  last 24 h  [${letters}]`);
	expect(legend).toMatch(/^last 24 h, half an hour each: # valid, /);
	expect(tableOf(report, { ...plain, width: 62 })).toHaveLength(2);
	expect(tableOf(report, { ...plain, bars: false })).toHaveLength(2);
	const [, , painted] = tableOf(report, { ...plain, colors: true });
	expect(painted).toContain("\u001b[33m!!\u001b[0m\u001b[31mxx\u001b[0m");
});

const plain80: TableOptions = { bars: false, colors: false, width: 80, now };

test("a wrong clock stands below the table, with what to do", () => {
	const clock = {
		aheadSeconds: 75,
		message: "the clock is 75 s ahead",
		hint: "set it",
	};
	const report = reportOf("daemon", [statusFor(onDisk(3_600))], clock);
	const lines = tableOf(report, plain80);
	expect(lines.slice(-2)).toEqual([clock.message, "  hint: set it"]);
	expect(
		tableOf({ ...report, clock: null }, plain80).some((one) =>
			one.includes("clock"),
		),
	).toBe(false);
});

test("each credential stands right below what it hangs on, one step deeper", () => {
	const one = statusFor(onDisk(3_600));
	const rows = [
		["component", "component_access_token", null],
		["suite", "wecom_suite_access_token", null],
		["member", "authorizer_access_token", "component"],
		["ticket", "jsapi_ticket", "member"],
		["corp", "wecom_corp_access_token", "suite"],
		["lone", "jsapi_ticket", "not shown"],
	].map(
		([name, kind, parent]) =>
			({
				...one,
				...{ appid: name, credential: name, kind, parent, interface: null },
			}) as CredentialStatus,
	);
	const [, ...lines] = linesFor(rows);
	expect(lines.map((line) => /^ *\S+/.exec(line)?.[0])).toEqual([
		"component",
		"  member",
		"    jsapi_ticket",
		"suite",
		"  corp",
		"  jsapi_ticket",
	]);
});

test("the report lists an account of a component among the accounts, as GET /v1/accounts does", () => {
	const kinds = [
		...["access_token", "authorizer_access_token"],
		...["component_access_token", "jsapi_ticket", "wecom_access_token"],
	] as const;
	const all = kinds.map((kind) =>
		statusOf({
			credential: { ...credential, kind: kind as Credential["kind"] },
			...{ path: "", reading: onDisk(10), record: emptyRecord, now },
		}),
	);
	const { accounts, credentials } = reportOf("daemon", all);
	expect(accounts.map(({ kind }) => kind)).toEqual(kinds.slice(0, 2));
	expect(credentials).toBe(all);
});

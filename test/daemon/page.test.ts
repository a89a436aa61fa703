import { expect, test } from "vitest";
import { systemClock } from "../../src/core/clock.ts";
import type { DayEvent } from "../../src/core/day.ts";
import {
	glimpseIn,
	type StatusFacts,
	statusFrom,
} from "../../src/core/status.ts";
import { createHistory } from "../../src/daemon/history.ts";
import { createStatusPage } from "../../src/daemon/page/status-page.ts";
import type { ManagedCredential } from "../../src/keeper/managed-credential.ts";

const minute = 60_000;
const now = systemClock.now();

/** As a page sees it. */
function managed(
	index: number,
	changed: Partial<StatusFacts> = {},
	onFacts = () => {},
): ManagedCredential {
	const appid = `wx${(index + 1).toString(16).padStart(16, "0")}`;
	const file = `wx_access_token_${appid}`;
	const facts: StatusFacts = {
		...{ appid, state: "valid", valid: true, interface: "classic" },
		...{ file: `/run/wxtokend/${file}`, expire: now / 1000 + 6_000 },
		...{ secondsLeft: 6_000, lifetime: 7_200, lastRefresh: null },
		...{ nextRefreshAt: now, lastError: null, foreignFetcher: false },
		...{ budget: { used: 1, of: 60 }, hint: null, credential: file },
		...{
			kind: "access_token",
			waitsFor: null,
			parent: null,
			guessed: false,
			overdue: false,
		},
		...changed,
	};
	const credential = { id: file, appid, file, kind: "access_token", needs: [] };
	const look = () => {
		onFacts();
		return facts;
	};
	return {
		credential,
		idleUntil: 0,
		facts: look,
		status: () => statusFrom(look()),
		glimpse: () => glimpseIn(facts),
	} as unknown as ManagedCredential;
}

function pageOf(
	all: readonly ManagedCredential[],
	events: readonly DayEvent[],
) {
	const history = createHistory();
	for (const { credential } of all) history.restore(credential.id, events);
	const byFile = new Map(all.map((one) => [one.credential.file, one]));
	const page = createStatusPage({
		managed: () => ({ byFile, byAppid: byFile }),
		history,
		clock: systemClock,
		version: "1.2.3",
		directory: () => "/run/wxtokend",
	});
	return async (
		query = "",
		onEnd: (listener: () => void) => void = () => {},
	) => {
		const { content } = await page({
			...{ method: "GET", path: "/", query, body: "", remote: "" },
			headers: {},
			onEnd,
		});
		return String(content);
	};
}

const lost = {
	...{ kind: "transient", code: "ECONNREFUSED", rid: null },
	message: "could not fetch a token for wx1: nobody listens there",
	hint: "look at the network, the firewall and the proxy of this server",
	...{ at: now, attempts: 12, since: now, nextTryAt: now },
};

const failing = (
	index: number,
	changed: Partial<StatusFacts> = {},
	onFacts?: () => void,
) => managed(index, { state: "failing", lastError: lost, ...changed }, onFacts);

const unlisted = (index: number, changed: Partial<StatusFacts> = {}) =>
	failing(index, {
		lastError: {
			...{ ...lost, kind: "admin", code: "errcode 40164", rid: "1-2-3" },
			message: `could not fetch a token for wx${index}: not in the whitelist`,
			hint: "add 203.0.113.7 to the whitelist",
		},
		...changed,
	});

const namesIn = (html: string) =>
	[...html.matchAll(/<b>(wx\w+)/g)].map(([, name]) => name);

/** A token each 80 minutes, as every day. */
const usual: readonly DayEvent[] = Array.from({ length: 18 }, (_, index) => {
	const at = now - (18 - index) * 80 * minute;
	return { at, kind: "value", why: "due", until: at + 120 * minute };
});

/** As much as is remembered. */
const wild: readonly DayEvent[] = Array.from({ length: 64 }, (_, index) => {
	const at = now - (64 - index) * 22 * minute;
	const kinds = ["value", "failure", "death", "value"] as const;
	const kind = kinds[index % 4] ?? "value";
	return {
		at,
		kind,
		why: index % 8 ? "forced" : "reported",
		until: at + 20 * minute,
	};
});

test.each([
	["on a usual day", managed, usual],
	["on a wild day", managed, wild],
	["when all fail on a wild day", failing, wild],
] as const)(
	"a page of 100 credentials has at most 60 KiB %s",
	async (_when, make, events) => {
		const page = pageOf(
			Array.from({ length: 100 }, (_, index) => make(index)),
			events,
		);
		for (const query of ["lang=en", "lang=zh"]) {
			const html = await page(query);
			expect(html.match(/<svg role=img/g)).toHaveLength(100);
			expect(Buffer.byteLength(html)).toBeLessThanOrEqual(60 * 1_024);
		}
	},
);

test("of many credentials a page shows 100, the worst ones first, and finds one by its name", async () => {
	const all = Array.from({ length: 1_000 }, (_, index) =>
		index === 777 ? failing(index) : managed(index),
	);
	const page = pageOf(all, []);
	const first = await page();
	expect(first.match(/<b>wx\w+/)?.[0]).toBe(`<b>${all[777]?.credential.appid}`);
	expect(first).toContain("1–100 of 1,000");
	expect(first).toContain('href="/?lang=en&#38;page=2"');
	expect(first).toContain('<a id=last href="/?lang=en&#38;page=10">');
	const end = await page("page=10");
	expect(end).toContain("901–1,000 of 1,000");
	expect(end).toContain('<a id=first href="/?lang=en">');
	expect(end).not.toContain("id=next");
	const wanted = all[500]?.credential.appid ?? "";
	const found = await page(`q=${wanted}`);
	expect(found.match(/<b>wx\w+/g)).toEqual([`<b>${wanted}`]);
});

test("what fails for many is told once, with how many they are, and each row says since when", async () => {
	const page = pageOf(
		Array.from({ length: 5 }, (_, index) => failing(index)),
		[],
	);
	const html = await page();
	expect(html.match(/look at the network/g)).toHaveLength(1);
	expect(html).toContain("5 credentials: <code>ECONNREFUSED</code></h2>");
	expect(html.match(/12 attempts/g)).toHaveLength(5);
	expect(html).not.toContain("Show only these");
});

test("of ten thousand that fail, the causes are counted, and only those on the page are read", async () => {
	let reads = 0;
	const all = Array.from({ length: 10_000 }, (_, index) =>
		index % 100 === 7
			? unlisted(index)
			: failing(index, {}, () => {
					reads += 1;
				}),
	);
	const page = pageOf(all, []);
	const html = await page("lang=en");
	expect(namesIn(html)).toHaveLength(100);
	expect(reads).toBeLessThanOrEqual(101);
	expect(html).toContain("9,900 credentials: <code>ECONNREFUSED</code>");
	expect(html).toContain("100 credentials: <code>errcode 40164</code>");
	const [, link] =
		/errcode 40164<\/code> <a id=why1 href="\/\?([^"]+)">/.exec(html) ?? [];
	const only = await page(link?.replaceAll("&#38;", "&"));
	expect(only).toContain("100 of 10,000 have “errcode 40164”");
	expect(namesIn(only)).toEqual(
		all
			.filter((_, index) => index % 100 === 7)
			.map((one) => one.credential.appid),
	);
	expect(only).toMatch(/<a id=every href="\/\?lang=en">/);
	expect(await page("q=NOTHING-like-it")).not.toContain("<ol>");
});

test("first come those without a value, then those that end first, then all others as they are configured", async () => {
	const endsIn = (minutes: number) => ({ expire: now / 1000 + 60 * minutes });
	const all = [
		managed(0),
		failing(1, endsIn(50)),
		unlisted(2, { ...endsIn(-5), state: "expired", valid: false }),
		failing(3, endsIn(20)),
		unlisted(4, endsIn(35)),
		managed(5),
	];
	expect(namesIn(await pageOf(all, [])())).toEqual(
		[2, 3, 4, 1, 0, 5].map((index) => all[index]?.credential.appid),
	);
});

test("troubles that only one or two have stand in their rows; of many pages each says how many there are", async () => {
	const odd = (index: number) =>
		failing(index, { lastError: { ...lost, code: `odd ${index}` } });
	const few = await pageOf([odd(0), odd(1)], [])();
	expect(few).not.toContain("<section");
	expect(few.match(/nobody listens/g)).toHaveLength(2);
	const many = await pageOf(
		Array.from({ length: 300 }, (_, index) => odd(index)),
		[],
	)();
	expect(many).toContain("300 more are in trouble for 300 other reasons");
});

test("clients that come while a page is made share the next one; for those that are gone none is made", async () => {
	let reads = 0;
	const count = () => {
		reads += 1;
	};
	const page = pageOf([managed(0, {}, count)], []);
	const first = page();
	// As the router calls it, before anything of the first one is made.
	const others = Array.from({ length: 50 }, () => page("q=wx"));
	const gone = Array.from({ length: 50 }, () =>
		page("page=2", (listener) => listener()),
	);
	const [html, ...found] = await Promise.all([first, ...others, ...gone]);
	expect(html).toContain("<ol>");
	expect(new Set(found.slice(0, 50)).size).toBe(1);
	expect(found[0]).toContain("1 of 1 have “wx”");
	expect(reads).toBe(2);
	expect(await page()).toContain("<ol>");
	expect(reads).toBe(3);
});

test("pushed tickets are drawn, told in words, and explained", async () => {
	const pushed: DayEvent = {
		...{ at: now - 600 * minute, kind: "push", why: "ticket" },
		until: now - 7 * minute,
	};
	const one = managed(0, { kind: "component_access_token" });
	const en = await pageOf([one], [...usual, pushed])("lang=en");
	expect(en).toMatch(/<path class=p d="M\d+ 1h\d+"\/>/);
	expect(en).toMatch(/aria-label="[^"]*last ticket pushed 7 min ago"/);
	expect(en).toContain("tickets are pushed</li>");
	const zh = await pageOf([one], [pushed])("lang=zh");
	expect(zh).toContain("最近一次 ticket 推送在 7 分钟前");
	expect(zh).toContain("第三方平台 component_access_token");
	expect(await pageOf([managed(0)], usual)("lang=en")).not.toContain("class=p");
});

test.each([
	[7_199, "24 h ago", "12 h ago"],
	[3_599, "12 h ago", "6 h ago"],
	[20, "4 min ago", "2 min ago"],
])(
	"with values that live %i s the pictures begin %s",
	async (lifetime, whole, half) => {
		const html = await pageOf([managed(0, { lifetime })], [])("lang=en");
		const [, first, second] =
			/class=axis.*?<i>(.*?)<\/i><i>(.*?)<\/i>/.exec(html) ?? [];
		expect([first, second]).toEqual([whole, half]);
	},
);

test("in Chinese also what is wrong without a failure is told in Chinese", async () => {
	const one = managed(0, {
		...{ state: "missing", valid: false, secondsLeft: 0, expire: null },
		hint: "there is no token file: the daemon puts a good one in its place",
	});
	const html = await pageOf([one], [])("lang=zh");
	expect(html).toContain("还没有文件：守护进程会获取并写入");
	expect(html).not.toContain("there is no token file");
});

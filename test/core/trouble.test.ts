import { describe, expect, test } from "vitest";
import type { CredentialStatus } from "../../src/core/status.ts";
import { troubleIn } from "../../src/core/trouble.ts";

const now = Date.parse("2026-03-01T12:00:00Z");
const afterMs = 300_000;

function iso(at: number): string {
	return new Date(at).toISOString();
}

/** A classic token that has an hour left, unless something else is given. */
function statusWith(given: Partial<CredentialStatus> = {}): CredentialStatus {
	return {
		...{ appid: "wx1", kind: "access_token", interface: "classic" },
		...{ file: "/run/wxtokend/f", credential: "f", state: "valid" },
		...{ valid: true, expire: now / 1000 + 3_600, secondsLeft: 3_600 },
		...{ lifetime: 7_200, lastRefresh: null, lastError: null, hint: null },
		...{ nextRefreshAt: iso(now + 1_200_000), foreignFetcher: false },
		...{ budget: { used: 0, of: 60 }, waitsFor: null },
		...{ guessed: false, overdue: false },
		...given,
	} as CredentialStatus;
}

function failed(
	kind: string,
	since = now,
): NonNullable<CredentialStatus["lastError"]> {
	return {
		...{ kind, code: "c", message: "m", hint: "h", rid: null, attempts: 1 },
		...{ at: iso(since), since: iso(since), nextTryAt: iso(since + 1_000) },
	};
}

/** When it would be told, in seconds from now. */
function toldIn(given: Partial<CredentialStatus>, after = afterMs) {
	const found = troubleIn(statusWith(given), now, after);
	return found === undefined ? undefined : (found.tellAt - now) / 1000;
}

test("nothing is wrong with a valid token", () => {
	expect(troubleIn(statusWith(), now, afterMs)).toBeUndefined();
});

describe("a failure", () => {
	test.each(["config", "admin", "io", "refused"])(
		"of kind %s needs a person, and is told at once",
		(kind) => {
			const found = troubleIn(
				statusWith({ lastError: failed(kind, now - 5_000) }),
				now,
				afterMs,
			);
			expect(found).toEqual({
				...{ code: "c", kind, message: "m", hint: "h", needsPerson: true },
				...{ since: now - 5_000, tellAt: now - 5_000 },
				...{ failsAt: now + 3_600_000, of: "access_token" },
			});
		},
	);

	test.each([
		...["transient", "limited", "garbled", "parent", "lost"],
		// Redis is away: the network, and no disk.
		"unreachable",
	])("of kind %s may pass by itself, and is told after `after`", (kind) => {
		expect(toldIn({ lastError: failed(kind) })).toBe(300);
		expect(toldIn({ lastError: failed(kind) }, 0)).toBe(0);
	});

	test("is told earlier if the token would end before: when half of the rest is over", () => {
		const lastError = failed("transient");
		expect(toldIn({ lastError, expire: now / 1000 + 280 })).toBe(140);
		expect(toldIn({ lastError, expire: now / 1000 + 6 })).toBe(3);
	});

	test("without any token is told soon, as apps fail already", () => {
		const given = {
			...{ valid: false, expire: null, lastError: failed("transient") },
			state: "missing",
		} as const;
		expect(toldIn(given)).toBe(10);
		expect(toldIn(given, 2_000)).toBe(2);
		expect(troubleIn(statusWith(given), now, afterMs)?.failsAt).toBe(now);
	});

	test("during which the token has ended was told before, and names that end", () => {
		const given = {
			...{ valid: false, expire: now / 1000 - 60 },
			lastError: failed("transient", now - 900_000),
			state: "expired",
		} as const;
		expect(toldIn(given)).toBe(-600);
		expect(troubleIn(statusWith(given), now, afterMs)?.failsAt).toBe(
			now - 60_000,
		);
	});
});

test("another program that fetches needs a person; when apps fail cannot be foreseen", () => {
	const found = troubleIn(
		statusWith({ foreignFetcher: true, hint: "find it" }),
		now,
		afterMs,
	);
	expect(found).toMatchObject({
		...{ code: "foreign-fetcher", hint: "find it", tellAt: now },
		...{ needsPerson: true, failsAt: undefined },
	});
});

test("an end without a failure is told if no new value comes within ten seconds", () => {
	const given = { state: "expired", valid: false } as const;
	expect(toldIn({ ...given, expire: now / 1000 - 4 })).toBe(6);
});

describe("a token that is due and not renewed, without a failure", () => {
	const due = { nextRefreshAt: iso(now - 1_000) };
	const app = { kind: "wecom_access_token", interface: null } as const;

	test("is told when a 48th of its life is left", () => {
		expect(toldIn(due)).toBe(3_600 - 150);
		expect(toldIn(due, 60_000)).toBe(3_600 - 60);
	});

	test("is the same if its calls are used up until after its end", () => {
		const spent = {
			nextRefreshAt: iso(now + 4_000_000),
			budget: { used: 60, of: 60 },
		};
		expect(toldIn(spent)).toBe(3_600 - 150);
		expect(toldIn({ ...spent, ...app })).toBe(3_600 - 150);
	});

	test.each([
		"component_access_token",
		"authorizer_access_token",
		"wecom_access_token",
		"wecom_provider_access_token",
		"wecom_suite_access_token",
		"wecom_corp_access_token",
	] as const)("is told of a %s, too", (kind) => {
		expect(toldIn({ ...due, kind, interface: null })).toBe(3_600 - 150);
	});

	test.each([
		"jsapi_ticket",
		"wx_card_ticket",
		"sdk_ticket",
		"wecom_jsapi_ticket",
		"wecom_agent_ticket",
	] as const)("is no trouble for a %s, which changes at its end", (kind) => {
		expect(toldIn({ ...due, kind, interface: null })).toBeUndefined();
	});

	describe("of 企业微信", () => {
		test("is no trouble where the same token may come until its end: in the last ten seconds it is asked for again and again", () => {
			const last = { ...due, ...app, expire: now / 1000 + 10 };
			expect(toldIn(last)).toBeUndefined();
			expect(toldIn({ ...last, expire: now / 1000 + 11 })).toBe(11 - 150);
		});

		test("is no trouble if it was asked for early, and is asked for again after its end", () => {
			const nextRefreshAt = iso(now + 3_601_000);
			expect(toldIn({ ...app, nextRefreshAt })).toBeUndefined();
		});

		test("is no trouble as long as its end is not known", () => {
			expect(toldIn({ ...due, ...app, guessed: true })).toBeUndefined();
			expect(toldIn({ ...due, ...app, overdue: true })).toBeUndefined();
		});
	});
});

test("what waits for a parent has no trouble of its own", () => {
	const waitsFor = { credential: "p", reason: "why" };
	expect(
		toldIn({ waitsFor, lastError: failed("admin"), valid: false }),
	).toBeUndefined();
});

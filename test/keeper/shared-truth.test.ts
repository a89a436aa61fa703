/** What the keepers of one file share, and what each keeps to itself. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { IssuerError, type IssuerErrorKind } from "../../src/core/errors.ts";
import { decodeRecord, emptyRecord } from "../../src/core/record.ts";
import { statusOf } from "../../src/core/status.ts";
import { decodeToken } from "../../src/core/token.ts";
import { newScene } from "../faults/keepers.ts";
import { newDirectory } from "../support/directory.ts";
import { keepInVirtualTime } from "../support/keeping.ts";
import { newSecret } from "../support/leaks.ts";
import { startWeChat } from "../support/wechat.ts";

const hourMs = 3_600_000;

function newClock() {
	let wall = Date.now();
	let monotonic = 1_000;
	return {
		now: () => wall,
		monotonic: () => monotonic,
		pass: (ms: number) => {
			wall += ms;
			monotonic += ms;
		},
		setBack: (ms: number) => {
			wall -= ms;
		},
	};
}

function refusal(kind: IssuerErrorKind, code: string): IssuerError {
	return new IssuerError({
		kind,
		code,
		message: "could not fetch a token",
		hint: "…",
		waitMs: 600_000,
		mayHaveIssued: false,
		sent: true,
	});
}

function valueIn(path: string): string | undefined {
	return decodeToken(readFileSync(path, "utf8"))?.value;
}

describe("a keeper whose WeChat refuses it holds up another keeper of the file", () => {
	test.each([
		[
			"not at all, if its AppSecret is the reason",
			"config",
			"errcode 40125",
			false,
		],
		[
			"for as long as a quota lasts, which is the account's",
			"limited",
			"errcode 45009",
			true,
		],
		[
			"on the same host, if the IP is the reason",
			"admin",
			"errcode 40164",
			true,
		],
	] as const)("%s", async (_, kind, code, isHeldUp) => {
		const clock = newClock();
		const directory = newDirectory();
		const good = newScene({ directory, clock });
		const { keeper } = good.start();
		await keeper.reconcile();
		const wrong = newScene({
			directory,
			clock,
			onRequest: () => {
				throw refusal(kind, code);
			},
		}).start();
		clock.pass(1.5 * hourMs);
		expect((await wrong.keeper.reconcile()).kind).toBe("failed");
		const outcome = await keeper.reconcile();
		expect(outcome.kind).toBe(isHeldUp ? "deferred" : "refreshed");
		// What the other one did wrong is no failure of this one.
		expect(keeper.record().pause?.failure?.code).toBe(
			isHeldUp ? code : undefined,
		);
	});
});

describe("a token of another account, or of a simulator, in our file", () => {
	test("is not adopted, though a record is about it; the next one is asked for at once", async () => {
		const directory = newDirectory();
		const simulated = newScene({ directory, source: "wx1 from http://[::1]" });
		await simulated.start().keeper.reconcile();
		const foreign = valueIn(simulated.path);
		const real = newScene({ directory });
		const { keeper, slot } = real.start();
		expect(keeper.current()).toBeUndefined();
		expect(
			statusOf({
				credential: {
					id: "token",
					kind: "access_token",
					appid: "wx1",
					file: "token",
					formats: [],
					source: "wx1 from WeChat",
					needs: [],
					limits: {
						refreshBeforeMs: 1,
						cooldownMs: 1,
						budget: 60,
						timeoutMs: 1,
					},
				},
				path: real.path,
				reading: slot.read(),
				record: slot.record(),
				now: Date.now(),
			}),
		).toMatchObject({ state: "unusable", valid: false });
		expect(await keeper.reconcile()).toMatchObject({
			kind: "refreshed",
			reason: "first",
		});
		expect(valueIn(real.path)).not.toBe(foreign);
	});

	test("stays foreign after a failed attempt, too", async () => {
		const directory = newDirectory();
		const other = newScene({ directory, source: "wx2 from WeChat" });
		await other.start().keeper.reconcile();
		const { keeper } = newScene({
			directory,
			onRequest: () => {
				throw refusal("transient", "ECONNREFUSED");
			},
		}).start();
		for (let attempts = 0; attempts < 3; attempts += 1) {
			expect((await keeper.reconcile()).kind).toMatch(/failed|deferred/);
			expect(keeper.current()).toBeUndefined();
		}
	});

	test("is adopted, if no record says whose it is", async () => {
		const scene = newScene();
		const expire = Math.floor(Date.now() / 1000) + 7_000;
		writeFileSync(scene.path, `{"value":"by-hand","expire":${expire}}\n`);
		const { keeper } = scene.start();
		expect((await keeper.reconcile()).kind).toMatch(/idle|repaired/);
		expect(keeper.current()?.value).toBe("by-hand");
	});
});

test("a clock that is set back by less than the token's age is noticed by the monotonic one", async () => {
	const clock = newClock();
	const scene = newScene({ clock, lifetimeMs: 60_000 });
	const { keeper } = scene.start();
	await keeper.reconcile();
	clock.pass(34_000);
	expect(keeper.needs()).toBeUndefined();
	// It now seems to be a second old, and to live for 59 more: 26 by the true time.
	clock.setBack(33_000);
	expect(await keeper.reconcile()).toMatchObject({
		kind: "refreshed",
		reason: "clock",
	});
	expect(keeper.needs()).toBeUndefined();
});

test("a machine that slept, or a clock that is set ahead, is no reason to fetch", async () => {
	const clock = newClock();
	const scene = newScene({ clock });
	const { keeper } = scene.start();
	await keeper.reconcile();
	clock.setBack(-1_000_000);
	expect(keeper.needs()).toBeUndefined();
});

test("an outage from the due time on leaves budget for its end, with two base URLs as well", async () => {
	const startAt = Date.UTC(2026, 0, 5, 2);
	const account = { appid: "wx1", secret: newSecret() };
	const simulator = await startWeChat({
		accounts: [account],
		startAtMs: startAt,
		timeScale: 0,
	});
	const keeping = keepInVirtualTime({
		...account,
		baseUrls: [simulator.url, simulator.url],
		startAt,
		onAdvance: simulator.advance,
	});
	expect((await keeping.nextAttempt(0)).kind).toBe("refreshed");
	const repair = await simulator.addFault({ mode: "status", status: 502 });
	await keeping.advance(4_800);
	const endsAt = keeping.now() + 38 * 60_000;
	while (keeping.now() < endsAt) {
		await keeping.tick();
		await keeping.advance(5);
	}
	await repair();
	const next = await keeping.nextAttempt(60);
	expect(next.kind).toBe("refreshed");
	expect(next.at - endsAt).toBeLessThanOrEqual(60_000);
});

describe("a record with an absurd number is none, and no reason to end:", () => {
	const published = {
		id: "0123456789abcdef",
		expiresAt: 1,
		lifetimeMs: 1,
		fetchedAt: 1,
		reason: "due",
	};
	test.each([
		{ pause: { at: 1, waitMs: 1e18 } },
		{ pause: { at: -1, waitMs: 1 } },
		{ published: { ...published, fetchedAt: 1e300 } },
		{ published: { ...published, expiresAt: 9e15 } },
		{ published: { ...published, id: "x".repeat(5_000) } },
		{ generation: 1e300 },
		{ fence: -5 },
		{ forced: { at: 1e16, by: "me" } },
		{ calls: [1, 1e300] },
		{ calls: Array.from({ length: 20_001 }, () => 1) },
	])("%j", (content) => {
		const text = JSON.stringify({ ...emptyRecord, ...content });
		expect(decodeRecord(text)).toBe(emptyRecord);
	});
});

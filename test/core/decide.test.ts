import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	type Credential,
	type KnownToken,
	knownFrom,
	type Reading,
} from "../../src/core/credential.ts";
import { decide, type Plan, type Situation } from "../../src/core/decide.ts";
import {
	budgetFreeAt,
	cooldownOf,
	countCall,
	countEarlyDeath,
	hasForeignFetcher,
	mayForce,
	refreshAt,
} from "../../src/core/limits.ts";
import { emptyRecord, type SharedRecord } from "../../src/core/record.ts";
import { tokenId } from "../../src/core/token.ts";
import { withPublication } from "../../src/core/transition.ts";

const seconds = 1_000;
const hour = 3_600 * seconds;
/** Some instant; a whole second, as `expire` in the file is one. */
const now = Date.UTC(2026, 0, 5, 2, 0, 0);

const classic: Credential = {
	id: "wx_access_token_wx1",
	kind: "access_token",
	appid: "wx1",
	file: "wx_access_token_wx1",
	formats: [],
	source: "wx1 from WeChat",
	needs: [],
	limits: {
		refreshBeforeMs: 2_400 * seconds,
		cooldownMs: 10 * seconds,
		budget: 60,
		timeoutMs: 10 * seconds,
	},
};
const stable: Credential = { ...classic, kind: "stable_access_token" };

/** The same with other limits. */
function limited(
	credential: Credential,
	limits: Partial<Credential["limits"]>,
): Credential {
	return { ...credential, limits: { ...credential.limits, ...limits } };
}

describe("refreshAt", () => {
	const life = fc.integer({ min: 1, max: 86_400 }).map((s) => s * seconds);
	const before = fc.integer({ min: 1, max: 86_400 }).map((s) => s * seconds);
	const value = fc.string({ minLength: 1 });
	/** Epoch milliseconds have no room for more digits. */
	const rounding = 0.01;

	test("classic: while refresh_before or a third of the life is left, whichever is less, and at most 2 % of the life earlier", () => {
		fc.assert(
			fc.property(life, before, value, (lifetimeMs, refreshBeforeMs, text) => {
				const known = token({ value: text, lifetimeMs });
				const margin = Math.min(refreshBeforeMs, lifetimeMs / 3);
				const left =
					known.token.expiresAt -
					refreshAt(known, limited(classic, { refreshBeforeMs }));
				expect(left).toBeGreaterThan(margin - rounding);
				expect(left).toBeLessThan(margin + 0.02 * lifetimeMs + rounding);
			}),
		);
	});

	test("a token of 7200 s has 2400 s left, as the default says", () => {
		const known = token({ lifetimeMs: 2 * hour });
		const left = known.token.expiresAt - refreshAt(known, classic);
		expect(left).toBeGreaterThanOrEqual(2_400 * seconds);
		expect(left).toBeLessThan(2_545 * seconds);
	});

	test("stable: only in the last 300 s, as the platform gives the same token before", () => {
		fc.assert(
			fc.property(life, before, value, (lifetimeMs, refreshBeforeMs, text) => {
				const known = token({ value: text, lifetimeMs });
				const left =
					known.token.expiresAt -
					refreshAt(known, limited(stable, { refreshBeforeMs }));
				const margin = Math.min(refreshBeforeMs, lifetimeMs / 3);
				expect(left).toBeLessThan(Math.min(margin, 285 * seconds) + rounding);
				expect(left).toBeGreaterThan(
					Math.min(margin, 270 * seconds) - rounding,
				);
			}),
		);
	});

	test("ten thousand tokens of one second are not due in one second", () => {
		const due = Array.from({ length: 10_000 }, (_, index) =>
			refreshAt(token({ value: `token ${index}` }), classic),
		);
		expect(mostPerSecond(due)).toBeLessThan(150);
	});
});

describe("decide: what is known leads to", () => {
	const held = token({});
	const other = token({ value: "another token", generation: 2 });
	const onDisk = (known: KnownToken): Reading => ({
		kind: "token",
		token: known.token,
		exact: true,
	});
	const recordedAs = (known: KnownToken): SharedRecord => ({
		...emptyRecord,
		generation: known.generation,
		published: {
			id: known.id,
			expiresAt: known.token.expiresAt,
			lifetimeMs: known.lifetimeMs,
			fetchedAt: known.fetchedAt,
			reason: known.reason,
		},
	});
	/** A keeper that holds `held`, which is on disk and vouched for. */
	const settled = {
		memory: held,
		disk: onDisk(held),
		record: recordedAs(held),
	};

	const table: readonly (readonly [
		why: string,
		situation: Partial<Situation>,
		plan: Partial<Plan>,
	])[] = [
		[
			"a fetch, if nobody knows a token",
			{},
			{ fetch: "first", publish: false },
		],
		[
			"a fetch, if the file holds none",
			{ disk: { kind: "unusable", problem: "empty" } },
			{ fetch: "first" },
		],
		[
			"nothing, while the token on disk is young",
			settled,
			{ fetch: undefined, publish: false, deferred: undefined },
		],
		[
			"nothing at a restart, for the same token",
			{ disk: settled.disk, record: settled.record, ignorePauses: true },
			{ fetch: undefined, publish: false },
		],
		[
			"nothing for a valid token that no keeper vouches for: somebody else fetched it",
			{ disk: onDisk(held) },
			{ fetch: undefined, publish: false },
		],
		[
			"a fetch when it is due",
			{ ...settled, now: now + 4_800 * seconds },
			{ fetch: "due" },
		],
		[
			"a fetch when it has ended, and its file is let alone",
			{ ...settled, disk: { kind: "absent" }, now: now + 2 * hour },
			{ fetch: "due", publish: false },
		],
		[
			"a fetch for a token from the future: the clock was set back",
			{ ...settled, now: now - hour },
			{ fetch: "clock" },
		],
		[
			"no fetch for a token a second ahead: clocks are never quite the same",
			{ ...settled, now: now - seconds },
			{ fetch: undefined },
		],
		[
			"publication without a call, if the file is gone",
			{ ...settled, disk: { kind: "absent" } },
			{ publish: true, fetch: undefined },
		],
		[
			"publication without a call, if the file is garbage",
			{ ...settled, disk: { kind: "unusable", problem: "empty" } },
			{ publish: true, fetch: undefined },
		],
		[
			"publication without a call, if mode, group or a blank differ",
			{ ...settled, disk: { kind: "token", token: held.token, exact: false } },
			{ publish: true, fetch: undefined },
		],
		[
			"publication without a call, if somebody wrote another token that no keeper knows",
			{ ...settled, disk: onDisk(other) },
			{ publish: true, fetch: undefined, current: held },
		],
		[
			"publication of the true end, if somebody wrote a later one beside the token",
			{
				record: settled.record,
				disk: {
					kind: "token",
					token: { ...held.token, expiresAt: now + 9 * hour },
					exact: true,
				},
			},
			{ publish: true, fetch: undefined },
		],
		[
			"adoption of what another keeper published",
			{ memory: held, disk: onDisk(other), record: recordedAs(other) },
			{ current: other, publish: false, fetch: undefined },
		],
		[
			"no way back to an older token that is put in the file's place",
			{
				memory: other,
				disk: onDisk(held),
				record: { ...recordedAs(held), generation: 1 },
			},
			{ current: other, publish: true },
		],
		[
			"no publication of an older token, while the later one is nowhere",
			{
				...settled,
				disk: { kind: "absent" },
				record: recordedAs(token({ value: "a later token", generation: 7 })),
			},
			{ fetch: "cut-off", publish: false },
		],
		[
			"a fetch, if a later token was published and is not on disk",
			{
				...settled,
				record: recordedAs(token({ value: "a later token", generation: 7 })),
			},
			{ fetch: "cut-off", publish: false },
		],
		[
			"a fetch, if a request for its successor was cut off",
			{ ...settled, record: { ...settled.record, inFlight: mark(held.id) } },
			{ fetch: "cut-off" },
		],
		[
			"nothing, if the cut-off request was for an earlier token",
			{
				...settled,
				record: { ...settled.record, inFlight: mark("an earlier one") },
			},
			{ fetch: undefined },
		],
		[
			"a pause after a failure",
			{
				...settled,
				now: now + 4_800 * seconds,
				record: {
					...settled.record,
					pause: { at: now + 4_799 * seconds, waitMs: 5 * seconds },
				},
			},
			{
				fetch: undefined,
				deferred: { by: "pause", until: now + 4_804 * seconds, reason: "due" },
			},
		],
		[
			"the next attempt when the pause is over",
			{
				...settled,
				now: now + 4_804 * seconds,
				record: {
					...settled.record,
					pause: { at: now + 4_799 * seconds, waitMs: 5 * seconds },
				},
			},
			{ fetch: "due" },
		],
		[
			"no pause that lies in the future: the clock was set back since",
			{
				...settled,
				now: now + 4_800 * seconds,
				record: {
					...settled.record,
					pause: { at: now + 5_000 * seconds, waitMs: 5 * seconds },
				},
			},
			{ fetch: "due" },
		],
		[
			"an attempt in spite of a pause at start, as a person may have mended the cause",
			{
				ignorePauses: true,
				record: { ...emptyRecord, pause: { at: now, waitMs: hour } },
			},
			{ fetch: "first" },
		],
		[
			"a forced fetch at once, however young the token is",
			{ ...settled, request: forced(now) },
			{ fetch: "forced" },
		],
		[
			"a forced fetch in spite of a pause: a person asked",
			{
				...settled,
				request: forced(now),
				record: { ...settled.record, pause: { at: now, waitMs: hour } },
			},
			{ fetch: "forced" },
		],
		[
			"no second attempt in a pause for the same request",
			{
				...settled,
				request: { ...forced(now), tried: true },
				record: { ...settled.record, pause: { at: now, waitMs: hour } },
			},
			{
				fetch: undefined,
				deferred: { by: "pause", until: now + hour, reason: "forced" },
			},
		],
		[
			"one forced fetch at the end of the cooldown",
			{
				...settled,
				request: forced(now),
				record: {
					...settled.record,
					forced: { at: now - 3 * seconds, by: "me" },
				},
			},
			{
				fetch: undefined,
				deferred: {
					by: "cooldown",
					until: now + 7 * seconds,
					reason: "forced",
				},
			},
		],
		[
			"a fetch, if the lock was lost in a request that was sent after the token's",
			{ ...settled, doubtedSince: now },
			{ fetch: "cut-off", satisfied: false },
		],
		[
			"and no answer to who asks for another token until it is done",
			{ ...settled, doubtedSince: now, request: forced(now - seconds) },
			{ fetch: "forced", satisfied: false },
		],
		[
			"nothing more once the token is one that was requested since",
			{ ...settled, doubtedSince: now - seconds },
			{ fetch: undefined },
		],
		[
			"a scheduled fetch in the midst of a cooldown",
			{
				...settled,
				now: now + 4_800 * seconds,
				request: forced(now + 4_800 * seconds),
				record: {
					...settled.record,
					forced: { at: now + 4_799 * seconds, by: "me" },
				},
			},
			{ fetch: "due" },
		],
		[
			"a forced fetch at the end of the cooldown, if a pause holds up the one that is due",
			{
				request: forced(now),
				record: {
					...emptyRecord,
					forced: { at: now - 3 * seconds, by: "me" },
					pause: { at: now - 3 * seconds, waitMs: hour, failure: failure(1) },
				},
			},
			{
				fetch: undefined,
				deferred: {
					by: "cooldown",
					until: now + 7 * seconds,
					reason: "forced",
				},
			},
		],
		[
			"half of the budget at most for what apps suspect",
			{
				...settled,
				request: {
					...forced(now),
					reason: "reported",
					stale: settled.memory?.id,
				},
				record: { ...settled.record, calls: Array(30).fill(now - 1) },
			},
			{
				fetch: undefined,
				deferred: {
					by: "budget",
					until: now - 1 + 600 * seconds,
					reason: "reported",
				},
			},
		],
		[
			"a fetch beyond that for a token that WeChat has called dead",
			{
				...settled,
				request: {
					...forced(now),
					reason: "reported",
					stale: settled.memory?.id,
					isProved: true,
				},
				record: { ...settled.record, calls: Array(54).fill(now - 1) },
			},
			{ fetch: "reported" },
		],
		[
			"no cooldown that lies in the future",
			{
				...settled,
				request: forced(now),
				record: { ...settled.record, forced: { at: now + hour, by: "me" } },
			},
			{ fetch: "forced" },
		],
		[
			"a satisfied request, if the token was fetched after it",
			{ ...settled, request: forced(now - 2) },
			{ fetch: undefined, satisfied: true },
		],
		[
			"a satisfied request, if another keeper got the same signal a moment before",
			{
				...settled,
				memory: undefined,
				request: forced(now + seconds),
				record: { ...settled.record, forced: { at: now - 1, by: "another" } },
			},
			{ fetch: undefined, satisfied: true },
		],
		[
			"no grant for a forced refresh of another keeper long before",
			{
				...settled,
				now: now + 20 * seconds,
				memory: undefined,
				request: forced(now + 20 * seconds),
				record: { ...settled.record, forced: { at: now - 1, by: "another" } },
			},
			{ fetch: "forced", satisfied: false },
		],
		[
			"no grant if that other keeper is gone: it was sent another signal",
			{
				...settled,
				request: forced(now + seconds),
				record: { ...settled.record, forced: { at: now - 1, by: "another" } },
				isForcerDead: true,
			},
			{
				deferred: {
					by: "cooldown",
					until: now - 1 + 10 * seconds,
					reason: "forced",
				},
				satisfied: false,
			},
		],
		[
			"no grant if that other keeper was asked before this process began",
			{
				...settled,
				startedAt: now,
				request: forced(now + seconds),
				record: { ...settled.record, forced: { at: now - 1, by: "another" } },
			},
			{
				deferred: {
					by: "cooldown",
					until: now - 1 + 10 * seconds,
					reason: "forced",
				},
				satisfied: false,
			},
		],
		[
			"a satisfied report, as soon as there is another token",
			{ ...settled, request: reported("a dead one", now + 5 * seconds) },
			{ fetch: undefined, satisfied: true },
		],
		[
			"a fetch for a report of the token that we hold",
			{ ...settled, request: reported(held.id, now) },
			{ fetch: "reported", satisfied: false },
		],
		[
			"a report that waits, while WeChat fails",
			{
				...settled,
				request: reported(held.id, now),
				record: {
					...settled.record,
					pause: { at: now, waitMs: 5 * seconds, failure: failure(1) },
				},
			},
			{
				fetch: undefined,
				deferred: { by: "pause", until: now + 5 * seconds, reason: "reported" },
			},
		],
		[
			"no call beyond the budget",
			{
				...settled,
				now: now + 4_800 * seconds,
				record: {
					...settled.record,
					calls: Array(60).fill(now + 4_700 * seconds),
				},
			},
			{
				fetch: undefined,
				deferred: { by: "budget", until: now + 5_300 * seconds, reason: "due" },
			},
		],
		[
			"no call beyond the budget for a person either",
			{
				...settled,
				request: forced(now),
				record: { ...settled.record, calls: Array(60).fill(now) },
			},
			{
				fetch: undefined,
				deferred: {
					by: "budget",
					until: now + 600 * seconds,
					reason: "forced",
				},
			},
		],
		[
			"one call per twelfth of a lifetime over the budget",
			{
				...settled,
				now: now + 5_300 * seconds,
				record: {
					...settled.record,
					calls: Array(60).fill(now + 4_700 * seconds),
				},
			},
			{ fetch: "due" },
		],
		[
			"nothing, while a parent is missing and the token is young",
			{ ...settled, parents: "missing" },
			{ fetch: undefined, publish: false, deferred: undefined },
		],
		[
			"no first fetch without a living parent",
			{ parents: "missing" },
			{
				fetch: undefined,
				deferred: { by: "parent", until: now, reason: "first" },
			},
		],
		[
			"no fetch that is due without a living parent",
			{ ...settled, parents: "missing", now: now + 4_800 * seconds },
			{
				fetch: undefined,
				deferred: {
					by: "parent",
					until: now + 4_800 * seconds,
					reason: "due",
				},
			},
		],
		[
			"no forced fetch without a living parent",
			{ ...settled, parents: "missing", request: forced(now) },
			{
				fetch: undefined,
				satisfied: false,
				deferred: { by: "parent", until: now, reason: "forced" },
			},
		],
		[
			"the missing parent as the reason, and not a pause that goes on beside it",
			{
				...settled,
				parents: "missing",
				request: reported(held.id, now),
				record: {
					...settled.record,
					pause: { at: now, waitMs: hour, failure: failure(1) },
				},
			},
			{
				fetch: undefined,
				deferred: { by: "parent", until: now, reason: "reported" },
			},
		],
		[
			"the missing parent as the reason, and not a budget that is used up",
			{
				...settled,
				parents: "missing",
				request: forced(now),
				record: { ...settled.record, calls: Array(60).fill(now) },
			},
			{ deferred: { by: "parent", until: now, reason: "forced" } },
		],
		[
			"the missing parent as the reason, and not a cooldown: the request is answered at once",
			{
				...settled,
				parents: "missing",
				request: forced(now),
				record: {
					...settled.record,
					forced: { at: now - 3 * seconds, by: "me" },
				},
			},
			{ deferred: { by: "parent", until: now, reason: "forced" } },
		],
		[
			"publication without a call while a parent is missing, if the file is gone",
			{ ...settled, parents: "missing", disk: { kind: "absent" } },
			{ publish: true, fetch: undefined, deferred: undefined },
		],
		[
			"a satisfied request though a parent is missing",
			{ ...settled, parents: "missing", request: forced(now - 2) },
			{ satisfied: true, deferred: undefined },
		],
	];

	test.each(table)("%s", (_why, situation, plan) => {
		expect(decide(at(situation))).toMatchObject(plan);
	});

	test("the stable interface cools down for 30 s at least, as WeChat ignores what comes sooner", () => {
		expect(
			cooldownOf(limited(stable, { cooldownMs: 0 })),
		).toBeGreaterThanOrEqual(30 * seconds);
		expect(cooldownOf(limited(stable, { cooldownMs: 60 * seconds }))).toBe(
			60 * seconds,
		);
		expect(cooldownOf(limited(classic, { cooldownMs: 0 }))).toBe(0);
	});

	test("in any situation: never both a fetch and a reason against it, and no dead token is published", () => {
		const instant = fc
			.integer({ min: -3 * hour, max: 3 * hour })
			.map((ms) => now + ms);
		const someToken = fc
			.record({
				value: fc.constantFrom("a", "b", "c"),
				generation: fc.nat(3),
				expiresAt: instant,
			})
			.map((parts) => token(parts));
		const some = fc.record({
			now: instant,
			memory: fc.option(someToken, { nil: undefined }),
			disk: fc.oneof(
				fc.constant<Reading>({ kind: "absent" }),
				fc.record({ known: someToken, exact: fc.boolean() }).map(
					({ known, exact }): Reading => ({
						kind: "token",
						token: known.token,
						exact,
					}),
				),
			),
			record: fc.record({
				generation: fc.nat(3),
				calls: fc.array(instant, { maxLength: 3 }).map((times) => times.sort()),
				published: fc.option(
					someToken.map((known) => recordedAs(known).published),
					{ nil: undefined },
				),
				pause: fc.option(fc.record({ at: instant, waitMs: fc.nat(hour) }), {
					nil: undefined,
				}),
			}),
			request: fc.option(instant.map(forced), { nil: undefined }),
			ignorePauses: fc.boolean(),
			budget: fc.integer({ min: 1, max: 3 }),
		});
		fc.assert(
			fc.property(some, ({ budget, record, ...rest }) => {
				const { published, pause, ...counted } = record;
				const plan = decide(
					at({
						...rest,
						credential: limited(classic, { budget }),
						record: {
							...emptyRecord,
							...counted,
							...(published && { published }),
							...(pause && { pause }),
						},
					}),
				);
				if (plan.fetch !== undefined) expect(plan.deferred).toBeUndefined();
				if (plan.deferred !== undefined)
					expect(plan.deferred.until).toBeGreaterThan(rest.now);
				if (plan.publish) {
					expect(plan.current?.token.expiresAt).toBeGreaterThan(rest.now);
				}
				// Nothing to do is only the answer while there is a live token, or a reason to wait.
				if (plan.fetch === undefined && plan.deferred === undefined)
					expect(plan.current?.token.expiresAt).toBeGreaterThan(rest.now);
			}),
			{ numRuns: 5_000 },
		);
	});
});

describe("decide: a ticket", () => {
	const minute = 60 * seconds;
	const ticket: Credential = { ...classic, kind: "jsapi_ticket" };
	const sighting = (seenAt: number) => ({
		seenAt,
		endsAt: now + hour,
		endsBy: now + hour,
		isGuessed: false,
	});
	const seen = (seenAt: number, generation = 1): KnownToken => ({
		...token({ expiresAt: now + hour, generation }),
		sighting: sighting(seenAt),
	});
	const onDisk = (known: KnownToken): Reading => ({
		kind: "token",
		token: known.token,
		exact: true,
	});

	test("one of which only the file is known is asked for at once: the file's end may have been a guess", () => {
		const { current, fetch, publish } = decide(
			at({
				credential: ticket,
				disk: onDisk(token({ expiresAt: now + hour })),
			}),
		);
		expect(current?.sighting).toBeUndefined();
		expect([fetch, publish]).toEqual(["due", false]);
	});

	test("what another keeper has seen since is newer: it is not asked for again, and its file stays", () => {
		const memory = seen(now - 70 * minute);
		const newer = {
			...seen(now - minute, 2),
			token: { ...memory.token, expiresAt: now + hour + 5 * seconds },
		};
		const plan = decide(
			at({
				credential: ticket,
				memory,
				disk: onDisk(newer),
				record: withPublication(newer, emptyRecord),
			}),
		);
		expect(plan.current).toEqual(newer);
		expect([plan.fetch, plan.publish]).toEqual([undefined, false]);
		const alone = { ...emptyRecord, generation: 1 };
		const before = at({ credential: ticket, memory, record: alone });
		expect(decide(before).fetch).toBe("due");
	});

	test.each([
		["was made by a clock that was set back", 2 * seconds, "clock"],
		["is of two clocks that nearly agree", seconds, undefined],
	])("a sight in the future %s", (_, aheadMs, fetch) => {
		const memory = seen(now + aheadMs);
		const situation = at({
			credential: ticket,
			memory,
			disk: onDisk(memory),
			record: withPublication(memory, emptyRecord),
		});
		expect(decide(situation).fetch).toBe(fetch);
	});
});

describe("counting", () => {
	test("the budget counts calls of the last lifetime, and none from a future that a clock invented", () => {
		const record = (...calls: readonly number[]) => ({ ...emptyRecord, calls });
		const free = (...calls: readonly number[]) =>
			budgetFreeAt(record(...calls), 2, hour, now);
		expect(free(now - 5, now - 4)).toBe(now - 4 + hour / 12);
		expect(free(now - hour, now - 4)).toBeUndefined();
		expect(free(now - 4, now + 4)).toBeUndefined();
	});

	test("what no rule asks for any more is forgotten, so that the record stays small", () => {
		expect(countCall([now - hour, now - 1, now + 1], now, hour)).toEqual([
			now - 1,
			now,
		]);
		let deaths: readonly number[] = [];
		for (let i = 0; i < 100; i++) deaths = countEarlyDeath(deaths, now + i);
		expect(deaths).toHaveLength(10);
	});

	test("force_refresh: one in 30 s and 20 a day, as the platform allows", () => {
		const may = (forceCalls: readonly number[]) =>
			mayForce(stable, { ...emptyRecord, forceCalls }, now);
		expect(may([])).toBe(true);
		expect(may([now - 29 * seconds])).toBe(false);
		expect(may([now - 40 * seconds])).toBe(true);
		expect(may(Array(20).fill(now - hour))).toBe(false);
		expect(may(Array(20).fill(now - 25 * hour))).toBe(true);
	});

	test("two early deaths within a day are somebody else's work; one may be an accident", () => {
		const named = (diedEarly: readonly number[]) =>
			hasForeignFetcher({ ...emptyRecord, diedEarly }, now);
		expect(named([now])).toBe(false);
		expect(named([now - hour, now])).toBe(true);
		expect(named([now - 25 * hour, now])).toBe(false);
	});
});

interface TokenParts {
	readonly value?: string;
	readonly lifetimeMs?: number;
	readonly generation?: number;
	readonly expiresAt?: number;
}

/** Fetched just before `now`, as the first one of its account. */
function token({
	value = "the token",
	lifetimeMs = 2 * hour,
	generation = 1,
	expiresAt = now + lifetimeMs,
}: TokenParts): KnownToken {
	return knownFrom({ value, expiresAt }, generation, {
		id: tokenId(value),
		expiresAt,
		lifetimeMs,
		fetchedAt: now - 1,
		reason: "first",
	});
}

function at(situation: Partial<Situation>): Situation {
	return {
		now,
		instance: "me",
		credential: classic,
		parents: "alive",
		doubtedSince: undefined,
		clockOffset: 0,
		memory: undefined,
		disk: { kind: "absent" },
		record: emptyRecord,
		request: undefined,
		ignorePauses: false,
		startedAt: 0,
		isForcerDead: false,
		...situation,
	};
}

function forced(requestedAt: number) {
	return { reason: "forced", requestedAt, tried: false } as const;
}

function reported(stale: string, requestedAt: number) {
	return { reason: "reported", stale, requestedAt, tried: false } as const;
}

function mark(replaces: string) {
	const by = { instance: "dead", pid: 1, startTicks: "1", realm: "here" };
	return { replaces, at: now, by, lock: "a lock" };
}

const told = { kind: "transient", code: "timeout", message: "", hint: "" };

function failure(attempts: number) {
	return { ...told, attempts, since: now };
}

function mostPerSecond(times: readonly number[]): number {
	const counts = new Map<number, number>();
	for (const time of times) {
		const second = Math.floor(time / seconds);
		counts.set(second, (counts.get(second) ?? 0) + 1);
	}
	return Math.max(...counts.values());
}

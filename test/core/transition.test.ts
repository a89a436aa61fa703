/** What follows each step of a refresh: tables over the pure functions of transition.ts. */
import { describe, expect, test } from "vitest";
import {
	type KnownToken,
	kinds,
	knownFrom,
	usualLifetimeMs,
} from "../../src/core/credential.ts";
import { IssuerError, StoreError } from "../../src/core/errors.ts";
import type { Grant } from "../../src/core/ports.ts";
import {
	emptyRecord,
	type Intent,
	type Pause,
	type SharedRecord,
} from "../../src/core/record.ts";
import type { Reason } from "../../src/core/request.ts";
import { tokenId } from "../../src/core/token.ts";
import {
	type Asked,
	afterFailure,
	afterGrant,
	afterRefusal,
	afterSameToken,
	afterStoreError,
	beginFetch,
	beginForce,
	generationAfter,
	isOfDisk,
	knownFromGrant,
	withPublication,
} from "../../src/core/transition.ts";

const seconds = 1_000;
const hour = 3_600 * seconds;
const day = 24 * hour;
/** Some instant; a whole second, as `expire` in the file is one. */
const now = Date.UTC(2026, 0, 5, 2, 0, 0);

const self = { instance: "me", pid: 7, startTicks: "1", realm: "here" };
/** Published an hour ago, and ends in an hour. */
const held = token({});
const recorded = withPublication(held, emptyRecord);

function asked(
	reason: Reason,
	before: KnownToken | undefined,
	reissue: "new-each-time" | "same-until-end" = "same-until-end",
): Asked {
	const traits = { reissue, life: "as-told" } as const;
	return { traits, reason, before, clockOffset: 0 };
}

describe("beginFetch", () => {
	const begin = (
		parts: Partial<Parameters<typeof beginFetch>[0]> = {},
		at = now,
	) =>
		beginFetch(
			{
				record: recorded,
				current: held,
				reason: "due",
				by: self,
				lock: "a lock",
				diedEarly: false,
				...parts,
			},
			at,
		);

	test.each<
		[
			what: string,
			parts: Parameters<typeof begin>[0],
			written: Partial<SharedRecord>,
		]
	>([
		[
			"the intent: which token it may replace, when, which process asks, and under which lock",
			{},
			{ inFlight: { replaces: held.id, at: now, by: self, lock: "a lock" } },
		],
		[
			"an intent that replaces nothing, if no token is known",
			{ current: undefined },
			{ inFlight: { replaces: "", at: now, by: self, lock: "a lock" } },
		],
		[
			"the new intent in place of one that a dead process left",
			{ record: { ...recorded, inFlight: intent("an earlier token") } },
			{ inFlight: { replaces: held.id, at: now, by: self, lock: "a lock" } },
		],
		[
			"the call, and none that is older than the token's life or in the future",
			{ record: { ...recorded, calls: [now - 2 * hour, now - 1, now + 1] } },
			{ calls: [now - 1, now] },
		],
		[
			"the call within the usual lifetime, if no token is known",
			{
				current: undefined,
				record: { ...recorded, calls: [now - usualLifetimeMs, now - 2] },
			},
			{ calls: [now - 2, now] },
		],
		[
			"the call within the life of this very token, if that is a short one",
			{
				current: token({ lifetimeMs: hour / 2 }),
				record: { ...recorded, calls: [now - hour / 2, now - 3] },
			},
			{ calls: [now - 3, now] },
		],
		[
			"the forced refresh and its process, if a person asked",
			{ reason: "forced" },
			{ forced: { at: now, by: "me" } },
		],
		[
			"the forced refresh and its process, if an app reported the token",
			{ reason: "reported" },
			{ forced: { at: now, by: "me" } },
		],
		[
			"the forced refresh of before, if this one is not forced",
			{ record: { ...recorded, forced: { at: 1, by: "other" } } },
			{ forced: { at: 1, by: "other" } },
		],
		[
			"the early death, if WeChat called the token dead",
			{
				diedEarly: true,
				record: { ...recorded, diedEarly: [now - day, now - 1] },
			},
			{ diedEarly: [now - 1, now] },
		],
		[
			"the early deaths of before, if there is no new one",
			{ record: { ...recorded, diedEarly: [now - 1] } },
			{ diedEarly: [now - 1] },
		],
		[
			"the pause as it stands: only an answer ends it",
			{ record: { ...recorded, pause: pause(3) } },
			{ pause: pause(3) },
		],
		[
			"the publication and the generation as they stand",
			{},
			{
				published: recorded.published,
				generation: recorded.generation,
			} as Partial<SharedRecord>,
		],
	])("writes %s", (_what, parts, written) => {
		expect(begin(parts)).toMatchObject(written);
	});

	test.each<Reason>(["first", "due", "cut-off", "checked", "clock"])(
		"a refresh that is %s counts as no forced one",
		(reason) => {
			expect(begin({ reason }).forced).toBeUndefined();
		},
	);
});

describe("beginForce", () => {
	test("counts one more call, and one more with force; the intent stands as it was written", () => {
		const written: SharedRecord = {
			...recorded,
			inFlight: intent(held.id),
			calls: [now - 2 * hour, now - 1],
			forceCalls: [now - day, now - day + 1],
		};
		expect(beginForce(written, held, now)).toEqual({
			...written,
			calls: [now - 1, now],
			forceCalls: [now - day + 1, now],
		});
	});
});

describe("generationAfter is above", () => {
	test.each<
		[what: string, inRecord: number, inMemory: number | undefined, is: number]
	>([
		["the time, so that the order holds after the record was lost", 0, 0, now],
		["the time, if nothing is known", 0, undefined, now],
		["the generation of the record", now + 7, 0, now + 8],
		[
			"the generation of the record, if that is of this instant",
			now,
			0,
			now + 1,
		],
		["the generation that this process knows", 0, now + 7, now + 8],
		["the higher one of both", now + 7, now + 9, now + 10],
	])("%s", (_what, inRecord, inMemory, is) => {
		const before =
			inMemory === undefined ? undefined : token({ generation: inMemory });
		const record = { ...emptyRecord, generation: inRecord };
		expect(generationAfter(record, before, now)).toBe(is);
	});
});

describe("knownFromGrant", () => {
	test("a new token ends its lifetime after the second in which its request left", () => {
		const grant = { ...granted("new"), requestedAt: now + 999 };
		expect(knownFromGrant(grant, 5, asked("due", held))).toEqual({
			token: { value: "new", expiresAt: now + 2 * hour },
			id: tokenId("new"),
			generation: 5,
			lifetimeMs: 2 * hour,
			fetchedAt: now + 999,
			reason: "due",
			clockOffset: 0,
		});
	});

	test("the first token of all is known in the same way", () => {
		const first = knownFromGrant(granted("new"), 5, asked("first", undefined));
		expect(first).toMatchObject({ generation: 5, reason: "first" });
	});

	test("the same token keeps its date and reason, and the longer one of both lifetimes", () => {
		const again = same({ lifetimeMs: hour });
		expect(knownFromGrant(again, 5, asked("forced", held))).toEqual({
			...held,
			generation: 5,
			clockOffset: 0,
		});
		// By a longer one the budget counts calls for longer.
		const short = { ...held, lifetimeMs: 10 };
		expect(knownFromGrant(again, 5, asked("due", short)).lifetimeMs).toBe(hour);
	});

	test.each<[what: string, differsByMs: number, isTaken: boolean]>([
		["2 s later: WeChat rounds what is left", 2_000, false],
		["2 s earlier: WeChat rounds what is left", -2_000, false],
		["3 s later: WeChat knows better", 3_000, true],
		["3 s earlier: WeChat knows better", -3_000, true],
	])("the same token with an end %s", (_what, differsByMs, isTaken) => {
		const again = same({ lifetimeMs: hour + differsByMs });
		const { expiresAt } = knownFromGrant(again, 5, asked("due", held)).token;
		expect(expiresAt).toBe(held.token.expiresAt + (isTaken ? differsByMs : 0));
	});
});

describe("afterGrant", () => {
	const written: SharedRecord = {
		...recorded,
		inFlight: intent(held.id),
		pause: pause(3),
		calls: [now],
		forced: { at: 1, by: "me" },
	};

	test("a new token: it is published, no pause is left, and the intent stays until the file holds it", () => {
		const { known, record, isSame } = afterGrant(
			written,
			granted("new"),
			asked("due", held),
			now,
		);
		expect(isSame).toBe(false);
		expect(known).toEqual(
			knownFromGrant(granted("new"), record.generation, asked("due", held)),
		);
		const { pause: _, ...rest } = written;
		expect(record).toEqual(withPublication(known, rest));
		expect(record.generation).toBe(generationAfter(written, held, now));
	});

	test("the first token of all", () => {
		const { known, record, isSame } = afterGrant(
			{ ...emptyRecord, inFlight: intent("") },
			granted("new"),
			asked("first", undefined),
			now,
		);
		expect(isSame).toBe(false);
		expect(record.published?.id).toBe(known.id);
		expect(record.inFlight).toEqual(intent(""));
	});

	test("the same token: it is published as a newer one, the intent is void at once, and the next attempt has to wait", () => {
		const { known, record, isSame } = afterGrant(
			written,
			same({}),
			asked("due", held),
			now,
		);
		expect(isSame).toBe(true);
		expect(record.inFlight).toBeUndefined();
		expect(record.pause).toEqual(afterSameToken(known.token.expiresAt, now));
		expect(record.generation).toBeGreaterThan(held.generation);
		expect(record.published?.id).toBe(held.id);
		expect(record.calls).toEqual([now]);
	});
});

describe("afterGrant of a ticket, whose answers always say 7200 s", () => {
	const minute = 60 * seconds;
	const traits = kinds.jsapi_ticket;
	const ask = (before: KnownToken | undefined, clockOffset = 0) =>
		({ traits, reason: "due", before, clockOffset }) satisfies Asked;
	const answer = (value: string, at: number): Grant => ({
		value,
		lifetimeMs: 2 * hour,
		requestedAt: at - 50,
	});
	const first = afterGrant(
		emptyRecord,
		answer("ticket-A", now),
		ask(undefined),
		now,
	);

	test("the first one: its end is a guess", () => {
		const { known, record, isSame } = first;
		expect(isSame).toBe(false);
		expect(known.sighting).toEqual({
			seenAt: now,
			endsAt: now + 2 * hour,
			endsBy: now + 2 * hour,
			isGuessed: true,
		});
		expect(known.token.expiresAt).toBe(now + 2 * hour);
		expect(record.published?.sighting).toEqual(known.sighting);
	});

	test("the same one: its end does not move, no intent is left, and no pause: the sighting says when to ask", () => {
		const at = now + 5 * minute;
		const { known, record, isSame } = afterGrant(
			{ ...first.record, inFlight: intent(first.known.id), pause: pause(3) },
			answer("ticket-A", at),
			ask(first.known),
			at,
		);
		expect(isSame).toBe(true);
		expect(known.token).toEqual(first.known.token);
		expect(known.sighting).toEqual({ ...first.known.sighting, seenAt: at });
		expect(known.generation).toBeGreaterThan(first.known.generation);
		expect([record.inFlight, record.pause]).toEqual([undefined, undefined]);
	});

	test("another one: it ends a life after the last sight of the former", () => {
		const at = now + 5 * minute;
		const { known, isSame } = afterGrant(
			first.record,
			answer("ticket-B", at),
			ask(first.known),
			at,
		);
		expect(isSame).toBe(false);
		expect(known.sighting).toEqual({
			seenAt: at,
			endsAt: now + 2 * hour,
			endsBy: at + 2 * hour,
			isGuessed: false,
		});
		expect(known.token.expiresAt).toBe(now + 2 * hour);
	});

	test("one that stands in a file without a record: a guess, whatever the file says", () => {
		const found = knownFrom(
			{ value: "ticket-A", expiresAt: now + hour },
			1,
			undefined,
		);
		const { known, isSame } = afterGrant(
			emptyRecord,
			answer("ticket-A", now),
			ask(found),
			now,
		);
		expect(isSame).toBe(true);
		expect(known.sighting?.isGuessed).toBe(true);
	});

	test("after the clock was set back by an hour the end is that hour earlier by it", () => {
		const at = now - 55 * minute;
		const { known } = afterGrant(
			first.record,
			answer("ticket-A", at),
			ask(first.known, -hour),
			at,
		);
		expect(known.sighting).toEqual({
			seenAt: at,
			endsAt: now + hour,
			endsBy: now + hour,
			isGuessed: true,
		});
		expect(known.token.expiresAt).toBe(now + hour);
	});

	test("a sight in the future, of which no clock is known, tells nothing", () => {
		const { clockOffset: _, ...unclocked } = first.known;
		const at = now - hour;
		const { known } = afterGrant(
			first.record,
			answer("ticket-B", at),
			ask(unclocked),
			at,
		);
		expect(known.sighting).toEqual({
			seenAt: at,
			endsAt: at + 2 * hour,
			endsBy: at + 2 * hour,
			isGuessed: true,
		});
	});
});

describe("withPublication", () => {
	test("says which token is published, and nothing that gives its value away", () => {
		const record = withPublication(held, { ...emptyRecord, calls: [1] });
		expect(record).toEqual({
			...emptyRecord,
			calls: [1],
			generation: held.generation,
			published: {
				id: held.id,
				expiresAt: held.token.expiresAt,
				lifetimeMs: held.lifetimeMs,
				fetchedAt: held.fetchedAt,
				reason: held.reason,
			},
		});
		expect(JSON.stringify(record)).not.toContain(held.token.value);
	});
});

describe("afterRefusal", () => {
	const startedAt = now - 10 * seconds;
	const before: SharedRecord = {
		...recorded,
		calls: [1],
		inFlight: intent("an earlier token"),
	};
	const written: SharedRecord = {
		...before,
		calls: [1, startedAt],
		inFlight: intent(held.id),
		forceCalls: [startedAt],
	};
	const refuse = (
		error: Partial<ConstructorParameters<typeof IssuerError>[0]>,
		more: Partial<Parameters<typeof afterRefusal>[0]> = {},
	) =>
		afterRefusal(
			{
				error: refusal(error),
				before,
				written,
				startedAt,
				uncounted: 0,
				self,
				...more,
			},
			now,
			() => 0,
		);

	test("no answer: the intent stays, as WeChat may have issued a token", () => {
		const { record } = refuse({ mayHaveIssued: true });
		expect(record.inFlight).toEqual(intent(held.id));
	});

	test("a refusal in words: the intent is void, and one of an earlier request stands again", () => {
		const { record } = refuse({ mayHaveIssued: false });
		expect(record.inFlight).toEqual(intent("an earlier token"));
	});

	test("a refusal in words, and no earlier request: no intent stands", () => {
		const { inFlight: _, ...clean } = before;
		const { record } = refuse({ mayHaveIssued: false }, { before: clean });
		expect("inFlight" in record).toBe(false);
	});

	test("a request that left counts as a call, with those that the intent did not count", () => {
		const { record } = refuse({ sent: true }, { uncounted: 2 });
		expect(record.calls).toEqual([1, startedAt, now, now]);
	});

	test("a request that did not leave counts as no call", () => {
		expect(refuse({ sent: false }).record.calls).toEqual([1]);
	});

	test.each([
		["limited", undefined],
		["transient", self.realm],
		["garbled", self.realm],
		["admin", self.realm],
		["config", self.instance],
	] as const)("the pause after a failure of kind %s is of %s", (kind, of) => {
		expect(refuse({ kind }).pause.of).toBe(of);
	});

	test("calls with force stay counted", () => {
		expect(refuse({}).record.forceCalls).toEqual([startedAt]);
	});

	test("the backoff counts from the start of the request: ten seconds of silence were a pause already", () => {
		expect(refuse({}).pause).toMatchObject({ at: startedAt, waitMs: 800 });
	});

	test("a wait that WeChat asks for counts from its answer", () => {
		expect(refuse({ waitMs: hour }).pause).toMatchObject({
			at: now,
			waitMs: hour,
		});
	});

	test("the pause is written for all keepers, with what failed, how often, and since when", () => {
		const { record, pause: made } = refuse(
			{ kind: "config", code: "errcode 40125", rid: "a-rid" },
			{ before: { ...before, pause: pause(3) } },
		);
		expect(record.pause).toBe(made);
		expect(made.failure).toEqual({
			kind: "config",
			code: "errcode 40125",
			message: "it failed",
			hint: "do something",
			rid: "a-rid",
			attempts: 4,
			since: now - hour,
		});
		// Without a number of WeChat's there is none in the record.
		expect("rid" in (refuse({}).pause.failure ?? {})).toBe(false);
	});
});

describe("afterStoreError", () => {
	const broken = new StoreError("io", "could not write", "free some space");
	const failDisk = (standing: Pause | undefined) =>
		afterStoreError(broken, standing, now, () => 0);

	test("the disk is tried again at once, as that costs WeChat nothing", () => {
		expect(failDisk(undefined)).toEqual({
			at: now,
			waitMs: 0,
			failure: {
				kind: "io",
				code: "io",
				message: "could not write",
				hint: "free some space",
				attempts: 1,
				since: now,
			},
		});
	});

	test.each<[what: string, at: number, waitMs: number, leftMs: number]>([
		["what WeChat asked for goes on", now - 10, hour, hour - 10],
		["a pause that begins now goes on", now, hour, hour],
		["a pause that ends now does not", now - hour, hour, 0],
		["a pause that is long over does not", now - 2 * hour, hour, 0],
		["a pause from the future does not: the clock was set back", now + 1, 5, 0],
	])("%s", (_what, at, waitMs, leftMs) => {
		expect(failDisk({ at, waitMs }).waitMs).toBe(leftMs);
	});

	test("attempts are counted on, whatever failed before", () => {
		expect(failDisk(pause(3)).failure).toMatchObject({
			attempts: 4,
			since: now - hour,
		});
	});

	test.each<[kind: string, isDisk: boolean]>([
		["io", true],
		["refused", true],
		["lost", true],
		["transient", false],
		["limited", false],
		["config", false],
		["admin", false],
		["garbled", false],
	])("isOfDisk: a failure of kind %s: %s", (kind, isDisk) => {
		expect(
			isOfDisk({ at: 1, waitMs: 1, failure: { ...failure(1), kind } }),
		).toBe(isDisk);
	});

	test("isOfDisk: a pause without a failure, and none at all, are not of the disk", () => {
		expect(isOfDisk({ at: 1, waitMs: 1 })).toBe(false);
		expect(isOfDisk(undefined)).toBe(false);
	});
});

describe("afterFailure", () => {
	test("the pause doubles to a minute, less what chance and a tick add: so a minute after a fault there is a token", () => {
		const waits = pausesOf(9, () => 1).map(({ waitMs }) => waitMs / seconds);
		expect(waits.map((wait) => wait / 0.9).map(Math.round)).toEqual([
			1, 2, 4, 8, 16, 32, 60, 60, 60,
		]);
	});

	test("chance makes it up to a fifth shorter, so that not all accounts come at once", () => {
		const [first, second] = pausesOf(2, () => 0);
		expect([first?.waitMs, second?.waitMs]).toEqual([800, 1_600]);
	});

	test("after a thousand failures it is still a minute", () => {
		const { waitMs } = afterFailure(
			{ ...told, waitMs: undefined },
			pause(1_000),
			now,
			() => 1,
		);
		expect(waitMs).toBe(54 * seconds);
	});

	test.each<[waitMs: number, atMost: number]>([
		[10 * seconds, 10.5 * seconds],
		[hour, hour + 60 * seconds],
	])(
		"a fixed wait of %i ms is kept, never cut, and a twentieth or a minute longer at most",
		(waitMs, atMost) => {
			const wait = (random: number) =>
				afterFailure({ ...told, waitMs }, undefined, now, () => random).waitMs;
			expect(wait(0)).toBe(waitMs);
			expect(wait(1)).toBe(atMost);
		},
	);

	test("attempts are counted from the first of the row", () => {
		const pauses = pausesOf(3, () => 0);
		expect(
			pauses.map(({ failure: one }) => [one?.attempts, one?.since]),
		).toEqual([
			[1, now],
			[2, now],
			[3, now],
		]);
	});

	test("a pause without a failure, as after the same token again, begins a new row", () => {
		const { failure: one } = afterFailure(
			{ ...told, waitMs: undefined },
			{ at: now - 5, waitMs: 5 },
			now,
			() => 0,
		);
		expect(one).toMatchObject({ attempts: 1, since: now });
	});
});

describe("afterSameToken", () => {
	test("the next attempt comes after an eighth of what is left, and no failure is told", () => {
		expect(afterSameToken(now + 80 * seconds, now)).toEqual({
			at: now,
			waitMs: 10 * seconds,
		});
	});

	test("about ten calls in the last 300 s, and at least a second between two", () => {
		const end = now + 300 * seconds;
		let calls = 0;
		for (let time = now; time < end - seconds; calls++)
			time += afterSameToken(end, time).waitMs;
		expect(calls).toBeGreaterThan(10);
		expect(calls).toBeLessThan(60);
		expect(afterSameToken(now, now).waitMs).toBe(seconds);
	});
});

interface TokenParts {
	readonly value?: string;
	readonly lifetimeMs?: number;
	readonly generation?: number;
}

/** Fetched an hour ago, and ends in an hour. */
function token({
	value = "the token",
	lifetimeMs = 2 * hour,
	generation = 1,
}: TokenParts): KnownToken {
	const expiresAt = now + hour;
	return knownFrom({ value, expiresAt }, generation, {
		id: tokenId(value),
		expiresAt,
		lifetimeMs,
		fetchedAt: now - hour,
		reason: "first",
	});
}

function granted(value: string): Grant {
	return { value, lifetimeMs: 2 * hour, requestedAt: now };
}

/** WeChat gives the held token again, with what is left of it. */
function same(parts: Partial<Grant>): Grant {
	const { value } = held.token;
	return { value, lifetimeMs: hour, requestedAt: now, ...parts };
}

function intent(replaces: string): Intent {
	const by = { instance: "other", pid: 1, startTicks: "1", realm: "here" };
	return { replaces, at: now - 1, by, lock: "another lock" };
}

const told = { kind: "transient", code: "timeout", message: "", hint: "" };

function failure(attempts: number) {
	return { ...told, attempts, since: now - hour };
}

/** After so many failures in a row. */
function pause(attempts: number): Pause {
	return { at: now - 5, waitMs: 5, failure: failure(attempts) };
}

function refusal(
	fields: Partial<ConstructorParameters<typeof IssuerError>[0]>,
): IssuerError {
	return new IssuerError({
		kind: "transient",
		code: "timeout",
		message: "it failed",
		hint: "do something",
		mayHaveIssued: true,
		sent: true,
		...fields,
	});
}

/** So many failures in a row. */
function pausesOf(count: number, random: () => number) {
	const pauses: Pause[] = [];
	for (let i = 0; i < count; i++)
		pauses.push(
			afterFailure(
				{ ...told, waitMs: undefined },
				pauses.at(-1),
				now + i,
				random,
			),
		);
	return pauses;
}

/** What is told fast is what is told with care. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
	type Credential,
	type KnownToken,
	knownFrom,
} from "../../src/core/credential.ts";
import { iso } from "../../src/core/iso-time.ts";
import { refreshAt } from "../../src/core/limits.ts";
import {
	emptyRecord,
	type Publication,
	type SharedRecord,
} from "../../src/core/record.ts";
import { factsOf, statusFrom } from "../../src/core/status.ts";
import { factsAtRest, restingRecord } from "../../src/core/status-at-rest.ts";
import { jsonAtRest, statusJson } from "../../src/core/status-json.ts";
import { type Token, tokenId } from "../../src/core/token.ts";

const now = Date.UTC(2026, 2, 1, 12);
const path = "/run/wxtokend/wx_access_token_wx1";

const credentials = fc.record({
	kind: fc.constantFrom(
		"access_token" as const,
		"stable_access_token" as const,
		"jsapi_ticket" as const,
	),
	budget: fc.integer({ min: 2, max: 9 }),
	file: fc.constantFrom("wx_access_token_wx1", 'a "file"', "微信"),
});

function credentialOf({
	kind,
	budget,
	file,
}: {
	readonly kind: Credential["kind"];
	readonly budget: number;
	readonly file: string;
}): Credential {
	return {
		id: file,
		kind,
		appid: "wx1",
		file,
		formats: [],
		source: "wx1 from WeChat",
		needs: [],
		limits: {
			refreshBeforeMs: 2_400_000,
			cooldownMs: 10_000,
			budget,
			timeoutMs: 10_000,
		},
	};
}

const instants = fc
	.array(fc.integer({ min: -20_000_000, max: 10_000 }), { maxLength: 6 })
	.map((ago) => ago.map((ms) => now + ms).sort((a, b) => a - b));

const publications = fc.record({
	isOther: fc.boolean(),
	lifetimeMs: fc.constantFrom(6_000, 7_200_000),
	fetchedAgoMs: fc.constantFrom(undefined, 1_000, 3_000_000),
	reason: fc.constantFrom("due", "found", "forced"),
	endsLaterMs: fc.constantFrom(0, 0, 0, 1_000),
	seenAgoMs: fc.constantFrom(undefined, undefined, 60_000),
	isGuessed: fc.boolean(),
});

function publicationOf(
	{ value, expiresAt }: Token,
	one: typeof publications extends fc.Arbitrary<infer T> ? T : never,
): Publication {
	const { seenAgoMs, isGuessed, fetchedAgoMs } = one;
	return {
		id: tokenId(one.isOther ? `${value}x` : value),
		expiresAt: expiresAt + one.endsLaterMs,
		lifetimeMs: one.lifetimeMs,
		fetchedAt: fetchedAgoMs === undefined ? 0 : now - fetchedAgoMs,
		reason: one.reason,
		...(seenAgoMs !== undefined && {
			sighting: {
				seenAt: now - seenAgoMs,
				endsAt: expiresAt,
				endsBy: expiresAt + 1_000,
				isGuessed,
			},
		}),
	};
}

test("the status of a credential at rest is that of its files, at any time until it is due", () => {
	let resting = 0;
	fc.assert(
		fc.property(
			credentials,
			fc.option(publications, { nil: undefined }),
			instants,
			instants,
			fc.record({
				livesForMs: fc.integer({ min: 1, max: 8_000 }).map((s) => s * 1_000),
				laterBy: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
				isPaused: fc.constantFrom(false, false, false, true),
				source: fc.constantFrom(
					undefined,
					"wx1 from WeChat",
					"wx1 from WeChat",
					"another",
				),
			}),
			(kind, publication, calls, diedEarly, more) => {
				const credential = credentialOf(kind);
				const token = { value: "t", expiresAt: now + more.livesForMs };
				const published = publication && publicationOf(token, publication);
				const record: SharedRecord = {
					...emptyRecord,
					generation: 7,
					calls,
					diedEarly: diedEarly.slice(-2),
					...(published && { published }),
					...(more.source !== undefined && { source: more.source }),
					...(more.isPaused && { pause: { at: now, waitMs: 1_000 } }),
				};
				const isRecorded = published?.id === tokenId(token.value);
				const known: KnownToken = knownFrom(
					token,
					7,
					isRecorded ? published : undefined,
				);
				const until = refreshAt(known, credential);
				const kept = restingRecord(credential, known, until, record);
				if (kept === undefined || until <= now) return;
				resting += 1;
				const at = now + Math.floor(more.laterBy * (until - now));
				const rest = { credential, path, known, record: kept, until };
				const fast = factsAtRest(rest, at);
				const slow = factsOf({
					credential,
					path,
					reading: { kind: "token", token, exact: true },
					record,
					kept: known,
					now: at,
				});
				expect(fast).toEqual(slow);
				expect(Object.keys(fast)).toEqual(Object.keys(slow));
				const json = JSON.stringify(statusFrom(slow));
				expect(statusJson(fast)).toBe(json);
				expect(jsonAtRest(rest, at)).toBe(json);
			},
		),
		{ numRuns: 3_000 },
	);
	// Otherwise nothing was compared.
	expect(resting).toBeGreaterThan(50);
});

test("what failed, or waits, has the same JSON", () => {
	const credential = credentialOf({
		kind: "access_token",
		budget: 60,
		file: "f",
	});
	const failure = {
		kind: "admin",
		code: "errcode 40164",
		message: 'not "in" the whitelist',
		hint: "add it",
		attempts: 3,
		since: now - 60_000,
	};
	const facts = factsOf({
		credential,
		path,
		reading: { kind: "absent" },
		record: { ...emptyRecord, pause: { at: now, waitMs: 1_000, failure } },
		waitsFor: { credential: "wx_access_token_wx1", reason: null },
		now,
	});
	expect(facts.lastError).not.toBeNull();
	expect(statusJson(facts)).toBe(JSON.stringify(statusFrom(facts)));
});

test("an instant has the same text as by Date, in any year", () => {
	fc.assert(
		fc.property(
			fc.oneof(
				fc.integer({ min: -8.64e15, max: 8.64e15 }),
				fc.integer({ min: 0, max: 253_402_300_799_999 }),
				fc.double({ min: 0, max: 4e12, noNaN: true }),
			),
			(at) => {
				expect(iso(at)).toBe(new Date(at).toISOString());
			},
		),
		{ numRuns: 20_000 },
	);
	const dayMs = 86_400_000;
	for (let at = Date.UTC(1970, 0, 1); at < Date.UTC(2110, 0, 1); at += dayMs) {
		expect(iso(at)).toBe(new Date(at).toISOString());
		// The last minute of the day before, and one that was told before.
		expect(iso(at - 1)).toBe(new Date(at - 1).toISOString());
		expect(iso(at)).toBe(new Date(at).toISOString());
	}
	expect(() => iso(Number.NaN)).toThrow(RangeError);
});

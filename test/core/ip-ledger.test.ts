/** What all calls from one IP to 企业微信 have in common: tables over ip-ledger.ts. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
	admitAny,
	admitSecret,
	afterAnswer,
	afterLimit,
	decodeLedgers,
	emptyLedger,
	type IpLedger,
	isNews,
	isProved,
	mergedLedger,
	type SecretAnswer,
} from "../../src/core/ip-ledger.ts";

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const start = Date.UTC(2026, 0, 5, 2);

const wrong: SecretAnswer = { kind: "refused", errcode: 40001, counts: true };

/** Tries secrets one after the other, each with its answer, from `start` on. */
function tried(
	answers: Readonly<Record<string, SecretAnswer>>,
	ledger: IpLedger = emptyLedger,
	at = start,
): IpLedger {
	return Object.entries(answers).reduce((before, [id, answer]) => {
		const admission = admitSecret(before, id, at);
		if (admission.kind !== "go") throw new Error(`${id} had to wait`);
		return afterAnswer(admission.ledger, id, answer, at);
	}, ledger);
}

const accepted: SecretAnswer = { kind: "accepted" };

const admission = (ledger: IpLedger, id: string, at: number) => {
	const { kind, ...rest } = admitSecret(ledger, id, at);
	return kind === "go" ? kind : rest;
};

test("a wrong secret is tried again after an hour, and all others at once", () => {
	const ledger = tried({ a: wrong, b: { kind: "accepted" } });
	expect(admission(ledger, "a", start + 10 * minute)).toEqual({
		...{ waitMs: 50 * minute, for: "secret", errcode: 40001 },
	});
	expect(admission(ledger, "a", start + hour)).toBe("go");
	expect(admission(ledger, "b", start)).toBe("go");
	// As after a change of the configuration.
	expect(admission(ledger, "another secret of a", start)).toBe("go");
});

test("a corpid that does not exist waits as well, but counts for nothing", () => {
	const noCorp: SecretAnswer = {
		kind: "refused",
		errcode: 40013,
		counts: false,
	};
	const ledger = tried(
		Object.fromEntries("abcdefgh".split("").map((id) => [id, noCorp])),
	);
	expect(admission(ledger, "a", start)).toMatchObject({ errcode: 40013 });
	expect(admission(ledger, "x", start)).toBe("go");
});

describe("four wrong secrets in an hour", () => {
	const ledger = tried({
		good: accepted,
		a: wrong,
		b: wrong,
		c: wrong,
		d: wrong,
	});

	test("hold up those that nobody knows, and none that was right before", () => {
		expect(admission(ledger, "e", start)).toEqual({
			...{ waitMs: hour, for: "budget", errcode: 0 },
		});
		expect(admission(ledger, "good", start)).toBe("go");
		expect(admission(ledger, "e", start + hour)).toBe("go");
	});

	test("take two of four tries in the next hour, so that others get theirs", () => {
		const later = tried({ a: wrong, b: wrong }, ledger, start + hour);
		expect(admission(later, "c", start + hour)).toMatchObject({
			for: "budget",
		});
		expect(admission(later, "e", start + hour)).toBe("go");
	});
});

test("a secret that was right is known to be, until it is refused, or not asked for a week", () => {
	const day = 24 * hour;
	const ledger = tried({
		good: accepted,
		a: wrong,
		b: wrong,
		c: wrong,
		d: wrong,
	});
	expect(isNews(ledger, "good", accepted, start + hour)).toBe(false);
	expect(isNews(ledger, "good", accepted, start + day)).toBe(true);
	const refused = afterAnswer(ledger, "good", wrong, start);
	expect(isProved(refused, "good", start + hour)).toBe(false);
	expect(isProved(ledger, "good", start + 7 * day - 1)).toBe(true);
	expect(isProved(ledger, "good", start + 7 * day)).toBe(false);
});

describe("a ban after three wrong secrets", () => {
	const limited: SecretAnswer = { kind: "limited" };
	const three = tried({ a: wrong, b: wrong, c: wrong });
	const ledger = afterAnswer(three, "d", limited, start);
	const later = start + 2 * hour;

	test("is not risked again for a week: two wrong ones are enough, one of them an old one", () => {
		const again = tried({ a: wrong }, ledger, later);
		expect(admission(again, "b", later)).toMatchObject({ for: "budget" });
		const two = tried({ e: wrong }, again, later);
		expect(admission(two, "f", later)).toMatchObject({ for: "budget" });
		const week = start + 7 * 24 * hour;
		const forgotten = tried({ e: wrong, f: wrong }, ledger, week);
		expect(admission(forgotten, "g", week)).toBe("go");
	});

	test("is told from a limit on calls, which wrong secrets did not bring", () => {
		const one = afterAnswer(tried({ a: wrong }), "d", limited, start);
		const after = tried({ e: wrong, f: wrong }, one, later);
		expect(admission(after, "g", later)).toBe("go");
	});
});

test("so many are tried at a time that none too many can be wrong", () => {
	let ledger = emptyLedger;
	for (const id of ["a", "b", "c", "d"]) {
		const admitted = admitSecret(ledger, id, start);
		if (admitted.kind === "go") ledger = admitted.ledger;
	}
	expect(admission(ledger, "e", start)).toMatchObject({ for: "answer" });
	const next = afterAnswer(ledger, "a", { kind: "accepted" }, start);
	expect(admission(next, "e", start)).toBe("go");
	// A call that was never answered may have been refused.
	expect(admission(ledger, "e", start + 4 * minute)).toMatchObject({
		for: "answer",
	});
	expect(admission(ledger, "e", start + 5 * minute)).toBe("go");
});

describe("a limit of the IP", () => {
	const limited: SecretAnswer = { kind: "limited" };
	const once = tried({ a: limited });

	test("holds up everything for a minute, and then for an hour", () => {
		expect(admitAny(once, start + 59 * second)).toMatchObject({
			...{ for: "limit", waitMs: second },
		});
		expect(admission(once, "b", start)).toMatchObject({ for: "limit" });
		expect(admitAny(once, start + minute)).toBeUndefined();
		const twice = tried({ b: limited }, once, start + 2 * minute);
		expect(admitAny(twice, start + hour)).toMatchObject({ for: "limit" });
		expect(admitAny(twice, start + 62 * minute)).toBeUndefined();
		// A good answer in between ends the row.
		const calm = tried({ b: { kind: "accepted" } }, once, start + minute);
		const again = tried({ b: limited }, calm, start + 2 * minute);
		expect(admitAny(again, start + 3 * minute)).toBeUndefined();
	});

	test("the answers of calls that were under way together are one", () => {
		const both = afterAnswer(once, "b", limited, start + second);
		expect(admitAny(both, start + minute)).toBeUndefined();
	});
});

describe("a limit that was told to a call without a secret", () => {
	const limited: SecretAnswer = { kind: "limited" };
	const once = afterLimit(emptyLedger, start);

	test("holds up everything for a minute, however often: it may be one ticket's alone", () => {
		expect(admission(once, "a", start)).toMatchObject({ for: "limit" });
		expect(admitAny(once, start + minute)).toBeUndefined();
		const twice = afterLimit(once, start + 2 * minute);
		expect(admitAny(twice, start + 3 * minute)).toBeUndefined();
	});

	test("is one of the IP for an hour if a secret is told the same after the minute", () => {
		const twice = tried({ a: limited }, once, start + minute);
		expect(admitAny(twice, start + hour)).toMatchObject({ for: "limit" });
		expect(afterLimit(twice, start + 2 * minute)).toBe(twice);
		const calm = tried({ a: accepted }, once, start + minute);
		expect(calm).not.toHaveProperty("limited");
	});
});

describe("two notes of one IP", () => {
	/** What may be answered, each to one of three secrets; later each time. */
	const lives = fc.array(
		fc.record({
			id: fc.constantFrom("a", "b", "c"),
			answer: fc.constantFrom<SecretAnswer>(
				accepted,
				wrong,
				{ kind: "limited" },
				{ kind: "other" },
			),
			note: fc.constantFrom(0, 1),
		}),
		{ maxLength: 12 },
	);
	const lived = (life: readonly { id: string; answer: SecretAnswer }[]) => {
		let at = start;
		let ledger = emptyLedger;
		for (const { id, answer } of life) {
			at += hour;
			const admitted = admitSecret(ledger, id, at);
			if (admitted.kind === "wait") continue;
			ledger = afterAnswer(admitted.ledger, id, answer, at + second);
		}
		return { ledger, at: at + second };
	};

	test("tell together what the newer one tells, if that has known the older one", () => {
		fc.assert(
			fc.property(lives, fc.nat(12), (life, known) => {
				const old = lived(life.slice(0, known));
				const { ledger, at } = lived(life);
				const ids = ["a", "b", "c"];
				const says = (one: IpLedger) => ids.map((id) => admission(one, id, at));
				const proves = (one: IpLedger) =>
					ids.map((id) => isProved(one, id, at));
				for (const merged of [
					mergedLedger(old.ledger, ledger, at),
					mergedLedger(ledger, old.ledger, at),
				]) {
					expect(says(merged)).toEqual(says(ledger));
					expect(proves(merged)).toEqual(proves(ledger));
				}
			}),
		);
	});

	test("hold back what either of them knows to be wrong", () => {
		const one = tried({ a: wrong, b: wrong });
		const other = tried({ c: wrong, d: wrong, good: accepted });
		const both = mergedLedger(one, other, start);
		expect(admission(both, "a", start)).toMatchObject({ for: "secret" });
		expect(admission(both, "e", start)).toMatchObject({ for: "budget" });
		expect(admission(both, "good", start)).toBe("go");
	});

	test("say nothing that is still to come, by a clock that was wrong", () => {
		const future = tried({ a: wrong }, emptyLedger, start + hour);
		const both = mergedLedger(tried({ a: accepted }), future, start);
		expect(isProved(both, "a", start)).toBe(true);
	});
});

test("is read back from a file, and garbage is none", () => {
	const limited: SecretAnswer = { kind: "limited" };
	const two = tried({ good: accepted, a: wrong, b: wrong });
	const ledger = afterAnswer(two, "c", limited, start);
	expect(ledger).toHaveProperty("banned.wrong", 2);
	const text = JSON.stringify({ host: ledger, broken: { secrets: 1 } });
	expect(decodeLedgers(text)).toEqual({ host: ledger });
	for (const garbage of [
		"",
		"null",
		"[1]",
		'{"a":{"secrets":{},"proved":{"b":"c"}}}',
		'{"a":{"secrets":{"b":{}}}}',
		'{"a":{"secrets":{},"limited":{"at":1,"waitMs":1e15,"times":1}}}',
	])
		expect(decodeLedgers(garbage)).toEqual({});
});

test("a clock that is set back holds nothing up", () => {
	const ledger = tried({ a: wrong, b: { kind: "limited" } });
	expect(admission(ledger, "a", start - minute)).toBe("go");
});

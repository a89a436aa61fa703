import { describe, expect, test } from "vitest";
import type { Fault, FaultMode } from "../../src/simulator/faults.ts";
import type { Knobs } from "../../src/simulator/knobs.ts";
import type { TicketType } from "../../src/simulator/tickets.ts";
import { at, mini, mp, scene } from "./scene.ts";

type Scene = ReturnType<typeof scene>;

const path = "/cgi-bin/ticket/getticket";

const types = ["jsapi", "wx_card", "2"] as const;

/** A call of `getticket` with this token. */
function ask(
	{ get }: Scene,
	access_token: string,
	type: string,
	seconds = 0,
): ReturnType<Scene["get"]> {
	return get(path, { access_token, type }, seconds);
}

/** The answer to a call with a token of the stable interface, which is always alive. */
function fetched(all: Scene, seconds: number, type: TicketType = "jsapi") {
	return ask(all, all.stable(seconds).access_token, type, seconds);
}

function alive({ platform }: Scene, ticket: string, seconds: number): boolean {
	return platform.isTicketAlive(mp.appid, "jsapi", ticket, at(seconds));
}

describe("S32: a ticket", () => {
	test("needs a live token of the account, from either interface", () => {
		const all = scene();
		for (const { access_token } of [all.classic(0), all.stable(0)]) {
			const body = ask(all, access_token, "jsapi");
			expect(body).toEqual({
				errcode: 0,
				errmsg: "ok",
				ticket: expect.stringMatching(/^[A-Za-z0-9_-]{86}$/),
				expires_in: 7200,
			});
		}
	});

	test("is refused by the reason for which the token is dead", () => {
		const all = scene();
		expect(all.get(path, { type: "jsapi" }).errcode).toBe(41001);
		expect(ask(all, "made-up", "jsapi").errcode).toBe(40001);
		const aged = all.classic(0).access_token;
		expect(ask(all, aged, "jsapi", 7200).errcode).toBe(42001);
		const killed = all.classic(8000).access_token;
		all.platform.kill(mp.appid, at(8001));
		expect(ask(all, killed, "jsapi", 8001).errcode).toBe(40001);
		const overwritten = all.classic(9000).access_token;
		all.classic(9001);
		expect(ask(all, overwritten, "jsapi", 9300).errcode).toBe(0);
		expect(ask(all, overwritten, "jsapi", 9301).errcode).toBe(40001);
	});

	test("is separate for each account", () => {
		const other = { appid: "wxother", secret: "secret-of-other" };
		const all = scene({ accounts: [mp, other] });
		const [one, two] = [mp, other].map((claim) =>
			ask(all, all.classic(0, claim).access_token, "jsapi"),
		);
		expect(one?.ticket).not.toBe(two?.ticket);
	});

	test("has its own quota, and answers 45009 above it", () => {
		const all = scene({ limits: { getticket: { perDay: 1 } } });
		expect(fetched(all, 0).errcode).toBe(0);
		expect(fetched(all, 1).errcode).toBe(45009);
	});
});

describe("S55: the types of tickets", () => {
	test("are three lines beside each other", () => {
		const all = scene();
		const first = types.map((type) => fetched(all, 0, type).ticket);
		expect(new Set(first).size).toBe(3);
		expect(types.map((type) => fetched(all, 7199, type).ticket)).toEqual(first);
		// A new ticket of one type leaves the others as they are.
		const [jsapi] = first;
		expect(fetched(all, 7200).ticket).not.toBe(jsapi);
		const lines = all.platform.account(mp.appid, at(7200))?.tickets;
		const kept = types.map((type) => lines?.get(type)?.current.value);
		expect(kept.slice(1)).toEqual(first.slice(1));
	});

	test.each(["other", "1", "JSAPI", ""])("type %j answers 40097", (type) => {
		const all = scene();
		const { access_token } = all.classic(0);
		expect(ask(all, access_token, type).errcode).toBe(40097);
		expect(all.get(path, { access_token }).errcode).toBe(40097);
	});

	test.each(types)("a token of a 小程序 answers 48001 for %s", (type) => {
		const all = scene();
		const { access_token } = all.classic(0, mini);
		expect(ask(all, access_token, type).errcode).toBe(48001);
	});
});

/** U20 × U6: every value of one with every value of the other. */
const lives: readonly Partial<Knobs>[] = (
	["fixed", "until-replaced", "seeded"] as const
).flatMap((ticketLife) =>
	[300, 0, 3600].map((formerTicketSeconds) => ({
		ticketLife,
		formerTicketSeconds,
	})),
);

/** The first instant at which a fetch gets another ticket than at 0, in seconds. */
function turnOf(all: Scene, first: string): number {
	for (let seconds = 7199; seconds <= 14_401; seconds += 1)
		if (fetched(all, seconds).ticket !== first) return seconds;
	throw new Error("the ticket was never replaced");
}

describe.each(lives)("S33: with U20 and U6 as %j, a ticket", (knobs) => {
	const { ticketLife, formerTicketSeconds = 0 } = knobs;
	const limits = { getticket: { perDay: 100_000 } };

	test("stays the same until it is due, with expires_in 7200 every time", () => {
		const all = scene({ knobs, limits });
		const first = fetched(all, 0);
		for (let seconds = 600; seconds < 7200; seconds += 600)
			expect(fetched(all, seconds)).toEqual(first);
		const turn = turnOf(all, first.ticket);
		if (ticketLife === "seeded") expect(turn).toBeGreaterThan(7200);
		else expect(turn).toBe(7200);
		const second = fetched(all, turn);
		expect(second.expires_in).toBe(7200);
		expect(fetched(all, turn + 7199)).toEqual(second);
	});

	test("lives after a new one was issued as long as U6 says, but never beyond its age", () => {
		const all = scene({ knobs, limits });
		const first = fetched(all, 0).ticket;
		const turn = turnOf(all, first);
		const second = fetched(all, turn).ticket;
		const end =
			ticketLife === "until-replaced" ? turn + formerTicketSeconds : turn;
		for (let seconds = turn; seconds < end; seconds += 60)
			expect(alive(all, first, seconds)).toBe(true);
		expect(alive(all, first, end)).toBe(false);
		expect(alive(all, first, turn - 1)).toBe(true);
		expect(alive(all, second, end)).toBe(true);
	});
});

describe("S56: a ticket that nobody replaces", () => {
	/** The first whole second at which the ticket is dead; undefined: it lives at 30,000. */
	function deathOf(all: Scene, ticket: string): number | undefined {
		for (let seconds = 0; seconds <= 30_000; seconds += 1)
			if (!alive(all, ticket, seconds)) return seconds;
		return undefined;
	}

	test("dies 7200 s after its first issue by default", () => {
		const all = scene();
		const { ticket } = fetched(all, 0);
		fetched(all, 7199);
		expect(deathOf(all, ticket)).toBe(7200);
		// A later fetch does not bring it back.
		expect(fetched(all, 9000).ticket).not.toBe(ticket);
		expect(alive(all, ticket, 9000)).toBe(false);
	});

	test("lives until it is replaced if the knob says so", () => {
		const all = scene({ knobs: { ticketLife: "until-replaced" } });
		expect(deathOf(all, fetched(all, 0).ticket)).toBeUndefined();
	});

	test("dies at an instant that the seed decides if the knob says so", () => {
		const deathWith = (seed: number) => {
			const all = scene({ seed, knobs: { ticketLife: "seeded" } });
			return deathOf(all, fetched(all, 0).ticket) ?? 0;
		};
		const deaths = Array.from({ length: 20 }, (_, seed) => deathWith(seed));
		expect(Math.min(...deaths)).toBeGreaterThanOrEqual(7200);
		expect(Math.max(...deaths)).toBeLessThanOrEqual(14_400);
		expect(new Set(deaths).size).toBeGreaterThan(15);
		expect(deathWith(3)).toBe(deaths[3]);
	});

	test("keeps the life that it was issued with when the knob changes", () => {
		const all = scene();
		const { ticket } = fetched(all, 0);
		all.platform.turn({ ticketLife: "until-replaced" });
		expect(deathOf(all, ticket)).toBe(7200);
	});
});

test("S34: refreshing, forcing or ending the token leaves the ticket unchanged", () => {
	const all = scene();
	const { ticket } = fetched(all, 0);
	all.classic(10);
	all.force(20);
	all.force(60);
	all.platform.kill(mp.appid, at(70));
	all.platform.resetSecret(mp.appid, mp.secret, at(80));
	expect(fetched(all, 100).ticket).toBe(ticket);
	expect(alive(all, ticket, 7199)).toBe(true);
});

describe("another program that fetches tickets", () => {
	test("gets the same ticket while it is valid, and the next one before the keeper", () => {
		const all = scene();
		const foreign = (seconds: number) =>
			all.platform.foreignTicket(mp.appid, "jsapi", at(seconds));
		const { ticket } = fetched(all, 0);
		expect(foreign(7199)).toBe(ticket);
		const next = foreign(7200);
		expect(next).not.toBe(ticket);
		// Its life runs from the foreign fetch, which the keeper does not see.
		expect(fetched(all, 14_399)).toMatchObject({
			ticket: next,
			expires_in: 7200,
		});
		expect(fetched(all, 14_400).ticket).not.toBe(next);
	});

	test("uses up the quota, and is refused for a 小程序", () => {
		const all = scene({ limits: { getticket: { perDay: 1 } } });
		all.platform.foreignTicket(mp.appid, "jsapi", at(0));
		expect(fetched(all, 1).errcode).toBe(45009);
		expect(() =>
			all.platform.foreignTicket(mini.appid, "jsapi", at(0)),
		).toThrow("a mini program has no tickets");
	});
});

test("a ticket that a test puts in place is fetched, and the former one ends by U6", () => {
	const all = scene();
	const { ticket: former } = fetched(all, 0);
	all.platform.putTicket(mp.appid, "jsapi", "known", at(1000));
	expect(fetched(all, 8199).ticket).toBe("known");
	const lives = (ticket: string, seconds: readonly number[]) =>
		seconds.map((second) => alive(all, ticket, second));
	expect(lives(former, [1299, 1300])).toEqual([true, false]);
	expect(lives("known", [8199, 8200])).toEqual([true, false]);
});

describe("S45: faults on getticket", () => {
	const faulty = (fault: Omit<Fault, "endpoint">) => {
		const all = scene();
		const { access_token } = all.stable(0);
		all.platform.faults.add({ ...fault, endpoint: "getticket" }, at(0));
		const answer = all.platform.ticket(access_token, "jsapi", at(0));
		expect(all.stable(1).access_token).toBe(access_token);
		return answer;
	};
	const right = {
		errcode: 0,
		errmsg: "ok",
		ticket: expect.stringMatching(/^[A-Za-z0-9_-]{86}$/),
		expires_in: 7200,
	};

	test.each<[FaultMode, unknown]>([
		["empty-token", { ...right, ticket: "" }],
		["no-fields", {}],
		["expires-zero", { ...right, expires_in: 0 }],
		["expires-text", { ...right, expires_in: "7200" }],
		["errcode", { errcode: -1, errmsg: expect.any(String) }],
	])("%s changes the ticket's answer", (mode, expected) => {
		expect(JSON.parse(faulty({ mode }).body)).toEqual(expected);
	});

	test("a lost answer may have issued a ticket", () => {
		const lost = faulty({ mode: "reset", processed: true });
		expect(lost).toMatchObject({
			endpoint: "getticket",
			outcome: "fault reset",
			processed: "issued",
		});
	});
});

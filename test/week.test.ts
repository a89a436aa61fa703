/**
 * A week in the life of an account, in virtual time: how often WeChat is asked,
 * and whether an app ever holds a token that WeChat refuses.
 */
import { describe, expect, test } from "vitest";
import type { Knobs } from "../src/simulator/knobs.ts";
import { brokenLinks, live } from "./simulation/compiled.ts";
import type { Incident, Story, World } from "./simulation/week.ts";

const minute = 60;
const hour = 60 * minute;
const day = 24 * hour;
const both = ["classic", "stable"] as const;
type Wire = (typeof both)[number];

/** What nobody outside WeChat knows, one at a time, each at every value. */
const unknowns: readonly Partial<Knobs>[] = [
	{},
	{ forcedFormerSeconds: 300 },
	{ thirdClassicFetch: "keeps" },
	{ secretResetKillsTokens: true },
	{ freezeKillsTokens: true },
	{ stableRotatesAlone: true },
	{ agedOutCode: 40014 },
	{ agedOutCode: 40001, forgetAfterSeconds: 0 },
	{ checkOrder: "ip-before-secret" },
	{ checkOrder: "quota-first" },
	{ classicPost: "refused" },
	{ failuresUseQuota: true },
	{ quotaDay: "rolling" },
	{ forceCapBlocksNormal: true },
	{ unparsableBodyCode: 47001 },
	{ earlyForce: 45011 },
	{ flappingShare: 0.02 },
];

/**
 * The fetches that the rules need in a week: a classic token of 7200 s is due
 * when 2400 s are left of it; the stable interface gives a new one when 300 s are.
 */
const periods: Readonly<Record<Wire, number>> = {
	classic: 4_800,
	stable: 6_900,
};
const neededIn = (wire: Wire, seconds: number) =>
	1 + Math.floor(seconds / periods[wire]);

/** Apps that use the token each minute, and a look each 15 s: a week in half a second. */
const coarse = { tickSeconds: 15, callEverySeconds: 60 };

describe.each(both)("a calm week, %s,", (wire) => {
	test.each(unknowns)("with %j", async (knobs) => {
		const story = await live({ interface: wire, days: 7, knobs, ...coarse });
		expectCalm(story, wire);
		expect(fetchesIn(story)).toHaveLength(story.attempts.length);
	});

	test.each(Object.entries(brokenLinks))(
		"with one of two hosts out of order all the time: %s",
		async (name, link) => {
			const hosts = ["api.weixin.qq.com", "api2.weixin.qq.com"];
			for (const [index, host] of hosts.entries()) {
				// The second one is not even asked while the first one works.
				if (index === 1 && name !== "hang") continue;
				const story = await live({
					interface: wire,
					days: 7,
					...coarse,
					baseUrls: hosts.map((one) => `https://${one}`),
					events: [{ at: 0, act: (world) => world.link(host, link) }],
				});
				expectCalm(story, wire);
				const working = story.calls.filter((call) => call.host !== host);
				expect(working).toHaveLength(story.attempts.length);
				expect(story.log.filter(({ level }) => level === "error")).toEqual([]);
			}
		},
	);
});

function expectCalm(story: Story, wire: Wire): void {
	expect(story.deadSpans).toEqual([]);
	expect(story.refusedCalls).toBe(0);
	expect(story.appCalls).toBeGreaterThan(10_000);
	const needed = neededIn(wire, 7 * day);
	expect(story.attempts.length).toBeGreaterThanOrEqual(needed);
	expect(story.attempts.length).toBeLessThanOrEqual(needed * 1.05);
	expect(story.publications).toHaveLength(story.attempts.length);
	expect(forcesIn(story)).toEqual([]);
}

describe.each(both)("a week in which everything happens, %s,", (wire) => {
	test.each(unknowns)("with %j", async (knobs) => {
		const story = await live({
			interface: wire,
			days: 7,
			knobs,
			...coarse,
			events: everything(wire, knobs),
		});
		expect(story.violations).toEqual([]);
		expectWithinBudget(story);
		const forces = forcesIn(story).map(({ at }) => at);
		for (const [index, at] of forces.entries()) {
			const next = forces[index + 1];
			if (next !== undefined) expect(next - at).toBeGreaterThan(30_000);
			const inDay = forces.filter((one) => one >= at && one < at + day * 1000);
			expect(inDay.length).toBeLessThanOrEqual(20);
		}
		// Two of the signals on the third day, and all that may be on the sixth.
		expect(forces).toHaveLength(wire === "stable" ? 2 + 20 : 0);
		// What is on disk was issued, and nothing else ever is.
		const issued = story.calls.filter(({ outcome }) =>
			/^(issued|same)$/.test(outcome ?? ""),
		);
		expect(story.publications.length).toBeLessThanOrEqual(issued.length);
	});
});

/** A week of troubles; a stable token has only its last 285 s for them. */
function everything(
	wire: Wire,
	{ secretResetKillsTokens, freezeKillsTokens }: Partial<Knobs>,
): readonly Incident[] {
	const mayDie = (seconds: number) => ({
		deadFor: wire === "stable" ? seconds : 0,
	});
	const eightTimes = (from: number, incident: Omit<Incident, "at">) =>
		Array.from({ length: 8 }, (_, index) => ({
			...incident,
			at: from + index * 3.1 * hour,
		}));
	const host = "api.weixin.qq.com";
	const outages = [brokenLinks.hang, brokenLinks.refused, brokenLinks.reset];
	return [
		...eightTimes(1 * day, {
			act: (world) => {
				world.link(host, outages[Math.floor(world.now() / 1000) % 3]);
				world.later(25 * minute, () => world.link(host, undefined));
			},
			...mayDie(27 * minute),
		}),
		...eightTimes(2 * day, {
			act: ({ platform, now }) =>
				platform.faults.add(
					{ mode: "errcode", errcode: -1, forSeconds: 25 * minute },
					now(),
				),
			...mayDie(27 * minute),
		}),
		{
			at: 3 * day + 2 * hour,
			act: (world) => {
				for (const seconds of [0, 1, 5, 20])
					world.later(seconds, () => world.force());
			},
		},
		{
			at: 3 * day + 6 * hour,
			act: ({ platform, account, now }) => platform.kill(account.appid, now()),
			deadFor: 90,
		},
		{
			at: 3 * day + 10 * hour,
			act: ({ platform, account, now }) =>
				platform.foreignFetch(account.appid, wire, now()),
			deadFrom: 290,
			deadFor: 120,
		},
		...eightTimes(4 * day, {
			act: ({ platform, account, now, later }) => {
				const only = (entries?: readonly string[]) =>
					platform.setWhitelist(account.appid, entries, now());
				only(["10.0.0.1"]);
				// It acts five minutes later, as the way back does.
				later(25 * minute, () => only());
			},
			deadFrom: 5 * minute,
			...mayDie((25 + 6) * minute),
		}),
		...eightTimes(5 * day, {
			act: ({ platform, account, now, later }) => {
				const freeze = (isFrozen: boolean) =>
					platform.freezeSecret(account.appid, isFrozen, now());
				freeze(true);
				later(15 * minute, () => freeze(false));
			},
			// It acts ten minutes later, and so does the way back; 40243 waits ten.
			deadFrom: 10 * minute,
			deadFor: freezeKillsTokens || wire === "stable" ? 27 * minute : 0,
		}),
		{
			at: 6 * day + 2 * hour,
			act: (world) => {
				const { platform, account, now, later } = world;
				platform.resetSecret(account.appid, "another-secret", now());
				later(15 * minute, () => {
					account.secret = "another-secret";
					world.restart();
					world.force();
				});
			},
			deadFor: secretResetKillsTokens || wire === "stable" ? 16 * minute : 0,
		},
		{
			at: 6 * day + 8 * hour,
			act: (world) => {
				const { platform, account, later } = world;
				const allow = (perDay: number) =>
					platform.setLimits(account.appid, {
						token: { perDay },
						stable_token: { perDay },
					});
				allow(0);
				later(30 * minute, () => {
					allow(2_000);
					world.force();
				});
			},
			...mayDie(31 * minute),
		},
		{
			at: 6 * day + 14 * hour,
			act: (world) => {
				for (let count = 0; count < 25; count += 1)
					world.later(count * 40, () => world.force());
			},
		},
	];
}

describe("an hour without WeChat, in the middle of a token's life,", () => {
	const host = "api.weixin.qq.com";
	const outages = Object.entries(brokenLinks).filter(
		([, link]) => !link.isProcessed,
	);

	/** Begins so many seconds into the first token's 7200; classic is due at 4800. */
	const beginnings = [1_200, 1_900, 2_600, 3_300, 3_500];

	async function outage(
		beginning: number,
		seed: number,
		incident: (world: World) => void,
		baseUrls: readonly string[],
	) {
		return live({
			interface: "classic",
			days: 0.2,
			seed,
			callEverySeconds: 5,
			baseUrls,
			events: [{ at: beginning, act: incident }],
		});
	}

	function expectNoHarm(story: Story, endedAt: number): void {
		expect(story.deadSpans).toEqual([]);
		expect(story.refusedCalls).toBe(0);
		expect(story.appCalls).toBeGreaterThan(3_000);
		const next = story.publications.find((at) => at > 10);
		// A certificate takes a person to mend it: it waits a whole minute, and a tick.
		const byPerson = story.log.some(({ level }) => level === "error");
		const within = byPerson ? minute + 10 : minute;
		expect(next).toBeLessThanOrEqual(Math.max(endedAt + within, 4_810));
		expectWithinBudget(story);
	}

	test.each(outages)("as %s", async (_, link) => {
		for (const hosts of [[host], [host, "api2.weixin.qq.com"]])
			for (const [seed, beginning] of beginnings.entries()) {
				const story = await outage(
					beginning,
					seed,
					(world) => {
						for (const one of hosts) world.link(one, link);
						world.later(hour, () => {
							for (const one of hosts) world.link(one, undefined);
						});
					},
					hosts.map((one) => `https://${one}`),
				);
				expectNoHarm(story, beginning + hour);
			}
	});

	test("as errcode -1", async () => {
		for (const [seed, beginning] of beginnings.entries()) {
			const story = await outage(
				beginning,
				seed,
				({ platform, now }) =>
					platform.faults.add(
						{ mode: "errcode", errcode: -1, forSeconds: hour },
						now(),
					),
				[`https://${host}`],
			);
			expectNoHarm(story, beginning + hour);
		}
	});
});

describe("somebody else who fetches every ten minutes", () => {
	const every = (seconds: number, act: (world: World) => void) => [
		{
			at: 100,
			act: (world: World) => {
				const again = () => {
					act(world);
					world.later(seconds, again);
				};
				again();
			},
		},
	];
	const foreign = ({ platform, account, now }: World) =>
		platform.foreignFetch(account.appid, "classic", now());

	test("is named once a day, and the daemon keeps up without a loop", async () => {
		const story = await live({
			interface: "classic",
			days: 2,
			events: every(10 * minute, foreign),
		});
		const named = story.log.filter(
			({ event }) => event === "token.overwritten",
		);
		expect(named.map(({ at }) => Math.floor(Number(at) / day))).toEqual([0, 1]);
		expect(named[0]).toMatchObject({
			level: "error",
			hint: expect.stringContaining('interface = "stable"'),
			message: expect.stringContaining("another program fetches"),
		});
		expect(named[0]?.at).toBeLessThan(hour);
		expect(story.state.diedEarly.length).toBeGreaterThan(1);
		expectWithinBudget(story);
		// One fetch for each of his, and none besides.
		const his = (2 * day) / (10 * minute);
		expect(story.attempts.length).toBeLessThanOrEqual(his + 5);
		expect(story.attempts.length).toBeGreaterThan(his / 2);
		// Dead for as long as nobody uses it: an app's call, a probe, a fetch.
		for (const [from, to] of story.deadSpans)
			expect(to - from).toBeLessThan(45);
		const errors = story.log.filter(({ level }) => level === "error");
		expect(errors).toHaveLength(named.length);
	});

	test("does not matter to the stable interface", async () => {
		const story = await live({
			interface: "stable",
			days: 2,
			events: every(10 * minute, foreign),
		});
		expect(story.deadSpans).toEqual([]);
		expect(story.state.diedEarly).toEqual([]);
		expect(story.attempts.length).toBeLessThanOrEqual(
			1.05 * neededIn("stable", 2 * day),
		);
	});

	test("is not invented: a token that only an app calls dead has not died", async () => {
		// WeChat does not tell, for its quota of probes is used up.
		const story = await live({
			interface: "classic",
			days: 1,
			knobs: { flappingShare: 0.5 },
			events: [{ at: 0, act: withoutProbes }],
		});
		expect(story.state.diedEarly).toEqual([]);
		const events = new Set(story.log.map(({ event }) => event));
		expect(events).not.toContain("token.overwritten");
	});
});

const withoutProbes = ({ platform, account }: World) =>
	platform.setLimits(account.appid, { get_api_domain_ip: { perDay: 0 } });

describe.each(both)("whoever asks for refreshes without end, %s,", (wire) => {
	test("an app that reports every 30 s, while WeChat does not tell, takes nothing from the renewals", async () => {
		const story = await live({
			interface: wire,
			days: 2,
			knobs: { flappingShare: 0.9 },
			events: [{ at: 0, act: withoutProbes }],
		});
		expect(story.deadSpans).toEqual([]);
		// Half of the budget of each lifetime, and the renewal.
		expect(story.attempts.length).toBeLessThanOrEqual(2 * 12 * (30 + 1));
		// Nobody has proved that the token is dead.
		expect(forcesIn(story)).toEqual([]);
		expect(story.log.filter(({ level }) => level === "warn")).toHaveLength(1);
		expectWithinBudget(story);
	});

	test("a script that signals every 10 s takes nothing from them either", async () => {
		const story = await live({
			interface: wire,
			days: 2,
			events: [
				{
					at: 100,
					act: (world) => {
						const again = () => {
							world.force();
							world.later(10, again);
						};
						again();
					},
				},
			],
		});
		expect(story.deadSpans).toEqual([]);
		expectWithinBudget(story);
		expect(forcesIn(story).length).toBeLessThanOrEqual(2 * 20);
		expect(story.log.filter(({ level }) => level === "warn")).toHaveLength(1);
	});
});

describe("an account for testing without the stable interface (U11)", () => {
	test.each([48001, 40013] as const)(
		"says so by %s, and is asked every ten minutes",
		async (errcode) => {
			const story = await live({
				interface: "stable",
				days: 1,
				account: { kind: "test" },
				knobs: { stableOnTestAccount: errcode },
			});
			expect(story.publications).toEqual([]);
			expect(story.attempts.length).toBeGreaterThan(24 * 5);
			expect(story.attempts.length).toBeLessThanOrEqual(24 * 6 + 1);
			const errors = story.log.filter(({ level }) => level === "error");
			expect(errors).toHaveLength(1);
			expect(errors[0]?.hint).toMatch(/interface = "classic"/);
		},
	);

	test("is kept by the classic one within its 200 calls a day", async () => {
		const story = await live({
			interface: "classic",
			days: 2,
			account: { kind: "test" },
		});
		expect(story.deadSpans).toEqual([]);
		expect(story.attempts.length).toBeLessThanOrEqual(40);
	});
});

/** S50, and the budget: 60 calls in any 7200 s, and one per 600 s beyond it. */
function expectWithinBudget({ attempts, calls }: Story): void {
	const sent = calls.map(({ at }) => at);
	for (const at of attempts) {
		const inLifetime = attempts.filter(
			(other) => other >= at && other < at + 7_200,
		);
		expect(inLifetime.length).toBeLessThanOrEqual(60 + 12);
	}
	expect(sent.length).toBeLessThan(7 * 600);
}

function fetchesIn({ calls }: Story) {
	return calls.filter(({ isProbe }) => !isProbe);
}

function forcesIn({ calls }: Story) {
	return calls.filter(({ isForce }) => isForce);
}

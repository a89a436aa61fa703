/** The gate before 企业微信: many apps behind one IP, over restarts and in several processes. */
import { expect, test } from "vitest";
import { IssuerError } from "../../src/core/errors.ts";
import type { SharedNote } from "../../src/core/ports.ts";
import { createIpGate, type IpGate } from "../../src/issuer/ip-gate.ts";
import { wecomMeaningOf } from "../../src/issuer/wecom-errcode.ts";

const baseUrl = "https://qyapi.weixin.qq.com";
const hour = 3_600_000;

/** What processes share; `alone` as one process after the other would have it. */
function newNote(): SharedNote {
	let text: string | undefined;
	let turn: Promise<unknown> = Promise.resolve();
	return {
		read: () => text,
		write: async (written) => {
			text = written;
		},
		alone: (work) => {
			const mine = turn.then(work);
			turn = mine.catch(() => {});
			return mine;
		},
	};
}

/** An IP that is banned for an hour by so many wrong secrets within an hour. */
function newIp(banAfter: number) {
	const clock = { now: () => at, monotonic: () => at };
	let at = 1_767_578_400_000;
	let wrongAt: number[] = [];
	let bannedUntil = 0;
	const seen = { bans: 0 };
	const refuse = (errcode: number) => {
		throw new IssuerError({
			...{ code: `errcode ${errcode}`, kind: "config", message: "", hint: "" },
			...{ mayHaveIssued: false, sent: true },
		});
	};
	const answer = async (secret: string): Promise<string> => {
		const wasBanned = at < bannedUntil;
		await new Promise(setImmediate);
		if (wasBanned) refuse(45009);
		if (!secret.startsWith("wrong")) return "token";
		wrongAt = [...wrongAt.filter((then) => then > at - hour), at];
		if (wrongAt.length >= banAfter) {
			wrongAt = [];
			bannedUntil = at + hour;
			seen.bans += 1;
		}
		return refuse(40001);
	};
	return {
		...{ clock, seen },
		/** Asks for all at once; how many got a token. */
		ask: async (gate: IpGate, secrets: readonly string[], at = baseUrl) => {
			const all = await Promise.allSettled(
				secrets.map((secret) =>
					gate.passWithSecret(
						{
							...{ baseUrl: at, owner: "corp", secret, what: "the token" },
							meaningOf: wecomMeaningOf,
						},
						() => answer(secret),
					),
				),
			);
			return all.filter(({ status }) => status === "fulfilled").length;
		},
		pass: (ms: number) => {
			at += ms;
		},
	};
}

const right = Array.from({ length: 97 }, (_, n) => `right ${n}`);
/** Three wrong ones among a hundred. */
const mixed = [
	...right.slice(0, 20),
	"wrong 1",
	...right.slice(20, 50),
	"wrong 2",
	"wrong 3",
	...right.slice(50),
];

test("97 of a hundred apps are served at the first start, and 3 wrong secrets bring no ban after 5", async () => {
	const { ask, seen, clock } = newIp(5);
	const gate = createIpGate(clock);
	expect(await ask(gate, mixed)).toBe(97);
	expect(seen.bans).toBe(0);
});

test("where 3 ban, they do it once: after that 97 are served, over restarts, for a day", async () => {
	const { ask, seen, clock, pass } = newIp(3);
	const note = newNote();
	const gateOfAProcess = () => {
		const gate = createIpGate(clock);
		gate.keepIn({ own: note });
		return gate;
	};
	await ask(gateOfAProcess(), mixed);
	expect(seen.bans).toBe(1);
	// The ban is over: who was not served yet gets a turn.
	for (let hours = 0; hours < 4; hours += 1) {
		pass(hour + 1);
		await ask(gateOfAProcess(), mixed);
	}
	for (let hours = 0; hours < 24; hours += 1) {
		pass(hour + 1);
		expect(await ask(gateOfAProcess(), mixed)).toBe(97);
	}
	expect(seen.bans).toBe(1);
});

test("three new apps with wrong secrets bring no ban where 3 ban, if that was learnt", async () => {
	const { ask, seen, clock, pass } = newIp(3);
	const gate = createIpGate(clock);
	await ask(gate, ["wrong a", "wrong b", "wrong c"]);
	expect(await ask(gate, ["right 0"])).toBe(0);
	pass(2 * hour);
	await ask(gate, [...right, "wrong 1", "wrong 2", "wrong 3"]);
	expect(await ask(gate, right)).toBe(97);
	expect(seen.bans).toBe(1);
});

/** Calls of several daemons, each with a directory of its own, on one machine. */
function machine(ip: ReturnType<typeof newIp>) {
	const ofMachine = newNote();
	return () => {
		const gate = createIpGate(ip.clock);
		gate.keepIn({ own: newNote(), ofMachine });
		return gate;
	};
}

test("daemons with directories of their own share one budget, and each knows what the others' secrets are", async () => {
	const ip = newIp(5);
	const start = machine(ip);
	const [one, other] = [start(), start()];
	await Promise.all([
		ip.ask(one, ["wrong 1", "wrong 2", "wrong 3"]),
		ip.ask(other, ["wrong 4", "wrong 5", "wrong 6"]),
	]);
	expect(ip.seen.bans).toBe(0);
	// The same secret in the configuration of a third one is not tried again.
	await ip.ask(start(), ["wrong 1", "wrong 4"]);
	expect(ip.seen.bans).toBe(0);
	ip.pass(hour);
	expect(await ip.ask(other, right)).toBe(97);
});

test("a simulator's secrets hold up nobody else: they do not leave this machine", async () => {
	const ofMachine = newNote();
	const { clock, ask } = newIp(5);
	const gate = createIpGate(clock);
	gate.keepIn({ own: newNote(), ofMachine });
	for (const host of ["127.0.0.1:8090", "localhost:1", "[::1]:1"])
		await ask(gate, ["wrong"], `http://${host}`);
	expect(ofMachine.read()).toBeUndefined();
});

test("45009 to a ticket stops all calls for a minute, and for an hour if a secret is told the same", async () => {
	const { clock, pass } = newIp(5);
	const gate = createIpGate(clock);
	const limited = () =>
		Promise.reject(
			new IssuerError({
				...{ code: "errcode 45009", kind: "limited", message: "", hint: "" },
				...{ mayHaveIssued: false, sent: true },
			}),
		);
	const called: string[] = [];
	const good = (name: string) => async () => {
		called.push(name);
	};
	const ticket = { baseUrl, what: "a ticket" };
	const app = (secret: string) => ({
		...{ baseUrl, owner: "corp", secret, what: "a token" },
		meaningOf: wecomMeaningOf,
	});
	const refused = { code: "errcode 45009", sent: false };
	await expect(gate.pass(ticket, limited)).rejects.toMatchObject({
		sent: true,
	});
	await expect(
		gate.passWithSecret(app("a"), good("too early")),
	).rejects.toMatchObject(refused);
	await expect(gate.pass(ticket, good("too early"))).rejects.toMatchObject(
		refused,
	);
	expect(gate.isOpen(ticket)).toBe(false);
	pass(60_000);
	await gate.passWithSecret(app("a"), good("after the minute"));
	// A probe was told so this time.
	await gate.limited(ticket);
	pass(60_000);
	await expect(gate.passWithSecret(app("a"), limited)).rejects.toMatchObject({
		sent: true,
	});
	pass(59 * 60_000);
	await expect(gate.pass(ticket, good("too early"))).rejects.toMatchObject(
		refused,
	);
	pass(60_000);
	await gate.pass(ticket, good("after the hour"));
	expect(called).toEqual(["after the minute", "after the hour"]);
});

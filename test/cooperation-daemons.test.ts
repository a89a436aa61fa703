import { expect, test } from "vitest";
import { tokenId } from "../src/core/token.ts";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { eventually, type WaitOptions } from "./support/eventually.ts";
import { holdAnswers } from "./support/held-answers.ts";
import { newToken, startIssuer } from "./support/issuer.ts";
import { noteToken } from "./support/leaks.ts";
import {
	type LogEvent,
	type Running,
	startProgram,
} from "./support/program.ts";
import { readTokenFile } from "./support/token-file.ts";

const daemons = 50;
const renewals = 20;
const signals = 5;
/**
 * Daemons that hear a signal less than two seconds apart take it for one: see
 * decide.ts. The line in the log follows, on a busy machine a little later.
 */
const oneSignalMs = 1_900;
/** Long enough for an answer to arrive alive on a busy machine. */
const shortLifeSeconds = 5;
const accounts = newAccounts(10);
const appids = accounts.map(({ appid }) => appid);

test(`${daemons} daemons on one directory make one fetch for each of ${renewals} renewals, for each SIGHUP to all at once, and for a dead holder's lock that all find at once`, {
	timeout: 300_000,
}, async () => {
	const wechat = await startCountingIssuer();
	const config = writeConfig({
		url: wechat.url,
		accounts,
		top: { socket: "", log_level: "info" },
		// While fifty daemons start, an answer may take long.
		wechat: { cooldown: 2, timeout: 30, budget: 1_000 },
	});
	const all = Array.from({ length: daemons }, () =>
		startProgram(["run", "--config", config.file]),
	);
	await Promise.all(all.map((daemon) => daemon.event("daemon.ready")));
	const total = () =>
		appids.reduce((sum, appid) => sum + wechat.issued(appid).length, 0);
	const first = total();
	await soon(() => total() >= first + renewals, {
		what: `${renewals} renewals`,
	});
	// From here on only signals make fetches.
	wechat.letLast();
	await soon(() => appids.every(wechat.hasLasting), { what: "lasting tokens" });
	await known(all, wechat);
	const countsNow = () =>
		new Map(appids.map((appid) => [appid, wechat.issued(appid).length]));
	const renewed = countsNow();
	let counted = renewed;
	/** Since the last call; by then readers have the last token of each. */
	const expectFetches = (fewest: number, most: number, when: string) => {
		for (const appid of appids) {
			const made = wechat.issued(appid).length - (counted.get(appid) ?? 0);
			expect(made, `fetches ${when}`).toBeGreaterThanOrEqual(fewest);
			expect(made, `fetches ${when}`).toBeLessThanOrEqual(most);
			expect(readTokenFile(config.tokenFile(appid)).value).toBe(
				wechat.issued(appid).at(-1),
			);
		}
		counted = countsNow();
	};

	const lags: number[] = [];
	for (let signal = 1; signal <= signals; signal++) {
		await cooldownOver(all);
		const sentAt = Date.now();
		for (const daemon of all) daemon.kill("SIGHUP");
		await soon(() => all.every((one) => reloads(one).length === signal), {
			what: "all daemons to hear the signal",
		});
		const lag = Math.max(...all.map(reloadedAt)) - sentAt;
		lags.push(lag);
		await soon(
			() =>
				appids.every(
					(appid) => wechat.issued(appid).length > (counted.get(appid) ?? 0),
				),
			{ what: "a fetch for each account" },
		);
		await known(all, wechat);
		// On a busy machine the last one may hear it so late that it is another one,
		// and is answered after the cooldown.
		const isOne = lag <= oneSignalMs;
		if (!isOne) {
			await cooldownOver(all);
			await nextTick(all);
			await known(all, wechat);
		}
		expectFetches(1, isOne ? 1 : 2, `after signal ${signal}, lags ${lags} ms`);
	}
	// A daemon that did not take another's refresh for its own would fetch now.
	await cooldownOver(all);
	await nextTick(all);
	expectFetches(0, 0, "after the last cooldown");
	const forced = countsNow();

	// One of them dies with all its requests on the way.
	const [victim, ...others] = all as [Running, ...Running[]];
	wechat.hold();
	victim.kill("SIGHUP");
	await soon(() => wechat.held() === appids.length, {
		what: "a request of each account",
	});
	victim.kill("SIGKILL");
	await victim.exited;
	wechat.release();
	await known(others, wechat);
	await nextTick(others);
	// One for the dead one, one for all the others.
	expectFetches(2, 2, "after the death of a holder");
	expect(wechat.mostInFlight()).toBe(1);

	console.log(`${total()} fetches, lags of the last daemon: ${lags} ms`);
	for (const account of appids) {
		const refreshed = refreshes(all).filter(({ appid }) => appid === account);
		// Each token was replaced once, and for a reason.
		expect(refreshed.map(({ replaces }) => replaces)).toEqual([
			undefined,
			...refreshed.slice(0, -1).map(({ token }) => token),
		]);
		expect(refreshed.map(({ reason }) => reason)).toEqual([
			"first",
			...Array.from({ length: (renewed.get(account) ?? 0) - 1 }, () => "due"),
			...Array.from(
				{ length: (forced.get(account) ?? 0) - (renewed.get(account) ?? 0) },
				() => "forced",
			),
			"cut-off",
		]);
	}
});

/** Counts what it issues, and how many requests of an account are on the way at once. */
async function startCountingIssuer() {
	const issued = new Map<string, string[]>();
	const inFlight = new Map<string, number>();
	let mostInFlight = 0;
	let lifetimeSeconds = shortLifeSeconds;
	const lasting = new Set<string>();
	const { give, ...holding } = holdAnswers();
	const { url } = await startIssuer({
		twist: ({ query: { appid = "" } }, response) => {
			const count = (change: number) => {
				const now = (inFlight.get(appid) ?? 0) + change;
				inFlight.set(appid, now);
				mostInFlight = Math.max(mostInFlight, now);
			};
			count(1);
			response.on("close", () => count(-1));
			const value = noteToken(newToken());
			issued.set(appid, [...(issued.get(appid) ?? []), value]);
			if (lifetimeSeconds > shortLifeSeconds) lasting.add(appid);
			const text = JSON.stringify({
				access_token: value,
				expires_in: lifetimeSeconds,
			});
			give(() => setTimeout(() => response.end(text), 30));
		},
	});
	return {
		url,
		/** In the order of issue. */
		issued: (appid: string) => issued.get(appid) ?? [],
		letLast: () => {
			lifetimeSeconds = 7200;
		},
		hasLasting: (appid: string) => lasting.has(appid),
		...holding,
		mostInFlight: () => mostInFlight,
	};
}

type CountingIssuer = Awaited<ReturnType<typeof startCountingIssuer>>;

/** The logs of fifty programs are not searched fifty times a second. */
function soon(look: () => boolean, options: WaitOptions): Promise<boolean> {
	return eventually(look, { everyMs: 250, ...options });
}

/** Until every daemon has, of each account, the last token that was issued. */
async function known(
	all: readonly Running[],
	wechat: Pick<CountingIssuer, "issued">,
): Promise<void> {
	await soon(
		() =>
			all.every((daemon) => {
				const seen = lastTokens(tokensIn(daemon));
				return appids.every(
					(appid) =>
						seen.get(appid) === tokenId(wechat.issued(appid).at(-1) ?? ""),
				);
			}),
		{ what: "all daemons to know the tokens" },
	);
}

async function cooldownOver(all: readonly Running[]): Promise<void> {
	const last = Date.parse(String(refreshes(all).at(-1)?.time));
	await soon(() => Date.now() > last + 2_500, {
		what: "the end of the cooldown",
	});
}

/** Time for each to look again, and to fetch if it has not understood. */
async function nextTick(all: readonly Running[]): Promise<void> {
	const since = Date.now();
	await soon(() => Date.now() > since + 2_000, {
		what: `a tick of ${all.length} daemons`,
	});
}

function reloadedAt(daemon: Running): number {
	return Date.parse(String(reloads(daemon).at(-1)?.time));
}

function refreshes(all: readonly Running[]): readonly LogEvent[] {
	return all
		.flatMap(tokensIn)
		.filter(({ event }) => event === "token.refreshed")
		.sort((one, other) => String(one.time).localeCompare(String(other.time)));
}

function reloads(daemon: Running): readonly LogEvent[] {
	return daemon.events().filter(({ event }) => event === "reload.requested");
}

function tokensIn(daemon: Running): readonly LogEvent[] {
	return daemon
		.events()
		.filter(
			({ event }) => event === "token.refreshed" || event === "token.adopted",
		);
}

function lastTokens(
	events: readonly LogEvent[],
): ReadonlyMap<unknown, unknown> {
	return new Map(events.map(({ appid, token }) => [appid, token]));
}

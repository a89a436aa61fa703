import { expect, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import { atOnce } from "../../src/core/steps.ts";
import {
	type CredentialSet,
	createCredentialSet,
} from "../../src/daemon/credential-set.ts";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { eventually } from "../support/eventually.ts";
import { type FakeIssuer, startIssuer } from "../support/issuer.ts";
import { logTo } from "../support/log-to.ts";
import { hasFile } from "../support/token-file.ts";

test("once one account has an answer again, the others do not wait out the pauses of an outage", async () => {
	const { set, issuer, pass, config } = await startSet(3);
	issuer.twist((_request, response) => response.destroy());
	await set.first();
	// The pauses grow to their longest.
	for (let n = 0; n < 12; n += 1) {
		pass(600_000);
		await tick(set);
	}
	const before = issuer.countOf("wx2");
	await tick(set);
	expect(issuer.countOf("wx2")).toBe(before);
	issuer.twist(undefined);
	const answer = await set.managed().byAppid.get("wx1")?.keeper.verify();
	expect(answer?.outcome).toBe("refreshed");
	await tick(set);
	for (const appid of ["wx1", "wx2", "wx3"])
		expect(hasFile(config.tokenFile(appid))).toBe(true);
	expect(issuer.countOf("wx2")).toBe(before + 1);
});

test("an account that fails alone is not tried at each success of another", async () => {
	const { set, issuer, pass } = await startSet(2);
	issuer.twist((request, response, give) =>
		request.query.appid === "wx2" ? response.destroy() : give(),
	);
	await set.first();
	for (let n = 0; n < 12; n += 1) {
		pass(600_000);
		await tick(set);
	}
	const before = issuer.countOf("wx2");
	for (let n = 0; n < 10; n += 1) {
		await set.managed().byAppid.get("wx1")?.keeper.verify();
		await tick(set);
	}
	// One attempt: on a kept connection its request may leave twice.
	expect(issuer.countOf("wx2")).toBeLessThanOrEqual(before + 2);
});

test("the summary calls no token fresh whose renewal has failed", async () => {
	const { set, issuer, pass } = await startSet(2);
	await set.first();
	expect(set.summary()).toBe("2 of 2 tokens fresh");
	issuer.twist((request, response, give) =>
		request.query.appid === "wx2" ? response.destroy() : give(),
	);
	pass(60_000);
	await set.managed().byAppid.get("wx2")?.keeper.verify();
	expect(set.summary()).toMatch(
		/^1 of 2 tokens fresh, 1 that could not be renewed still valid; wx2: could not fetch/,
	);
	issuer.twist(undefined);
	pass(60_000);
	await set.managed().byAppid.get("wx2")?.keeper.verify();
	expect(set.summary()).toBe("2 of 2 tokens fresh");
});

async function startSet(count: number) {
	const issuer: FakeIssuer = await startIssuer();
	const config = writeConfig({ ...issuer, accounts: newAccounts(count) });
	let now = Date.UTC(2026, 0, 5, 2);
	const began = now;
	const stopping = new AbortController();
	const set = atOnce(
		createCredentialSet({
			config: loadConfig({ file: config.file, env: {}, secrets: true }),
			env: {},
			clock: { now: () => now, monotonic: () => now - began },
			log: logTo(() => {}),
			stopping: stopping.signal,
			wakeAt: () => {},
			emit: () => {},
			onBug: (error) => {
				throw error;
			},
		}),
	);
	onTestFinished(async () => {
		stopping.abort();
		set.stop();
		await set.settle();
		await set.close();
	});
	const pass = (ms: number) => {
		now += ms;
	};
	return { set, issuer, config, pass };
}

/** A tick, and the end of all that it began. */
async function tick(set: CredentialSet): Promise<void> {
	await set.tick();
	const all = [...set.managed().byFile.values()];
	await eventually(
		() => all.every((one) => !one.isQueued && !one.activeKeeper?.isBusy()),
		{ what: "the end of what a tick began", everyMs: 1 },
	);
}

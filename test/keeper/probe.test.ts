/** Reports of a dead token: how long the result of a probe is believed. */
import { expect, test } from "vitest";
import { knownFrom } from "../../src/core/credential.ts";
import type { ProbeResult } from "../../src/core/ports.ts";
import { emptyRecord } from "../../src/core/record.ts";
import { createProbe } from "../../src/keeper/probe.ts";
import { accessToken } from "../support/account.ts";

function newScene() {
	let now = Date.UTC(2026, 0, 5, 2);
	let result: ProbeResult = "alive";
	let probes = 0;
	const probe = createProbe({
		credential: accessToken(),
		clock: { now: () => now, monotonic: () => now },
		issuer: {
			issue: () => Promise.reject(new Error("no token is asked for")),
			probe: async (_value, onCall) => {
				onCall?.();
				probes += 1;
				return result;
			},
		},
		onResult: () => {},
	});
	const token = { value: "a-token", expiresAt: now + 7_200_000 };
	const known = knownFrom(token, 1, undefined);
	return {
		probe,
		probes: () => probes,
		report: () => probe.resultFor(known, emptyRecord),
		die: () => {
			result = "dead";
		},
		pass: (ms: number) => {
			now += ms;
		},
	};
}

test("an honest report is heard within a minute, after a thousand false ones", async () => {
	const { report, die, pass } = newScene();
	for (let reports = 0; reports < 1_000; reports += 1) {
		expect(await report()).toBe("alive");
		pass(3_600);
	}
	die();
	let heardAfterMs = 0;
	while ((await report()) !== "dead") {
		pass(1_000);
		heardAfterMs += 1_000;
		if (heardAfterMs > 120_000) break;
	}
	expect(heardAfterMs).toBeLessThanOrEqual(60_000);
});

test("false reports cost one probe a minute, and at most a quarter of the budget", async () => {
	const { report, pass, probe, probes } = newScene();
	for (let reports = 0; reports < 7_200; reports += 1) {
		await report();
		pass(1_000);
	}
	// The first minute has one after 0, 1, 3, 7, 15 and 31 s.
	expect(probes()).toBeLessThanOrEqual(120 + 6);
	expect(probe.calls().length).toBeLessThanOrEqual(15);
});

/**
 * A writer is stopped right before it adds a record, until its lock is stale. Another
 * process takes the lock over and publishes. Then the record of the first is written.
 */
import fs, { appendFileSync, readFileSync, utimesSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { expect, onTestFinished, test, vi } from "vitest";
import { IssuerError } from "../../src/core/errors.ts";
import { decodeRecord } from "../../src/core/record.ts";
import { decodeToken } from "../../src/core/token.ts";
import { heldRequests } from "./held-requests.ts";
import { newScene } from "./keepers.ts";

test("a late record has no effect: the newer token stays, also for the process that wrote the record late", async () => {
	const requests = heldRequests();
	let refuses = false;
	const scene = newScene({
		onRequest: async () => {
			await requests.arrive();
			if (refuses) throw refusal;
		},
	});
	const value = () => decodeToken(readFileSync(scene.path, "utf8"))?.value;
	const late = scene.start();
	await late.keeper.reconcile();
	const third = scene.start();
	await third.keeper.reconcile();

	requests.hold();
	const record = holdIntent();
	const answer = late.keeper.force();
	await requests.arrived();
	requests.resume({ exceptHeld: true });
	// No intent names the holder of the lock, as that record was not written yet. And the
	// lock had no heartbeat since the writer was stopped.
	const longAgo = new Date(Date.now() - 60_000);
	utimesSync(`${scene.path}.lock`, longAgo, longAgo);
	const other = scene.start();
	await other.keeper.force();
	const newer = scene.issued.at(-1);
	expect(value()).toBe(newer);

	appendFileSync(scene.statePath, record());
	const { published } = decodeRecord(readFileSync(scene.statePath, "utf8"));
	expect(published?.reason).toBe("forced");
	refuses = true;
	requests.resume();
	expect(await answer).toMatchObject({
		outcome: "refreshed",
		token: { value: newer },
	});
	for (const { keeper } of [late, third, other, scene.start()]) {
		await keeper.reconcile();
		expect(value()).toBe(newer);
	}
	expect(scene.issued).toHaveLength(2);
	expect(late.events.map(({ event }) => event)).not.toContain("file.repaired");
});

/** Keeps the next intent from being written. Returns what was to be written. */
function holdIntent(): () => string {
	let record = "";
	const write = fs.writeFileSync;
	vi.spyOn(fs, "writeFileSync").mockImplementation((file, text, ...rest) => {
		if (record === "" && String(text).includes('"inFlight"'))
			record = String(text);
		else write(file, text, ...rest);
	});
	syncBuiltinESMExports();
	onTestFinished(() => {
		vi.restoreAllMocks();
		syncBuiltinESMExports();
	});
	return () => record;
}

const refusal = new IssuerError({
	kind: "transient",
	code: "errcode -1",
	message: "could not get a token: WeChat is busy",
	hint: "it is tried again",
	mayHaveIssued: false,
	sent: true,
});

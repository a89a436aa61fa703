/**
 * A writer is stopped right before it adds a record, for longer than its lock
 * lasts. Another one takes the lock over and publishes. Then the record comes.
 */
import fs, { appendFileSync, readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { expect, onTestFinished, test, vi } from "vitest";
import { IssuerError } from "../../src/core/errors.ts";
import { decodeState } from "../../src/core/record.ts";
import { decodeToken } from "../../src/core/token.ts";
import { heldRequests } from "./held-requests.ts";
import { newScene } from "./keepers.ts";

test("the late record does not count: the newer token stays, for the one that wrote it late, too", async () => {
	const requests = heldRequests();
	let refuses = false;
	const scene = newScene({
		staleMs: 300,
		onRequest: async () => {
			await requests.arrive();
			if (refuses) throw refusal;
		},
	});
	const value = () => decodeToken(readFileSync(scene.path, "utf8"))?.value;
	const late = scene.start();
	await late.keeper.look();
	const third = scene.start();
	await third.keeper.look();

	requests.hold();
	const record = keptBack();
	const answer = late.keeper.force();
	await requests.arrived();
	requests.letGo({ butThoseHeld: true });
	// Its lock bears no name, as the record that names it has not come.
	const other = scene.start();
	await other.keeper.force();
	const newer = scene.issued.at(-1);
	expect(value()).toBe(newer);

	appendFileSync(scene.statePath, record());
	const { published } = decodeState(readFileSync(scene.statePath, "utf8"));
	expect(published?.reason).toBe("forced");
	refuses = true;
	requests.letGo();
	expect(await answer).toMatchObject({
		outcome: "refreshed",
		token: { value: newer },
	});
	for (const { keeper } of [late, third, other, scene.start()]) {
		await keeper.look();
		expect(value()).toBe(newer);
	}
	expect(scene.issued).toHaveLength(2);
	expect(late.events.map(({ event }) => event)).not.toContain("file.repaired");
});

/** The next record of a request is not written; returns what was to be written. */
function keptBack(): () => string {
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

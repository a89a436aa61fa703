import { readdirSync, readFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";

const folder = new URL("./fuzz/", import.meta.url);
const targets = readdirSync(new URL("targets", folder)).map((name) =>
	name.replace(/\.ts$/, ""),
);

test("each target of the fuzzer has seeds, and no others have", () => {
	expect(readdirSync(new URL("seeds", folder)).sort()).toEqual(targets.sort());
});

for (const target of targets)
	test(`what holds of ${target} holds for each seed of the fuzzer, and for their halves`, async () => {
		const { fuzz, end } = (await import(
			new URL(`targets/${target}.ts`, folder).href
		)) as { fuzz(data: Uint8Array): void | Promise<void>; end?: () => void };
		onTestFinished(() => end?.());
		const seeds = new URL(`seeds/${target}/`, folder);
		const names = readdirSync(seeds);
		expect(names.length).toBeGreaterThan(0);
		for (const name of names) {
			const data = readFileSync(new URL(name, seeds));
			await fuzz(data);
			await fuzz(data.subarray(0, data.length >> 1));
		}
	});

import { availableParallelism } from "node:os";
import { configDefaults, defineConfig } from "vitest/config";
import { CiReporter } from "./.ci/reporter.ts";
import { portRanges } from "./test/support/free-port.ts";
import { LongestFirst } from "./test/support/longest-first.ts";

/** Measures its own process, which must have done nothing else. */
const alone = ["test/soak.test.ts"];
// Measurements that want a machine of their own: each runs only when it is asked for.
const { FLEET, HERD, PEERS } = process.env;
const whenAsked = [
	...(FLEET || HERD ? [] : ["test/fleet-scale.test.ts"]),
	...(PEERS ? [] : ["test/fleet-peers.test.ts"]),
];

export default defineConfig({
	test: {
		projects: [
			{
				extends: true,
				test: {
					name: "shared",
					include: ["test/**/*.test.ts"],
					exclude: [...configDefaults.exclude, ...whenAsked, ...alone],
					// One process takes one file after the other. A new one for each, with
					// src/ and the tools loaded anew, costs half a second to a second.
					isolate: false,
					// So what a file replaces is put back after each test.
					restoreMocks: true,
					unstubEnvs: true,
					unstubGlobals: true,
				},
			},
			{ extends: true, test: { name: "alone", include: alone } },
		],
		// Real processes, real locks: a loaded two-core machine needs patience, and
		// no test asserts a time. This ends what hangs, and nothing else.
		testTimeout: 300_000,
		hookTimeout: 300_000,
		// A test that needs a second try has a fault, or has found one.
		retry: 0,
		// Some files compute, most wait for processes: four for each core keep it busy.
		maxWorkers: Math.min(portRanges, 4 * availableParallelism()),
		setupFiles: process.env.CI ? [".ci/cpu-of-file.ts"] : [],
		sequence: { sequencer: LongestFirst },
		// In this order: vitest's summary comes last.
		reporters: process.env.CI
			? [new CiReporter("coverage/counts.json"), "default"]
			: ["default"],
	},
});

import { configDefaults, defineConfig } from "vitest/config";
import { CiReporter } from "./.ci/reporter.ts";
import { LongestFirst } from "./test/support/longest-first.ts";

export default defineConfig({
	test: {
		include: ["test/**/*.test.ts"],
		// Fifty daemons want a machine of their own: it runs only when it is asked for.
		exclude:
			process.env.FLEET || process.env.HERD
				? configDefaults.exclude
				: [...configDefaults.exclude, "test/fleet-scale.test.ts"],
		// Real processes, real locks: a loaded two-core machine needs patience, and
		// no test asserts a time. This ends what hangs, and nothing else.
		testTimeout: 300_000,
		hookTimeout: 300_000,
		// A test that needs a second try has a fault, or has found one.
		retry: 0,
		// Some files compute, most wait for processes: two of these for each of two
		// cores go well together.
		maxWorkers: 4,
		sequence: { sequencer: LongestFirst },
		// In this order: vitest's summary comes last.
		reporters: process.env.CI
			? [new CiReporter("coverage/counts.json"), "default"]
			: ["default"],
	},
});

import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["test/**/*.test.ts"],
		// Real processes, real locks: a loaded two-core machine needs patience, and
		// no test asserts a time.
		// Most tests wait for processes: two at a time, also on two cores.
		maxWorkers: 2,
		testTimeout: 60_000,
		hookTimeout: 60_000,
		reporters: process.env.CI
			? ["default", ["json", { outputFile: "coverage/report.json" }]]
			: ["default"],
	},
});

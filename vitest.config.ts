import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["test/**/*.test.ts"],
		// Real processes, real locks: a loaded two-core machine needs patience, and
		// no test asserts a time.
		// One file at a time: many of them load the machine by themselves.
		maxWorkers: 1,
		testTimeout: 60_000,
		hookTimeout: 60_000,
		reporters: process.env.CI
			? ["default", ["json", { outputFile: "coverage/report.json" }]]
			: ["default"],
	},
});

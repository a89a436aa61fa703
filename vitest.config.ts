import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		include: ["test/**/*.test.ts"],
		// Real processes, real locks: a loaded two-core machine needs patience, and
		// no test asserts a time.
		// Some files compute, most wait for processes: two at a time go well together.
		maxWorkers: 2,
		// A CI machine may be loaded by others: a test that needs fifty processes at
		// the same moment gets another chance there. Each retry is in the report.
		retry: process.env.CI ? 2 : 0,
		testTimeout: 60_000,
		hookTimeout: 60_000,
		reporters: process.env.CI
			? ["default", ["json", { outputFile: "coverage/report.json" }]]
			: ["default"],
	},
});

/**
 * Notes how much CPU time a test file takes, with all processes that it starts and
 * awaits: what makes the whole take long on two cores. For CI's reporter.
 */
import { readFileSync } from "node:fs";
import { afterAll } from "vitest";

declare module "vitest" {
	interface TaskMeta {
		/** Of a test file, in seconds. */
		cpuSeconds?: number;
	}
}

const before = cpuSeconds();
// biome-ignore lint/correctness/noEmptyPattern: vitest reads which fixtures it wants
afterAll(({}, file) => {
	file.meta.cpuSeconds = cpuSeconds() - before;
});

/** What this process has taken so far, and the children that it has awaited. */
function cpuSeconds(): number {
	const stat = readFileSync("/proc/self/stat", "utf8");
	// The name of the program, which comes before, may have blanks in it.
	const words = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	const hundredths = words.slice(11, 15).map(Number);
	return hundredths.reduce((sum, one) => sum + one, 0) / 100;
}

/**
 * What CI prints before vitest's summary: the ten slowest tests, the files that use most
 * CPU time, and tests that were left out or had a second try. The counts go to a file,
 * for count.mjs.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Reporter, TestCase, TestModule } from "vitest/node";
import type {} from "./cpu-of-file.ts";

const wanted = 10;
const wantedFiles = 40;

export interface Counts {
	readonly passed: number;
	/** With those that passed only in a second try. */
	readonly failed: number;
	readonly skipped: number;
}

export class CiReporter implements Reporter {
	readonly #countsFile: string;

	constructor(countsFile: string) {
		this.#countsFile = countsFile;
	}

	onTestRunEnd(modules: readonly TestModule[]): void {
		const tests = modules.flatMap((one) => [...one.children.allTests()]);
		print(
			`The ${wanted} slowest tests:`,
			[...tests]
				.sort((one, other) => durationOf(other) - durationOf(one))
				.slice(0, wanted)
				.map(
					(test) =>
						`${(durationOf(test) / 1000).toFixed(1).padStart(6)} s  ${nameOf(test)}`,
				),
		);
		const used = modules
			.map((file) => ({ file, seconds: file.meta().cpuSeconds ?? 0 }))
			.sort((one, other) => other.seconds - one.seconds);
		const allSeconds = used.reduce((sum, { seconds }) => sum + seconds, 0);
		print(
			`CPU time: ${Math.round(allSeconds)} s; the ${wantedFiles} files that use most:`,
			used
				.slice(0, wantedFiles)
				.map(
					({ file, seconds }) =>
						`${seconds.toFixed(1).padStart(6)} s  ${file.relativeModuleId}`,
				),
		);
		const are = (state: string) => (test: TestCase) =>
			test.result().state === state;
		const skipped = tests.filter(are("skipped"));
		print("Skipped, but CI must run them:", skipped.map(nameOf));
		const passed = tests.filter(are("passed"));
		const inFirstTry = passed.filter((test) => !hasMoreTries(test));
		print(
			"Passed, but may have had a second try:",
			passed.filter(hasMoreTries).map(nameOf),
		);
		const counts: Counts = {
			passed: inFirstTry.length,
			failed: tests.length - skipped.length - inFirstTry.length,
			skipped: skipped.length,
		};
		mkdirSync(dirname(this.#countsFile), { recursive: true });
		writeFileSync(this.#countsFile, JSON.stringify(counts));
	}
}

/** Its own option can allow what the configuration does not. */
function hasMoreTries(test: TestCase): boolean {
	const { retry = 0 } = test.options;
	const tries = typeof retry === "number" ? retry : (retry.count ?? 0);
	return tries > 0 || (test.diagnostic()?.retryCount ?? 0) > 0;
}

function durationOf(test: TestCase): number {
	return test.diagnostic()?.duration ?? 0;
}

function nameOf(test: TestCase): string {
	return `${test.module.relativeModuleId} > ${test.fullName}`;
}

function print(title: string, lines: readonly string[]): void {
	if (lines.length > 0)
		console.log(`\n${title}\n${lines.map((line) => `  ${line}`).join("\n")}`);
}

// The last line of CI: what vitest counted. A test that skipped means that CI
// lacks something that it must have, and is a failure here.
import { readFileSync } from "node:fs";

const report = JSON.parse(readFileSync(process.argv[2], "utf8"));
const skipped = report.numPendingTests + report.numTodoTests;
for (const { assertionResults } of report.testResults) {
	for (const { status, fullName } of assertionResults) {
		if (status === "pending" || status === "skipped")
			console.log(`skipped, but must run in CI: ${fullName}`);
	}
}
console.log(
	`${report.numPassedTests} passed, ${report.numFailedTests} failed, ${skipped} skipped`,
);
process.exitCode = skipped > 0 || report.numPassedTests === 0 ? 1 : 0;

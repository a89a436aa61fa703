// The last line of CI: what reporter.ts counted. A test that skipped means that
// CI lacks something that it must have, and is a failure here.
import { readFileSync } from "node:fs";

const { passed, failed, skipped } = JSON.parse(
	readFileSync(process.argv[2], "utf8"),
);
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = passed === 0 || failed > 0 || skipped > 0 ? 1 : 0;

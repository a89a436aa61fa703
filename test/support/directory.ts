import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** A directory of its own for a test, gone after it. */
export function newDirectory(): string {
	const directory = mkdtempSync(join(tmpdir(), "wxtokend-test-"));
	chmodSync(directory, 0o755);
	onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
	return directory;
}

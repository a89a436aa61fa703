import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { onTestFinished, vi } from "vitest";

/** Calls `instead` in place of one call to a function of node:fs, for whoever imported it how. */
export function insteadOf<
	Name extends "renameSync" | "rmdirSync" | "mkdirSync",
>(name: Name, instead: (...args: Parameters<(typeof fs)[Name]>) => void): void {
	vi.spyOn(fs, name).mockImplementation(instead as never);
	restoreAfterTest();
}

/** Changes what the next `open` of node:fs/promises gives. */
export function withNextHandle(
	change: (handle: fs.promises.FileHandle) => void,
): void {
	const open = fs.promises.open;
	vi.spyOn(fs.promises, "open").mockImplementationOnce(async (...args) => {
		const handle = await open(...args);
		change(handle);
		return handle;
	});
	restoreAfterTest();
}

function restoreAfterTest(): void {
	syncBuiltinESMExports();
	onTestFinished(() => {
		vi.restoreAllMocks();
		syncBuiltinESMExports();
	});
}

/** What a system call throws. */
export function systemError(code: string): Error {
	return Object.assign(new Error(code), { code });
}

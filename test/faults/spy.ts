/** Functions of node:fs that a test replaces or watches. */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { onTestFinished, vi } from "vitest";

/** Calls `instead` in place of that function of node:fs, however a module has imported it. */
export function insteadOf<
	Name extends "renameSync" | "rmdirSync" | "mkdirSync",
>(name: Name, instead: (...args: Parameters<(typeof fs)[Name]>) => void): void {
	vi.spyOn(fs, name).mockImplementation(instead as never);
	restoreAfterTest();
}

/** The next call fails with this errno. It does nothing; only a close really closes. */
export function failOnce(
	name:
		| "statfsSync"
		| "openSync"
		| "fchmodSync"
		| "writeFileSync"
		| "fsync"
		| "closeSync",
	code: string,
): void {
	if (name === "fsync") {
		let left = 1;
		watchSyncs(() => (left-- > 0 ? code : undefined));
		return;
	}
	const close = fs.closeSync;
	vi.spyOn(fs, name).mockImplementationOnce((file: unknown) => {
		if (name === "closeSync") close(file as number);
		throw systemError(code);
	});
	restoreAfterTest();
}

/** Calls `look` at each fsync, synchronous or not. If it returns an errno, the fsync fails with it. */
export function watchSyncs(look: (file: number) => string | undefined): void {
	const sync = fs.fsyncSync;
	const instead = (file: number) => {
		const code = look(file);
		if (code !== undefined) throw systemError(code);
		sync(file);
	};
	vi.spyOn(fs, "fsyncSync").mockImplementation(instead);
	vi.spyOn(fs, "fsync").mockImplementation(((
		file: number,
		done: (error: unknown) => void,
	) => {
		try {
			instead(file);
		} catch (error) {
			done(error);
			return;
		}
		done(null);
	}) as never);
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

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

/** The next call ends in this error, having done nothing but close, if that is what it does. */
export function failOnce(
	name: "statfsSync" | "fchmodSync" | "writeFileSync" | "fsync" | "closeSync",
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

/** Calls `look` at each fsync, in whatever way it is done; it may give the errno to fail with. */
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

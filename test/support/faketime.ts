/** The wall clock of a running program, set by libfaketime. The monotonic clock goes on, as on a real machine. */
import { existsSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newDirectory } from "./directory.ts";

const library = faketime();

/** Whether this machine has libfaketime. */
export const hasFaketime = library !== undefined;

export interface FakeClock {
	/** Seconds ahead of the true one, from now on. */
	set(seconds: number): void;
	/** For the programs that shall run by it. */
	readonly env: Readonly<Record<string, string>>;
}

/** A clock that shows the true time until it is set. */
export function newFakeClock(): FakeClock {
	const file = join(newDirectory(), "offset");
	const set = (seconds: number) => {
		writeFileSync(`${file}.new`, `${seconds < 0 ? "" : "+"}${seconds}\n`);
		renameSync(`${file}.new`, file);
	};
	set(0);
	return {
		set,
		env: {
			LD_PRELOAD: library ?? "",
			FAKETIME_TIMESTAMP_FILE: file,
			FAKETIME_NO_CACHE: "1",
			DONT_FAKE_MONOTONIC: "1",
		},
	};
}

function faketime(): string | undefined {
	for (const folder of readdirSync("/usr/lib")) {
		const found = join("/usr/lib", folder, "faketime/libfaketime.so.1");
		if (existsSync(found)) return found;
	}
	return undefined;
}

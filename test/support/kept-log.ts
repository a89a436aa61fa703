import type { Log } from "../../src/log.ts";

export interface LogLine {
	readonly level: keyof Log;
	readonly message: string;
	/** "" if it has none. */
	readonly event: string;
	readonly [field: string]: unknown;
}

/** A log of which every line, of every level, goes to `add`. */
export function keepLog(add: (line: LogLine) => void): Log {
	const at =
		(level: LogLine["level"]): Log["info"] =>
		(fields, message) =>
			add({ event: "", ...fields, level, message });
	return {
		debug: at("debug"),
		info: at("info"),
		warn: at("warn"),
		error: at("error"),
	};
}

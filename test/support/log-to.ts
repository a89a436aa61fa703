import type { Log } from "../../src/daemon/log.ts";

/** A line of the log, as it was before it became text. */
export interface LogLine {
	readonly level: keyof Log;
	readonly message: string;
	/** "" for a line without one. */
	readonly event: string;
	readonly [field: string]: unknown;
}

/** A log of which every line, of any level, goes to `tell`. */
export function logTo(tell: (line: LogLine) => void): Log {
	const at =
		(level: keyof Log): Log["info"] =>
		(fields, message) =>
			tell({ event: "", ...fields, level, message });
	return {
		debug: at("debug"),
		info: at("info"),
		warn: at("warn"),
		error: at("error"),
	};
}

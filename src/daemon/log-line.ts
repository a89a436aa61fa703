/** A line of the log as text for a person: what happened and what to do come first. */
import type { LogFormat } from "../config/shape.ts";

/** Where lines go to, which decides how they look. */
export type LogReader = "terminal" | "journal" | "other";

/** The format, unless the configuration names one. */
export function usualFormat(reader: LogReader): LogFormat {
	return reader === "other" ? "json" : "text";
}

/** From pino's JSON line, with its line end. */
export function textLine(line: string, reader: LogReader): string {
	const { level, time, msg, hint, pid, event, ...rest } = JSON.parse(line);
	const words = [msg, hint].filter(Boolean).join("; ");
	const all = { event, ...rest, ...(reader === "other" ? { pid } : {}) };
	const fields = Object.entries(all)
		.filter(([, value]) => value !== undefined)
		.map(([name, value]) => `${name}=${valueInWords(value)}`)
		.join(" ");
	const name = String(level).toUpperCase().padEnd(5);
	// One event is one line, in the journal as well.
	return `${headOf(reader, time, name)}${words.replace(/\s*\n\s*/g, " ")}  ${fields}\n`;
}

/** The journal has its own time, and shows the level as a priority. */
function headOf(reader: LogReader, time: string, level: string): string {
	switch (reader) {
		case "journal":
			return "";
		case "terminal":
			return `${new Date(time).toTimeString().slice(0, 8)} ${level} `;
		case "other":
			return `${time} ${level} `;
		default:
			return reader satisfies never;
	}
}

function valueInWords(value: unknown): string {
	return typeof value === "string" && /^[^\s"=]+$/.test(value)
		? value
		: JSON.stringify(value);
}

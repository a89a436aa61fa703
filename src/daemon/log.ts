/** The log: JSON lines or text on stderr, made by pino; see log-output.ts for how they get there. */
import { type DestinationStream, pino } from "pino";
import type { LogFormat } from "../config/shape.ts";
import type { LogLevel } from "../core/log-level.ts";
import type { Log } from "../core/ports.ts";
import { writesToJournal } from "./journal.ts";
import { type LogReader, textLine, usualFormat } from "./log-line.ts";
import { openStderr } from "./log-output.ts";

type LogCall = Log["info"];

/** A log whose level a reload can change. */
export interface AdjustableLog extends Log {
	readonly fatal: LogCall;
	/** What is less severe is left out from now on. */
	setLevel(level: LogLevel): void;
	/** From now on; undefined: the usual one for who reads it. */
	setFormat(format: LogFormat | undefined): void;
	/** As `LogOutput.end`. */
	end(): Promise<boolean>;
}

interface LogOptions {
	readonly level: LogLevel;
	/** Lines for the journal begin with `<2>` to `<7>`, which it takes as their priority. */
	readonly reader: LogReader;
}

function createLog(options: LogOptions): AdjustableLog {
	const { reader } = options;
	let format = usualFormat(reader);
	const textOf = (line: string) => {
		const text = format === "text" ? textLine(line, reader) : line;
		const priority = reader === "journal" ? priorityOf(line) : "";
		return withoutSecrets(priority + text);
	};
	const output = openStderr((count) => {
		let text = "";
		write = (line) => {
			text = textOf(line);
		};
		logger.warn(
			{ event: "log.dropped", count },
			`${count} ${count === 1 ? "line was" : "lines were"} dropped, because the reader of this log stood still`,
		);
		write = toOutput;
		return text;
	});
	const toOutput = (line: string) => output.write(textOf(line));
	let write = toOutput;
	const stream: DestinationStream = { write: (line) => write(line) };
	// Before other listeners take stderr away.
	process.prependListener("exit", output.flush);
	const logger = pino(
		{
			level: options.level,
			base: { pid: process.pid },
			formatters: { level: (label) => ({ level: label }) },
			timestamp: () => `,"time":"${new Date().toISOString()}"`,
		},
		stream,
	);
	// Looked up at each call: pino replaces these methods when the level changes.
	return {
		fatal: (fields, message) => logger.fatal(fields, message),
		error: (fields, message) => logger.error(fields, message),
		warn: (fields, message) => logger.warn(fields, message),
		info: (fields, message) => logger.info(fields, message),
		debug: (fields, message) => logger.debug(fields, message),
		setLevel: (level) => {
			logger.level = level;
		},
		setFormat: (wanted) => {
			format = wanted ?? usualFormat(reader);
		},
		end: output.end,
	};
}

/**
 * The text without what looks like a credential in a URL or in JSON. No line should
 * hold one: this is the last defence, against mistakes of ours and of libraries.
 */
export function withoutSecrets(text: string): string {
	return text.replace(
		/\b(access_token|secret|appsecret|corpsecret)(=|\\?":\s*\\?")(?:[^&\s"\\]|\\.)+/gi,
		"$1$2***",
	);
}

/** The numbers are those of syslog(3). */
function priorityOf(line: string): string {
	switch (/"level":"(\w+)"/.exec(line)?.[1]) {
		case "fatal":
			return "<2>";
		case "error":
			return "<3>";
		case "warn":
			return "<4>";
		case "info":
			return "<6>";
		default:
			return "<7>";
	}
}

/** The log of a command. Without a format: text under systemd or on a terminal, else JSON. */
export function openLog(
	level: LogLevel,
	env: Readonly<Record<string, string | undefined>>,
	format?: LogFormat,
): AdjustableLog {
	const reader = writesToJournal(env)
		? "journal"
		: process.stderr.isTTY === true
			? "terminal"
			: "other";
	const log = createLog({ level, reader });
	log.setFormat(format);
	return log;
}

/**
 * The log: JSON lines on stderr, made by pino. They are written synchronously, so
 * that the lines before a crash are not lost.
 */
import { type DestinationStream, destination, pino } from "pino";
import type { LogLevel } from "../core/log-level.ts";
import type { Log } from "../core/ports.ts";
import { writesToJournal } from "./journal.ts";

type LogCall = Log["info"];

/** A log whose level a reload can change. */
export interface AdjustableLog extends Log {
	readonly fatal: LogCall;
	/** What is less severe is left out from now on. */
	setLevel(level: LogLevel): void;
}

interface LogOptions {
	readonly level: LogLevel;
	/** Plain lines for a person instead of JSON. */
	readonly forTerminal: boolean;
	/** `<2>` to `<7>` before each line, which systemd's journal takes as its priority. */
	readonly forJournal: boolean;
}

function createLog(options: LogOptions): AdjustableLog {
	const stderr = destination({ dest: 2, sync: true });
	// stderr may be a pipe whose reader has ended. Tokens are renewed without a log.
	stderr.on("error", () => {});
	const output: DestinationStream = {
		write: (line) => {
			const text = options.forTerminal ? plainLine(line) : line;
			const priority = options.forJournal ? priorityOf(line) : "";
			stderr.write(withoutSecrets(priority + text));
		},
	};
	const logger = pino(
		{
			level: options.level,
			base: { pid: process.pid },
			formatters: { level: (label) => ({ level: label }) },
			timestamp: () => `,"time":"${new Date().toISOString()}"`,
		},
		output,
	);
	return {
		fatal: logger.fatal.bind(logger),
		error: logger.error.bind(logger),
		warn: logger.warn.bind(logger),
		info: logger.info.bind(logger),
		debug: logger.debug.bind(logger),
		setLevel: (level) => {
			logger.level = level;
		},
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

/** From pino's JSON line; for a terminal. */
function plainLine(line: string): string {
	const { level, time, msg, pid: _, event, ...rest } = JSON.parse(line);
	const fields = Object.entries(rest)
		.map(([name, value]) =>
			typeof value === "string"
				? `${name}=${/\s/.test(value) ? JSON.stringify(value) : value}`
				: `${name}=${JSON.stringify(value)}`,
		)
		.join(" ");
	const clock = new Date(time).toTimeString().slice(0, 8);
	return `${clock} ${String(level).toUpperCase().padEnd(5)} ${event}: ${msg}  ${fields}\n`;
}

/** The log of a command: plain on a terminal, with priorities under systemd, else JSON. */
export function openLog(
	level: LogLevel,
	env: Readonly<Record<string, string | undefined>>,
): AdjustableLog {
	return createLog({
		level,
		forTerminal: process.stderr.isTTY === true,
		forJournal: writesToJournal(env),
	});
}

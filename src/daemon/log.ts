/** Logs: pino, JSON lines to stderr, written synchronously so that the last words are not lost. */

import { type DestinationStream, destination, pino } from "pino";
import type { LogLevel } from "../core/log-level.ts";
import { writesToJournal } from "./journal.ts";

type LogCall = (
	fields: Readonly<Record<string, unknown>>,
	message: string,
) => void;

/** What the program needs of a logger. `event` in the fields is a `noun.past`. */
export interface Log {
	readonly debug: LogCall;
	readonly info: LogCall;
	readonly warn: LogCall;
	readonly error: LogCall;
}

export interface AdjustableLog extends Log {
	readonly fatal: LogCall;
	setLevel(level: LogLevel): void;
}

export interface LogOptions {
	readonly level: LogLevel;
	/** A person reads along: plain lines instead of JSON. */
	readonly forTerminal: boolean;
	/** Under systemd: `<3>` to `<7>` before each line, which journald takes as priority. */
	readonly forJournal: boolean;
}

function createLog(options: LogOptions): AdjustableLog {
	const stderr = destination({ dest: 2, sync: true });
	// Who listened is gone (a closed pipe): no reason to leave the tokens alone.
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

/** The last line of defence: whatever looks like a credential in a URL or JSON. */
export function withoutSecrets(text: string): string {
	return text.replace(
		/\b(access_token|secret|appsecret|corpsecret)(=|\\?":\s*\\?")(?:[^&\s"\\]|\\.)+/gi,
		"$1$2***",
	);
}

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

/** `wxtokend status`: the state of every account, from the daemon or from the files. */
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "../../core/clock.ts";
import { ConfigError, exitCode } from "../../core/errors.ts";
import type { FleetStatus } from "../../core/ports.ts";
import { reportOf, type StatusReport } from "../../core/status.ts";
import type { CommandLine } from "../command-line.ts";
import {
	type ControlLocation,
	ControlUnreachable,
	callControl,
	findControl,
} from "../control-client.ts";
import { tellPerson } from "../explain.ts";
import { fleetLines } from "../fleet-table.ts";
import { reportFromFiles } from "../status-files.ts";
import { tableOf, wrapped } from "../status-table.ts";

/** A daemon answers in milliseconds. After this time it is taken for one that hangs. */
const timeoutMs = 5_000;

/** How often `--watch` looks. */
const everyMs = 1_000;

/** Prints the report on stdout; returns the exit code. Throws `ConfigError`. */
export async function status(line: CommandLine): Promise<number> {
	const location = findControl(line.value("config"), process.env);
	if (line.has("fleet")) return fleetStatus(location, line.has("json"));
	const print = line.has("json") ? printJson : printTable;
	if (line.has("watch")) return watch(location, print);
	const hasDays = isScreen() && print === printTable;
	const seen = await look(location, hasDays);
	tell(seen.note);
	print(seen.report);
	return codeFor(seen.report);
}

/** Only the daemon is in the fleet. */
async function fleetStatus(
	{ socket }: ControlLocation,
	asJson: boolean,
): Promise<number> {
	const call = { method: "GET", path: "/v1/fleet" } as const;
	try {
		const { status, content } =
			socket === undefined
				? { status: 0, content: {} }
				: await callControl(socket, { ...call, timeoutMs });
		if (status === 200) {
			const fleet = content as FleetStatus & { readonly now: number };
			const text = asJson
				? JSON.stringify(fleet)
				: fleetLines(fleet, fleet.now).join("\n");
			process.stdout.write(`${text}\n`);
			return fleet.connected ? exitCode.done : exitCode.temporary;
		}
		const { message = "the control socket is turned off", hint } =
			Object(content);
		tell(hint === undefined ? message : `${message}; ${hint}`);
	} catch (error) {
		if (!(error instanceof ControlUnreachable)) throw error;
		tell(`${error.message}; ${error.hint}`);
	}
	return exitCode.noToken;
}

/** A report, and where it comes from. */
interface Seen {
	readonly report: StatusReport;
	/** Why it does not come from the daemon, or how the configuration is wrong. */
	readonly note?: string;
}

/** On stderr, so that stdout holds the report and nothing else. */
function tell(note: string | undefined): void {
	if (note !== undefined) tellPerson(note);
}

/**
 * From the daemon, or if none answers from the files. Without a configuration the files
 * cannot be found: then it throws the `ConfigError`.
 */
async function look(location: ControlLocation, hasDays = false): Promise<Seen> {
	const { socket, config, hidden, wrong, isGuessed = false } = location;
	// Why the report does not come from the daemon: this, unless the daemon was asked.
	let note = "the control socket is turned off";
	try {
		if (socket !== undefined) {
			const path = hasDays ? "/v1/credentials?days" : "/v1/credentials";
			const call = { method: "GET", path } as const;
			const reply = await callControl(socket, { ...call, timeoutMs });
			if (reply.status === 200) {
				const { credentials, clock, days } = reply.content as StatusReport;
				return {
					report: {
						...reportOf("daemon", credentials, clock),
						...(days === undefined ? {} : { days }),
					},
					...(wrong === undefined
						? {}
						: { note: `${wrong.message}; this is from the daemon` }),
				};
			}
			note = `the daemon at ${socket} answers with ${reply.status}`;
		}
	} catch (error) {
		if (!(error instanceof ControlUnreachable)) throw error;
		// A daemon with another `directory` may run well: its start is no remedy.
		const hint = isGuessed
			? "it is only the usual place: correct the configuration, which names the directory; a daemon that runs goes on with the one from before"
			: error.hint;
		note = `${error.message}; ${hint}`;
	}
	if (config !== undefined)
		return {
			report: reportFromFiles(config),
			note: `${note}; this is from the files`,
		};
	tell(note);
	throw (
		wrong ??
		new ConfigError("", [
			{
				path: hidden?.path ?? "",
				message: `${hidden?.message}; no daemon answers, so it is needed to know the accounts: name one that this user may read with --config ("wxtokend get APPID" needs none)`,
			},
		])
	);
}

/** Prints a report each second until SIGINT or SIGTERM; a note only when it changes. */
async function watch(
	location: ControlLocation,
	print: (report: StatusReport) => void,
): Promise<number> {
	const stop = new AbortController();
	for (const signal of ["SIGINT", "SIGTERM"] as const)
		process.once(signal, () => stop.abort());
	// A pipe or a dumb terminal gets line after line.
	const redraws = isScreen() && print === printTable;
	let lastNote: string | undefined;
	while (!stop.signal.aborted) {
		const { report, note } = await look(location, redraws);
		if (redraws) redraw(report, note);
		else print(report);
		if (!redraws && note !== lastNote) tell(note);
		lastNote = note;
		await sleep(everyMs, undefined, { signal: stop.signal }).catch(() => {});
	}
	return exitCode.done;
}

function printJson(report: StatusReport): void {
	process.stdout.write(`${JSON.stringify(report)}\n`);
}

function printTable(report: StatusReport): void {
	process.stdout.write(`${linesOf(report).join("\n")}\n`);
}

/** The table for this terminal, or for a pipe: then of any width and without colours. */
function linesOf(report: StatusReport): readonly string[] {
	const bars = isScreen();
	const colors = bars && !process.env.NO_COLOR;
	const { isTTY, columns } = process.stdout;
	const width = isTTY ? columns || 80 : Number.POSITIVE_INFINITY;
	return tableOf(report, { bars, colors, width, now: systemClock.now() });
}

/** Whether stdout is a terminal that can move its cursor. */
function isScreen(): boolean {
	return process.stdout.isTTY === true && process.env.TERM !== "dumb";
}

/** Writes over the former report instead of clearing it, which would flicker; as much as fits. */
function redraw(report: StatusReport, note: string | undefined): void {
	const rows = process.stdout.rows || 24; // Some terminals say 0.
	const remark =
		note === undefined ? [] : wrapped(note, process.stdout.columns || 80);
	const lines = [...remark, ...linesOf(report)];
	const shown =
		lines.length < rows
			? lines
			: [
					...lines.slice(0, rows - 2),
					`... ${lines.length - rows + 2} more lines`,
				];
	const toEnd = "\u001b[K\n";
	process.stdout.write(`\u001b[H${shown.join(toEnd)}${toEnd}\u001b[J`);
}

/** For scripts and monitors: whether apps have valid tokens, and whether they will. */
function codeFor({ credentials }: StatusReport): number {
	if (credentials.some(({ valid }) => !valid)) return exitCode.noToken;
	return credentials.some(({ state, waitsFor }) =>
		Boolean(state === "failing" || waitsFor),
	)
		? exitCode.temporary
		: exitCode.done;
}

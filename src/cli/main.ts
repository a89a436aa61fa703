/** Finds the command, runs it, and turns what it throws into words and an exit code. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import manifest from "../../package.json" with { type: "json" };
import { errnoOf, exitCode, UsageError } from "../core/errors.ts";
import type { SignalInbox } from "../daemon/signals.ts";
import { type CommandLine, parseCommandLine } from "./command-line.ts";
import { refuseDebugOutput } from "./debug-output.ts";
import { explain } from "./explain.ts";
import { type CommandName, commands, helpFor, overview } from "./usage.ts";

const { version } = manifest;

/**
 * Runs the command line `argv`, and sets the exit code. `signals`: caught before this
 * file was loaded; only `run` has them. Never throws.
 */
export async function main(
	argv: readonly string[],
	signals: SignalInbox | undefined,
): Promise<void> {
	const [name = ""] = argv;
	// The first use of `process.stdout` takes longer than all that `get` does.
	if (name !== "get") handleOutputErrors(name);
	// A bug outside of a command, for example in a timer, must also be explained.
	process.on("uncaughtException", (error) => process.exit(explain(error)));
	process.on("unhandledRejection", (error) => process.exit(explain(error)));
	process.on("exit", leaveTerminals);
	let code: number;
	try {
		code = await dispatch(argv, signals);
	} catch (error) {
		code = explain(error);
	}
	// A failed write to stdout may have set an exit code already.
	process.exitCode ||= code;
}

/**
 * Handles failed writes to stdout: a closed pipe (`wxtokend status | head -1`) is no
 * failure, and a full disk is one that is explained. A command that fetches tokens
 * must go on to its end in both cases, or a fetched token would be lost.
 */
function handleOutputErrors(name: string): void {
	const goesOn = ["run", "once", "check"].includes(name);
	process.stdout.on("error", (error) => {
		const isClosed = errnoOf(error) === "EPIPE";
		const code = isClosed ? exitCode.done : process.exitCode || explain(error);
		if (!goesOn) process.exit(code);
		process.exitCode ||= code;
	});
	// There is no other place to report that stderr cannot be written.
	process.stderr.on("error", () => {});
}

/**
 * At its end Node.js gives each terminal back the mode that it had, which we never
 * change. It aborts if the terminal is gone, with a core that holds secrets. So it shall
 * find none: `/dev/null` takes the place of 0, 1 and 2. Never throws.
 */
function leaveTerminals(): void {
	for (const file of [0, 1, 2])
		try {
			if (!fstatSync(file).isCharacterDevice()) continue;
			closeSync(file);
			// It gets the lowest free number, which is that one.
			openSync("/dev/null", "r+");
		} catch {}
}

/** Returns the exit code; `signals` as for `main`. Throws what the command throws. */
export async function dispatch(
	[name, ...rest]: readonly string[],
	signals?: SignalInbox,
): Promise<number> {
	if (name === "--version" || name === "version") {
		process.stdout.write(`${version}\n`);
		return exitCode.done;
	}
	if (name === "--help" || name === "help" || name === "-h") {
		const [about] = rest;
		process.stdout.write(
			about === undefined ? overview(version) : helpFor(usageOf(about)),
		);
		return exitCode.done;
	}
	if (name === undefined) {
		// stdout stays empty: a script that lacks an argument must not read help from it.
		process.stderr.write(overview(version));
		return exitCode.usage;
	}
	const usage = usageOf(name);
	const line = parseCommandLine(usage, rest);
	if (line.help) {
		process.stdout.write(helpFor(usage));
		return exitCode.done;
	}
	return perform(usage.name, line, signals);
}

/** Throws `UsageError` for an unknown command. */
function usageOf(name: string): (typeof commands)[CommandName] {
	if (isCommand(name)) return commands[name];
	throw new UsageError(
		`there is no command ${JSON.stringify(name)}`,
		`commands: ${Object.keys(commands).join(", ")}`,
	);
}

/** Loads only the command that runs: `get` must start fast, and needs no HTTP client. */
async function perform(
	name: CommandName,
	line: CommandLine,
	signals: SignalInbox | undefined,
): Promise<number> {
	if (name !== "get" && name !== "status") refuseDebugOutput(process.env);
	switch (name) {
		case "run":
			if (signals === undefined) throw new Error("signals are not caught");
			// A timer or connection that is still open must not keep a stopped daemon alive.
			return process.exit(await (await loadRun()).run(line, signals));
		case "once":
			return (await import("./commands/once.ts")).once(line);
		case "get":
			return (await import("./commands/get.ts")).get(line);
		case "status":
			return (await import("./commands/status.ts")).status(line);
		case "refresh":
			return (await import("./commands/refresh.ts")).refresh(line);
		case "check":
			return (await import("./commands/check.ts")).check(line);
		case "import":
			return (await import("./commands/import.ts")).importLines(line);
		case "simulate":
			return (await import("./commands/simulate.ts")).simulate(line);
		default:
			return name satisfies never;
	}
}

/** In parts: a turn of the event loop between two of them, so that none waits for all. */
async function loadRun() {
	await import("../issuer/http.ts");
	await nextTurn();
	const loaded = await import("./commands/run.ts");
	await nextTurn();
	return loaded;
}

/** `constructor` and the like are no commands, although every object has them. */
function isCommand(name: string): name is CommandName {
	return Object.hasOwn(commands, name);
}

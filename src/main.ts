/** Finds the command, and turns whatever it throws into words and an exit code. */
import manifest from "../package.json" with { type: "json" };
import { type CommandLine, parseCommandLine } from "./command-line.ts";
import { exitCode, UsageError } from "./errors.ts";
import { explain } from "./explain.ts";
import type { SignalInbox } from "./signals.ts";
import { type CommandName, commands, helpFor, overview } from "./usage.ts";

const { version } = manifest;

export async function main(
	argv: readonly string[],
	signals: SignalInbox | undefined,
): Promise<void> {
	// Making `process.stdout` takes longer than all that `get` does.
	if (argv[0] !== "get") outliveClosedPipe();
	process.on("uncaughtException", (error) => process.exit(explain(error)));
	process.on("unhandledRejection", (error) => process.exit(explain(error)));
	try {
		process.exitCode = await dispatch(argv, signals);
	} catch (error) {
		process.exitCode = explain(error);
	}
}

/** A closed pipe (`wxtokend status | head -1`) is no bug. */
function outliveClosedPipe(): void {
	process.stdout.on("error", (error) => {
		if ("code" in error && error.code === "EPIPE") process.exit(exitCode.done);
		throw error;
	});
}

async function dispatch(
	[name, ...rest]: readonly string[],
	signals: SignalInbox | undefined,
): Promise<number> {
	if (name === "--version" || name === "version") {
		process.stdout.write(`${version}\n`);
		return exitCode.done;
	}
	if (name === "--help" || name === "help" || name === "-h") {
		const [about = ""] = rest;
		process.stdout.write(
			isCommand(about) ? helpFor(commands[about]) : overview(version),
		);
		return exitCode.done;
	}
	if (name === undefined) {
		process.stderr.write(overview(version));
		return exitCode.usage;
	}
	if (!isCommand(name))
		throw new UsageError(
			`there is no command ${JSON.stringify(name)}`,
			`commands: ${Object.keys(commands).join(", ")}`,
		);
	const line = parseCommandLine(commands[name], rest);
	if (line.help) {
		process.stdout.write(helpFor(commands[name]));
		return exitCode.done;
	}
	return perform(name, line, signals);
}

/** Each command is loaded when it is asked for: `get` needs no HTTP client. */
async function perform(
	name: CommandName,
	line: CommandLine,
	signals: SignalInbox | undefined,
): Promise<number> {
	switch (name) {
		case "run":
			if (signals === undefined) throw new Error("signals are not caught");
			// Whatever still runs must not keep a stopped daemon alive.
			return process.exit(
				await (await import("./commands/run.ts")).run(line, signals),
			);
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
		case "simulate":
			return (await import("./commands/simulate.ts")).simulate(line);
		default:
			return name satisfies never;
	}
}

function isCommand(name: string): name is CommandName {
	return Object.hasOwn(commands, name);
}

/**
 * The built program as its users start it. Every process that a test starts here is
 * killed when the test ends, and its output is searched for secrets and tokens.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { leaksIn } from "./leaks.ts";
import { atEnd } from "./lifetime.ts";

export const projectRoot = fileURLToPath(new URL("../..", import.meta.url));

/** `dist/wxtokend.cjs`; it is built first if a source is newer. */
export const programPath = join(projectRoot, "dist/wxtokend.cjs");

buildIfStale();

export interface SpawnOptions {
	/** All of the environment but PATH, HOME and TZ. */
	readonly env?: Readonly<Record<string, string>>;
	readonly cwd?: string;
	/** Before the program, such as `["strace", "-f"]` or a node of another version. */
	readonly launcher?: readonly string[];
	readonly uid?: number;
	readonly gid?: number;
}

/** A JSON line of the log. */
export interface LogEvent {
	readonly event: string;
	readonly level: string;
	readonly msg: string;
	readonly appid?: string;
	readonly [field: string]: unknown;
}

export interface Exit {
	readonly code: number | null;
	readonly signal: NodeJS.Signals | null;
}

export interface Finished extends Exit {
	readonly stdout: string;
	readonly stderr: string;
}

export interface Running {
	readonly pid: number;
	readonly child: ChildProcess;
	/** Its output so far. */
	stdout(): string;
	stderr(): string;
	/** The log so far; lines that are no JSON are left out. */
	events(): readonly LogEvent[];
	/**
	 * The first event of that name (past ones included) that fulfils `fits`.
	 * Rejects at the bound, and at once if the program ends without it.
	 */
	event(
		name: string,
		fits?: (event: LogEvent) => boolean,
		withinMs?: number,
	): Promise<LogEvent>;
	/** The first match in stdout and stderr together. */
	output(pattern: RegExp, withinMs?: number): Promise<RegExpExecArray>;
	kill(signal: NodeJS.Signals): void;
	readonly exited: Promise<Exit>;
	/** SIGTERM, and the end. */
	stop(): Promise<Finished>;
}

/** Starts `wxtokend ARGS…` and does not wait. */
export function startProgram(
	args: readonly string[],
	options: SpawnOptions = {},
): Running {
	const [file = "", ...rest] = [
		...(options.launcher ?? []),
		process.execPath,
		programPath,
		...args,
	];
	const child = spawn(file, rest, {
		env: programEnvironment(options.env),
		stdio: ["ignore", "pipe", "pipe"],
		...(options.cwd === undefined ? {} : { cwd: options.cwd }),
		...(options.uid === undefined ? {} : { uid: options.uid }),
		...(options.gid === undefined ? {} : { gid: options.gid }),
	});
	const running = watch(child, args.join(" "));
	atEnd(async () => {
		child.kill("SIGKILL");
		await running.exited;
		refuseLeaks(args, running);
	});
	return running;
}

/** Runs `wxtokend ARGS…` to its end. */
export async function runProgram(
	args: readonly string[],
	options: SpawnOptions = {},
): Promise<Finished> {
	return finished(startProgram(args, options));
}

/** `run` until it has looked at every account. */
export async function startDaemon(
	configFile: string,
	options: SpawnOptions = {},
): Promise<Running> {
	const daemon = startProgram(["run", "--config", configFile], options);
	await daemon.event("daemon.ready");
	return daemon;
}

function watch(child: ChildProcess, what: string): Running {
	let stdout = "";
	let stderr = "";
	let ended: Exit | undefined;
	/** Called with each output, and with the end. */
	const waiting = new Set<() => void>();
	const wakeAll = () => {
		for (const wake of [...waiting]) wake();
	};
	child.stdout?.setEncoding("utf8").on("data", (text) => {
		stdout += text;
		wakeAll();
	});
	child.stderr?.setEncoding("utf8").on("data", (text) => {
		stderr += text;
		wakeAll();
	});
	const exited = new Promise<Exit>((resolve, reject) => {
		child.on("error", reject);
		// "close" comes after the last output, "exit" perhaps before it.
		child.on("close", (code, signal) => {
			ended = { code, signal };
			resolve(ended);
			wakeAll();
		});
	});
	const events = eventsIn(() => stderr);
	const orEnd = <T>(
		look: () => T | undefined,
		sought: string,
		withinMs: number,
	): Promise<T> =>
		new Promise((resolve, reject) => {
			const end = () => {
				waiting.delete(wake);
				clearTimeout(timer);
			};
			const fail = (why: string) => {
				end();
				reject(
					new Error(
						`${why}\nstderr of wxtokend ${what}:\n${stderr.slice(-4000)}`,
					),
				);
			};
			const wake = () => {
				try {
					const found = look();
					if (found !== undefined) {
						end();
						resolve(found);
					} else if (ended !== undefined)
						fail(
							`wxtokend ${what} ended (${JSON.stringify(ended)}) without ${sought}`,
						);
				} catch (error) {
					end();
					reject(error);
				}
			};
			const timer = setTimeout(
				() => fail(`waited ${withinMs} ms for ${sought}, which did not come`),
				withinMs,
			);
			waiting.add(wake);
			wake();
		});
	const running: Running = {
		pid: child.pid ?? 0,
		child,
		stdout: () => stdout,
		stderr: () => stderr,
		events,
		event: (name, fits = () => true, withinMs = 120_000) =>
			orEnd(
				() => events().find((one) => one.event === name && fits(one)),
				`the event ${name}`,
				withinMs,
			),
		output: (pattern, withinMs = 120_000) =>
			orEnd(
				() => pattern.exec(stdout) ?? pattern.exec(stderr) ?? undefined,
				`output like ${pattern}`,
				withinMs,
			),
		kill: (signal) => {
			child.kill(signal);
		},
		exited,
		stop: () => {
			child.kill("SIGTERM");
			return finished(running);
		},
	};
	return running;
}

async function finished(running: Running): Promise<Finished> {
	const exit = await running.exited;
	return { ...exit, stdout: running.stdout(), stderr: running.stderr() };
}

/** The events of a log that grows; each line is parsed once. */
function eventsIn(log: () => string): () => readonly LogEvent[] {
	let known: readonly LogEvent[] = [];
	let parsedTo = 0;
	return () => {
		const text = log();
		const end = text.lastIndexOf("\n") + 1;
		if (end > parsedTo) {
			const lines = text.slice(parsedTo, end).split("\n");
			parsedTo = end;
			known = [
				...known,
				...lines
					.filter((line) => line.startsWith("{") && line.endsWith("}"))
					.map((line): LogEvent => JSON.parse(line)),
			];
		}
		return known;
	};
}

/** Fails the test if the output of a process holds a secret or a token. */
function refuseLeaks([command]: readonly string[], running: Running): void {
	// `get` prints the token, and `simulate` the account that it made up.
	const printsTokens = command === "get";
	const printsSecrets = command === "simulate";
	expect(leaksIn(running.stderr(), true), "leaks on stderr").toEqual([]);
	if (!printsSecrets)
		expect(leaksIn(running.stdout(), !printsTokens), "leaks on stdout").toEqual(
			[],
		);
}

/** Without the rest of the tester's environment, which must not change the result of a test. */
export function programEnvironment(
	given: Readonly<Record<string, string>> | undefined,
): NodeJS.ProcessEnv {
	const { PATH, HOME, TZ } = process.env;
	return { PATH, HOME, ...(TZ === undefined ? {} : { TZ }), ...given };
}

function buildIfStale(): void {
	const builtAt = modifiedAt(programPath);
	const sources = readdirSync(join(projectRoot, "src"), {
		recursive: true,
		encoding: "utf8",
	}).map((name) => join(projectRoot, "src", name));
	const others = ["build.mjs", "package.json"].map((name) =>
		join(projectRoot, name),
	);
	if ([...sources, ...others].every((path) => modifiedAt(path) <= builtAt))
		return;
	execFileSync(process.execPath, [join(projectRoot, "build.mjs")], {
		stdio: "inherit",
	});
}

function modifiedAt(path: string): number {
	return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

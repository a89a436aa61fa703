/**
 * Faults from the kernel's side: strace attaches to a running program, and from
 * then on kills it at a system call, or lets a call fail, until it is detached.
 */
import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { onTestFinished } from "vitest";

/** Why strace cannot be used here; undefined: it can. */
export const noStrace: string | undefined =
	spawnSync("strace", ["-f", "-e", "trace=none", "true"]).status === 0
		? undefined
		: "needs strace, and the right to trace";

export interface Attached {
	/** What was traced so far. */
	output(): string;
	/** The fault ends; the program goes on. Resolves to what was traced. */
	detach(): Promise<string>;
	/** The program is gone. */
	readonly ended: Promise<string>;
}

export interface AttachOptions {
	/** As for strace's -e: `inject=fsync:error=EIO`, `trace=%file`… */
	readonly expressions: readonly string[];
	/** A thread of the program; undefined: all of them. */
	readonly thread?: number | undefined;
	/** Only calls on this file are seen, counted and injected into. */
	readonly path?: string;
}

/** Counters of calls start at zero here. */
export async function attach(
	pid: number,
	{ expressions, thread, path }: AttachOptions,
): Promise<Attached> {
	const whom = thread === undefined ? ["-f", "-p", pid] : ["-p", thread];
	const child = spawn(
		"strace",
		[
			...whom.map(String),
			...(path === undefined ? [] : ["-P", path]),
			...expressions.flatMap((one) => ["-e", one]),
		],
		{ stdio: ["ignore", "ignore", "pipe"] },
	);
	onTestFinished(() => {
		child.kill("SIGKILL");
	});
	let output = "";
	const ended = new Promise<string>((resolve) => {
		child.on("close", () => resolve(output));
	});
	await new Promise<void>((resolve, reject) => {
		child.stderr.setEncoding("utf8").on("data", (text) => {
			output += text;
			if (output.includes(" attached")) resolve();
		});
		child.on("close", () => reject(new Error(`strace ended: ${output}`)));
	});
	return {
		output: () => output,
		ended,
		detach: () => {
			child.kill("SIGINT");
			return ended;
		},
	};
}

/**
 * The threads of a program that runs with UV_THREADPOOL_SIZE=1 and has written a
 * file: the one of JavaScript, and the youngest, which makes its system calls.
 */
export function threadsOf(pid: number): {
	readonly main: number;
	readonly worker: number;
} {
	const ids = readdirSync(`/proc/${pid}/task`).map(Number);
	return { main: pid, worker: Math.max(...ids) };
}

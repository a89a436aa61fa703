/**
 * Faults in system calls: strace attaches to a running program, and from then on kills it
 * at a call, or makes a call fail, until it is detached.
 */
import { spawn, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { onTestFinished } from "vitest";

/** Why strace cannot be used here; undefined: it can. */
export const noStrace: string | undefined =
	spawnSync("strace", ["-f", "-e", "trace=none", "true"]).status === 0
		? undefined
		: "needs strace, and the right to trace";

/** For memory, time and waiting: each run makes others, so a kill at one may not be reached. */
export const inconstantCalls: ReadonlySet<string> = new Set(
	"brk,clock_gettime,epoll_pwait,epoll_wait,futex,madvise,mmap,mprotect,mremap,munmap,sched_yield".split(
		",",
	),
);

/** A strace that is attached. */
export interface Attached {
	/** What was traced so far. */
	output(): string;
	/** Ends the fault; the program goes on. Resolves with what was traced. */
	detach(): Promise<string>;
	/** The same at once, for a program that is ending: of that strace waits for an answer. */
	kill(): Promise<string>;
	/** Resolves with what was traced, once the program has ended. */
	readonly ended: Promise<string>;
}

export interface AttachOptions {
	/** As for strace's -e: `inject=fsync:error=EIO`, `trace=%file`… */
	readonly expressions: readonly string[];
	/** A thread of the program; undefined: all of them. */
	readonly thread?: number | undefined;
	/** How much of a text is shown; 32 bytes by default. */
	readonly stringBytes?: number;
	/** Only calls on this file are traced and counted, and may fail. */
	readonly path?: string;
}

/** Attaches strace to a process. The counters of calls (`when=`) start here. */
export async function attach(
	pid: number,
	{ expressions, thread, path, stringBytes = 32 }: AttachOptions,
): Promise<Attached> {
	const target = thread === undefined ? ["-f", "-p", pid] : ["-p", thread];
	const child = spawn(
		"strace",
		[
			...[...target, "-s", stringBytes].map(String),
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
		kill: () => {
			child.kill("SIGKILL");
			return ended;
		},
	};
}

/**
 * The threads of a program that runs with UV_THREADPOOL_SIZE=1 and has written a file:
 * the main thread, which runs JavaScript, and the youngest, which makes slow system calls for it.
 */
export function threadsOf(pid: number): {
	readonly main: number;
	readonly worker: number;
} {
	const ids = readdirSync(`/proc/${pid}/task`).map(Number);
	// Not by the numbers: they begin anew when the highest one was given.
	const startedAt = (id: number) => {
		const stat = readFileSync(`/proc/${pid}/task/${id}/stat`, "utf8");
		// The name may hold blanks; the 22nd field is the 20th behind it.
		return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
	};
	const [worker = pid] = ids.toSorted(
		(one, other) => startedAt(other) - startedAt(one) || other - one,
	);
	return { main: pid, worker };
}

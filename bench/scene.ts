/** Where a bench takes place: directories, processes, and what to clean up. */
import {
	type ChildProcess,
	type ChildProcessWithoutNullStreams,
	spawn,
} from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { json } from "node:stream/consumers";

/** The bench runs in the project's root. */
export const root = process.cwd();
export const program = join(root, "dist/wxtokend.cjs");

export interface Scale {
	/** Only to see that all of it runs: the figures mean nothing. */
	readonly quick: boolean;
	/** A new directory, on tmpfs unless `disk` is asked for; gone at the end. */
	directory(medium?: Medium): string;
	/** Started for the bench; killed at the end, whatever happens. */
	start(
		command: string,
		argv: readonly string[],
		options?: StartOptions,
	): Child;
	/** One of two numbers: for the real thing, and for a quick look. */
	of(full: number, quick: number): number;
	say(text: string): void;
}

export type Medium = "tmpfs" | "disk";
export const media: readonly Medium[] = ["tmpfs", "disk"];

export interface StartOptions {
	readonly env?: Readonly<Record<string, string>>;
}

export type Child = ChildProcessWithoutNullStreams;

/** Runs `play` and cleans up behind it. */
export async function onScene<T>(
	quick: boolean,
	play: (scale: Scale) => Promise<T>,
): Promise<T> {
	const directories: string[] = [];
	const children: ChildProcess[] = [];
	const cleanUp = () => {
		for (const child of children) child.kill("SIGKILL");
		for (const directory of directories)
			rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
	};
	const interrupted = () => {
		cleanUp();
		process.exit(130);
	};
	process.on("SIGINT", interrupted);
	process.on("SIGTERM", interrupted);
	try {
		return await play({
			quick,
			directory: (medium = "tmpfs") => {
				const parent = medium === "tmpfs" ? "/dev/shm" : diskDirectory();
				const around = mkdtempSync(join(parent, "wxtokend-bench-"));
				directories.push(around);
				// One level down, so that a configuration may lie beside it.
				const directory = join(around, "run");
				mkdirSync(directory, 0o750);
				return directory;
			},
			start: (command, argv, { env = {} } = {}) => {
				const child = spawn(command, argv, { env: environment(env) });
				// It may be gone before it has read what it was told.
				child.stdin.on("error", () => {});
				// A pipe that nobody reads would stop the child.
				child.stdout.resume();
				child.stderr.resume();
				children.push(child);
				return child;
			},
			of: (full, small) => (quick ? small : full),
			say: (text) => process.stderr.write(`${text}\n`),
		});
	} finally {
		process.off("SIGINT", interrupted);
		process.off("SIGTERM", interrupted);
		cleanUp();
	}
}

/** Not of the one who runs the bench: proxies and NODE_OPTIONS would be measured, too. */
export function environment(
	given: Readonly<Record<string, string>> = {},
): NodeJS.ProcessEnv {
	const { PATH, HOME } = process.env;
	return { PATH, HOME, ...given };
}

/** `TMPDIR` should be on a disk for this: where it is not, the figures are tmpfs twice. */
function diskDirectory(): string {
	return process.env.BENCH_DISK ?? tmpdir();
}

/** What the bare scripts ask the issuer for; as long as the daemon's. */
export const tokenPath =
	"/cgi-bin/token?grant_type=client_credential&appid=wx0000000000000000&secret=0123456789abcdef0123456789abcdef";

export interface IssuerProcess {
	readonly url: string;
	seen(): Promise<IssuerCounts>;
	forget(): Promise<void>;
	stop(): void;
}

export interface IssuerCounts {
	readonly count: number;
	/** Milliseconds of the system's monotonic clock. */
	readonly firstAt: number;
	readonly lastAt: number;
	/** Most requests at a time. */
	readonly most: number;
}

export async function startIssuer(
	scale: Scale,
	argv: readonly string[] = [],
): Promise<IssuerProcess> {
	const child = scale.start(process.execPath, [
		join(root, "bench/issuer.mjs"),
		...argv,
	]);
	const port = await firstLine(child);
	const url = `http://127.0.0.1:${port}`;
	const ask = (path: string) => askJson({ port: Number(port), path });
	return {
		url,
		seen: () => ask("/bench/seen") as Promise<IssuerCounts>,
		forget: async () => {
			await ask("/bench/forget");
		},
		stop: () => child.kill("SIGKILL"),
	};
}

export async function firstLine(child: Child): Promise<string> {
	const lines = createInterface({ input: child.stdout });
	const [line] = await once(lines, "line");
	return String(line);
}

/** One request, and its answer's JSON. */
export function askJson({
	body,
	...options
}: {
	readonly path: string;
	readonly port?: number;
	readonly socketPath?: string;
	readonly body?: string;
}): Promise<unknown> {
	return new Promise((resolve, reject) => {
		request({
			host: "127.0.0.1",
			method: body === undefined ? "GET" : "POST",
			agent: false,
			...options,
		})
			.on("response", (answer) => json(answer).then(resolve, reject))
			.on("error", reject)
			.end(body);
	});
}

/** Milliseconds of the system's monotonic clock, the same in all processes. */
export function monotonicMs(): number {
	return Number(process.hrtime.bigint()) / 1e6;
}

/** Looks until `look` finds something; gives up after a while. */
export async function until<T>(
	what: string,
	look: () => T | undefined | Promise<T | undefined>,
	{ withinMs = 120_000, everyMs = 10 } = {},
): Promise<T> {
	const giveUpAt = performance.now() + withinMs;
	for (;;) {
		const found = await look();
		if (found !== undefined) return found;
		if (performance.now() > giveUpAt)
			throw new Error(`waited ${withinMs} ms in vain for ${what}`);
		await pause(everyMs);
	}
}

export function pause(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves when the child has ended; rejects if it failed. */
export async function ended(child: Child, what: string): Promise<void> {
	const [code, signal] = (await once(child, "exit")) as [number, string];
	if (code !== 0) throw new Error(`${what} ended with ${code ?? signal}`);
}

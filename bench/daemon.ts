/** The built program, as its users start it, and what can be seen of it from outside. */
import { once } from "node:events";
import {
	type FSWatcher,
	readdirSync,
	readFileSync,
	watch,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Child, program, type Scale, until } from "./scene.ts";

export interface ConfigWishes {
	readonly directory: string;
	readonly url: string;
	readonly accounts?: number;
	/** TOML lines before the tables. */
	readonly top?: string;
}

/** As long as a real one. */
export function appidOf(index: number): string {
	return `wx${String(index).padStart(16, "0")}`;
}

export function tokenFile(directory: string, index = 0): string {
	return join(directory, `wx_access_token_${appidOf(index)}`);
}

/** Writes a configuration beside the directory, and returns its path. */
export function writeConfig({
	directory,
	url,
	accounts = 1,
	top = "",
}: ConfigWishes): string {
	const file = `${directory}.toml`;
	const tables = Array.from(
		{ length: accounts },
		(_, index) =>
			`[[account]]\nappid = "${appidOf(index)}"\nsecret = "0123456789abcdef0123456789abcdef"\n`,
	);
	// The budget and the cooldown would hold back a bench that asks all the time.
	const text = `directory = "${directory}"\n${top}\n[wechat]\nbase_urls = ["${url}"]\ncooldown = 0\nbudget = 10000\n\n${tables.join("\n")}`;
	writeFileSync(file, text, { mode: 0o600 });
	return file;
}

export interface Daemon {
	readonly child: Child;
	readonly pid: number;
	/** Resolves at the first line of the log with that event. */
	event(name: string): Promise<void>;
	/** SIGTERM, and the end. */
	stop(): Promise<void>;
}

export interface DaemonWishes {
	/** Another Node.js than this one. */
	readonly node?: string;
	readonly nodeArgv?: readonly string[];
	readonly env?: Readonly<Record<string, string>>;
}

export function startDaemon(
	scale: Scale,
	config: string,
	{ node = process.execPath, nodeArgv = [], env = {} }: DaemonWishes = {},
): Daemon {
	const child = scale.start(
		node,
		[...nodeArgv, program, "run", "--config", config],
		{ env },
	);
	const events = new Set<string>();
	const waiting = new Map<string, () => void>();
	let ended: string | undefined;
	let lastLine = "";
	createInterface({ input: child.stderr }).on("line", (line) => {
		lastLine = line;
		const name = /"event":"([^"]+)"/.exec(line)?.[1] ?? "";
		events.add(name);
		waiting.get(name)?.();
		waiting.delete(name);
	});
	child.on("exit", (code, signal) => {
		ended = `wxtokend ended with ${code ?? signal}: ${lastLine}`;
	});
	const event = async (name: string) => {
		await until(`the event ${name}`, () => {
			if (events.has(name)) return true;
			if (ended !== undefined) throw new Error(ended);
			return undefined;
		});
	};
	return {
		child,
		pid: child.pid ?? 0,
		event,
		stop: async () => {
			if (ended !== undefined) return;
			child.kill("SIGTERM");
			await once(child, "exit");
		},
	};
}

export interface Visible {
	/** Resolves with the instant at which a file of that name came to be there by rename. */
	next(name: string): Promise<number>;
	close(): void;
}

/** Watches what is renamed into a directory. */
export function watchDirectory(directory: string): Visible {
	const waiting = new Map<string, (at: number) => void>();
	const watcher: FSWatcher = watch(directory, (kind, name) => {
		const at = performance.now();
		if (kind !== "rename" || name === null) return;
		waiting.get(name)?.(at);
		waiting.delete(name);
	});
	return {
		next: (name) => new Promise((resolve) => waiting.set(name, resolve)),
		close: () => watcher.close(),
	};
}

/**
 * Resolves with the instant at which another file takes the place of this one. It
 * watches that file alone: whoever watches its directory is woken by all that
 * happens beside it, on a processor that the measured need.
 */
export function replaced(file: string): Promise<number> {
	return new Promise((resolve) => {
		const watcher = watch(file, () => {
			resolve(performance.now());
			watcher.close();
		});
	});
}

/** How many token files a directory holds. */
export function countTokens(directory: string): number {
	return readdirSync(directory).filter(isToken).length;
}

export function isToken(name: string): boolean {
	return name.startsWith("wx_access_token_") && !name.endsWith(".lock");
}

export interface Usage {
	/** Resident memory, bytes. */
	readonly residentBytes: number;
	/** CPU seconds since its start, of all its threads. */
	readonly cpuSeconds: number;
	/** How often one of its threads went to sleep, and so was woken up. */
	readonly sleeps: number;
}

/** From /proc; undefined where there is none. */
export function usageOf(pid: number): Usage {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	const tasks = readdirSync(`/proc/${pid}/task`);
	let cpuNanoseconds = 0;
	let sleeps = 0;
	for (const task of tasks) {
		const path = `/proc/${pid}/task/${task}`;
		// Ticks of utime and stime are 10 ms: too coarse for a daemon that sleeps.
		const [ran = "0"] = readFileSync(`${path}/schedstat`, "utf8").split(" ");
		cpuNanoseconds += Number(ran);
		sleeps += numberIn(
			readFileSync(`${path}/status`, "utf8"),
			"voluntary_ctxt_switches",
		);
	}
	return {
		residentBytes: numberIn(status, "VmRSS") * 1024,
		cpuSeconds: cpuNanoseconds / 1e9,
		sleeps,
	};
}

function numberIn(text: string, key: string): number {
	return Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(text)?.[1]);
}

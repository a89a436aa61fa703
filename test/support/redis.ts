/** Real Redis servers for tests, each in a process of its own that ends with the test. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { newDirectory } from "./directory.ts";
import { eventually } from "./eventually.ts";
import { freePort } from "./free-port.ts";

/** Another program that does the same, such as a valkey-server. */
const program = process.env.REDIS_SERVER ?? "redis-server";

/** Why tests with Redis are skipped; undefined: they are not. In CI they never are. */
export const noRedis = whyMissing();

function whyMissing(): string | undefined {
	try {
		execFileSync(program, ["--version"]);
		return undefined;
	} catch {
		if (process.env.CI)
			throw new Error(`${program} is missing, and CI must have it`);
		return `${program} is not installed: apt-get install ${program}`;
	}
}

if (noRedis !== undefined) console.warn(`skipped: ${noRedis}`);

export interface Redis {
	readonly port: number;
	readonly url: string;
	/** One command, as redis-cli takes it; the answer as text. */
	cli(...args: readonly string[]): Promise<string>;
	/** SIGKILL, and the end. */
	kill(): Promise<void>;
	/** Again on the same port, and empty. */
	restart(): Promise<void>;
	signal(signal: NodeJS.Signals): void;
}

/** Until it answers PING. `args`: further arguments of the program. */
export function startRedis(
	args: readonly string[] = [],
	env: NodeJS.ProcessEnv = {},
): Promise<Redis> {
	const basic = ["--save", "", "--appendonly", "no"];
	return startServer(
		[...basic, ...["--repl-diskless-sync-delay", "0", ...args]],
		[],
		env,
	);
}

/**
 * The nodes of a Redis Cluster without replicas: each has as many slots as the others.
 * Until every node knows of all of them.
 */
export async function startCluster(count: number): Promise<readonly Redis[]> {
	const nodes = await Promise.all(
		Array.from({ length: count }, async () => {
			const bus = await freePort();
			const node = await startRedis([
				...["--cluster-enabled", "yes", "--cluster-port", `${bus}`],
			]);
			return { ...node, bus };
		}),
	);
	const share = 16_384 / count;
	for (const [index, node] of nodes.entries()) {
		const slots = [index * share, (index + 1) * share - 1].map(String);
		await node.cli("CLUSTER", "ADDSLOTSRANGE", ...slots);
		for (const { port, bus } of nodes)
			await node.cli("CLUSTER", "MEET", "127.0.0.1", `${port}`, `${bus}`);
	}
	for (const node of nodes)
		await eventually(
			async () =>
				(await node.cli("CLUSTER", "INFO")).includes("cluster_state:ok"),
			{ what: "a cluster with all slots" },
		);
	return nodes;
}

/** One whose clock can be set. */
export async function startRedisWithClock(
	library: string,
): Promise<Redis & { setClock(offsetSeconds: number): void }> {
	const file = join(newDirectory(), "clock");
	const setClock = (seconds: number) => {
		// By a rename: it is read at each look at the clock.
		writeFileSync(`${file}.new`, `${seconds < 0 ? "" : "+"}${seconds}s\n`);
		renameSync(`${file}.new`, file);
	};
	setClock(0);
	const redis = await startRedis([], {
		// Its own allocator asks for the time before that can be told: it gets libc's.
		LD_PRELOAD: `${library}:libc.so.6`,
		FAKETIME_TIMESTAMP_FILE: file,
		FAKETIME_NO_CACHE: "1",
		DONT_FAKE_MONOTONIC: "1",
	});
	return { ...redis, setClock };
}

/** The library that gives a process another clock; undefined: it is not installed. */
export function faketimeLibrary(): string | undefined {
	for (const folder of readdirSync("/usr/lib")) {
		const path = join("/usr/lib", folder, "faketime/libfaketime.so.1");
		if (existsSync(path)) return path;
	}
	return undefined;
}

/** Until it answers PING; it writes into its configuration. */
export function startSentinel(configFile: string): Promise<Redis> {
	return startServer(["--sentinel"], [configFile]);
}

async function startServer(
	args: readonly string[],
	configFiles: readonly string[] = [],
	env: NodeJS.ProcessEnv = {},
): Promise<Redis> {
	const port = await freePort();
	const directory = newDirectory();
	let child: ChildProcess | undefined;
	const start = async () => {
		child = spawn(
			program,
			[
				...configFiles,
				...["--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory],
				...args,
			],
			{ stdio: "ignore", env: { ...process.env, ...env } },
		);
		await untilItAnswers(port);
	};
	const kill = async () => {
		const running = child;
		child = undefined;
		if (running === undefined || running.exitCode !== null) return;
		const exited = once(running, "exit");
		running.kill("SIGKILL");
		await exited;
	};
	await start();
	onTestFinished(kill);
	return {
		port,
		url: `redis://127.0.0.1:${port}/0`,
		cli: async (...command) =>
			execFileSync("redis-cli", ["-p", `${port}`, ...command], {
				encoding: "utf8",
			}).trim(),
		kill,
		restart: async () => {
			await kill();
			await start();
		},
		signal: (signal) => {
			child?.kill(signal);
		},
	};
}

/** Also -LOADING and -NOAUTH are answers. */
async function untilItAnswers(port: number): Promise<void> {
	for (let tries = 0; tries < 500; tries += 1) {
		if (await answers(port)) return;
		await sleep(10);
	}
	throw new Error(`no Redis at port ${port} after 5 s`);
}

function answers(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect(port, "127.0.0.1");
		const end = (isAnswered: boolean) => {
			socket.destroy();
			resolve(isAnswered);
		};
		socket.on("connect", () => socket.write("PING\r\n"));
		socket.on("data", () => end(true));
		socket.on("error", () => end(false));
		socket.setTimeout(1_000, () => end(false));
	});
}

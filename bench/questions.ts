/** What monitors and people cost: questions about ten thousand credentials, at rest and all failing. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import {
	appidOf,
	type Daemon,
	startDaemon,
	tokenFile,
	usageOf,
	writeConfig,
} from "./daemon.ts";
import { bounded, measure, type Row, single } from "./figures.ts";
import {
	environment,
	pause,
	program,
	root,
	type Scale,
	until,
} from "./scene.ts";

export async function benchQuestions(scale: Scale): Promise<readonly Row[]> {
	return [...(await benchAtRest(scale)), ...(await benchFailing(scale))];
}

async function benchAtRest(scale: Scale): Promise<readonly Row[]> {
	const asked = await startAsked(scale, "http://127.0.0.1:9", 7_000);
	const { daemon, named } = asked;
	await daemon.event("daemon.ready");
	// All come to rest, and what the start took is given back.
	await pause(scale.of(20_000, 1_000));
	const rows: Row[] = [];
	for (const path of ["/healthz", "/v1/accounts", "/metrics", "/"])
		rows.push(...(await rowsOf(asked, path, `${named} accounts`)));
	rows.push(await commandRow(scale, asked));
	rows.push({
		part: "questions",
		what: `memory with ${named} accounts after these questions`,
		ours: single(
			"wxtokend",
			"MiB",
			usageOf(daemon.pid).residentBytes / 1024 / 1024,
		),
		others: [],
	});
	await daemon.stop();
	return rows;
}

/** WeChat refuses all of them, and they wait for their next attempt. */
async function benchFailing(scale: Scale): Promise<readonly Row[]> {
	let refused = 0;
	const refusing = createServer((call, response) => {
		call.resume();
		refused += 1;
		response.end(
			'{"errcode":40164,"errmsg":"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 0-0-0"}',
		);
	});
	refusing.listen(0, "127.0.0.1");
	await once(refusing, "listening");
	const { port } = refusing.address() as AddressInfo;
	const asked = await startAsked(scale, `http://127.0.0.1:${port}`, 2_000);
	await until("all to fail", () => refused >= asked.count || undefined);
	await asked.daemon.event("daemon.ready");
	await pause(scale.of(20_000, 1_000));
	const rows: Row[] = [];
	for (const path of ["/", "/v1/accounts", "/metrics"])
		rows.push(
			...(await rowsOf(asked, path, `${asked.named} accounts that all fail`)),
		);
	await asked.daemon.stop();
	refusing.closeAllConnections();
	refusing.close();
	return rows;
}

/** A daemon that is asked questions. */
interface Asked {
	readonly scale: Scale;
	readonly daemon: Daemon;
	readonly directory: string;
	readonly config: string;
	readonly count: number;
	readonly named: string;
	/** Milliseconds, since the last call. */
	longestDelay(): Promise<number>;
}

/** Its tokens live on for so many seconds. */
async function startAsked(
	scale: Scale,
	url: string,
	leftSeconds: number,
): Promise<Asked> {
	const count = scale.of(10_000, 300);
	const directory = scale.directory();
	for (let index = 0; index < count; index += 1)
		publish(directory, index, leftSeconds);
	const config = writeConfig({ directory, url, accounts: count });
	const delayFile = `${directory}.delay`;
	const daemon = startDaemon(scale, config, {
		nodeArgv: ["--require", join(root, "bench/loop-delay.cjs")],
		env: { BENCH_LOOP_DELAY: delayFile },
	});
	return {
		...{ scale, daemon, directory, config, count },
		named: count.toLocaleString("en"),
		longestDelay: async () => {
			rmSync(delayFile, { force: true });
			daemon.child.kill("SIGUSR2");
			return until("the delay", () => {
				try {
					return Number(readFileSync(delayFile, "utf8"));
				} catch {
					return undefined;
				}
			});
		},
	};
}

/** Of a page that a person waits for, ms. */
const mostForPage = 200;
const mostHeld = 20;

async function rowsOf(
	{ scale, daemon, directory, longestDelay }: Asked,
	path: string,
	about: string,
): Promise<readonly Row[]> {
	const cpu: number[] = [];
	const delays: number[] = [];
	for (let round = 0; round < scale.of(5, 1); round += 1) {
		await longestDelay();
		const before = usageOf(daemon.pid);
		await ask(join(directory, "control.sock"), path);
		cpu.push((usageOf(daemon.pid).cpuSeconds - before.cpuSeconds) * 1_000);
		delays.push(await longestDelay());
		// A look at all serves the questions of a second.
		await pause(scale.of(1_500, 100));
	}
	const what = `GET ${path} with ${about}`;
	const taken = measure("wxtokend", "ms", cpu);
	const part = "questions";
	return [
		path === "/"
			? bounded(part, `${what}: CPU`, taken, mostForPage)
			: { part, what: `${what}: CPU`, ours: taken, others: [] },
		bounded(
			part,
			`${what}: event loop held`,
			measure("wxtokend", "ms", delays),
			mostHeld,
		),
	];
}

/** The command and the daemon that it asks. */
async function commandRow(
	scale: Scale,
	{ daemon, config, named }: Asked,
): Promise<Row> {
	const cpu: number[] = [];
	for (let round = 0; round < scale.of(5, 1); round += 1) {
		const before = usageOf(daemon.pid);
		const command = await cpuOf([program, "status", "--config", config]);
		const ofDaemon = usageOf(daemon.pid).cpuSeconds - before.cpuSeconds;
		cpu.push((command + ofDaemon) * 1_000);
	}
	return {
		part: "questions",
		what: `wxtokend status with ${named} accounts: CPU, with the daemon's`,
		ours: measure("wxtokend", "ms", cpu),
		others: [],
	};
}

/** Seconds of a processor that a command takes, as the shell that calls it sees them. */
function cpuOf(command: readonly string[]): Promise<number> {
	return new Promise((resolve, reject) => {
		execFile(
			"bash",
			["-c", 'TIMEFORMAT="%U %S"; time "$@" >/dev/null', "bash", ...command],
			{ env: environment() },
			(error, _stdout, stderr) => {
				if (error !== null) return reject(error);
				const [user, system] = stderr.trim().split(/\s+/).slice(-2).map(Number);
				resolve((user ?? Number.NaN) + (system ?? Number.NaN));
			},
		);
	});
}

/** A token file and its record, as a keeper leaves them. */
function publish(directory: string, index: number, leftSeconds: number): void {
	const expire = Math.floor(Date.now() / 1000) + leftSeconds;
	const value = `${appidOf(index)}_${"t".repeat(120)}`;
	const file = tokenFile(directory, index);
	writeFileSync(file, `${JSON.stringify({ value, expire })}\n`, {
		mode: 0o640,
	});
	const id = createHash("sha256").update(value).digest("hex").slice(0, 16);
	const expiresAt = expire * 1_000;
	const lifetimeMs = 7_200_000;
	const fetchedAt = expiresAt - lifetimeMs;
	const published = { id, expiresAt, lifetimeMs, fetchedAt, reason: "due" };
	const record = {
		generation: fetchedAt,
		published,
		calls: [fetchedAt],
		forceCalls: [],
		diedEarly: [],
	};
	writeFileSync(
		join(directory, `.${file.slice(directory.length + 1)}.state`),
		JSON.stringify(record),
		{ mode: 0o640 },
	);
}

/** Resolves when all of the answer has come, which must be a 200. */
function ask(socketPath: string, path: string): Promise<void> {
	return new Promise((resolve, reject) => {
		const call = request({ socketPath, path, agent: false }, (response) => {
			response.resume();
			response.on("error", reject);
			response.on("end", () => {
				if (response.statusCode === 200) resolve();
				else reject(new Error(`${path}: ${response.statusCode}`));
			});
		});
		call.on("error", reject);
		call.end();
	});
}

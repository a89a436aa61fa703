/** What monitors cost: questions about ten thousand credentials, of which none is due. */
import { createHash } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import {
	appidOf,
	startDaemon,
	tokenFile,
	usageOf,
	writeConfig,
} from "./daemon.ts";
import { bounded, measure, type Row, single } from "./figures.ts";
import { pause, root, type Scale, until } from "./scene.ts";

export async function benchQuestions(scale: Scale): Promise<readonly Row[]> {
	const count = scale.of(10_000, 300);
	const directory = scale.directory();
	for (let index = 0; index < count; index += 1) publish(directory, index);
	const config = writeConfig({
		directory,
		url: "http://127.0.0.1:9",
		accounts: count,
	});
	const delayFile = `${directory}.delay`;
	const daemon = startDaemon(scale, config, {
		nodeArgv: ["--require", join(root, "bench/loop-delay.cjs")],
		env: { BENCH_LOOP_DELAY: delayFile },
	});
	await daemon.event("daemon.ready");
	// All come to rest, and what the start took is given back.
	await pause(scale.of(20_000, 1_000));
	const longestDelay = async () => {
		rmSync(delayFile, { force: true });
		daemon.child.kill("SIGUSR2");
		return until("the delay", () => {
			try {
				return Number(readFileSync(delayFile, "utf8"));
			} catch {
				return undefined;
			}
		});
	};
	const rows: Row[] = [];
	const named = count.toLocaleString("en");
	for (const path of ["/healthz", "/v1/accounts", "/metrics"]) {
		const cpu: number[] = [];
		const delays: number[] = [];
		for (let round = 0; round < scale.of(5, 1); round += 1) {
			await longestDelay();
			const before = usageOf(daemon.pid);
			await ask(join(directory, "control.sock"), path);
			cpu.push((usageOf(daemon.pid).cpuSeconds - before.cpuSeconds) * 1_000);
			delays.push(await longestDelay());
		}
		const what = `GET ${path} with ${named} accounts`;
		rows.push(
			{
				part: "questions",
				what: `${what}: CPU`,
				ours: measure("wxtokend", "ms", cpu),
				others: [],
			},
			bounded(
				"questions",
				`${what}: event loop held`,
				measure("wxtokend", "ms", delays),
				20,
			),
		);
	}
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

/** A token file and its record, as a keeper leaves them. */
function publish(directory: string, index: number): void {
	const expire = Math.floor(Date.now() / 1000) + 7_000;
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

import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { expect, onTestFinished, test } from "vitest";
import type { ProcessName } from "../../src/core/record.ts";
import { nameThisProcess } from "../../src/store/process-name.ts";
import type { RaceOrder, RaceResult } from "../faults/lock-racer.ts";
import { newDirectory } from "../support/directory.ts";
import { projectRoot } from "../support/program.ts";

const racers = 12;
const rounds = 40;

test("processes that find the lock of a dead holder at the same instant never hold it together", {
	timeout: 120_000,
}, async () => {
	const directory = newDirectory();
	const children = await startRacers(join(directory, "racer.cjs"));
	const by = await nameOfDeadProcess();
	for (let round = 1; round <= rounds; round++) {
		const path = join(directory, `${round}.lock`);
		fs.mkdirSync(path);
		const { ino, birthtimeNs } = fs.lstatSync(path, { bigint: true });
		const lock = `${ino.toString(36)}-${birthtimeNs.toString(36)}`;
		const results = await Promise.all(
			children.map((child) => order(child, { path, lock, by })),
		);
		expect(
			results.filter(({ held }) => held).length,
			`holders in round ${round}`,
		).toBe(1);
		expect(results.some(({ together }) => together)).toBe(false);
		expect(
			fs.readdirSync(directory).filter((name) => /lock$|break$/.test(name)),
		).toEqual([]);
	}
});

async function startRacers(outfile: string): Promise<readonly ChildProcess[]> {
	await build({
		entryPoints: [join(projectRoot, "test/faults/lock-racer.ts")],
		outfile,
		bundle: true,
		platform: "node",
		target: "node20.18",
		alias: { "graceful-fs": "node:fs" },
	});
	const children = Array.from({ length: racers }, () => fork(outfile));
	onTestFinished(() => {
		for (const child of children) child.kill("SIGKILL");
	});
	await Promise.all(children.map((child) => once(child, "spawn")));
	return children;
}

async function order(
	child: ChildProcess,
	sent: RaceOrder,
): Promise<RaceResult> {
	child.send(sent);
	const [result] = await once(child, "message");
	return result;
}

async function nameOfDeadProcess(): Promise<ProcessName> {
	const child = spawn("true");
	await once(child, "exit");
	const { realm } = nameThisProcess();
	return { instance: "dead", pid: child.pid ?? 0, startTicks: "1", realm };
}

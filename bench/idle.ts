/** What the daemon costs while nothing is due, against a Node.js process that does nothing. */
import { writeFileSync } from "node:fs";
import {
	appidOf,
	startDaemon,
	tokenFile,
	usageOf,
	writeConfig,
} from "./daemon.ts";
import { bounded, compared, type Row, single } from "./figures.ts";
import { pause, root, type Scale } from "./scene.ts";

const mib = 1024 * 1024;

export async function benchIdle(scale: Scale): Promise<readonly Row[]> {
	const watchMs = scale.of(30_000, 1_000);
	const bare = scale.start(process.execPath, [`${root}/bench/bare/idle.mjs`]);
	const few = await adopted(scale, 1);
	const many = await adopted(scale, scale.of(10_000, 20));
	// Both have done what a start needs; the young heap settles.
	await pause(scale.of(10_000, 500));
	const pids = [bare.pid ?? 0, few.pid, many.pid] as const;
	const before = pids.map(usageOf);
	await pause(watchMs);
	const [bareRss = 0, fewRss = 0, manyRss = 0] = pids.map(
		(pid) => usageOf(pid).residentBytes / mib,
	);
	const [, fewCpu = 0, manyCpu = 0] = pids.map(
		(pid, index) =>
			((usageOf(pid).cpuSeconds - (before[index]?.cpuSeconds ?? 0)) * 100_000) /
			watchMs,
	);
	const accounts = scale.of(10_000, 20);
	return [
		compared(
			"idle",
			"memory with 1 account",
			[single("wxtokend", "MiB", fewRss), single("idle node", "MiB", bareRss)],
			1.35,
		),
		bounded(
			"idle",
			`memory per further account, with ${accounts}`,
			single("wxtokend", "KiB", ((manyRss - fewRss) * 1024) / accounts),
			2,
		),
		bounded("idle", "CPU with 1 account", single("wxtokend", "%", fewCpu), 0.1),
		bounded(
			"idle",
			`CPU with ${accounts} accounts`,
			single("wxtokend", "%", manyCpu),
			1,
		),
		bounded(
			"idle",
			`start until ${accounts} valid files are taken over`,
			single("wxtokend", "s", many.startedMs / 1000),
			3,
		),
	];
}

/** A daemon that found valid files, and so has nothing to do. */
async function adopted(scale: Scale, accounts: number) {
	const directory = scale.directory();
	const config = writeConfig({
		directory,
		url: "http://127.0.0.1:9",
		accounts,
	});
	const expire = Math.floor(Date.now() / 1000) + 7_000;
	for (let index = 0; index < accounts; index += 1) {
		const value = `${appidOf(index)}_${"t".repeat(120)}`;
		writeFileSync(
			tokenFile(directory, index),
			`${JSON.stringify({ value, expire })}\n`,
			{ mode: 0o640 },
		);
	}
	const startedAt = performance.now();
	const daemon = startDaemon(scale, config);
	await daemon.event("daemon.ready");
	return { pid: daemon.pid, startedMs: performance.now() - startedAt };
}

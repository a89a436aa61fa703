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
	const bare = scale.start(process.execPath, [`${root}/bench/bare/idle.mjs`]);
	const counts = [1, scale.of(100, 5), scale.of(10_000, 20)] as const;
	const one = await adopted(scale, counts[0]);
	const some = await adopted(scale, counts[1]);
	const many = await adopted(scale, counts[2]);
	// All have done what a start needs; the young heap settles.
	await pause(scale.of(10_000, 500));
	const watch = watching(scale.of(30_000, 1_000));
	const [idle, first, second, third] = await Promise.all([
		watch(bare.pid ?? 0),
		watch(one.pid),
		watch(some.pid),
		watch(many.pid),
	]);
	const further = (used: Watched, accounts: number) => {
		const bytes = (used.residentBytes - first.residentBytes) / (accounts - 1);
		return single("wxtokend", "KiB", bytes / 1024);
	};
	const cpu = ({ cpuPercent }: Watched) => single("wxtokend", "%", cpuPercent);
	const [, hundred, thousands] = counts.map((count) =>
		count.toLocaleString("en"),
	);
	return [
		compared(
			"idle",
			"memory with 1 account",
			[
				single("wxtokend", "MiB", first.residentBytes / mib),
				single("idle node", "MiB", idle.residentBytes / mib),
			],
			1.35,
		),
		{
			part: "idle",
			what: `memory per further account of ${hundred}, taken over`,
			ours: further(second, counts[1]),
			others: [],
		},
		bounded(
			"idle",
			`memory per further account of ${thousands}, taken over`,
			further(third, counts[2]),
			2,
		),
		bounded("idle", "CPU with 1 account", cpu(first), 0.1),
		{
			part: "idle",
			what: `CPU with ${hundred} accounts`,
			ours: cpu(second),
			others: [],
		},
		bounded("idle", `CPU with ${thousands} accounts`, cpu(third), 1),
		...[first, second, third].map(
			({ wakesPerSecond }, index): Row => ({
				part: "idle",
				what: `wake-ups per second with ${counts[index]?.toLocaleString("en")}`,
				ours: single("wxtokend", "", wakesPerSecond),
				others: [single("idle node", "", idle.wakesPerSecond)],
			}),
		),
		bounded(
			"idle",
			`start until ${thousands} valid files are taken over`,
			single("wxtokend", "s", many.startedMs / 1000),
			3,
		),
	];
}

interface Watched {
	readonly residentBytes: number;
	/** Of one core. */
	readonly cpuPercent: number;
	readonly wakesPerSecond: number;
}

function watching(ms: number): (pid: number) => Promise<Watched> {
	return async (pid) => {
		const before = usageOf(pid);
		await pause(ms);
		const after = usageOf(pid);
		return {
			residentBytes: after.residentBytes,
			cpuPercent: ((after.cpuSeconds - before.cpuSeconds) * 100_000) / ms,
			wakesPerSecond: ((after.sleeps - before.sleeps) * 1_000) / ms,
		};
	};
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

/**
 * From one account to ten thousand: what each further one costs in memory and in
 * each tick, and how long it takes to renew all of them at once.
 */
import { startDaemon, usageOf, writeConfig } from "./daemon.ts";
import { type Row, single, type Unit } from "./figures.ts";
import { untilAllRenewed } from "./renewals.ts";
import { pause, type Scale, startIssuer } from "./scene.ts";

/** One daemon, with so many accounts. */
interface Size {
	readonly accounts: number;
	readonly pid: number;
	readonly renewedMs: number;
}

/** The default: every 5 seconds. */
const tickMs = 5_000;

export async function benchGrowth(scale: Scale): Promise<readonly Row[]> {
	const sizes: Size[] = [];
	for (const accounts of scale.quick ? [1, 10] : [1, 10, 100, 1_000, 10_000])
		sizes.push(await renewed(scale, accounts));
	// The heap of the first minutes settles.
	await pause(scale.of(15_000, 100));
	const watchMs = scale.of(6 * tickMs, 500);
	const before = sizes.map(({ pid }) => usageOf(pid));
	await pause(watchMs);
	const after = sizes.map(({ pid }) => usageOf(pid));
	return sizes.flatMap(({ accounts, renewedMs }, index) => {
		const cpuSeconds =
			(after[index]?.cpuSeconds ?? Number.NaN) -
			(before[index]?.cpuSeconds ?? Number.NaN);
		const furtherBytes =
			((after[index]?.residentBytes ?? Number.NaN) -
				(after[0]?.residentBytes ?? Number.NaN)) /
			(accounts - 1);
		const named = accounts === 1 ? "1 account" : accounts.toLocaleString("en");
		const figure = (what: string, unit: Unit, value: number): Row => ({
			part: "growth",
			what: `${named}: ${what}`,
			ours: single("wxtokend", unit, value),
			others: [],
		});
		return [
			figure("all renewed at the start", "ms", renewedMs),
			figure("CPU per tick", "ms", (cpuSeconds * 1000 * tickMs) / watchMs),
			...(accounts === 1
				? []
				: [
						figure(
							"memory per further one, renewed",
							"KiB",
							furtherBytes / 1024,
						),
					]),
		];
	});
}

async function renewed(scale: Scale, accounts: number): Promise<Size> {
	const issuer = await startIssuer(scale);
	const directory = scale.directory();
	const config = writeConfig({
		directory,
		url: issuer.url,
		accounts,
		top: 'log_level = "warn"',
	});
	const { pid } = startDaemon(scale, config);
	const renewedMs = await untilAllRenewed(directory, accounts, issuer);
	issuer.stop();
	return { accounts, pid, renewedMs };
}

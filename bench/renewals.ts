/**
 * Many accounts due at the same moment: how long until all are renewed, against
 * the bare loop; what becomes of one forced refresh in the middle of it; and
 * whether anything holds the event loop up.
 */
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { maxRefreshing } from "../src/keeper/limiter.ts";
import {
	appidOf,
	countTokens,
	type Daemon,
	isToken,
	startDaemon,
	tokenFile,
	writeConfig,
} from "./daemon.ts";
import {
	bounded,
	compared,
	measure,
	type Row,
	sideBySide,
	single,
} from "./figures.ts";
import {
	askJson,
	ended,
	type IssuerProcess,
	type Medium,
	monotonicMs,
	root,
	type Scale,
	startIssuer,
	tokenPath,
	until,
} from "./scene.ts";

/** How long a request over a net takes here; a forced refresh may take three of them. */
const requestMs = 50;

export async function benchRenewals(scale: Scale): Promise<readonly Row[]> {
	const rows: Row[] = [];
	for (const occasion of occasions)
		rows.push(...(await allDue(scale, occasion)));
	rows.push(...(await oneInTheMiddle(scale)));
	return rows;
}

interface Occasion {
	readonly medium: Medium;
	readonly accounts: number;
	/** What a request takes at the issuer, besides its work. */
	readonly latencyMs: number;
	readonly rounds: number;
}

/** Without latency it is only processors and media that are measured. */
const occasions: readonly Occasion[] = [
	{ medium: "tmpfs", accounts: 10_000, latencyMs: requestMs, rounds: 3 },
	{ medium: "tmpfs", accounts: 10_000, latencyMs: 0, rounds: 5 },
	{ medium: "disk", accounts: 2_000, latencyMs: requestMs, rounds: 3 },
	{ medium: "disk", accounts: 2_000, latencyMs: 0, rounds: 3 },
];

/** The daemon, and two loops that renew whatever there is: with nothing else, and as safely. */
type Renewer = "ours" | "bare" | "safe";

interface Samples {
	readonly firstMs: number;
	readonly renewedMs: number;
}

/** First tokens, in an empty directory; and then new ones for all of them. */
async function allDue(
	scale: Scale,
	{ medium, latencyMs, ...full }: Occasion,
): Promise<readonly Row[]> {
	const accounts = scale.of(full.accounts, 100);
	const issuer = await startIssuer(scale, ["--latency", String(latencyMs)]);
	const renewedMs: Record<Renewer, number[]> = { ours: [], bare: [], safe: [] };
	// A new one each time: what was just deleted on a disk makes it slower.
	const inNewDirectory =
		(who: Renewer, renew: (directory: string) => Promise<Samples>) =>
		async () => {
			const directory = scale.directory(medium);
			await issuer.forget();
			const measured = await renew(directory);
			renewedMs[who].push(measured.renewedMs);
			// In memory it costs nothing to delete, and something to keep.
			if (medium === "tmpfs") rmSync(directory, { recursive: true });
			return measured.firstMs;
		};
	/** With as many at a time as the daemon has. */
	const loop = (who: Renewer, script: string) =>
		inNewDirectory(who, async (directory) => {
			const renewAll = async () => {
				await issuer.forget();
				const child = scale.start(process.execPath, [
					join(root, "bench/bare", script),
					issuer.url + tokenPath,
					...[directory, String(accounts), String(maxRefreshing)],
				]);
				const all = untilAllRenewed(directory, accounts, issuer);
				await Promise.all([all, ended(child, script)]);
				return all;
			};
			return { firstMs: await renewAll(), renewedMs: await renewAll() };
		});
	const firstMs = await sideBySide(scale.of(full.rounds, 1), {
		ours: inNewDirectory("ours", async (directory) => {
			const config = writeConfig({
				directory,
				url: issuer.url,
				accounts,
				top: 'log_level = "warn"',
			});
			const daemon = startDaemon(scale, config);
			const firstMs = await untilAllRenewed(directory, accounts, issuer);
			await issuer.forget();
			daemon.child.kill("SIGHUP");
			const renewedMs = await untilAllRenewed(directory, accounts, issuer);
			await daemon.stop();
			return { firstMs, renewedMs };
		}),
		bare: loop("bare", "renewals.mjs"),
		safe: loop("safe", "safe-renewals.mjs"),
	});
	issuer.stop();
	const row = (what: string, samples: typeof renewedMs | typeof firstMs) =>
		compared(
			"renewals",
			`${accounts.toLocaleString("en")} ${what}, ${medium}, request: ${latencyMs} ms`,
			[
				measure("wxtokend run", "ms", samples.ours),
				measure("bare loop", "ms", samples.bare),
				measure("a loop as safe", "ms", samples.safe),
			],
			1.3,
		);
	return [
		row("renewals at once", renewedMs),
		row("first tokens at once", firstMs),
	];
}

/** From the first request until the last file is there: without the start of a process. */
export async function untilAllRenewed(
	directory: string,
	accounts: number,
	issuer: IssuerProcess,
): Promise<number> {
	return until(
		`${accounts} tokens`,
		async () => {
			const { count } = await issuer.seen();
			// Listing a large directory costs the one who writes there: rarely.
			if (count < accounts || !isDone(directory, accounts)) return undefined;
			return monotonicMs() - (await issuer.seen()).firstAt;
		},
		{ withinMs: 600_000, everyMs: 10 },
	);
}

/** All are there, and none is being made. */
function isDone(directory: string, accounts: number): boolean {
	const names = readdirSync(directory);
	return (
		!names.some((name) => name.endsWith(".tmp") || name.endsWith(".lock")) &&
		names.filter(isToken).length >= accounts
	);
}

async function oneInTheMiddle(scale: Scale): Promise<readonly Row[]> {
	const accounts = scale.of(10_000, 200);
	const issuer = await startIssuer(scale, ["--latency", String(requestMs)]);
	const directory = scale.directory();
	const config = writeConfig({
		directory,
		url: issuer.url,
		accounts,
		top: 'log_level = "warn"',
	});
	const delayFile = `${directory}.delay`;
	const daemon = startDaemon(scale, config, {
		nodeArgv: ["--require", join(root, "bench/loop-delay.cjs")],
		env: { BENCH_LOOP_DELAY: delayFile },
	});
	await until("the first renewals", async () =>
		(await issuer.seen()).count > 0 ? true : undefined,
	);
	const startDelayMs = await longestDelay(daemon, delayFile);
	const forcedMs: number[] = [];
	const probes = scale.of(20, 3);
	for (let index = 0; index < probes; index += 1) {
		const share = (0.1 + (0.7 * index) / probes) * accounts;
		await until("a part of the renewals", async () => {
			const { count } = await issuer.seen();
			return count >= share ? true : undefined;
		});
		forcedMs.push(await force(directory, index));
	}
	await until(
		"all tokens",
		() => (countTokens(directory) >= accounts ? true : undefined),
		{ everyMs: 100 },
	);
	const stormDelayMs = await longestDelay(daemon, delayFile);
	const { most } = await issuer.seen();
	await daemon.stop();
	issuer.stop();
	return [
		bounded(
			"renewals",
			`forced refresh of one while ${accounts.toLocaleString("en")} renew (request: ${requestMs} ms)`,
			measure("wxtokend run", "ms", forcedMs),
			3 * requestMs,
		),
		bounded(
			"renewals",
			"… the slowest of them",
			single("wxtokend run", "ms", Math.max(...forcedMs)),
			3 * requestMs,
		),
		bounded(
			"renewals",
			"… longest hold-up of the event loop",
			single("wxtokend run", "ms", stormDelayMs),
			50,
		),
		{
			part: "renewals",
			what: "… and until the first request, from its start",
			ours: single("wxtokend run", "ms", startDelayMs),
			others: [],
		},
		bounded(
			"renewals",
			"… most requests at a time",
			single("wxtokend run", "", most),
			64,
		),
	];
}

/** A refresh through the control socket, of an account that has its token already. */
async function force(directory: string, index: number): Promise<number> {
	await until("its first token", () =>
		existsSync(tokenFile(directory, index)) ? true : undefined,
	);
	const startedAt = performance.now();
	const answer = await askJson({
		socketPath: join(directory, "control.sock"),
		path: `/v1/accounts/${appidOf(index)}/refresh`,
		body: "{}",
	});
	const { outcome } = answer as { readonly outcome?: string };
	if (outcome !== "refreshed")
		throw new Error(`a forced refresh ended in ${JSON.stringify(answer)}`);
	return performance.now() - startedAt;
}

/** Since the last time it was asked. */
async function longestDelay({ child }: Daemon, file: string): Promise<number> {
	rmSync(file, { force: true });
	child.kill("SIGUSR2");
	return until("the longest delay", () =>
		existsSync(file) ? Number(readFileSync(file, "utf8")) : undefined,
	);
}

/**
 * Readers in three languages read without a pause, while tokens live three seconds,
 * bursts of signals arrive, and the daemon is killed and started again.
 */
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setPriority } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { startIssuer } from "../support/issuer.ts";
import { type Running, startDaemon } from "../support/program.ts";

const languages = [
	["python3", "storm.py"],
	["php", "storm.php"],
	[process.execPath, "storm.mjs"],
] as const;
const missing = languages.filter(
	([program]) => spawnSync(program, ["--version"]).status !== 0,
);
const wantedReads = 1_000_000;
const wantedPublications = 2_000;

test.skipIf(missing.length > 0)(
	"a million reads in Python, PHP and Node.js find no torn, empty or missing file, and no token that ends before its predecessor (needs python3, php)",
	{ timeout: 300_000 },
	async () => {
		const issuer = await startIssuer({ lifetimeSeconds: 3 });
		const accounts = newAccounts(200);
		const config = writeConfig({
			url: issuer.url,
			accounts,
			top: { log_level: "info" },
			wechat: { cooldown: 1, budget: 10_000 },
		});
		let daemon = await startDaemon(config.file);
		const stop = join(newDirectory(), "stop");
		const paths = accounts.map(({ appid }) => config.tokenFile(appid));
		const readers = languages.map(([program, script]) =>
			startReader(program, script, [stop, ...paths]),
		);
		const isEnough = () =>
			sum(readers, "reads") >= wantedReads &&
			issuer.issued.length >= wantedPublications;
		for (let round = 0; round < 4 || !isEnough(); round++) {
			const before = issuer.issued.length;
			await sendBurst(daemon);
			await eventually(() => issuer.issued.length > before + 100, {
				what: "a hundred publications",
			});
			daemon.kill(round % 2 === 0 ? "SIGKILL" : "SIGTERM");
			if (round % 4 < 2) await daemon.exited;
			daemon = await startDaemon(config.file);
		}
		writeFileSync(stop, "");
		await eventually(() => readers.every(({ last }) => last()?.end), {
			what: "the last figures of all readers",
		});
		console.log(
			`${sum(readers, "reads")} reads, ${issuer.issued.length} publications`,
		);
		for (const reader of readers) {
			expect(reader.last()).toMatchObject({
				missing: 0,
				empty: 0,
				torn: 0,
				back: 0,
			});
			expect(reader.last()?.changes).toBeGreaterThan(wantedPublications / 4);
		}
	},
);

async function sendBurst(daemon: Running): Promise<void> {
	for (let signal = 0; signal < 200; signal++) {
		daemon.kill("SIGHUP");
		if (signal % 20 === 0) await new Promise(setImmediate);
	}
}

interface Found {
	readonly reads: number;
	readonly missing: number;
	readonly empty: number;
	readonly torn: number;
	/** The end of a token was before the one of its predecessor. */
	readonly back: number;
	readonly changes: number;
	readonly end: boolean;
}

interface Reader {
	last(): Found | undefined;
}

function startReader(
	program: string,
	script: string,
	args: readonly string[],
): Reader {
	const path = fileURLToPath(new URL(`readers/${script}`, import.meta.url));
	const child = spawn(program, [path, ...args], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	// Or they would leave little of the machine to the daemon. Not the least there
	// is: beside a busy neighbour their million reads would take many minutes.
	setPriority(child.pid ?? 0, 5);
	onTestFinished(() => {
		child.kill("SIGKILL");
	});
	let last: Found | undefined;
	let rest = "";
	child.stdout.setEncoding("utf8").on("data", (text: string) => {
		const lines = (rest + text).split("\n");
		rest = lines.pop() ?? "";
		const line = lines.at(-1);
		if (line !== undefined) last = JSON.parse(line);
	});
	return { last: () => last };
}

function sum(readers: readonly Reader[], key: "reads"): number {
	return readers.reduce((total, { last }) => total + (last()?.[key] ?? 0), 0);
}

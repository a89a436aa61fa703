import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { startIssuer } from "./support/issuer.ts";
import { startDaemon } from "./support/program.ts";
import { fetchesOf, startWeChat } from "./support/wechat.ts";

/** The interpreter itself, not a launcher around it; undefined: there is none. */
const python = interpreter("python3", [
	"-c",
	"import sys; print(sys.executable)",
]);
const php = interpreter("php", ["-r", "echo PHP_BINARY;"]);

interface Findings {
	readonly reads: number;
	readonly uses: number;
	/** The file was there before, and is not. */
	readonly absent: number;
	readonly empty: number;
	readonly torn: number;
	/** Its `expire` has passed. */
	readonly ended: number;
	/** Which ones, and for how long. */
	readonly late: readonly string[];
	/** Refused by the platform, and still in the file. */
	readonly dead: number;
	/** By appid: the tokens in the order of their appearance, by `tokenId`. */
	readonly seen: Readonly<Record<string, readonly string[]>>;
}

describe("apps that only read", () => {
	// For comparison: 20 processes of an SDK with a shared cache make 20 fetches,
	// and most of them end up with a dead token.
	test.skipIf(python === undefined)(
		"20 processes through 200 renewals find no torn, empty, ended or dead token, with one fetch per renewal (needs python3)",
		async () => {
			const accounts = newAccounts(100);
			const appids = accounts.map(({ appid }) => appid);
			const wechat = await startWeChat({
				accounts,
				knobs: { tokenLifetimeSeconds: 24 },
			});
			const config = writeConfig({ url: wechat.url, accounts });
			const args = [config.directory, wechat.url, appids.join(",")];
			const readers = Array.from({ length: 20 }, () =>
				startReader(python, "loop.py", args),
			);
			const daemon = await startDaemon(config.file);
			// A hundred forced renewals, then a hundred scheduled ones: 16 s later,
			// with 7 s to spare after the next tick, as a loaded machine may need.
			daemon.kill("SIGHUP");
			await eventually(
				() => appids.every((appid) => fetchesOf(wechat, appid) > 2),
				{ what: "200 renewals", withinMs: 100_000, everyMs: 200 },
			);
			const findings = await Promise.all(readers.map(findingsOf));
			await daemon.stop();
			for (const { absent, empty, torn, ended, dead, late } of findings)
				expect({ absent, empty, torn, ended, dead, late }).toEqual({
					absent: 0,
					empty: 0,
					torn: 0,
					ended: 0,
					dead: 0,
					late: [],
				});
			const reads = findings.reduce((sum, found) => sum + found.reads, 0);
			expect(reads).toBeGreaterThan(5_000);
			const refreshes = daemon
				.events()
				.filter(({ event }) => event === "token.refreshed");
			expect(refreshes.length).toBeGreaterThanOrEqual(100 + 200);
			for (const appid of appids) {
				const published = refreshes
					.filter((event) => event.appid === appid)
					.map(({ token }) => token);
				// One fetch per renewal: no request that did not end in the file, …
				expect(fetchesOf(wechat, appid)).toBe(published.length);
				// … and every reader sees the tokens in their order, none twice.
				for (const { seen } of findings) {
					const tokens = seen[appid] ?? [];
					expect(tokens).toEqual(
						published.filter((token) => tokens.includes(String(token))),
					);
				}
			}
		},
		// A busy machine takes its time to start 21 processes.
		120_000,
	);

	test.skipIf(python === undefined)(
		"the cache class of the tutorials works unchanged on our directory while it is refreshed (needs python3)",
		() => readThroughRefreshes(python, "wel_cache.py"),
	);

	test.skipIf(php === undefined)("so does the same in PHP (needs php)", () =>
		readThroughRefreshes(php, "wel_cache.php"),
	);
});

/** A reader that tells of each new token, and how often it found none, until it saw 4. */
async function readThroughRefreshes(
	program: string | undefined,
	script: string,
): Promise<void> {
	const issuer = await startIssuer();
	const config = writeConfig({ ...issuer, wechat: { cooldown: 0 } });
	const daemon = await startDaemon(config.file);
	const reader = startReader(program, script, [config.directory, "wx1", "4"]);
	for (const tokens of [1, 2, 3, 4]) {
		if (tokens > 1) daemon.kill("SIGHUP");
		await eventually(() => reader.seenSoFar().includes(`${tokens} tokens`), {
			what: `token ${tokens} in the eyes of the reader`,
		});
	}
	expect(await reader.output).toBe(
		"1 tokens, 0 misses\n2 tokens, 0 misses\n3 tokens, 0 misses\n4 tokens, 0 misses\n",
	);
}

interface Reader {
	readonly child: ChildProcess;
	/** Its stdout so far. */
	seenSoFar(): string;
	/** All of stdout, when it has ended. Rejects if it ends badly. */
	readonly output: Promise<string>;
}

function startReader(
	program: string | undefined,
	script: string,
	args: readonly string[],
): Reader {
	if (program === undefined) throw new Error(`no interpreter for ${script}`);
	const path = fileURLToPath(new URL(`readers/${script}`, import.meta.url));
	const child = spawn(program, [path, ...args], {
		stdio: ["pipe", "pipe", "inherit"],
	});
	let stdout = "";
	child.stdout.setEncoding("utf8").on("data", (text) => {
		stdout += text;
	});
	const output = new Promise<string>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code) => {
			if (code === 0) resolve(stdout);
			else reject(new Error(`${script} ended with ${code}: ${stdout}`));
		});
	});
	onTestFinished(() => {
		child.kill("SIGKILL");
	});
	return { child, output, seenSoFar: () => stdout };
}

async function findingsOf({ child, output }: Reader): Promise<Findings> {
	child.stdin?.end();
	return JSON.parse(await output);
}

function interpreter(
	name: string,
	args: readonly string[],
): string | undefined {
	try {
		return execFileSync(name, args, { encoding: "utf8" }).trim();
	} catch {
		return undefined;
	}
}

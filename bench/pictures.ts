/**
 * The pictures of the documents, from the real program: the daemon starts again in the
 * middle of an eventful day, beside a simulated WeChat that refuses one account, and
 * Chromium looks at its page.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startSimulator } from "../src/simulator/server.ts";
import { startBrowser } from "../test/support/browser.ts";
import {
	dayAccounts,
	unlisted,
	writeDay,
} from "../test/support/eventful-day.ts";
import { terminalPicture } from "./terminal-picture.ts";

const out = "docs/pictures";
const program = "dist/wxtokend.cjs";

/** Each width in both languages and both schemes, without making a picture of each pair. */
const shots = [
	{ name: "page-1024-en-light", width: 1024, lang: "en", scheme: "light" },
	{ name: "page-1024-zh-dark", width: 1024, lang: "zh", scheme: "dark" },
	{ name: "page-360-en-dark", width: 360, lang: "en", scheme: "dark" },
	{ name: "page-360-zh-light", width: 360, lang: "zh", scheme: "light" },
	{ name: "page-1920-en-dark", width: 1920, lang: "en", scheme: "dark" },
	{ name: "page-1920-zh-light", width: 1920, lang: "zh", scheme: "light" },
] as const;

const place = mkdtempSync(join(tmpdir(), "wxtokend-pictures-"));
const simulator = await startSimulator({ accounts: dayAccounts });
let daemon: ChildProcess | undefined;
try {
	const http = { listen: "127.0.0.1:0" };
	const config = await writeDay(place, simulator.url, http, Date.now());
	await simulator.addFault({
		mode: "errcode",
		errcode: 40164,
		appid: unlisted,
	});
	daemon = spawn(process.execPath, [program, "run", "--config", config], {
		stdio: ["ignore", "ignore", "pipe"],
		env: { ...process.env, TZ: "Asia/Shanghai" },
	});
	const url = await addressOf(daemon);
	mkdirSync(out, { recursive: true });
	await photograph(url);
	writeFileSync(join(out, "status.svg"), terminalPicture(statusOf(config)));
} finally {
	if (daemon?.kill("SIGTERM")) await once(daemon, "exit");
	await simulator.close();
	rmSync(place, { recursive: true, force: true });
}

/** Once every account was looked at. */
async function addressOf({ stderr }: ChildProcess): Promise<string> {
	if (stderr === null) throw new Error("the daemon has no log");
	let url = "";
	for await (const line of createInterface({ input: stderr })) {
		const { event, url: opened } = JSON.parse(line);
		if (event === "http.opened") url = opened;
		if (event === "daemon.ready") {
			stderr.resume();
			return url;
		}
	}
	throw new Error("the daemon ended before it was ready");
}

async function photograph(url: string): Promise<void> {
	const browser = await startBrowser();
	try {
		for (const { name, width, lang, scheme } of shots) {
			const page = await browser.newPage({
				viewport: { width, height: 700 },
				colorScheme: scheme,
			});
			await page.goto(`${url}?lang=${lang}`);
			await page.screenshot({ path: join(out, `${name}.png`), fullPage: true });
			await page.close();
			process.stdout.write(`${out}/${name}.png\n`);
		}
	} finally {
		await browser.close();
	}
}

/** What `wxtokend status` writes to a terminal of 120 columns, with its colours. */
function statusOf(config: string): string {
	const command = `stty cols 120 rows 40; ${process.execPath} ${program} status --config ${config}`;
	try {
		return execFileSync("script", ["-qec", command, "/dev/null"], {
			encoding: "utf8",
			env: { ...process.env, TZ: "Asia/Shanghai", TERM: "xterm-256color" },
		});
	} catch (error) {
		// It ends with 69, because an account has no valid token: that is to be seen.
		return String((error as { readonly stdout?: string }).stdout);
	}
}

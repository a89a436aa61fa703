/** The SDKs that npm has: the real packages, in the versions of `sdks/package-lock.json`. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../support/program.ts";
import { examples, type Reader } from "./readers.ts";

const here = join(projectRoot, "test/examples");
const sdks = join(here, "sdks");

/**
 * Installs the packages beside their lock file, unless they are there; this is
 * for one test file alone, as two would get into each other's way.
 */
export function installSdks(): void {
	const lock = readFileSync(join(sdks, "package-lock.json"));
	const wanted = createHash("sha256").update(lock).digest("hex");
	const mark = join(sdks, "node_modules/.installed");
	if (existsSync(mark) && readFileSync(mark, "utf8") === wanted) return;
	const quiet = ["--ignore-scripts", "--no-audit", "--no-fund"];
	execFileSync("npm", ["ci", ...quiet], { cwd: sdks, stdio: "pipe" });
	writeFileSync(mark, wanted);
}

let place: string | undefined;

/**
 * An app as its owner would have it: the examples copied into it, the SDKs in
 * its node_modules. Gone when the tests end.
 */
function app(): string {
	if (place !== undefined) return place;
	const directory = mkdtempSync(join(tmpdir(), "wxtokend-sdks-"));
	process.once("exit", () =>
		rmSync(directory, { recursive: true, force: true }),
	);
	const copy = (from: string, to: string) => {
		mkdirSync(to, { recursive: true });
		for (const name of readdirSync(from).filter((n) => n.endsWith(".mjs")))
			copyFileSync(join(from, name), join(to, name));
	};
	copy(join(examples, "node"), directory);
	copy(join(sdks, "drivers"), join(directory, "drivers"));
	copyFileSync(
		join(here, "drivers/loop.mjs"),
		join(directory, "drivers/loop.mjs"),
	);
	symlinkSync(join(sdks, "node_modules"), join(directory, "node_modules"));
	place = directory;
	return directory;
}

function command(driver: string, cards = "no"): Reader["prepare"] {
	return async () => [
		"env",
		`--chdir=${app()}`,
		`CARDS=${cards}`,
		process.execPath,
		join(app(), "drivers", driver),
	];
}

export const npmReaders: readonly Reader[] = [
	{
		name: "co-wechat-api",
		needs: [],
		prepare: command("co-wechat-api.mjs"),
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "wechat-api",
		needs: [],
		prepare: command("wechat-api.mjs"),
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "node-easywechat",
		needs: [],
		prepare: command("node-easywechat.mjs"),
		callsWhenHopeless: 1,
		sendsStreams: true,
	},
	{
		name: "wechat-jssdk",
		needs: [],
		prepare: command("wechat-jssdk.mjs"),
		callsWhenHopeless: 1,
	},
	{
		name: "wechat-jssdk, cards",
		needs: [],
		prepare: command("wechat-jssdk.mjs", "yes"),
		callsWhenHopeless: 1,
	},
];

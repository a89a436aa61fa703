/** `wxtokend get` against `node -e 0`: what a shell script pays for a token. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { appidOf, tokenFile, writeConfig } from "./daemon.ts";
import { compared, measure, type Row, sideBySide } from "./figures.ts";
import { environment, program, type Scale } from "./scene.ts";

export async function benchGet(scale: Scale): Promise<readonly Row[]> {
	const directory = scale.directory();
	const config = writeConfig({ directory, url: "http://127.0.0.1:9" });
	const expire = Math.floor(Date.now() / 1000) + 7200;
	const value = "t".repeat(136);
	writeFileSync(tokenFile(directory), `${JSON.stringify({ value, expire })}\n`);
	const get = [program, "get", appidOf(0), "--config", config];
	const samples = await sideBySide(scale.of(30, 1), {
		ours: () => timeOf(get),
		bare: () => timeOf([process.execPath, "-e", "0"]),
		// What no script can do without: a process that reads the file, and no more.
		cat: () => timeOf(["cat", tokenFile(directory)]),
	});
	return [
		compared(
			"get",
			"wxtokend get",
			[
				measure("wxtokend get", "ms", samples.ours),
				measure("node -e 0", "ms", samples.bare),
				measure("cat FILE", "ms", samples.cat),
			],
			0.1,
		),
	];
}

/** Starts that are measured as one: a single one of them is over too soon. */
const inARow = 5;

/** Milliseconds that a command takes from start to end, if a script in sh calls it. */
function timeOf(command: readonly string[]): number {
	const loop = `i=0; while [ $i -lt ${inARow} ]; do "$@" >/dev/null || exit; i=$((i + 1)); done`;
	const startedAt = performance.now();
	const { status, stderr } = spawnSync("sh", ["-c", loop, "sh", ...command], {
		env: environment(),
		encoding: "utf8",
	});
	if (status !== 0) throw new Error(`${command.join(" ")} failed: ${stderr}`);
	return (performance.now() - startedAt) / inARow;
}

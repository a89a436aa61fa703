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
	const samples = await sideBySide(scale.of(60, 2), {
		ours: () => timeOf(get),
		bare: () => timeOf(["-e", "0"]),
	});
	return [
		compared(
			"get",
			"wxtokend get",
			[
				measure("wxtokend get", "ms", samples.ours),
				measure("node -e 0", "ms", samples.bare),
			],
			1.3,
		),
	];
}

/** Milliseconds from the start to the end of a Node.js process. */
function timeOf(argv: readonly string[]): number {
	const startedAt = performance.now();
	const { status, stderr } = spawnSync(process.execPath, argv, {
		env: environment(),
		encoding: "utf8",
	});
	if (status !== 0) throw new Error(`node ${argv.join(" ")} failed: ${stderr}`);
	return performance.now() - startedAt;
}

// npm run bench [-- --quick] [-- --only herd,read,…] [-- --out DIR]
// Builds the program and the bench, and runs the bench; see bench/main.ts.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

await import("../build.mjs");
const outfile = "bench/.built/main.mjs";
await build({
	entryPoints: ["bench/main.ts"],
	outfile,
	bundle: true,
	platform: "node",
	target: "node20.18",
	format: "esm",
	sourcemap: "inline",
	logLevel: "warning",
});
const { status } = spawnSync(
	process.execPath,
	["--enable-source-maps", outfile, ...process.argv.slice(2)],
	{ stdio: "inherit" },
);
process.exitCode = status ?? 1;

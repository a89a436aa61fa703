// npm run pictures
// Builds the program and makes the pictures of docs/pictures/ with it; see bench/pictures.ts.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

await import("../build.mjs");
const outfile = "bench/.built/pictures.mjs";
await build({
	entryPoints: ["bench/pictures.ts"],
	outfile,
	bundle: true,
	platform: "node",
	target: "node20.18",
	format: "esm",
	packages: "external",
	logLevel: "warning",
});
const { status } = spawnSync(process.execPath, [outfile], { stdio: "inherit" });
process.exitCode = status ?? 1;

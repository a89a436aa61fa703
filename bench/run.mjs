// npm run bench [-- --quick] [-- --only herd,read,…] [-- --out DIR]
// npm run chaos [-- --seconds 3600] …
// Builds the program and what is to run, and runs it; see bench/main.ts and bench/chaos.ts.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

await import("../build.mjs");
const [name, ...argv] =
	process.argv[2] === "chaos"
		? process.argv.slice(2)
		: ["main", ...process.argv.slice(2)];
const outfile = `bench/.built/${name}.mjs`;
await build({
	entryPoints: [`bench/${name}.ts`],
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
	["--enable-source-maps", outfile, ...argv],
	{ stdio: "inherit" },
);
process.exitCode = status ?? 1;

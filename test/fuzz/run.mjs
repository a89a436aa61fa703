// npm run fuzz -- TARGET [--seconds N]
// Looks for bytes that break a target of test/fuzz/targets, guided by the coverage of our
// sources. The fuzzer is no dependency: it is fetched here at its first use.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const fuzzer = "@jazzer.js/core@4.0.0";
const here = dirname(fileURLToPath(import.meta.url));
const targets = readdirSync(join(here, "targets")).map((name) =>
	name.replace(/\.ts$/, ""),
);

const { values, positionals } = parseArgs({
	allowPositionals: true,
	options: { seconds: { type: "string", default: "60" } },
});
const [target = ""] = positionals;
if (!targets.includes(target) || !(Number(values.seconds) > 0)) {
	console.error(
		`usage: npm run fuzz -- TARGET [--seconds N]\ntargets: ${targets.join(", ")}`,
	);
	process.exit(64);
}

const cache = join(
	process.env.XDG_CACHE_HOME || join(homedir(), ".cache"),
	"wxtokend-fuzz",
	fuzzer.replace(/\W+/g, "-"),
);
const program = join(cache, "node_modules/@jazzer.js/core/dist/cli.js");
if (!existsSync(program)) {
	mkdirSync(cache, { recursive: true });
	writeFileSync(join(cache, "package.json"), '{"private":true}\n');
	run("npm", ["install", "--no-audit", "--no-fund", fuzzer], cache);
}

// One file without packages beside it: so those that parse are watched, too.
const built = join(here, ".built");
const corpus = join(built, "corpus", target);
mkdirSync(corpus, { recursive: true });
await build({
	entryPoints: [join(here, "targets", `${target}.ts`)],
	outfile: join(built, `${target}.cjs`),
	bundle: true,
	platform: "node",
	target: "node20.18",
	format: "cjs",
	define: { "import.meta.url": "thisFile" },
	banner: {
		js: 'const thisFile = require("node:url").pathToFileURL(__filename).href;',
	},
	logLevel: "warning",
});
// The fuzzer's library needs a glibc of 2024 or later; where it is older, FUZZ_NODE may be a
// command that starts Node.js with such a one: LD-LINUX --library-path FOLDER NODE.
const [node = "", ...before] = (
	process.env.FUZZ_NODE || process.execPath
).split(" ");
run(
	node,
	[
		...before,
		program,
		join(built, `${target}.cjs`),
		corpus,
		join(here, "seeds", target),
		"--includes",
		`${target}.cjs`,
		"--timeout",
		"25000",
		// Whoever writes a configuration may name any path in it. Elsewhere a path made of
		// what a stranger sent would be a fault.
		...(target === "config" ? ["--disableBugDetectors=path-traversal"] : []),
		"--",
		`-max_total_time=${values.seconds}`,
		`-artifact_prefix=${built}/found-${target}-`,
		"-max_len=9000",
		"-print_final_stats=1",
	],
	built,
);

function run(command, argv, cwd) {
	const { status, error } = spawnSync(command, argv, { cwd, stdio: "inherit" });
	if (error !== undefined) console.error(`could not run ${command}: ${error}`);
	if (status !== 0) process.exit(status ?? 70);
}

// Bundles src/ into dist/: the light entry `wxtokend.cjs`, and one file per
// module that a command loads only when it runs (each `import()` in src).
// CommonJS, because Node 20 starts it faster than the same code as ES modules.
import { chmodSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const lazy = new Set();

/** Turns `import("./commands/run.ts")` into `require("./run.cjs")`. */
const splitAtDynamicImports = {
	name: "split-at-dynamic-imports",
	setup({ onResolve }) {
		onResolve({ filter: /\.ts$/ }, ({ kind, path, resolveDir }) => {
			if (kind !== "dynamic-import") return undefined;
			lazy.add(join(resolveDir, path));
			return { path: `./${basename(path, ".ts")}.cjs`, external: true };
		});
	},
};

async function bundle(entry, out) {
	await build({
		absWorkingDir: root,
		entryPoints: [entry],
		outfile: `dist/${out}.cjs`,
		bundle: true,
		platform: "node",
		target: "node20.18",
		format: "cjs",
		minifySyntax: true,
		minifyWhitespace: true,
		sourcemap: true,
		sourcesContent: false,
		legalComments: "none",
		// proper-lockfile gets our own `fs`; graceful-fs would patch the global one.
		alias: {
			"graceful-fs": "node:fs",
			"node-cron": join(root, "node_modules/node-cron/dist/node-cron.cjs"),
		},
		external: ["koffi"],
		supported: { "dynamic-import": false },
		plugins: [splitAtDynamicImports],
		logLevel: "warning",
	});
}

rmSync(join(root, "dist"), { recursive: true, force: true });
await bundle("src/cli.ts", "wxtokend");
const done = new Set();
for (const entry of lazy) {
	// A Set grows while it is walked: modules found on the way are built too.
	if (done.has(entry)) continue;
	done.add(entry);
	await bundle(entry, basename(entry, ".ts"));
}
chmodSync(join(root, "dist/wxtokend.cjs"), 0o755);

// Bundles src/ into dist/: the light entry `wxtokend.cjs`, and one file per
// module that a command loads only when it runs (each `import()` in src).
// CommonJS, because Node 20 starts it faster than the same code as ES modules.
// Each file is renamed into place: a program that runs from dist/ meanwhile, or
// a second build, never finds half a file or none.
import {
	chmodSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const lazy = new Set();
const bundledPackages = new Set();

/**
 * Turns `import("./commands/run.ts")` into `require("./run.cjs")`. errors.ts and
 * link-error.ts get files of their own too: with a copy of their classes in each
 * bundle, `instanceof` would not know the errors of another one; and http.ts, the
 * largest by far.
 */
const splitAtDynamicImports = {
	name: "split-at-dynamic-imports",
	setup({ onResolve }) {
		onResolve({ filter: /\.ts$/ }, ({ kind, path, resolveDir }) => {
			const isShared =
				kind !== "entry-point" && /\/(errors|http|link-error)\.ts$/.test(path);
			if (kind !== "dynamic-import" && !isShared) return undefined;
			lazy.add(join(resolveDir, path));
			return { path: `./${basename(path, ".ts")}.cjs`, external: true };
		});
	},
};

/**
 * What packages load and this program never uses, and what stands there instead.
 * Each one costs memory that a daemon holds for as long as it runs.
 */
const leftOut = [
	{
		// 3 MB, and another 2 for node:http2: undici is never allowed to use HTTP/2.
		file: "undici/lib/dispatcher/client-h2.js",
		contents: refusing("undici's HTTP/2"),
	},
	{
		// Bodies are strings: no forms, no streams of the web.
		file: "undici/lib/web/fetch/body.js",
		contents: refusing("undici's forms"),
	},
	{
		// Logs are written in the thread that makes them.
		file: "pino/lib/transport.js",
		contents: refusing("pino's transports"),
	},
	{
		// 6 MB: a client of Redis is told each command by its name, and knows 1,000 more.
		file: "@redis/client/dist/lib/commands/index.js",
		contents: `
			exports.__esModule = true;
			exports.default = { AUTH: require("./AUTH").default };
			exports.NON_STICKY_COMMANDS = {};`,
	},
	{
		file: "@redis/client/dist/lib/command-metadata/command-metadata-data.js",
		contents: "exports.COMMAND_METADATA = {};",
	},
	{
		// The primary is asked for in redis-link.ts.
		file: "@redis/client/dist/lib/sentinel/index.js",
		contents: `exports.__esModule = true; exports.default = { create: ${refusing("the sentinel of @redis/client").slice("module.exports = ".length, -1)} };`,
	},
	{
		file: "@redis/client/dist/lib/cluster/index.js",
		contents: `exports.__esModule = true; exports.default = { create: ${refusing("the cluster of @redis/client").slice("module.exports = ".length, -1)} };`,
	},
	{ builtin: "worker_threads", contents: "exports.isMainThread = true;" },
	{
		builtin: "assert",
		contents: `
			const assert = (value, message) => {
				if (value) return;
				throw message instanceof Error ? message : new Error(message ?? "an assertion failed");
			};
			assert.equal = (one, other, message) => assert(one == other, message);
			assert.strictEqual = (one, other, message) => assert(one === other, message);
			module.exports = assert;`,
	},
	{
		file: "node-cron/dist/_shared.cjs",
		change: (text) => {
			const [head, ...uses] = text.split("new Intl.DateTimeFormat(");
			if (uses.length === 0)
				throw new Error("node-cron has changed: see build.mjs");
			const shim = JSON.stringify(
				join(root, "src/config/local-date-format.ts"),
			);
			return `const { LocalDateFormat } = require(${shim});\n${[head, ...uses].join("new LocalDateFormat(")}`;
		},
	},
];

function refusing(what) {
	return `module.exports = () => { throw new Error(${JSON.stringify(`${what} is left out: see build.mjs`)}); };`;
}

const leaveOut = {
	name: "leave-out",
	setup({ onLoad, onResolve }) {
		for (const { file, builtin, contents, change } of leftOut) {
			const pattern = (text) => text.replace(/[./]/g, "\\$&");
			if (builtin !== undefined) {
				const filter = new RegExp(`^(node:)?${pattern(builtin)}$`);
				onResolve({ filter }, ({ importer }) =>
					importer.includes("node_modules")
						? { path: builtin, namespace: "left-out" }
						: undefined,
				);
				onLoad({ filter, namespace: "left-out" }, () => ({ contents }));
			} else {
				const filter = new RegExp(`node_modules/${pattern(file)}$`);
				onLoad({ filter }, ({ path }) => ({
					contents: contents ?? change(readFileSync(path, "utf8")),
				}));
			}
		}
	},
};

/** Drops Node.js's own modules where nothing of them is used: some load slowly. */
const dropUnusedBuiltins = {
	name: "drop-unused-builtins",
	setup({ onResolve }) {
		onResolve({ filter: /^node:/ }, ({ path }) => ({
			path,
			external: true,
			sideEffects: false,
		}));
	},
};

async function bundle(entry, out, before = "") {
	const { outputFiles, metafile } = await build({
		absWorkingDir: root,
		entryPoints: [entry],
		outfile: `dist/${out}.cjs`,
		write: false,
		metafile: true,
		bundle: true,
		platform: "node",
		target: "node20.18",
		format: "cjs",
		minifySyntax: true,
		minifyWhitespace: true,
		sourcemap: true,
		sourcesContent: false,
		legalComments: "none",
		banner: { js: before },
		// proper-lockfile gets our own `fs`; graceful-fs would patch the global one.
		alias: {
			"graceful-fs": "node:fs",
			"node-cron": join(root, "node_modules/node-cron/dist/node-cron.cjs"),
		},
		supported: { "dynamic-import": false },
		plugins: [leaveOut, splitAtDynamicImports, dropUnusedBuiltins],
		logLevel: "warning",
	});
	// V8 keeps the text of a program, in two bytes for each character if one needs them: a
	// megabyte more. Strings are escaped by esbuild, regular expressions are not.
	for (const { path, text } of outputFiles)
		if (
			path.endsWith(".cjs") &&
			/[\u0100-\uffff]/.test(text.slice(before.length))
		)
			throw new Error(`${path} holds a character that needs two bytes`);
	for (const input of Object.keys(metafile.inputs)) {
		const [, name] = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(input) ?? [];
		if (name !== undefined) bundledPackages.add(name);
	}
	return outputFiles;
}

/** The licences of what is bundled ask to be passed on with it. */
function licences() {
	return [...bundledPackages].sort().map((name) => {
		const folder = join(root, "node_modules", name);
		const { version, license } = readJson(join(folder, "package.json"));
		const file = readdirSync(folder).find((found) =>
			/^licen[cs]e/i.test(found),
		);
		const text =
			file === undefined ? "" : readFileSync(join(folder, file), "utf8");
		return `${name} ${version} (${license})\n\n${text.trim()}\n`;
	});
}

/** wxtokend(8), from the usage that `--help` shows. */
async function manPage() {
	const { outputFiles } = await build({
		absWorkingDir: root,
		entryPoints: ["src/cli/man-page.ts"],
		bundle: true,
		write: false,
		format: "esm",
	});
	const code = Buffer.from(outputFiles[0].contents).toString("base64");
	const { manPage } = await import(`data:text/javascript;base64,${code}`);
	return manPage(readJson(join(root, "package.json")).version);
}

function readJson(path) {
	return JSON.parse(readFileSync(path, "utf8"));
}

// One file for both: it begins as a script for the shell, see there.
const launcher = readFileSync(join(root, "src/launcher.sh"), "utf8");
const entry = await bundle("src/cli.ts", "wxtokend", launcher);
const built = [];
for (const module of lazy) {
	// A Set grows while it is walked: modules found on the way are built too.
	built.push(...(await bundle(module, basename(module, ".ts"))));
}
built.push(
	{ path: join(root, "dist/wxtokend.8"), contents: await manPage() },
	// Node.js looks for one at the first `require`: the next above takes it longer.
	{ path: join(root, "dist/package.json"), contents: '{"type":"commonjs"}\n' },
	{
		path: join(root, "dist/THIRD-PARTY-LICENCES.txt"),
		contents: licences().join(`\n${"-".repeat(72)}\n\n`),
	},
);
// The entry comes last: its age is the age of all.
built.push(...entry);
const dist = join(root, "dist");
mkdirSync(dist, { recursive: true });
for (const { path, contents } of built) {
	const temporary = `${path}.${process.pid}.tmp`;
	writeFileSync(temporary, contents);
	chmodSync(temporary, basename(path) === "wxtokend.cjs" ? 0o755 : 0o644);
	renameSync(temporary, path);
}
const names = new Set(built.map(({ path }) => basename(path)));
for (const name of readdirSync(dist)) {
	if (names.has(name) || name.endsWith(".tmp")) continue;
	rmSync(join(dist, name), { recursive: true, force: true });
}

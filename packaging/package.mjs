// npm run package [-- --version V --output DIR --arch x64|arm64 --fast]: builds all
// that people can install, from dist/, for each architecture, with checksums and the
// list of what is inside (SBOM) beside it. The same sources make the same bytes.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { billOfMaterials } from "./bill-of-materials.mjs";
import { buildArchive } from "./build-archive.mjs";
import { buildDeb } from "./build-deb.mjs";
import { buildImage } from "./build-image.mjs";
import { buildRpm } from "./build-rpm.mjs";
import { architectures, nodeVersion } from "./node-binary.mjs";
import { manifest, sources } from "./tree.mjs";

const { values } = parseArgs({
	options: {
		version: { type: "string", default: manifest.version },
		output: { type: "string", default: join(sources, "packages") },
		arch: { type: "string", multiple: true, default: architectures },
		fast: { type: "boolean", default: false },
	},
});
const unknown = values.arch.filter((arch) => !architectures.includes(arch));
if (unknown.length > 0)
	throw new Error(
		`could not build for ${unknown.join(", ")}: there is Node.js for ${architectures.join(", ")}`,
	);
const missing = missingTools();
if (missing.length > 0) {
	console.error(
		`could not build the packages: as root, apt install ${missing.join(" ")}`,
	);
	process.exit(1);
}
const output = resolve(values.output);
mkdirSync(output, { recursive: true });

const files = [];
for (const arch of values.arch) {
	const wanted = { ...values, output, arch };
	for (const build of [buildArchive, buildDeb, buildRpm, buildImage])
		files.push(build(wanted));
}
const bill = join(output, `wxtokend-${values.version}.cdx.json`);
writeFileSync(bill, billOfMaterials(values.version, values.arch));
files.push(bill);

const sums = files.map((file) => {
	const sum = createHash("sha256").update(readFileSync(file)).digest("hex");
	return `${sum}  ${basename(file)}\n`;
});
writeFileSync(join(output, "SHA256SUMS"), sums.join(""));
for (const file of files) {
	const size = (statSync(file).size / 1e6).toFixed(1);
	console.log(`${size.padStart(6)} MB  ${file}`);
}
console.log(
	`with Node.js ${nodeVersion}; checksums: ${join(output, "SHA256SUMS")}`,
);

/** Debian's packages of the tools that this machine lacks. */
function missingTools() {
	const packageOf = {
		"dpkg-deb": "dpkg",
		xz: "xz-utils",
		rpmbuild: "rpm",
		mmdebstrap: "mmdebstrap",
		"x86_64-linux-gnu-strip":
			process.arch === "x64" ? "binutils" : "binutils-x86-64-linux-gnu",
		"aarch64-linux-gnu-strip":
			process.arch === "arm64" ? "binutils" : "binutils-aarch64-linux-gnu",
	};
	return Object.entries(packageOf)
		.filter(
			([tool]) => spawnSync("which", [tool], { stdio: "ignore" }).status !== 0,
		)
		.map(([, name]) => name);
}

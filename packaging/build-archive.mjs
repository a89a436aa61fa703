// The archive for any Linux with glibc 2.28 or newer: the program, its own Node.js, and
// install.sh.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { nodeFor } from "./node-binary.mjs";
import { addDocuments, addProgram, addUnits } from "./program.mjs";
import { newTree, sourceDate, sources } from "./tree.mjs";

/** The path of the archive. `fast`: in the same format, but nothing in it is compressed. */
export function buildArchive({ version, output, arch, fast = false }) {
	const name = `wxtokend-${version}-linux-${arch}`;
	const file = join(output, `${name}.tar.gz`);
	const tree = newTree();
	try {
		addProgram(tree, name, nodeFor(arch));
		addUnits(tree, `${name}/lib`, `${name}/systemd/before-252`, true);
		addDocuments(tree, name);
		tree.copy("CHANGELOG.md", `${name}/CHANGELOG.md`);
		tree.copy("LICENSE", `${name}/LICENSE`);
		tree.copy("packaging/install.sh", `${name}/install.sh`, 0o755);
		tarOf(tree.stage, [name], file, { fast });
		return file;
	} finally {
		tree.remove();
	}
}

/** As gzip, which cannot leave it out, but without compressing anything. */
const store = `'${process.execPath}' '${join(sources, "packaging/store.mjs")}'`;

/**
 * Puts `names` of a folder into a file: the same bytes from the same tree, whoever makes
 * it and when. `compress` is a command that reads stdin.
 */
export function tarOf(
	folder,
	names,
	file,
	{
		fast = false,
		owner = 0,
		group = 0,
		compress = fast ? store : "gzip -n -9",
	},
) {
	execFileSync(
		"tar",
		[
			"--sort=name",
			`--mtime=@${sourceDate()}`,
			`--owner=${owner}`,
			`--group=${group}`,
			"--numeric-owner",
			"--format=gnu",
			`--use-compress-program=${compress}`,
			"-cf",
			file,
			"-C",
			folder,
			...names,
		],
		{ stdio: ["ignore", "ignore", "inherit"] },
	);
}

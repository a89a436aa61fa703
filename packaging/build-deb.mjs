// npm run deb [-- --version V --output DIR --arch x64|arm64 --fast]: builds a Debian
// package from dist/. Without --arch it is wxtokend_V_all.deb, which takes the system's
// Node.js; with it, the package has its own.
import { execFileSync } from "node:child_process";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { nodeFor } from "./node-binary.mjs";
import {
	addDocuments,
	addProgram,
	addUnits,
	copyright,
	home,
} from "./program.mjs";
import { manifest, newTree, sourceDate, sources } from "./tree.mjs";

/** By the names that Node.js has for them. */
const debianNames = { x64: "amd64", arm64: "arm64" };

/** The path of the package. `fast`: nothing in it is compressed. */
export function buildDeb({ version, output, arch, fast = false }) {
	const node = arch === undefined ? undefined : nodeFor(arch);
	const name = arch === undefined ? "all" : debianNames[arch];
	const file = join(output, `wxtokend_${version}_${name}.deb`);
	const tree = newTree();
	try {
		addProgram(tree, home, node);
		addUnits(tree, "usr/lib", `${home}/systemd/before-252`, node !== undefined);
		// Nothing in /etc: dpkg would ask about a file there that both sides have changed,
		// and an unattended upgrade would stop at the question. setup makes the first one.
		tree.link(
			node === undefined
				? "../lib/wxtokend/dist/wxtokend.cjs"
				: "../lib/wxtokend/bin/wxtokend",
			"usr/bin/wxtokend",
		);
		const documents = "usr/share/doc/wxtokend";
		addDocuments(tree, documents);
		tree.write(`${documents}/copyright`, copyright(node !== undefined));
		tree.compressed("CHANGELOG.md", `${documents}/changelog.gz`);
		tree.compressed("dist/wxtokend.8", "usr/share/man/man8/wxtokend.8.gz");
		const size = tree.size();
		tree.write("DEBIAN/control", control(version, name, size));
		for (const script of ["postinst", "prerm", "postrm"])
			tree.copy(`packaging/${script}`, `DEBIAN/${script}`, 0o755);
		tree.setTimes();
		const compression = fast ? ["-Zgzip", "-z0"] : ["-Zxz"];
		execFileSync(
			"dpkg-deb",
			["--build", "--root-owner-group", ...compression, tree.stage, file],
			{
				stdio: ["ignore", "ignore", "inherit"],
				env: { ...process.env, SOURCE_DATE_EPOCH: String(sourceDate()) },
			},
		);
		return file;
	} finally {
		tree.remove();
	}
}

function control(version, architecture, size) {
	const depends =
		architecture === "all"
			? "nodejs (>= 20.18), perl-base, systemd (>= 252)"
			: "libc6 (>= 2.28), libstdc++6 (>= 8), perl-base, systemd (>= 239)";
	return `Package: wxtokend
Version: ${version}
Architecture: ${architecture}
Maintainer: The wxtokend authors <wxtokend@localhost>
Installed-Size: ${size}
Depends: ${depends}
Section: net
Priority: optional
Description: the one keeper of WeChat access tokens on a server
 wxtokend fetches the access_token of each WeChat account ahead of its end and
 publishes it as a small file that apps in any language read.
`;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
	const { values } = parseArgs({
		options: {
			version: { type: "string", default: manifest.version },
			output: { type: "string", default: sources },
			arch: { type: "string" },
			fast: { type: "boolean", default: false },
		},
	});
	console.log(buildDeb({ ...values, output: resolve(values.output) }));
}

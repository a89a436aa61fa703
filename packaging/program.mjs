// What every package has in it: the program, its units, its documents.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sources } from "./tree.mjs";

/** Where packages put the program; the units name this place. */
export const home = "usr/lib/wxtokend";

const units = [
	"wxtokend.service",
	"wxtokend-once.service",
	"wxtokend-once.timer",
];

/**
 * The program into `place`. With a Node.js of its own: that binary, a launcher, and
 * what hands systemd's socket over on systems without perl. Everything that is to be
 * started lies in a folder `bin` then, which is what SELinux lets a unit start.
 */
export function addProgram(tree, place, node) {
	tree.tree("dist", `${place}/dist`, (path) => !/\.(map|tmp)$/.test(path));
	tree.copy("packaging/setup", `${place}/setup`, 0o755);
	tree.copy("systemd/config.toml", `${place}/config.toml`);
	if (node === undefined) {
		tree.copy("systemd/notify-exec", `${place}/systemd/notify-exec`, 0o755);
		return;
	}
	tree.copy(node.binary, `${place}/bin/node`, 0o755);
	tree.copy(node.licence, `${place}/bin/node.LICENSE`);
	tree.write(`${place}/bin/wxtokend`, launcher(), 0o755);
	tree.copy("packaging/notify-exec", `${place}/bin/notify-exec`, 0o755);
}

/** The units and their like: below `place`, in the folders that systemd has for them. */
export function addUnits(tree, place, before252, hasOwnNode) {
	const unit = (from, to) => tree.write(to, unitText(from, hasOwnNode));
	for (const name of units)
		unit(`systemd/${name}`, `${place}/systemd/system/${name}`);
	for (const name of ["wxtokend.service", "wxtokend-once.service"])
		unit(`systemd/before-252/${name}`, `${before252}/${name}`);
	for (const kind of ["sysusers.d", "tmpfiles.d"])
		tree.copy(
			`systemd/${kind}/wxtokend.conf`,
			`${place}/${kind}/wxtokend.conf`,
		);
}

/** What people read. */
export function addDocuments(tree, place) {
	for (const name of [
		"README.md",
		"README.zh-CN.md",
		"SECURITY.md",
		"SECURITY.zh-CN.md",
	])
		tree.copy(name, `${place}/${name}`);
	tree.tree("docs", `${place}/docs`);
	// The demo is for the tree of the sources: it starts the program from ../dist.
	tree.tree(
		"examples",
		`${place}/examples`,
		(path) => !path.endsWith("/demo.mjs"),
	);
	for (const name of ["README.md", "README.zh-CN.md"])
		tree.copy(`systemd/${name}`, `${place}/systemd/${name}`);
	tree.tree("systemd/polkit", `${place}/systemd/polkit`);
}

/** The licence, with the place where those of the bundled packages are. */
export function copyright(hasOwnNode) {
	const own = hasOwnNode ? `\nNode.js: /${home}/bin/node.LICENSE` : "";
	return `wxtokend is under the MIT licence:

${readFileSync(join(sources, "LICENSE"), "utf8")}
What is bundled with it: /${home}/dist/THIRD-PARTY-LICENCES.txt${own}
`;
}

function unitText(from, hasOwnNode) {
	const text = readFileSync(join(sources, from), "utf8");
	if (!hasOwnNode) return text;
	return text
		.replaceAll(`/${home}/systemd/notify-exec`, `/${home}/bin/notify-exec`)
		.replaceAll("/usr/bin/env node", `/${home}/bin/node`);
}

/**
 * src/launcher.sh as a file of its own, which starts the Node.js beside it, also through
 * links.
 */
function launcher() {
	const script = readFileSync(join(sources, "src/launcher.sh"), "utf8");
	const [head, ...rest] = script.split('exec node "$0" "$@"\n');
	if (rest.length !== 1)
		throw new Error(
			"could not make the launcher: src/launcher.sh does not end with exec node",
		);
	return `${head}here=$(readlink -f "$0")
here=\${here%/*}
exec "$here/node" "$here/../dist/wxtokend.cjs" "$@"
`;
}

// npm run deb [-- --version V --output DIR]: builds wxtokend_V_all.deb from dist/.
// The program is bundled, so one package serves every architecture.
import { execFileSync } from "node:child_process";
import {
	chmodSync,
	copyFileSync,
	cpSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { gzipSync } from "node:zlib";

process.umask(0o022);
const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const { values } = parseArgs({
	options: {
		version: { type: "string", default: manifest.version },
		output: { type: "string", default: root },
	},
});
const stage = mkdtempSync(join(tmpdir(), "wxtokend-deb-"));
const file = join(values.output, `wxtokend_${values.version}_all.deb`);

try {
	chmodSync(stage, 0o755);
	tree("dist", "usr/lib/wxtokend/dist");
	copy("systemd/notify-exec", "usr/lib/wxtokend/systemd/notify-exec", 0o755);
	mkdirSync(join(stage, "usr/bin"), { recursive: true });
	symlinkSync(
		"../lib/wxtokend/dist/wxtokend.cjs",
		join(stage, "usr/bin/wxtokend"),
	);
	for (const unit of [
		"wxtokend.service",
		"wxtokend-once.service",
		"wxtokend-once.timer",
	])
		copy(`systemd/${unit}`, `usr/lib/systemd/system/${unit}`);
	for (const kind of ["sysusers.d", "tmpfiles.d"])
		copy(`systemd/${kind}/wxtokend.conf`, `usr/lib/${kind}/wxtokend.conf`);
	// Nothing in /etc: dpkg would ask about a file there that both sides have changed,
	// and an unattended upgrade would stop at the question. postinst makes the first one.
	copy("systemd/config.toml", "usr/share/wxtokend/config.toml");
	const documents = "usr/share/doc/wxtokend";
	for (const name of ["README.md", "README.zh-CN.md"])
		copy(name, `${documents}/${name}`);
	tree("docs", `${documents}/docs`);
	tree("examples", `${documents}/examples`);
	// It is for the tree: it starts the program from ../dist.
	rmSync(join(stage, documents, "examples/demo.mjs"));
	for (const name of ["README.md", "README.zh-CN.md"])
		copy(`systemd/${name}`, `${documents}/systemd/${name}`);
	tree("systemd/polkit", `${documents}/systemd/polkit`);
	write(`${documents}/copyright`, copyright());
	compressed("CHANGELOG.md", `${documents}/changelog.gz`);
	compressed("dist/wxtokend.8", "usr/share/man/man8/wxtokend.8.gz");
	write("DEBIAN/control", control());
	for (const script of ["postinst", "prerm", "postrm"])
		copy(`packaging/${script}`, `DEBIAN/${script}`, 0o755);
	execFileSync(
		"dpkg-deb",
		["--build", "--root-owner-group", "-Zxz", stage, file],
		{ stdio: ["ignore", "ignore", "inherit"] },
	);
	console.log(file);
} finally {
	rmSync(stage, { recursive: true });
}

function copy(from, to, mode = 0o644) {
	const target = join(stage, to);
	mkdirSync(dirname(target), { recursive: true });
	copyFileSync(join(root, from), target);
	chmodSync(target, mode);
}

function tree(from, to) {
	const target = join(stage, to);
	cpSync(join(root, from), target, { recursive: true });
	chmodSync(target, 0o755);
	for (const name of readdirSync(target, { recursive: true })) {
		const path = join(target, name);
		const { mode } = statSync(path);
		// A checkout under a strict umask must not shut the daemon's user out.
		chmodSync(path, (mode & 0o100) === 0 ? 0o644 : 0o755);
	}
}

function write(to, text) {
	const target = join(stage, to);
	mkdirSync(dirname(target), { recursive: true });
	writeFileSync(target, text, { mode: 0o644 });
}

function compressed(from, to) {
	write(to, gzipSync(readFileSync(join(root, from)), { level: 9 }));
}

function control() {
	return `Package: wxtokend
Version: ${values.version}
Architecture: all
Maintainer: The wxtokend authors <wxtokend@localhost>
Depends: nodejs (>= 20.18), perl-base, systemd (>= 252)
Section: net
Priority: optional
Description: the one keeper of WeChat access tokens on a server
 wxtokend fetches the access_token of each WeChat account ahead of its end and
 publishes it as a small file that apps in any language read.
`;
}

function copyright() {
	return `wxtokend is under the MIT licence:

${readFileSync(join(root, "LICENSE"), "utf8")}
What is bundled with it: /usr/lib/wxtokend/dist/THIRD-PARTY-LICENCES.txt
`;
}

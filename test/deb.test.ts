/** The Debian package: an upgrade must never stop for a question about the configuration. */
import { execFileSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	mkdirSync,
	readFileSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newDirectory } from "./support/directory.ts";
import { projectRoot } from "./support/program.ts";

const hasDpkg = ["/usr/bin/dpkg-deb", "/bin/dpkg-deb"].some(existsSync);

/** What postinst calls of the system; none of them shall do anything here. */
const stubbed = [
	"systemd-sysusers",
	"systemd-tmpfiles",
	"systemctl",
	"getent",
	"usermod",
	"chgrp",
];

/** The package, unpacked as by dpkg, with a postinst that acts in there only. */
function unpacked() {
	const place = newDirectory();
	const root = join(place, "root");
	const control = join(place, "control");
	const tools = join(place, "tools");
	execFileSync(
		process.execPath,
		[
			...["packaging/build-deb.mjs", "--version", "9.9.9"],
			...["--output", place, "--fast"],
		],
		{ cwd: projectRoot },
	);
	const deb = join(place, "wxtokend_9.9.9_all.deb");
	execFileSync("dpkg-deb", ["-x", deb, root]);
	execFileSync("dpkg-deb", ["-e", deb, control]);
	mkdirSync(tools);
	for (const name of stubbed) {
		writeFileSync(join(tools, name), "#!/bin/sh\nexit 0\n");
		chmodSync(join(tools, name), 0o755);
	}
	mkdirSync(join(root, "etc/wxtokend"), { recursive: true });
	const configure = (before: string) =>
		execFileSync("sh", [join(control, "postinst"), "configure", before], {
			encoding: "utf8",
			env: { PATH: `${tools}:${process.env.PATH}`, DPKG_ROOT: root },
		});
	return { root, control, configure };
}

test.skipIf(!hasDpkg)(
	"the package has no file that dpkg asks about; the first installation makes a configuration, and later ones leave it alone",
	() => {
		const { root, control, configure } = unpacked();
		const config = join(root, "etc/wxtokend/config.toml");
		expect(existsSync(join(control, "conffiles"))).toBe(false);
		expect(existsSync(config)).toBe(false);

		expect(configure("")).toContain("/etc/wxtokend/config.toml");
		expect(readFileSync(config, "utf8")).toBe(
			readFileSync(join(projectRoot, "systemd/config.toml"), "utf8"),
		);
		expect(statSync(config).mode & 0o777).toBe(0o640);

		writeFileSync(config, "# edited\n");
		for (const before of ["", "0.1.0"]) {
			configure(before);
			expect(readFileSync(config, "utf8")).toBe("# edited\n");
		}
		rmSync(config);
		configure("0.1.0");
		expect(existsSync(config)).toBe(false);
	},
);

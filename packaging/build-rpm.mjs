// The RPM, with its own Node.js: for RHEL 8 and newer, and what descends from them.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeFor } from "./node-binary.mjs";
import {
	addDocuments,
	addProgram,
	addUnits,
	copyright,
	home,
} from "./program.mjs";
import { newTree, sourceDate } from "./tree.mjs";

/** By the names that Node.js has for them. */
const rpmNames = { x64: "x86_64", arm64: "aarch64" };

/** The path of the package. `fast`: nothing in it is compressed. */
export function buildRpm({ version, output, arch, fast = false }) {
	const target = rpmNames[arch];
	const name = `wxtokend-${version}-1.${target}.rpm`;
	const tree = newTree();
	const place = mkdtempSync(join(tmpdir(), "wxtokend-rpm-"));
	try {
		addProgram(tree, home, nodeFor(arch));
		addUnits(tree, "usr/lib", `${home}/systemd/before-252`, true);
		tree.link("../lib/wxtokend/bin/wxtokend", "usr/bin/wxtokend");
		const documents = "usr/share/doc/wxtokend";
		addDocuments(tree, documents);
		tree.write(`${documents}/LICENSE`, copyright(true));
		tree.copy("CHANGELOG.md", `${documents}/CHANGELOG.md`);
		tree.compressed("dist/wxtokend.8", "usr/share/man/man8/wxtokend.8.gz");
		tree.setTimes();
		writeFileSync(
			join(place, "wxtokend.spec"),
			spec(version, tree.stage, fast),
		);
		mkdirSync(join(place, "out"));
		execFileSync(
			"rpmbuild",
			[
				"-bb",
				"--quiet",
				`--target=${target}-linux`,
				`--define=_topdir ${place}`,
				`--define=_rpmdir ${place}/out`,
				"--define=_build_name_fmt %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm",
				join(place, "wxtokend.spec"),
			],
			{
				stdio: ["ignore", "ignore", "pipe"],
				env: { ...process.env, SOURCE_DATE_EPOCH: String(sourceDate()) },
			},
		);
		const file = join(output, name);
		// Another file system may be in between.
		execFileSync("mv", [join(place, "out", name), file]);
		return file;
	} finally {
		tree.remove();
		rmSync(place, { recursive: true, force: true });
	}
}

/**
 * Nothing is compiled, searched for dependencies or stripped: what is in the tree is
 * what is installed. A unit tells systemd by python or perl, see notify-exec.
 */
function spec(version, stage, fast) {
	return `
%global debug_package %{nil}
%global __os_install_post %{nil}
%global _build_id_links none
%global _binary_payload ${fast ? "w0.gzdio" : "w6.xzdio"}
%global _buildhost localhost
%global use_source_date_epoch_as_buildtime 1
%global clamp_mtime_to_source_date_epoch 1
%global _use_internal_dependency_generator 0

Name: wxtokend
Version: ${version}
Release: 1
Summary: The one keeper of WeChat access tokens on a server
License: MIT
Group: System Environment/Daemons
AutoReqProv: no
Requires: glibc >= 2.28, libstdc++, libgcc, systemd >= 239, shadow-utils, /bin/sh
Requires: (/usr/bin/python3 or /usr/libexec/platform-python or perl-interpreter)

%description
wxtokend fetches the access_token of each WeChat account ahead of its end and
publishes it as a small file that apps in any language read.

%install
mkdir -p %{buildroot}
cp -a ${stage}/. %{buildroot}

%files
%defattr(-,root,root,-)
/${home}
/usr/bin/wxtokend
/usr/lib/systemd/system/wxtokend.service
/usr/lib/systemd/system/wxtokend-once.service
/usr/lib/systemd/system/wxtokend-once.timer
/usr/lib/sysusers.d/wxtokend.conf
/usr/lib/tmpfiles.d/wxtokend.conf
/usr/share/man/man8/wxtokend.8.gz
%doc /usr/share/doc/wxtokend

%post
if [ "$1" = 1 ]; then former=; else former=before; fi
/${home}/setup configure "$former"

%preun
[ "$1" != 0 ] || /${home}/setup remove

%postun
if [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
`;
}

// Node.js itself, from npm's packages of its own binaries: the version and the
// checksums stand in node.json, and nothing else is taken.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
} from "node:fs";
import { join } from "node:path";
import { sources } from "./tree.mjs";

const { version, packages } = JSON.parse(
	readFileSync(join(sources, "packaging/node.json"), "utf8"),
);
const cache = join(sources, "node_modules/.cache/wxtokend-packaging");

/** Its version. */
export const nodeVersion = version;

/** The architectures by the names that Node.js has for them. */
export const architectures = Object.keys(packages);

/** The binary without its symbols, its licence, and the checksum of the package that both are from. */
export function nodeFor(arch) {
	const { name, sha512, strip } = packages[arch];
	const place = join(cache, `${name}-${version}`);
	if (!existsSync(place)) fetch(`${name}@${version}`, sha512, strip, place);
	return {
		binary: join(place, "bin/node"),
		licence: join(place, "LICENSE"),
		package: name,
		sha512,
	};
}

function fetch(spec, sha512, strip, place) {
	mkdirSync(cache, { recursive: true });
	const draft = mkdtempSync(join(cache, "draft-"));
	try {
		const [{ filename }] = JSON.parse(
			execFileSync(
				"npm",
				["pack", spec, "--json", "--pack-destination", draft],
				{
					encoding: "utf8",
					stdio: ["ignore", "pipe", "inherit"],
				},
			),
		);
		const archive = join(draft, filename);
		const found = createHash("sha512")
			.update(readFileSync(archive))
			.digest("base64");
		if (found !== sha512)
			throw new Error(
				`could not take ${spec}: its sha512 is ${found}, and packaging/node.json says ${sha512}`,
			);
		const parts = ["package/bin/node", "package/LICENSE"];
		execFileSync("tar", ["-xzf", archive, "-C", draft, ...parts]);
		// 18 MB of names that only a debugger asks for.
		execFileSync(strip, ["--strip-all", join(draft, parts[0])]);
		renameSync(join(draft, "package"), place);
	} finally {
		rmSync(draft, { recursive: true, force: true });
	}
}

// An image for containers, as an archive that `docker load`, `podman load` and
// containerd read (OCI layout, with the manifest.json of older Dockers beside it). It
// is made without a container engine and without a registry. Below the program lies as
// little of Debian as it runs on. The same sources and the same Debian packages make
// the same bytes.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { tarOf } from "./build-archive.mjs";
import { nodeFor } from "./node-binary.mjs";
import { addProgram, home } from "./program.mjs";
import { newTree, sourceDate } from "./tree.mjs";

/** By the names that Node.js has for them; Docker and Debian have the same. */
const names = { x64: "amd64", arm64: "arm64" };

/** The daemon's user, and the group of the readers: www-data, as in Debian's PHP images. */
const user = 10_001;
const group = 33;

/** What the program runs on: the C library, a shell, `getent`, and tools for people who look inside. */
const debian = [
	"base-files",
	"busybox-static",
	"dash",
	"libc-bin",
	"libc6",
	"libgcc-s1",
	"libstdc++6",
];
const applets = ["cat", "env", "id", "kill", "ls", "ps", "readlink", "sleep"];

/** The path of the image. `fast`: nothing in it is compressed. */
export function buildImage({ version, output, arch, fast = false }) {
	const file = join(output, `wxtokend-${version}-image-${names[arch]}.tar`);
	const tree = newTree();
	const draft = join(tree.stage, "draft");
	const layout = join(tree.stage, "layout");
	mkdirSync(draft);
	mkdirSync(join(layout, "blobs/sha256"), { recursive: true });
	try {
		const layers = [baseLayer, programLayer, directoryLayer].map(
			(build, at) => {
				const path = join(draft, `${at}.tar.gz`);
				build(path, { arch, fast });
				return readFileSync(path);
			},
		);
		writeLayout(layout, layers, version, names[arch]);
		tarOf(layout, ["."], file, { compress: "cat" });
		return file;
	} finally {
		tree.remove();
	}
}

function baseLayer(file, { arch, fast }) {
	const tree = newTree();
	const root = join(tree.stage, "root");
	try {
		execFileSync(
			"mmdebstrap",
			[
				"--quiet",
				"--variant=extract",
				`--architectures=${names[arch]}`,
				`--include=${debian.join(",")}`,
				"bookworm",
				root,
			],
			{ stdio: ["ignore", "ignore", "inherit"] },
		);
		for (const part of [
			"var/cache",
			"var/lib/apt",
			"var/log",
			"dev",
			"proc",
			"sys",
		])
			rmSync(join(root, part), { recursive: true, force: true });
		tree.write(
			"root/etc/passwd",
			`root:x:0:0::/:/bin/sh\nwxtokend:x:${user}:${group}::/:/usr/sbin/nologin\n`,
		);
		tree.write("root/etc/group", `root:x:0:\nwww-data:x:${group}:\n`);
		tree.write(
			"root/etc/nsswitch.conf",
			"passwd: files\ngroup: files\nhosts: files dns\n",
		);
		for (const applet of applets)
			execFileSync("ln", ["-s", "/bin/busybox", join(root, "usr/bin", applet)]);
		execFileSync("ln", ["-sf", "dash", join(root, "bin/sh")]);
		tarOf(root, ["."], file, { fast });
	} finally {
		tree.remove();
	}
}

function programLayer(file, { arch, fast }) {
	const tree = newTree();
	try {
		addProgram(tree, home, nodeFor(arch));
		tree.link("../lib/wxtokend/bin/wxtokend", "usr/bin/wxtokend");
		tarOf(tree.stage, ["usr"], file, { fast });
	} finally {
		tree.remove();
	}
}

/** A new volume takes the owner and the mode of the folder that it hides. */
function directoryLayer(file) {
	const tree = newTree();
	try {
		mkdirSync(join(tree.stage, "run/wxtokend"), {
			recursive: true,
			mode: 0o750,
		});
		tarOf(tree.stage, ["run/wxtokend"], file, { owner: user, group });
	} finally {
		tree.remove();
	}
}

function writeLayout(layout, layers, version, architecture) {
	const blob = (bytes) => {
		const digest = createHash("sha256").update(bytes).digest("hex");
		writeFileSync(join(layout, "blobs/sha256", digest), bytes);
		return { digest: `sha256:${digest}`, size: bytes.length };
	};
	const json = (value) => Buffer.from(JSON.stringify(value));
	const kind = "application/vnd.oci.image";
	const config = blob(json(configOf(layers, version, architecture)));
	const parts = layers.map((bytes) => ({
		mediaType: `${kind}.layer.v1.tar+gzip`,
		...blob(bytes),
	}));
	const manifest = blob(
		json({
			schemaVersion: 2,
			mediaType: `${kind}.manifest.v1+json`,
			config: { mediaType: `${kind}.config.v1+json`, ...config },
			layers: parts,
		}),
	);
	const name = `wxtokend:${version}`;
	const index = {
		schemaVersion: 2,
		manifests: [
			{
				mediaType: `${kind}.manifest.v1+json`,
				...manifest,
				platform: { architecture, os: "linux" },
				annotations: {
					"io.containerd.image.name": `docker.io/library/${name}`,
					"org.opencontainers.image.ref.name": version,
				},
			},
		],
	};
	const path = ({ digest }) => `blobs/sha256/${digest.slice("sha256:".length)}`;
	const docker = [
		{ Config: path(config), RepoTags: [name], Layers: parts.map(path) },
	];
	writeFileSync(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
	writeFileSync(join(layout, "index.json"), json(index));
	writeFileSync(join(layout, "manifest.json"), json(docker));
}

function configOf(layers, version, architecture) {
	const wxtokend = `/${home}/bin/node`;
	const program = `/${home}/dist/wxtokend.cjs`;
	const created = new Date(sourceDate() * 1000).toISOString();
	return {
		created,
		architecture,
		os: "linux",
		config: {
			User: `${user}:${group}`,
			Env: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],
			// Node.js itself, as process 1: it has handlers for HUP and TERM.
			Entrypoint: [wxtokend, program],
			Cmd: ["run"],
			StopSignal: "SIGTERM",
			Volumes: { "/run/wxtokend": {} },
			// Docker's own: 75 means that all tokens live, but a refresh fails.
			Healthcheck: {
				Test: ["CMD-SHELL", "wxtokend status >/dev/null || [ $? = 75 ]"],
				Interval: 30e9,
				Timeout: 10e9,
				StartPeriod: 30e9,
				Retries: 3,
			},
			Labels: {
				"org.opencontainers.image.title": "wxtokend",
				"org.opencontainers.image.version": version,
				"org.opencontainers.image.licenses": "MIT",
			},
		},
		rootfs: {
			type: "layers",
			diff_ids: layers.map(
				(bytes) =>
					`sha256:${createHash("sha256").update(gunzipSync(bytes)).digest("hex")}`,
			),
		},
		history: layers.map((_, at) => ({
			created,
			created_by: ["Debian", "wxtokend", "/run/wxtokend"][at],
		})),
	};
}

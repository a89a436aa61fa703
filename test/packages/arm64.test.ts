/**
 * What is built for arm64 says so, and has a Node.js for it inside: on the machine of
 * another architecture nothing else would notice that it has not.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot } from "../support/program.ts";
import { run } from "../support/run.ts";

const missing = [
	"rpmbuild",
	"rpm",
	"dpkg-deb",
	"aarch64-linux-gnu-strip",
].filter((tool) => spawnSync("which", [tool]).status !== 0);

test.runIf(process.env.CI !== undefined)("CI has the tools for it", () => {
	expect(missing).toEqual([]);
});

describe.skipIf(missing.length > 0)("the packages for arm64", () => {
	let place = "";
	let files: Readonly<Record<string, string>> = {};

	beforeAll(async () => {
		place = mkdtempSync(join(tmpdir(), "wxtokend-arm64-"));
		const wanted = {
			version: "1.2.3",
			output: place,
			arch: "arm64",
			fast: true,
		};
		const kinds = ["Archive", "Deb", "Rpm"].map((kind) => [
			kind,
			join(projectRoot, `packaging/build-${kind.toLowerCase()}.mjs`),
		]);
		const script = `
			const files = {};
			for (const [kind, path] of ${JSON.stringify(kinds)})
				files[kind] = (await import(path))["build" + kind](${JSON.stringify(wanted)});
			console.log(JSON.stringify(files));
		`;
		const words = ["--input-type=module", "--eval", script, "build"];
		files = JSON.parse(await run(process.execPath, words));
	}, 300_000);

	afterAll(() => rmSync(place, { recursive: true, force: true }));

	test("are named and labelled so, each as its package manager writes it", () => {
		const { Archive = "", Deb = "", Rpm = "" } = files;
		expect(Archive).toBe(join(place, "wxtokend-1.2.3-linux-arm64.tar.gz"));
		expect(Deb).toBe(join(place, "wxtokend_1.2.3_arm64.deb"));
		expect(said("dpkg-deb", ["-f", Deb, "Architecture"])).toBe("arm64");
		expect(Rpm).toBe(join(place, "wxtokend-1.2.3-1.aarch64.rpm"));
		const format = ["--queryformat", "%{ARCH} %{OS}"];
		expect(said("rpm", ["-qp", ...format, Rpm])).toBe("aarch64 linux");
	});

	test("have one and the same Node.js inside, which is for arm64", () => {
		const { Archive = "", Deb = "", Rpm = "" } = files;
		const unpacked = (name: string) => {
			const folder = join(place, name);
			mkdirSync(folder);
			return folder;
		};
		const archive = unpacked("archive");
		execFileSync("tar", [
			"-xzf",
			Archive,
			"-C",
			archive,
			"--strip-components=1",
		]);
		const deb = unpacked("deb");
		execFileSync("dpkg-deb", ["-x", Deb, deb]);
		const node = readFileSync(join(archive, "bin/node"));
		// Of an ELF: 64 bits, the lower byte first, and the machine (183: AArch64).
		expect(node.subarray(0, 6).toString("latin1")).toBe("\x7fELF\x02\x01");
		expect(node.readUInt16LE(18)).toBe(183);
		const sum = sumOf(node);
		expect(sumOf(readFileSync(join(deb, "usr/lib/wxtokend/bin/node")))).toBe(
			sum,
		);
		const listed = said("rpm", ["-qp", "--dump", Rpm]).split("\n");
		const line = listed.find((it) =>
			it.startsWith("/usr/lib/wxtokend/bin/node "),
		);
		expect(line?.split(" ")[3]).toBe(sum);
	});
});

function said(command: string, words: readonly string[]): string {
	return execFileSync(command, words, { encoding: "utf8" }).trim();
}

function sumOf(bytes: Uint8Array): string {
	return createHash("sha256").update(bytes).digest("hex");
}

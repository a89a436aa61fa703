/**
 * Everything that `npm run package` builds is installed, run and removed on a bare
 * Debian 12 that has no Node.js. The commands
 * are those of docs/install: checks.sh runs them in there, image.sh those for containers;
 * each of their checks is a test here.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	cpSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot } from "../support/program.ts";
import { run } from "../support/run.ts";

const machine = join(projectRoot, "test/systemd/machine");
const { version } = JSON.parse(
	readFileSync(join(projectRoot, "package.json"), "utf8"),
);
const here = import.meta.dirname;
const isCi = process.env.CI !== undefined;
const reason = whyNot();
/** Of docs/install: those that install a package. */
const pages = ["debian", "archive", "rhel"];

test.runIf(isCi)(
	"CI can do all of it, so that nothing here is left out",
	() => {
		expect(reason).toBe("");
	},
);

describe.skipIf(reason !== "")(`npm run package ${reason}`, () => {
	let place = "";
	let packages = "";
	let results: ReadonlyMap<string, string> = new Map();
	let ending = "";

	beforeAll(async () => {
		place = mkdtempSync(join(tmpdir(), "wxtokend-packages-"));
		packages = join(place, "packages");
		cpSync(join(projectRoot, "docs/install"), join(place, "install"), {
			recursive: true,
		});
		const root = join(place, "root");
		const built = run(process.execPath, [
			join(projectRoot, "packaging/package.mjs"),
			...["--arch", "x64", "--fast", "--output", packages],
		]);
		await Promise.all([built, layDebian(root)]);
		const imageFolder = join(place, "image");
		mkdirSync(imageFolder);
		const image = run("bash", [
			join(here, "image.sh"),
			join(packages, `wxtokend-${version}-image-amd64.tar`),
			...[projectRoot, imageFolder, version],
		]);
		const inside = (page: string) =>
			run(machine, [
				...["--root", root, "--bind", place],
				...["--copy", `${join(here, "checks.sh")}:/checks`],
				...["--", "bash", "/checks", page, place],
			]);
		const rpm = (...words: readonly string[]) =>
			run("rpm", ["--root", root, "--nodeps", ...words]);
		const outputs = await Promise.all([inside("debian"), inside("archive")]);
		// The user that RHEL's php-fpm has.
		await run("chroot", [root, "useradd", "--system", "apache"]);
		await rpm("-i", join(packages, `wxtokend-${version}-1.x86_64.rpm`));
		outputs.push(await inside("rhel"), await rpm("-e", "wxtokend"));
		outputs.push(await image);
		const output = outputs.join("\n");
		results = new Map(resultsIn(output));
		ending = output.slice(-2_000);
	}, 1_200_000);

	afterAll(() => rmSync(place, { recursive: true, force: true }));

	test.for([
		...pages.flatMap((page) =>
			checksIn("checks.sh").map((name) => `${page}: ${name}`),
		),
		...checksIn("image.sh").map((name) => `image: ${name}`),
	])("%s", (name) => {
		expect(results.get(name) ?? `did not run: ${ending}`).toBe("ok");
	});

	test("rpm --root takes away what it brought", () => {
		for (const path of ["usr/lib/wxtokend", "usr/bin/wxtokend"])
			expect(existsSync(join(place, "root", path)), path).toBe(false);
	});

	test("the checksums are those of the files, and the list of what is inside names what is bundled", () => {
		const sums = readFileSync(join(packages, "SHA256SUMS"), "utf8");
		const files = sums.trimEnd().split("\n");
		expect(files).toHaveLength(5);
		for (const line of files) {
			const [sum, file = ""] = line.split("  ");
			const bytes = readFileSync(join(packages, file));
			expect(createHash("sha256").update(bytes).digest("hex")).toBe(sum);
		}
		const { components } = JSON.parse(
			readFileSync(join(packages, `wxtokend-${version}.cdx.json`), "utf8"),
		);
		const named = components.map(({ name }: { readonly name: string }) => name);
		expect(named).toEqual(
			expect.arrayContaining(["undici", "pino", "smol-toml", "node"]),
		);
	});
});

/** The names in a script, so that each check has its name also when none ran. */
function checksIn(script: string): readonly string[] {
	const text = readFileSync(join(here, script), "utf8");
	return [...text.matchAll(/^check "(.+?)"/gm)].map(([, name = ""]) => name);
}

/** A bare Debian 12 with systemd. It is made once for each clone, as it takes long. */
async function layDebian(root: string): Promise<void> {
	const cache = join(projectRoot, "node_modules/.cache/wxtokend-packaging");
	const kept = join(cache, "bookworm.tar");
	if (!existsSync(kept)) {
		mkdirSync(cache, { recursive: true });
		const draft = join(cache, `draft-${process.pid}.tar`);
		const wanted = "systemd,systemd-sysv,dbus,libnss-systemd,apt";
		await run("mmdebstrap", [
			...["--quiet", "--variant=essential", `--include=${wanted}`],
			// Laid out merged, it needs no program that merges it, nor all of Perl for that.
			"--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
			...["bookworm", draft, "http://deb.debian.org/debian"],
		]);
		await run("mv", [draft, kept]);
	}
	mkdirSync(root);
	await run("tar", ["-xf", kept, "-C", root, "--exclude=./dev/*"]);
}

/** By the names of the checks: "ok", or what else and why. */
function resultsIn(lines: string): readonly (readonly [string, string])[] {
	return [...lines.matchAll(/^(ok|not ok) (.*?)(?: - (.*))?$/gm)].map(
		([, verdict = "", name = "", why = ""]) =>
			[name, verdict === "ok" ? verdict : `${verdict}: ${why}`] as const,
	);
}

function whyNot(): string {
	const missing = [
		"mmdebstrap",
		"podman",
		"runc",
		"php",
		"rpmbuild",
		"rpm",
		"dpkg-deb",
		"x86_64-linux-gnu-strip",
	].filter((tool) => spawnSync("which", [tool]).status !== 0);
	if (missing.length > 0) return `(there is no ${missing.join(", ")})`;
	if (execFileSync("uname", ["-m"], { encoding: "utf8" }).trim() !== "x86_64")
		return "(it builds for x64 here)";
	const { status, stderr } = spawnSync(machine, ["--", "true"], {
		encoding: "utf8",
	});
	return status === 0 ? "" : (stderr.trim().split("\n").at(-1) ?? `${status}`);
}

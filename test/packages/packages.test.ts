/**
 * Everything that `npm run package` builds is installed, run and removed on a bare
 * Debian 12 that has no Node.js. checks.sh does it in there; each of its checks is a
 * test here.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot } from "../support/program.ts";

const machine = join(projectRoot, "test/systemd/machine");
const checks = join(import.meta.dirname, "checks.sh");
const isCi = process.env.CI !== undefined;
const reason = whyNot();
const kinds = ["deb", "archive", "rpm"] as const;
type Kind = (typeof kinds)[number];

/** Read from the script, so that each check has its name also when none ran. */
const names = [
	...readFileSync(checks, "utf8").matchAll(/^check "(.+?)"/gm),
].map(([, name = ""]) => name);

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
		const root = join(place, "root");
		const built = run(process.execPath, [
			join(projectRoot, "packaging/package.mjs"),
			...[
				"--arch",
				"x64",
				"--fast",
				"--version",
				"9.9.9",
				"--output",
				packages,
			],
		]);
		await Promise.all([built, layDebian(root)]);
		const outputs: string[] = [];
		const inside = async (kind: Kind) =>
			outputs.push(
				await run(machine, [
					...["--root", root, "--bind", place, "--copy", `${checks}:/checks`],
					...["--", "bash", "/checks", kind, join(packages, fileOf[kind])],
				]),
			);
		await Promise.all([inside("deb"), inside("archive")]);
		const rpm = (...words: readonly string[]) =>
			run("rpm", ["--root", root, "--nodeps", ...words]);
		outputs.push(await rpm("-i", join(packages, fileOf.rpm)));
		await inside("rpm");
		outputs.push(await rpm("-e", "wxtokend"));
		const output = outputs.join("\n");
		results = new Map(resultsIn(output));
		ending = output.slice(-2_000);
	}, 600_000);

	afterAll(() => rmSync(place, { recursive: true, force: true }));

	test.for(kinds.flatMap((kind) => names.map((name) => `${kind}: ${name}`)))(
		"%s",
		(name) => {
			expect(results.get(name) ?? `did not run: ${ending}`).toBe("ok");
		},
	);

	test("rpm --root takes away what it brought", () => {
		for (const path of ["usr/lib/wxtokend", "usr/bin/wxtokend"])
			expect(existsSync(join(place, "root", path)), path).toBe(false);
	});

	test("the checksums are those of the files, and the list of what is inside names what is bundled", () => {
		const sums = readFileSync(join(packages, "SHA256SUMS"), "utf8");
		const files = sums.trimEnd().split("\n");
		expect(files).toHaveLength(4);
		for (const line of files) {
			const [sum, file = ""] = line.split("  ");
			const bytes = readFileSync(join(packages, file));
			expect(createHash("sha256").update(bytes).digest("hex")).toBe(sum);
		}
		const { components } = JSON.parse(
			readFileSync(join(packages, "wxtokend-9.9.9.cdx.json"), "utf8"),
		);
		const named = components.map(({ name }: { readonly name: string }) => name);
		expect(named).toEqual(
			expect.arrayContaining(["undici", "pino", "smol-toml", "node"]),
		);
	});
});

/** Of version 9.9.9. */
const fileOf: Readonly<Record<Kind, string>> = {
	deb: "wxtokend_9.9.9_amd64.deb",
	archive: "wxtokend-9.9.9-linux-x64.tar.gz",
	rpm: "wxtokend-9.9.9-1.x86_64.rpm",
};

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
			...["bookworm", draft],
		]);
		await run("mv", [draft, kept]);
	}
	mkdirSync(root);
	await run("tar", ["-xf", kept, "-C", root, "--exclude=./dev/*"]);
}

/** What it wrote. Not synchronously: the test runner would take us for dead. */
async function run(command: string, words: readonly string[]): Promise<string> {
	const child = spawn(command, words, { stdio: ["ignore", "pipe", "pipe"] });
	const ended = new Promise<number | null>((resolve) => {
		child.once("close", resolve);
	});
	const [out, error] = await Promise.all([
		text(child.stdout),
		text(child.stderr),
	]);
	const code = await ended;
	if (code !== 0) throw new Error(`${command} ended with ${code}: ${error}`);
	return out;
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

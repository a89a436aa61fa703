/**
 * The units, the package and the whole life of the service under a real systemd,
 * booted in namespaces by `machine`. checks.sh does it in there; each of its
 * checks is a test here.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot } from "../support/program.ts";

const machine = join(import.meta.dirname, "machine");
const checks = join(import.meta.dirname, "checks.sh");
const isCi = process.env.CI !== undefined;
const reason = whyNot();

/** Read from the script, so that each check has its name also when none ran. */
const names = [
	...readFileSync(checks, "utf8").matchAll(/^check "(.+?)"/gm),
].map(([, name = ""]) => name);

test.runIf(isCi)(
	"CI can boot a systemd, so that nothing here is left out",
	() => {
		expect(reason).toBe("");
	},
);

describe.skipIf(reason !== "")(`under a real systemd ${reason}`, () => {
	let results: ReadonlyMap<string, string> = new Map();
	let ending = "";
	let place = "";

	beforeAll(async () => {
		place = mkdtempSync(join(tmpdir(), "wxtokend-systemd-"));
		for (const folder of ["dist", "systemd"])
			cpSync(join(projectRoot, folder), join(place, folder), {
				recursive: true,
			});
		cpSync(checks, join(place, "checks.sh"));
		const packages = [debOf("0.1.0", place), debOf("0.1.1", place)];
		const output = await runInMachine(
			["--bind", place, ...nodeWhereUnitsFindIt()],
			["bash", join(place, "checks.sh")],
			packages,
			place,
		);
		results = new Map(resultsIn(output));
		ending = output.slice(-2_000);
	}, 660_000);

	afterAll(() => rmSync(place, { recursive: true, force: true }));

	test.for(names)("%s", (name, { skip }) => {
		const result = results.get(name) ?? `did not run: ${ending}`;
		skip(result.startsWith("skip") && !isCi, result);
		expect(result).toBe("ok");
	});
});

/** By the names of the checks: "ok", or what else and why. */
function resultsIn(lines: string): readonly (readonly [string, string])[] {
	return [...lines.matchAll(/^(ok|not ok|skip) (.*?)(?: - (.*))?$/gm)].map(
		([, verdict = "", name = "", why = ""]) =>
			[name, verdict === "ok" ? verdict : `${verdict}: ${why}`] as const,
	);
}

function whyNot(): string {
	const { status, stderr, error } = spawnSync(machine, ["--", "true"], {
		encoding: "utf8",
	});
	if (status === 0) return "";
	return stderr?.trim().split("\n").at(-1) || `(${error?.message ?? status})`;
}

/** What it wrote. Not synchronously: the test runner would take us for dead. */
async function runInMachine(
	options: readonly string[],
	...command: readonly (string | readonly string[])[]
): Promise<string> {
	const child = spawn(machine, [...options, "--", ...command.flat()], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	return (await Promise.all([text(child.stdout), text(child.stderr)])).join(
		"\n",
	);
}

/** Builds the package. */
function debOf(version: string, output: string): string {
	const script = join(projectRoot, "packaging/build-deb.mjs");
	const options = ["--version", version, "--output", output, "--fast"];
	return execFileSync(process.execPath, [script, ...options], {
		encoding: "utf8",
	}).trim();
}

/** It may lie in a home directory, or where else services do not see it. */
function nodeWhereUnitsFindIt(): readonly string[] {
	return /^\/usr\/(local\/)?bin\//.test(process.execPath)
		? []
		: ["--copy", `${process.execPath}:/usr/local/bin/node`];
}

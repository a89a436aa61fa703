/**
 * The units, the package and the whole life of the service under a real systemd,
 * booted in namespaces by `with-systemd`. checks.sh does it in there; each of its
 * checks is a test here.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot } from "../support/program.ts";

const harness = join(import.meta.dirname, "with-systemd");
const checks = join(import.meta.dirname, "checks.sh");
const possible = spawnSync(harness, ["--check"], { encoding: "utf8" });
const reason =
	possible.status === 0
		? ""
		: (possible.stderr.trim().split("\n").at(-1) ?? "it cannot boot here");

/** Also when nothing ran, each check has its name: they are read from the script. */
const names = execFileSync("grep", ["-oP", '^check "\\K[^"]+', checks], {
	encoding: "utf8",
})
	.trim()
	.split("\n");

describe.skipIf(reason !== "")(`under a real systemd ${reason}`, () => {
	const results = new Map<string, string>();
	let place = "";
	let output = "";

	beforeAll(() => {
		place = mkdtempSync(join(tmpdir(), "wxtokend-systemd-"));
		const deb = (version: string) =>
			execFileSync(
				process.execPath,
				["packaging/build-deb.mjs", "--version", version, "--output", place],
				{ cwd: projectRoot, encoding: "utf8" },
			).trim();
		const packages = [deb("0.1.0"), deb("0.1.1")];
		mkdirSync(join(place, "test"));
		cpSync(join(projectRoot, "dist"), join(place, "dist"), { recursive: true });
		cpSync(checks, join(place, "checks.sh"));
		const run = spawnSync(
			harness,
			[
				...["--bind-ro", place, "--chdir", "/", "--timeout", "500"],
				...["--", "bash", join(place, "checks.sh"), ...packages],
				join(place, "dist/wxtokend.cjs"),
			],
			{ encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
		);
		output = `${run.stdout}\n${run.stderr}`;
		for (const line of run.stdout.split("\n")) {
			const [, verdict, name = "", why = ""] =
				/^(ok|not ok) (.*?)(?: - (.*))?$/.exec(line) ?? [];
			if (verdict !== undefined)
				results.set(name, verdict === "ok" ? "ok" : `not ok: ${why}`);
		}
	}, 600_000);

	afterAll(() => rmSync(place, { recursive: true, force: true }));

	test.each(names)("%s", (name) => {
		expect(results.get(name) ?? `did not run: ${output.slice(-2_000)}`).toBe(
			"ok",
		);
	});
});

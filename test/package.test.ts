/** The package as npm makes it: everything that is needed, and nothing else. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { commands } from "../src/cli/usage.ts";
import { newDirectory } from "./support/directory.ts";
import { projectRoot } from "./support/program.ts";

test("the packed program installs into an empty prefix, and every command answers", () => {
	const place = newDirectory();
	const npm = (...words: readonly string[]) =>
		execFileSync(
			"npm",
			[...words, "--no-audit", "--no-fund", "--offline=false"],
			{
				cwd: projectRoot,
				encoding: "utf8",
				stdio: ["ignore", "pipe", "ignore"],
			},
		);
	// Without scripts, which would build the program again while other tests run it.
	const [packed] = JSON.parse(
		npm("pack", "--json", "--ignore-scripts", "--pack-destination", place),
	);
	const names: readonly string[] = packed.files.map(
		({ path }: { readonly path: string }) => path,
	);
	expect(names).toContain("dist/wxtokend.cjs");
	expect(names).toContain("dist/wxtokend.8");
	expect(names).toContain("LICENSE");
	const allowed =
		/^(dist\/|examples\/|systemd\/|docs\/|README|SECURITY|LICENSE|CHANGELOG|package\.json)/;
	expect(names.filter((name) => !allowed.test(name))).toEqual([]);
	expect(
		names.filter((name) => /node_modules|\.tmp$|\.test\./.test(name)),
	).toEqual([]);

	const prefix = join(place, "prefix");
	npm(
		"install",
		"--global",
		"--ignore-scripts",
		"--prefix",
		prefix,
		join(place, packed.filename),
	);
	const program = join(prefix, "bin/wxtokend");
	const run = (...words: readonly string[]) =>
		execFileSync(program, words, { encoding: "utf8" });
	expect(run("--version").trim()).toBe(packed.version);
	for (const name of Object.keys(commands))
		expect(run(name, "--help")).toContain(`wxtokend ${name}`);
	expect(readdirSync(join(prefix, "share/man/man8"))).toEqual(["wxtokend.8"]);
});

import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sandboxWarning } from "../../src/cli/unit-sandbox.ts";
import { metricsHint } from "../../src/daemon/metrics-file.ts";
import { writeConfig } from "../support/config-file.ts";
import { newDirectory } from "../support/directory.ts";
import { runProgram } from "../support/program.ts";

const strict = {
	LoadState: "loaded",
	ProtectSystem: "strict",
	ReadWritePaths: "",
	RuntimeDirectory: "wxtokend",
};

test.each([
	["the unit's own directory", strict, "/run/wxtokend", false],
	["a directory in it", strict, "/run/wxtokend/a", false],
	["one that begins alike", strict, "/run/wxtokend2", true],
	["the textfile directory", strict, "/var/lib/node_exporter", true],
	[
		"one that was added",
		{ ...strict, ReadWritePaths: "/srv -/var/lib/node_exporter" },
		"/var/lib/node_exporter",
		false,
	],
	[
		"a unit without that sandbox",
		{ ...strict, ProtectSystem: "full" },
		"/var/lib/node_exporter",
		false,
	],
	["a temporary directory that all share", strict, "/tmp/a", false],
])("%s: whether check warns", (_what, properties, directory, warns) => {
	const found = sandboxWarning(
		new Map(Object.entries(properties)),
		"metrics_file",
		directory,
	);
	expect(found !== undefined).toBe(warns);
	if (warns) expect(found).toContain(`ReadWritePaths=${directory}`);
});

test("check asks systemd about the unit, and warns of a metrics_file that others would not see", async () => {
	const place = newDirectory();
	const systemctl = join(place, "systemctl");
	const lines = Object.entries({ ...strict, PrivateTmp: "yes" })
		.map(([name, value]) => `${name}=${value}`)
		.join("\n");
	writeFileSync(systemctl, `#!/bin/sh\ncat <<END\n${lines}\nEND\n`);
	chmodSync(systemctl, 0o755);
	const config = writeConfig({
		url: "http://127.0.0.1:9",
		top: { metrics_file: join(place, "a.prom") },
	});
	const { code, stderr } = await runProgram(
		["check", "--config", config.file],
		{ env: { PATH: `${place}:${process.env.PATH}` } },
	);
	expect(code).toBe(0);
	const isTemporary = /^\/(var\/)?tmp\//.test(place);
	expect(stderr).toContain(isTemporary ? "PrivateTmp=yes" : "ReadWritePaths=");
	expect(stderr).toContain("(metrics_file)");
});

test("the hint for a read-only file system names ReadWritePaths=, and never another key", () => {
	const hint = metricsHint("/srv/metrics/a.prom", "EROFS");
	expect(hint).toContain("ReadWritePaths=/srv/metrics");
	expect(hint).not.toContain("`directory`");
});

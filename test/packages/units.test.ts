/**
 * The units, judged by every systemd that Debian's archive still has: 247, 252 and 257.
 * Those for versions before 252 say nothing that 239 does not know.
 */
import { spawnSync } from "node:child_process";
import {
	cpSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { projectRoot } from "../support/program.ts";
import { run } from "../support/run.ts";

const names = ["wxtokend.service", "wxtokend-once.service"];
const isCi = process.env.CI !== undefined;
const reason = whyNot();

/** Keys of the units that came after 239, with the version that brought them (systemd's NEWS). */
const broughtBy: Readonly<Record<string, number>> = {
	RestrictSUIDSGID: 242,
	ProtectHostname: 242,
	WatchdogSignal: 240,
	ProtectKernelLogs: 244,
	ProtectClock: 245,
	LoadCredential: 247,
	ProtectProc: 247,
	NoExecPaths: 248,
	ExecPaths: 248,
	PrivateIPC: 248,
	SocketBindDeny: 249,
};

function linesOf(file: string): readonly string[] {
	return readFileSync(join(projectRoot, "systemd", file), "utf8")
		.split("\n")
		.filter((line) => /^\w/.test(line));
}

describe.each(names)("%s for systemd before 252", (name) => {
	const lines = linesOf(join("before-252", name));

	test("says so in its first line, by which it is known again", () => {
		const text = readFileSync(
			join(projectRoot, "systemd/before-252", name),
			"utf8",
		);
		expect(text.split("\n")[0]).toBe("# For systemd before 252.");
	});

	test("is the usual one, without what 239 does not know", () => {
		const isKnown = (line: string) =>
			broughtBy[line.split("=")[0] ?? ""] === undefined;
		// A group of calls that 239 does not have; it knows the calls.
		const pkey = (line: string) =>
			line.replace("@pkey", "pkey_alloc pkey_free pkey_mprotect");
		expect(lines).toEqual(linesOf(name).filter(isKnown).map(pkey));
	});
});

test.runIf(isCi)("CI can ask each systemd", () => {
	expect(reason).toBe("");
});

/** A suite of Debian, and the folder of the units for its systemd. */
const suites = [
	{ suite: "bullseye", units: "before-252" },
	{ suite: "bookworm", units: "before-252" },
	{ suite: "bookworm", units: "." },
	{ suite: "trixie", units: "." },
];

describe.skipIf(reason !== "")(`systemd-analyze verify ${reason}`, () => {
	let place = "";
	const missing = new Set<string>();

	beforeAll(async () => {
		place = mkdtempSync(join(tmpdir(), "wxtokend-units-"));
		const wanted = new Set(suites.map((row) => row.suite));
		await Promise.all(
			[...wanted].map((suite) => layDebian(suite, join(place, suite))),
		);
	}, 1_200_000);

	afterAll(() => rmSync(place, { recursive: true, force: true }));

	test.for(suites)(
		"$suite has nothing against $units",
		({ suite, units }, { skip }) => {
			// Debian takes old suites away one day.
			skip(
				missing.has(suite) && suite === "bullseye",
				"not in the archive any more",
			);
			expect(missing).not.toContain(suite);
			expect(verified(join(place, suite), units)).toBe("");
		},
	);

	/** The files of systemd and what it needs, without installing them: enough to ask it. */
	async function layDebian(suite: string, root: string): Promise<void> {
		try {
			await run("mmdebstrap", [
				...["--quiet", "--variant=extract"],
				"--include=base-files,systemd,coreutils,libc-bin,perl-base",
				...[suite, root, "http://deb.debian.org/debian"],
			]);
		} catch {
			missing.add(suite);
			return;
		}
		const home = join(root, "usr/lib/wxtokend");
		mkdirSync(join(home, "systemd"), { recursive: true });
		for (const folder of [".", "before-252"])
			for (const name of names)
				cpSync(
					join(projectRoot, "systemd", folder, name),
					join(root, "units", folder, name),
				);
		writeFileSync(join(home, "systemd/notify-exec"), "#!/bin/sh\n", {
			mode: 0o755,
		});
		for (const folder of ["proc", "sys", "dev", "run", "tmp"])
			mkdirSync(join(root, folder), { recursive: true });
	}
});

/** What systemd in that root says of the units in a folder of it. */
function verified(root: string, folder: string): string {
	const script = `
		for folder in proc sys dev; do mount --rbind /$folder "$1/$folder"; done
		mount -t tmpfs tmpfs "$1/run"
		cd / && exec chroot "$1" systemd-analyze --man=no verify ${names.map((name) => `/units/${folder}/${name}`).join(" ")}`;
	const { status, stderr, stdout } = spawnSync(
		"unshare",
		["--mount", "sh", "-ec", script, "sh", root],
		{ encoding: "utf8" },
	);
	return `${stdout}${stderr}`.trim() || (status === 0 ? "" : `exit ${status}`);
}

function whyNot(): string {
	if (spawnSync("which", ["mmdebstrap"]).status !== 0)
		return "(there is no mmdebstrap)";
	const { status } = spawnSync("unshare", ["--mount", "true"]);
	return status === 0 ? "" : "(new namespaces are forbidden)";
}

/** The SDKs that the examples are tested with, as npm has them; not part of the program. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, type Scale } from "./scene.ts";

export const sdks = [
	"co-wechat-api",
	"wechat-api",
	"node-easywechat",
	"wechat-jssdk",
] as const;

export const sdksDirectory = join(root, "test/examples/sdks");

/** Installs them where the tests have them, unless they are there; says why if it cannot. */
export function installSdks(scale: Scale): boolean {
	const lock = readFileSync(join(sdksDirectory, "package-lock.json"));
	const wanted = createHash("sha256").update(lock).digest("hex");
	const mark = join(sdksDirectory, "node_modules/.installed");
	if (existsSync(mark) && readFileSync(mark, "utf8") === wanted) return true;
	const quiet = ["--ignore-scripts", "--no-audit", "--no-fund"];
	// Where there is no network, npm would try for minutes.
	const argv = ["ci", ...quiet, "--fetch-retries=1", "--fetch-timeout=30000"];
	try {
		execFileSync("npm", argv, { cwd: sdksDirectory, stdio: "pipe" });
	} catch {
		scale.say(`skipped: ${sdks.join(", ")}: npm could not install them`);
		return false;
	}
	writeFileSync(mark, wanted);
	return true;
}

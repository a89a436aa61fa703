/** The SDKs that the examples are tested with, as npm has them; not part of the program. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	copyFileSync,
	existsSync,
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { root } from "./scene.ts";

export const sdks = [
	"co-wechat-api",
	"wechat-api",
	"node-easywechat",
	"wechat-jssdk",
] as const;

/** Where the tests have them, with the lock file that names their versions. */
export const sdksDirectory = join(root, "test/examples/sdks");

/** Unless they are there. Throws what npm says if it cannot. */
export function installSdks(): void {
	if (areInstalled()) return;
	rmSync(installed, { recursive: true, force: true });
	// A test and a bench may want them at the same moment: whoever is ready first
	// puts all of them in place at once.
	const beside = mkdtempSync(join(sdksDirectory, ".installing-"));
	try {
		for (const name of ["package.json", lockFile])
			copyFileSync(join(sdksDirectory, name), join(beside, name));
		const quiet = ["--ignore-scripts", "--no-audit", "--no-fund"];
		// Where there is no network, npm would try for minutes.
		const patience = ["--fetch-retries=1", "--fetch-timeout=30000"];
		execFileSync("npm", ["ci", ...quiet, ...patience], {
			cwd: beside,
			stdio: "pipe",
		});
		writeFileSync(join(beside, "node_modules", mark), wanted());
		renameSync(join(beside, "node_modules"), installed);
	} catch (error) {
		if (!areInstalled()) throw error;
	} finally {
		rmSync(beside, { recursive: true, force: true });
	}
}

const installed = join(sdksDirectory, "node_modules");
const lockFile = "package-lock.json";
/** Beside the packages, so that it goes when they go. */
const mark = ".installed";

function areInstalled(): boolean {
	const path = join(installed, mark);
	return existsSync(path) && readFileSync(path, "utf8") === wanted();
}

/** Names the versions that the lock file asks for. */
function wanted(): string {
	const lock = readFileSync(join(sdksDirectory, lockFile));
	return createHash("sha256").update(lock).digest("hex");
}

/**
 * A configuration file: only `ConfigError`, whose words quote no secret of it.
 * Mode, groups and files that it names are looked for on this machine, but no program runs.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../../../src/config/config.ts";
import { ConfigError } from "../../../src/core/errors.ts";

const folder = mkdtempSync(join(tmpdir(), "fuzz-config-"));
process.once("exit", end);

/** Leaves nothing behind. */
export function end(): void {
	rmSync(folder, { recursive: true, force: true });
}
const file = join(folder, "config.toml");
mkdirSync(join(folder, "tokens"));

/** What an AppSecret looks like; the seeds have it. */
const secret = "0123456789abcdef0123456789abcdef";

export function fuzz(data: Uint8Array): void {
	writeFileSync(file, data, { mode: 0o600 });
	try {
		loadConfig({
			file,
			env: {},
			secrets: true,
			groups: { find: () => "absent" },
		});
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		// An id is named, whatever is a part of it.
		const ids = new RegExp(`\\bwx${secret}[\\w-]*`, "g");
		if (error.message.replaceAll(ids, "").includes(secret))
			throw new Error(`a problem quotes the secret: ${error.message}`);
	}
}

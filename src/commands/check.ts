import { unlink } from "node:fs/promises";
import { join } from "node:path";
import { publishFile } from "../atomic-write.ts";
import type { CommandLine } from "../command-line.ts";
import { loadConfig } from "../config.ts";
import { exitCode } from "../errors.ts";
import { prepareDirectory } from "../token-directory.ts";
import { codeWithoutRefresh, withKeepers } from "./once.ts";

export async function check(line: CommandLine): Promise<number> {
	const { env } = process;
	const config = loadConfig({ file: line.value("config"), env, secrets: true });
	for (const warning of config.warnings)
		process.stderr.write(`wxtokend: warning: ${warning}\n`);
	await prepareDirectory(config);
	// Not only permissions: a full disk or a wrong group shows at a real write.
	const probe = join(config.directory, `.wxtokend-check-${process.pid}`);
	await publishFile(probe, "wxtokend check\n", config);
	await unlink(probe);
	const { source, accounts, directory } = config;
	const count =
		accounts.length === 1 ? "1 account" : `${accounts.length} accounts`;
	process.stdout.write(`${source}: ${count}; ${directory} can be written\n`);
	if (!line.has("online")) return exitCode.done;
	return withKeepers(config, env, {}, async ({ keeper }) => {
		const answer = await keeper.verify();
		if (answer.outcome === "failed") {
			const { message, hint } = answer.error;
			process.stdout.write(`${keeper.appid}: ${message}; ${hint}\n`);
			return codeWithoutRefresh(keeper);
		}
		process.stdout.write(
			`${keeper.appid}: WeChat gave a token, and it is published\n`,
		);
		return exitCode.done;
	});
}

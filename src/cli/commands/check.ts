import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { loadConfig } from "../../config/config.ts";
import { exitCode, inWords, StoreError } from "../../core/errors.ts";
import { recordNameOf } from "../../core/record.ts";
import { probePlace } from "../../daemon/control-socket.ts";
import { type FileAttributes, publishFile } from "../../store/atomic-write.ts";
import { refuseMountedFiles } from "../../store/mounted-file.ts";
import { prepareDirectory } from "../../store/prepare-directory.ts";
import type { CommandLine } from "../command-line.ts";
import { tellPerson } from "../explain.ts";
import { codeWithoutRefresh, withKeepers } from "./once.ts";

export async function check(line: CommandLine): Promise<number> {
	const { env } = process;
	const config = loadConfig({ file: line.value("config"), env, secrets: true });
	for (const warning of config.warnings)
		process.stderr.write(`wxtokend: warning: ${warning}\n`);
	const { source, accounts, directory, socket, metricsFile } = config;
	const isNew = !existsSync(directory);
	const location = prepareDirectory(config, tellPerson);
	// Perhaps it is misspelt, and nobody wanted one there.
	if (isNew) process.stdout.write(`created ${directory}\n`);
	refuseMountedFiles(
		directory,
		accounts.flatMap(({ file }) => [file, recordNameOf(file), `${file}.lock`]),
	);
	await probe(directory, location);
	if (socket !== undefined) probePlace(socket);
	if (metricsFile !== undefined) await probeMetrics(metricsFile);
	const count =
		accounts.length === 1 ? "1 account" : `${accounts.length} accounts`;
	process.stdout.write(`${source}: ${count}; ${directory} can be written\n`);
	if (!line.has("online")) return exitCode.done;
	return withKeepers(
		config,
		env,
		{ isTold: true },
		async ({ credential, keeper }) => {
			const answer = await keeper.verify();
			if (answer.outcome === "failed") {
				const { message, hint } = answer.error;
				const code = codeWithoutRefresh(keeper);
				const left =
					code === exitCode.temporary
						? " (the token on disk is still valid)"
						: "";
				process.stdout.write(
					`${credential.appid}: ${message}; ${hint}${left}\n`,
				);
				return code;
			}
			process.stdout.write(
				`${credential.appid}: WeChat gave a token, and it is published\n`,
			);
			return exitCode.done;
		},
	);
}

/** Not only permissions: a full disk or a wrong group shows at a real write. */
async function probe(
	directory: string,
	attributes: FileAttributes,
): Promise<void> {
	// A name that nobody can put something at before.
	const path = join(directory, `.wxtokend-check-${randomUUID()}`);
	await publishFile(path, "wxtokend check\n", attributes);
	await unlink(path);
}

async function probeMetrics(path: string): Promise<void> {
	try {
		await probe(dirname(path), { mode: 0o644, gid: undefined });
	} catch (error) {
		if (!(error instanceof StoreError)) throw error;
		throw new StoreError(
			error.kind,
			`could not write metrics_file ${path}: ${inWords(error.code)}`,
			"let the daemon's user write in its directory (under systemd also ReadWritePaths=), or set another `metrics_file`",
			error.cause,
		);
	}
}

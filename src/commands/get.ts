import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandLine } from "../command-line.ts";
import { loadConfig } from "../config.ts";
import { exitCode, UsageError } from "../errors.ts";
import { decodeToken } from "../token.ts";

const pollMs = 100;

export async function get(line: CommandLine): Promise<number> {
	const [appid = ""] = line.operands;
	const path = tokenPath(line, appid);
	const waitMs = (line.number("wait") ?? 0) * 1000;
	const leastMs = (line.number("min-valid") ?? 0) * 1000;
	const giveUpAt = performance.now() + waitMs;
	for (;;) {
		const found = readToken(path, leastMs);
		if (found.value !== undefined) {
			process.stdout.write(`${found.value}\n`);
			return exitCode.done;
		}
		if (performance.now() >= giveUpAt) {
			process.stderr.write(
				`wxtokend: could not get a token for ${appid}: ${found.problem}; is the daemon running? see wxtokend status\n`,
			);
			return waitMs > 0 ? exitCode.temporary : exitCode.noToken;
		}
		await sleep(pollMs);
	}
}

function tokenPath(line: CommandLine, appid: string): string {
	const { directory, accounts, source } = loadConfig({
		file: line.value("config"),
		env: process.env,
		secrets: false,
	});
	const account = accounts.find((known) => known.appid === appid);
	if (account === undefined)
		throw new UsageError(
			`there is no account ${JSON.stringify(appid)} in ${source}`,
			`accounts: ${accounts.map((known) => known.appid).join(", ")}`,
		);
	return join(directory, account.file);
}

function readToken(
	path: string,
	leastMs: number,
): { readonly value?: string; readonly problem: string } {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		const errno = error instanceof Error && "code" in error ? error.code : "";
		return { problem: `${path} could not be read (${errno})` };
	}
	const token = decodeToken(text);
	if (token === undefined) return { problem: `${path} holds no token` };
	const leftMs = token.expiresAt - Date.now();
	if (leftMs <= leastMs)
		return {
			problem: `the token in ${path} ${leftMs <= 0 ? "has ended" : `lives for another ${Math.floor(leftMs / 1000)} s only`}`,
		};
	return { value: token.value, problem: "" };
}

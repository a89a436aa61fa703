import { readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { CommandLine } from "../command-line.ts";
import { errnoOf, exitCode, UsageError } from "../errors.ts";
import { decodeToken } from "../token.ts";
import { findToken, type TokenPlace } from "../token-path.ts";

const pollMs = 100;

/** Loads next to nothing: it stands in shell scripts, perhaps in loops. */
export async function get(line: CommandLine): Promise<number> {
	const [appid = ""] = line.operands;
	const file = line.value("config");
	const { env } = process;
	const place = findToken(appid, file, env) ?? (await configured(appid, file));
	const waitMs = (line.number("wait") ?? 0) * 1000;
	const leastMs = (line.number("min-valid") ?? 0) * 1000;
	const giveUpAt = performance.now() + waitMs;
	for (;;) {
		const found = readToken(place.path, leastMs);
		if (found.value !== undefined) {
			print(`${found.value}\n`);
			return exitCode.done;
		}
		if (performance.now() >= giveUpAt) {
			await complain(appid, place, found.problem);
			return waitMs > 0 ? exitCode.temporary : exitCode.noToken;
		}
		await sleep(Math.min(pollMs, giveUpAt - performance.now()));
	}
}

/** By the whole configuration. Throws what is wrong with it, or with the appid. */
async function configured(
	appid: string,
	file: string | undefined,
): Promise<TokenPlace> {
	const { loadConfig } = await import("../config.ts");
	const { env } = process;
	const { directory, accounts, source } = loadConfig({
		file,
		env,
		secrets: false,
	});
	const account = accounts.find((known) => known.appid === appid);
	if (account !== undefined) return { path: join(directory, account.file) };
	throw new UsageError(
		`there is no account ${JSON.stringify(appid)} in ${source}`,
		`accounts: ${accounts.map((known) => known.appid).join(", ")}`,
	);
}

async function complain(
	appid: string,
	{ guessed }: TokenPlace,
	problem: string,
): Promise<void> {
	const { WXTOKEND_DIRECTORY } = process.env;
	// With nothing to go by at all, what is missing is a configuration.
	if (guessed?.includes("ENOENT") && !WXTOKEND_DIRECTORY)
		await configured(appid, undefined);
	const why =
		guessed === undefined ? "" : `; ${guessed}, so this path is a guess`;
	process.stderr.write(
		`wxtokend: could not get a token for ${appid}: ${problem}${why}; is the daemon running? see wxtokend status\n`,
	);
}

function readToken(
	path: string,
	leastMs: number,
): { readonly value?: string; readonly problem: string } {
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		return { problem: `${path} could not be read (${errnoOf(error)})` };
	}
	const token = decodeToken(text);
	if (token === undefined) return { problem: `${path} holds no token` };
	const leftMs = token.expiresAt - Date.now();
	if (leftMs > leastMs) return { value: token.value, problem: "" };
	return {
		problem: `the token in ${path} ${leftMs <= 0 ? "has ended" : `lives for another ${Math.floor(leftMs / 1000)} s only`}`,
	};
}

/** Past `process.stdout`, whose making takes as long as all the rest. */
function print(text: string): void {
	try {
		writeSync(1, text);
	} catch (error) {
		if (errnoOf(error) === "EPIPE") return; // Nobody wants it any more.
		process.stdout.write(text);
	}
}

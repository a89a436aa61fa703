import { existsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
	findToken,
	guessedToken,
	readersHint,
	type TokenPlace,
} from "../../config/lookup.ts";
import {
	ConfigError,
	errnoOf,
	exitCode,
	inWords,
	UsageError,
} from "../../core/errors.ts";
import { recordPathOf } from "../../core/record.ts";
import { decodeToken } from "../../core/token.ts";
import { maxTokenBytes, readSmallFile } from "../../store/cached-read.ts";
import type { CommandLine } from "../command-line.ts";
import { tell } from "../explain.ts";

const pollMs = 100;

/** Loads next to nothing: it stands in shell scripts, perhaps in loops. */
export async function get(line: CommandLine): Promise<number> {
	const [appid = ""] = line.operands;
	const file = line.value("config");
	const { env } = process;
	const place: FoundPlace =
		findToken(appid, file, env) ?? (await configuredOrGuessed(appid, file));
	const waitMs = (line.number("wait") ?? 0) * 1000;
	const leastMs = (line.number("min-valid") ?? 0) * 1000;
	const giveUpAt = nowMs() + waitMs;
	for (;;) {
		const found = await readToken(appid, file, place.path, leastMs);
		if (found.value !== undefined) {
			if (place.wrong !== undefined)
				tell(`wxtokend: warning: ${place.wrong.message}\n`);
			print(`${found.value}\n`);
			return exitCode.done;
		}
		if (place.wrong !== undefined) throw place.wrong;
		if (nowMs() >= giveUpAt) {
			await complain(appid, place, found.problem);
			return waitMs > 0 ? exitCode.temporary : exitCode.noToken;
		}
		await sleep(Math.min(pollMs, giveUpAt - nowMs()));
	}
}

/** Of the monotonic clock. `performance` would be loaded first, which takes longer than all of this. */
function nowMs(): number {
	const [seconds, nanoseconds] = process.hrtime();
	return seconds * 1_000 + nanoseconds / 1e6;
}

interface FoundPlace extends TokenPlace {
	/** The configuration does not tell the place, because this is wrong with it. */
	readonly wrong?: ConfigError;
}

/** The daemon may run by a configuration from before somebody broke it. */
async function configuredOrGuessed(
	appid: string,
	file: string | undefined,
): Promise<FoundPlace> {
	try {
		return await configured(appid, file);
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		return { ...guessedToken(appid, process.env), wrong: error };
	}
}

/** By the whole configuration. Throws what is wrong with it, or with the appid. */
async function configured(
	appid: string,
	file: string | undefined,
): Promise<TokenPlace> {
	const { loadConfig } = await import("../../config/config.ts");
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
	{ path, guessed }: TokenPlace,
	problem: string,
): Promise<void> {
	const { WXTOKEND_DIRECTORY } = process.env;
	// With nothing to go by at all, what is missing is a configuration.
	if (guessed?.message.includes("ENOENT") && !WXTOKEND_DIRECTORY)
		await configured(appid, undefined);
	const why =
		guessed === undefined
			? ""
			: ` (${guessed.path} ${guessed.message}, so this path is a guess)`;
	const hint = problem.includes("EACCES")
		? readersHint(path)
		: "is the daemon running? see wxtokend status";
	tell(
		`wxtokend: could not get a token for ${appid}: ${problem}${why}; ${hint}\n`,
	);
}

async function readToken(
	appid: string,
	config: string | undefined,
	path: string,
	leastMs: number,
): Promise<{ readonly value?: string; readonly problem: string }> {
	const { text, problem } = readSmallFile(path, maxTokenBytes);
	if (text === undefined) {
		const [, why] = /^unreadable: (.*)/.exec(problem ?? "") ?? [];
		if (problem !== undefined && why === undefined)
			return { problem: `${path} is no token file: it is ${problem}` };
		return {
			problem: `${path} could not be read: ${why ?? inWords("ENOENT")}`,
		};
	}
	let token = decodeToken(text);
	if (token === undefined) return { problem: `${path} holds no token` };
	// To compare it loads more; without a record there is nothing to compare.
	if (existsSync(recordPathOf(path))) {
		const { trusted } = await import("../distrust.ts");
		const judged = await trusted({ appid, path, config, token });
		if ("why" in judged)
			return { problem: `${path} is not to be trusted: it is ${judged.why}` };
		token = judged.token;
	}
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
		if (errnoOf(error) !== "EAGAIN") throw error;
		process.stdout.on("error", () => {}); // It may be closed meanwhile.
		process.stdout.write(text);
	}
}

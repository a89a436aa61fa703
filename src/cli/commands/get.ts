/** `wxtokend get`: prints a token from its file. It loads little, because scripts call it in loops. */
import { existsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
	findToken,
	likelyToken,
	readersHint,
	type TokenLocation,
} from "../../config/lookup.ts";
import { ConfigError, errnoOf, exitCode, inWords } from "../../core/errors.ts";
import { recordPathOf } from "../../core/record.ts";
import { decodeToken } from "../../core/token.ts";
import { maxTokenBytes, readSmallFile } from "../../store/cached-read.ts";
import type { CommandLine } from "../command-line.ts";
import { tellPerson, unknownName } from "../explain.ts";

/** How often the file is read while `--wait` waits. */
const pollMs = 100;

/** Prints the token on stdout; returns the exit code. Throws `ConfigError` and `UsageError`. */
export async function get(line: CommandLine): Promise<number> {
	const [appid = ""] = line.operands;
	const file = line.value("config");
	const { env } = process;
	const location: FoundLocation =
		findToken(appid, file, env) ?? (await configuredOrGuessed(appid, file));
	const waitMs = (line.number("wait") ?? 0) * 1000;
	const minValidMs = (line.number("min-valid") ?? 0) * 1000;
	const giveUpAt = nowMs() + waitMs;
	// Polling a small file costs little. A watch could miss the rename on some file
	// systems, and would have to be loaded.
	for (;;) {
		const found = await readToken(location.path, file, minValidMs);
		if (found.value !== undefined) {
			if (location.wrong !== undefined)
				tellPerson(`warning: ${location.wrong.message}`);
			print(`${found.value}\n`);
			return exitCode.done;
		}
		// Without a token, what is wrong with the configuration is the better answer.
		if (location.wrong !== undefined) throw location.wrong;
		if (nowMs() >= giveUpAt) {
			await complain(appid, location, found.problem);
			return waitMs > 0 ? exitCode.temporary : exitCode.noToken;
		}
		await sleep(Math.min(pollMs, giveUpAt - nowMs()));
	}
}

/** The monotonic clock, ms. `performance` would have to be loaded, which takes longer than all of this. */
function nowMs(): number {
	const [seconds, nanoseconds] = process.hrtime();
	return seconds * 1_000 + nanoseconds / 1e6;
}

/** Where the file is, and what is wrong with the configuration. */
interface FoundLocation extends TokenLocation {
	/** What is wrong with the configuration; then the path is the default one. */
	readonly wrong?: ConfigError;
}

/** With a wrong configuration the default path is tried: the daemon may still use the one from before. */
async function configuredOrGuessed(
	appid: string,
	file: string | undefined,
): Promise<FoundLocation> {
	try {
		return await configured(appid, file);
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		return { ...likelyToken(appid, file, process.env), wrong: error };
	}
}

/** By the whole configuration. Throws what is wrong with it, or with the appid. */
async function configured(
	appid: string,
	file: string | undefined,
): Promise<TokenLocation> {
	const { loadConfig } = await import("../../config/config.ts");
	const { env } = process;
	const config = loadConfig({ file, env, secrets: false });
	const { directory, entries } = config;
	const account = entries.find(
		(known) => "appid" in known && known.appid === appid,
	);
	if (account !== undefined) return { path: join(directory, account.file) };
	const { credentialsOf } = await import("../../daemon/credential-of.ts");
	const isFile = entries
		.flatMap(credentialsOf)
		.some((known) => known.file === appid);
	// An authorised account may have a file of its own name.
	const isOfMember = entries.some(
		(one) =>
			one.interface === "component" &&
			one.settings.some(({ file }) => file === appid),
	);
	if (isFile || isOfMember) return { path: join(directory, appid) };
	throw unknownName(appid, config);
}

/** Says why there is no token. Throws `ConfigError` if there is no configuration at all. */
async function complain(
	appid: string,
	{ path, guessed }: TokenLocation,
	problem: string,
): Promise<void> {
	const { WXTOKEND_DIRECTORY } = process.env;
	// Without a file and without variables the path says nothing: a configuration is
	// missing, and loading it throws an error that says so.
	if (guessed?.message.includes("ENOENT") && !WXTOKEND_DIRECTORY)
		await configured(appid, undefined);
	const why =
		guessed === undefined
			? ""
			: ` (${guessed.path} ${guessed.message}, so this path is a guess)`;
	const hint = problem.includes("EACCES")
		? readersHint(path)
		: "is the daemon running? see wxtokend status";
	tellPerson(`could not get a token for ${appid}: ${problem}${why}; ${hint}`);
}

/** A token that lives for more than `minValidMs`, or why there is none. */
async function readToken(
	path: string,
	config: string | undefined,
	minValidMs: number,
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
		const judged = await trusted({ path, config, token });
		if ("why" in judged)
			return { problem: `${path} is not to be trusted: it is ${judged.why}` };
		token = judged.token;
	}
	const leftMs = token.expiresAt - Date.now();
	if (leftMs > minValidMs) return { value: token.value, problem: "" };
	return {
		problem: `the token in ${path} ${leftMs <= 0 ? "has ended" : `lives for another ${Math.floor(leftMs / 1000)} s only`}`,
	};
}

/** Writes without `process.stdout`, whose first use takes as long as all the rest. */
function print(text: string): void {
	try {
		writeSync(1, text);
	} catch (error) {
		if (errnoOf(error) === "EPIPE") return; // The reader has closed the pipe.
		if (errnoOf(error) !== "EAGAIN") throw error;
		// The pipe is full. The stream waits for its reader, which may close it.
		process.stdout.on("error", () => {});
		process.stdout.write(text);
	}
}

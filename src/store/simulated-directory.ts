/**
 * A directory that holds tokens of the simulator. A mark lies in it for as long
 * as any may lie there, so that no real daemon ever takes them for WeChat's.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../core/errors.ts";
import { type ProcessName, recordPathOf } from "../core/record.ts";
import { decodeToken } from "../core/token.ts";
import { publishFile } from "./atomic-write.ts";
import { type FileRead, readSmallFile } from "./cached-read.ts";
import { whyNotReplaced } from "./found-entry.ts";
import { createOutputDirectory } from "./output-directory.ts";
import { livenessOf, nameThisProcess } from "./process-name.ts";
import { storeError } from "./store-error.ts";

interface Mark {
	/** The simulating one. */
	readonly process: ProcessName;
	/** Names of token files. */
	readonly files: readonly string[];
}

/** A configuration, as far as a simulation is concerned. */
export interface SimulatedConfig {
	readonly directory: string;
	/** Its name, for errors. */
	readonly source: string;
	readonly accounts: readonly {
		readonly appid: string;
		/** The token file's name. */
		readonly file: string;
	}[];
	readonly socket: string | undefined;
}

/**
 * Marks the directory; what an earlier simulation left there is gone then. Throws
 * `ConfigError` if it is the directory of a real server, or in use. `answers`: whether
 * a daemon answers at that control socket.
 */
export async function beginSimulation(
	config: SimulatedConfig,
	answers: (socket: string) => Promise<boolean>,
	now: number,
): Promise<void> {
	const { directory, accounts } = config;
	if (!removeSimulation(config, () => {}))
		await refuseRealServer(config, answers, now);
	const files = accounts.map(({ file }) => file);
	const mark: Mark = { process: nameThisProcess(), files };
	await publishFile(
		markIn(directory),
		`${JSON.stringify(mark)}\n`,
		// The real daemon may run as another user.
		{ mode: 0o644, gid: undefined },
	);
}

/**
 * Removes what a simulation left in the directory of a real daemon, and tells so; whether there was something. Throws `ConfigError` if it still runs.
 */
export function removeSimulation(
	{ directory, source }: Pick<SimulatedConfig, "directory" | "source">,
	tell: (message: string) => void,
): boolean {
	const mark = readMark(directory, tell);
	if (mark === undefined) return false;
	if (livenessOf(mark.process, nameThisProcess()) === "alive")
		throw new ConfigError(source, [
			{
				path: "directory",
				message: `is ${directory}, where a simulation runs (process ${mark.process.pid}); expected one without, or end it first`,
			},
		]);
	removeAll(directory, mark);
	tell(
		`removed the tokens of a simulation in ${directory}; WeChat never gave them`,
	);
	return true;
}

/** Simulated tokens would be read by real apps, and the real ones be lost. */
async function refuseRealServer(
	config: SimulatedConfig,
	answers: (socket: string) => Promise<boolean>,
	now: number,
): Promise<void> {
	const { directory, accounts, socket, source } = config;
	const real = accounts.find(({ file }) => isAlive(directory, file, now));
	const what =
		real !== undefined
			? `where a live token of ${real.appid} lies`
			: socket !== undefined && (await answers(socket))
				? "where a daemon answers"
				: undefined;
	if (what === undefined) return;
	throw new ConfigError(source, [
		{
			path: "directory",
			message: `is ${directory}, ${what}; expected another one for simulated tokens, in a copy of the configuration, or none at all: wxtokend run --simulate`,
		},
	]);
}

function isAlive(directory: string, file: string, now: number): boolean {
	const { text, denied } = fileIn(directory, file);
	// What cannot be read is not absent.
	if (denied !== undefined)
		throw storeError("read", join(directory, file), denied);
	const token = text === undefined ? undefined : decodeToken(text);
	return token !== undefined && token.expiresAt > now;
}

const markName = ".simulated";

function markIn(directory: string): string {
	return join(directory, markName);
}

/**
 * Undefined also where nothing can be read, as then no token can either; and if it is
 * not a keeper's, which is told.
 */
function readMark(
	directory: string,
	tell: (message: string) => void,
): Mark | undefined {
	const path = markIn(directory);
	const { text, problem, unreadable, denied, stat } = fileIn(
		directory,
		markName,
	);
	if (denied !== undefined) {
		const error = whyNotReplaced(
			path,
			{ denied, stat },
			{ mayReplace: () => true },
		);
		if (error !== undefined) throw error;
		return undefined;
	}
	if (unreadable) throw storeError("read", path, new Error(problem));
	if (problem !== undefined)
		tell(`${path} is not taken for the mark of a simulation: it is ${problem}`);
	if (text === undefined) return undefined;
	try {
		const { process, files } = JSON.parse(text);
		const isName = (name: unknown) =>
			typeof name === "string" && /^[\w-][\w.-]*$/.test(name);
		if (typeof process === "object" && Array.isArray(files))
			return { process: process ?? nobody, files: files.filter(isName) };
	} catch {}
	return { process: nobody, files: [] };
}

/** Whoever wrote half a mark is gone. */
const nobody: ProcessName = {
	instance: "",
	pid: 0,
	startTicks: "",
	realm: "",
};

function removeAll(directory: string, { files }: Mark): void {
	const paths = files.map((file) => join(directory, file));
	for (const path of [
		...paths,
		...paths.map(recordPathOf),
		markIn(directory),
	]) {
		try {
			rmSync(path, { force: true });
		} catch (error) {
			throw storeError("remove the simulated", path, error);
		}
	}
}

const maxBytes = 1_048_576;

function fileIn(directory: string, file: string): Partial<FileRead> {
	return readSmallFile(
		join(directory, file),
		maxBytes,
		createOutputDirectory(directory),
	);
}

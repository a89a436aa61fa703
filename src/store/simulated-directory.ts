/**
 * A directory that holds tokens of the simulator. A mark lies in it for as long
 * as any may lie there, so that no real daemon ever takes them for WeChat's.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ControlUnreachable, callControl } from "../cli/control-client.ts";
import type { Config } from "../config/config.ts";
import { ConfigError, errnoOf } from "../core/errors.ts";
import { type ProcessName, statePathOf } from "../core/record.ts";
import { decodeToken } from "../core/token.ts";
import { publishFile } from "./atomic-write.ts";
import { fateOf, nameThisProcess } from "./process-name.ts";
import { storeError } from "./store-error.ts";

interface Mark {
	/** The simulating one. */
	readonly process: ProcessName;
	/** Names of token files. */
	readonly files: readonly string[];
}

/**
 * Marks the directory; what an earlier simulation left there is gone then. Throws
 * `ConfigError` if it is the directory of a real server, or in use.
 */
export async function beginSimulation(config: Config): Promise<void> {
	const { directory, accounts } = config;
	if (!removeSimulation(config, () => {})) await refuseRealServer(config);
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
	{ directory, source }: Pick<Config, "directory" | "source">,
	tell: (message: string) => void,
): boolean {
	const mark = readMark(directory);
	if (mark === undefined) return false;
	if (fateOf(mark.process, nameThisProcess()) === "alive")
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
async function refuseRealServer(config: Config): Promise<void> {
	const { directory, accounts, socket, source } = config;
	const real = accounts.find(({ file }) => isAlive(join(directory, file)));
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

function isAlive(path: string): boolean {
	const text = textOf(path);
	const token = text === undefined ? undefined : decodeToken(text);
	return token !== undefined && token.expiresAt > Date.now();
}

async function answers(socket: string): Promise<boolean> {
	try {
		await callControl(socket, {
			method: "GET",
			path: "/healthz",
			timeoutMs: 5_000,
		});
		return true;
	} catch (error) {
		if (!(error instanceof ControlUnreachable)) throw error;
		// Nobody answers there only if there is nobody: not if this user may not ask.
		return !/^(ENOENT|ECONNREFUSED|ENOTSOCK|ENOTDIR)$/.test(error.code);
	}
}

function markIn(directory: string): string {
	return join(directory, ".simulated");
}

/** Undefined also where nothing can be read, as then no token can either. */
function readMark(directory: string): Mark | undefined {
	const text = textOf(markIn(directory), ["EACCES"]);
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
	for (const path of [...paths, ...paths.map(statePathOf), markIn(directory)]) {
		try {
			rmSync(path, { force: true });
		} catch (error) {
			throw storeError("remove the simulated", path, error);
		}
	}
}

function textOf(
	path: string,
	alsoAbsent: readonly string[] = [],
): string | undefined {
	try {
		return readFileSync(path, "utf8");
	} catch (error) {
		const absent = ["ENOENT", "ENOTDIR", ...alsoAbsent];
		if (absent.includes(errnoOf(error) ?? "")) return undefined;
		throw storeError("read", path, error);
	}
}

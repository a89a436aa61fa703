/**
 * A directory that holds tokens of the simulator. As long as it may hold any, a marker
 * file `.simulated` lies in it, so that no real daemon takes them for tokens of WeChat.
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

/** The content of the marker file. */
interface Marker {
	/** The process that simulates. */
	readonly process: ProcessName;
	/** Names of token files. */
	readonly files: readonly string[];
}

/** The part of a configuration that a simulation needs. */
export interface SimulatedConfig {
	readonly directory: string;
	/** Its name, for errors. */
	readonly source: string;
	/** Every file, with the appid or corpid that it is of. */
	readonly published: readonly {
		readonly appid: string;
		readonly file: string;
	}[];
	/** The path of the control socket; undefined: none. */
	readonly socket: string | undefined;
}

/**
 * Marks the directory as simulated, and removes what an earlier simulation left there.
 * `answers` says whether a daemon answers at that control socket; `now` is epoch ms.
 * Throws `ConfigError` if a real daemon uses the directory, or another simulation does,
 * and `StoreError` if the marker cannot be written.
 */
export async function beginSimulation(
	config: SimulatedConfig,
	answers: (socket: string) => Promise<boolean>,
	now: number,
): Promise<void> {
	const { directory, published } = config;
	if (!removeSimulation(config, () => {}))
		await refuseRealServer(config, answers, now);
	const files = published.map(({ file }) => file);
	const marker: Marker = { process: nameThisProcess(), files };
	await publishFile(
		markerIn(directory),
		`${JSON.stringify(marker)}\n`,
		// The real daemon may run as another user.
		{ mode: 0o644, gid: undefined },
	);
}

/**
 * Removes what a simulation left in the directory of a real daemon, and reports it. True
 * if there was something. Throws `ConfigError` if the simulation still runs, `StoreError`
 * if a file cannot be removed.
 */
export function removeSimulation(
	{ directory, source }: Pick<SimulatedConfig, "directory" | "source">,
	report: (message: string) => void,
): boolean {
	const marker = readMarker(directory, report);
	if (marker === undefined) return false;
	if (livenessOf(marker.process, nameThisProcess()) === "alive")
		throw new ConfigError(source, [
			{
				path: "directory",
				message: `is ${directory}, where a simulation runs (process ${marker.process.pid}); expected one without, or end it first`,
			},
		]);
	removeAll(directory, marker);
	report(
		`removed the tokens of a simulation in ${directory}; WeChat never issued them`,
	);
	return true;
}

/** Otherwise real apps would read simulated tokens, and the real tokens would be lost. */
async function refuseRealServer(
	config: SimulatedConfig,
	answers: (socket: string) => Promise<boolean>,
	now: number,
): Promise<void> {
	const { directory, published, socket, source } = config;
	const real = published.find(({ file }) => isAlive(directory, file, now));
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

const markerName = ".simulated";

function markerIn(directory: string): string {
	return join(directory, markerName);
}

/**
 * Undefined also if the directory cannot be read, as then its tokens cannot be read
 * either, and if the marker is not of a keeper, which is reported.
 */
function readMarker(
	directory: string,
	report: (message: string) => void,
): Marker | undefined {
	const path = markerIn(directory);
	const { text, problem, unreadable, denied, stat } = fileIn(
		directory,
		markerName,
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
		report(
			`${path} is not taken for the mark of a simulation: it is ${problem}`,
		);
	if (text === undefined) return undefined;
	try {
		const { process, files } = JSON.parse(text);
		const isName = (name: unknown) =>
			typeof name === "string" && /^[\w-][\w.-]*$/.test(name);
		if (typeof process === "object" && Array.isArray(files))
			return { process: process ?? deadProcess, files: files.filter(isName) };
	} catch {}
	return { process: deadProcess, files: [] };
}

/** Stands for the writer of a damaged marker: it died while it wrote it. */
const deadProcess: ProcessName = {
	instance: "",
	pid: 0,
	startTicks: "",
	realm: "",
};

function removeAll(directory: string, { files }: Marker): void {
	const paths = files.map((file) => join(directory, file));
	for (const path of [
		...paths,
		...paths.map(recordPathOf),
		markerIn(directory),
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

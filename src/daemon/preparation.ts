/**
 * What must hold before a daemon keeps anything, beyond a configuration without mistakes.
 * `run` begins with it, so does each reload, and `check` does the same: so `check` names
 * whatever `run` refuses, in the same words.
 */
import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { isPlatform, type Platform, platformIdOf } from "../config/platform.ts";
import type { StoreError } from "../core/errors.ts";
import { type ProcessName, recordNameOf } from "../core/record.ts";
import { readProxies } from "../issuer/proxy.ts";
import type { Location } from "../store/atomic-write.ts";
import { phpCopyOf } from "../store/copies.ts";
import { lockPathOf } from "../store/lock.ts";
import { refuseMountedFiles } from "../store/mounted-file.ts";
import { lookAtPlatformState } from "../store/platform-state.ts";
import { prepareDirectory } from "../store/prepare-directory.ts";
import { lookAtStateDirectory } from "../store/state-directory.ts";
import { credentialsOf } from "./credential-of.ts";
import { kindOf } from "./platform-kinds.ts";

export interface PreparationParts {
	readonly env: Readonly<Record<string, string | undefined>>;
	readonly self: ProcessName;
	/** Is told what was removed from the directory, and what is not believed there. */
	readonly report: (message: string) => void;
	/** Another daemon has the state directory: it throws, or knows that daemon. */
	readonly onOwned: (error: StoreError) => void;
}

/**
 * Makes the directory of the tokens if it is missing; nothing else is changed. Throws
 * `ConfigError` and `StoreError`: then a daemon does not start.
 */
export function prepareToKeep(
	config: Config,
	{ env, self, report, onOwned }: PreparationParts,
): Location {
	readProxies(env);
	const location = prepareDirectory(config, report);
	refuseMountedFiles(config.directory, () => filesOf(config));
	lookAtState(config, self, onOwned);
	return location;
}

/** The names of all files that are replaced in the directory. */
function* filesOf({ entries }: Pick<Config, "entries">): Iterable<string> {
	for (const { file, formats } of entries.flatMap(credentialsOf)) {
		yield* [file, recordNameOf(file), lockPathOf(file)];
		yield* formats.map(() => phpCopyOf(file));
	}
}

function lookAtState(
	{ entries, stateDirectory }: Config,
	self: ProcessName,
	onOwned: (error: StoreError) => void,
): void {
	if (stateDirectory === undefined) return;
	const platforms = entries.filter(isPlatform);
	const folders = platforms.map(stateFolderOf);
	lookAtStateDirectory(stateDirectory, folders, self, onOwned);
	for (const one of platforms)
		lookAtPlatformState(
			join(stateDirectory, ...stateFolderOf(one)),
			kindOf(one).state,
		);
}

/** Below the state directory. */
export function stateFolderOf(platform: Platform): readonly string[] {
	return [platform.interface, platformIdOf(platform)];
}

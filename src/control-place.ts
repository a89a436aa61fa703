/** Where a command finds the daemon that it wants to ask. */
import { join } from "node:path";
import { type Config, loadConfig } from "./config.ts";
import { guessedDirectory, readConfigText } from "./token-path.ts";

export interface ControlPlace {
	/** Undefined: it is turned off. */
	readonly socket: string | undefined;
	/** Without secrets. Undefined: this user sees no configuration. */
	readonly config: Config | undefined;
	/** Why not, in words. */
	readonly hidden?: string;
}

/**
 * By the configuration. A user who may not read it, but use the socket, finds
 * that in the default place. Throws `ConfigError`.
 */
export function findControl(
	file: string | undefined,
	env: Readonly<Record<string, string | undefined>>,
): ControlPlace {
	const text = readConfigText(file, env);
	if (typeof text === "object")
		return {
			socket: join(guessedDirectory(env), "control.sock"),
			config: undefined,
			hidden: text.hidden,
		};
	const config = loadConfig({ file, env, secrets: false });
	return { socket: config.socket, config };
}

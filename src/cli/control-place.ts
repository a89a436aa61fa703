/** Where a command finds the daemon that it wants to ask. */
import { type Config, loadConfig } from "../config/config.ts";
import { likelySocket, readConfigText } from "../config/lookup.ts";
import { ConfigError, type ConfigProblem } from "../core/errors.ts";

export interface ControlPlace {
	/** Undefined: it is turned off. */
	readonly socket: string | undefined;
	/** Without secrets. Undefined: this user sees none, or it is wrong. */
	readonly config: Config | undefined;
	/** Why this user sees none. */
	readonly hidden?: ConfigProblem;
	/** What is wrong with it. */
	readonly wrong?: ConfigError;
}

/**
 * By the configuration. Who may not read it, but use the socket, finds that in
 * the usual place; and while it is broken, the daemon may run by the former one.
 */
export function findControl(
	file: string | undefined,
	env: Readonly<Record<string, string | undefined>>,
): ControlPlace {
	const text = readConfigText(file, env);
	if (typeof text === "object")
		return {
			socket: likelySocket(file, env),
			config: undefined,
			hidden: text.hidden,
		};
	try {
		const config = loadConfig({ file, env, secrets: false });
		return { socket: config.socket, config };
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		const socket = likelySocket(file, env);
		return { socket, config: undefined, wrong: error };
	}
}

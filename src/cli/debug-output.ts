import { ConfigError, type ConfigProblem } from "../core/errors.ts";

/**
 * Node.js's own debug output shows requests with the AppSecret in them, buffers, and
 * the environment of child processes. It is on from the first moment of the process,
 * and nothing in here can turn it off.
 *
 * @throws ConfigError if it is on
 */
export function refuseDebugOutput(
	env: Readonly<Record<string, string | undefined>>,
): void {
	const problems = ["NODE_DEBUG", "NODE_DEBUG_NATIVE"]
		.filter((path) => Boolean(env[path]))
		.map(
			(path): ConfigProblem => ({
				path,
				message:
					'would make Node.js print requests, and with them the AppSecret; unset it (`env -u`, or UnsetEnvironment= in a unit), and use log_level = "trace" to see more',
			}),
		);
	if (problems.length > 0) throw new ConfigError("the environment", problems);
}

/** The tables and keys that only platforms need: `state_directory` and `[receiver]`. */
import { isAbsolute, resolve } from "node:path";
import type { ConfigProblem } from "../core/errors.ts";
import { addressIn, type HttpAddress } from "./http-address.ts";
import { platformTables } from "./platform.ts";
import type { ConfigOptions, ConfigSource } from "./source.ts";

/** Where pushes arrive. */
export interface ReceiverSettings {
	/** As configured. */
	readonly listen: string;
	/** Undefined: `listen` is the path of a socket. */
	readonly address: HttpAddress | undefined;
	/** A URL that gets each genuine push once more; undefined: none does. */
	readonly forward: string | undefined;
}

/** What `receiver.listen` must be. */
export const receiverListenRule =
	'an address and a port, such as "127.0.0.1:7801", or the absolute path of a socket';

/** What `receiver.forward` must be. */
export const forwardRule =
	"an http (or https) URL, such as http://127.0.0.1:9000/wechat/events";

/** Whether something can be listened at there. */
export function isReceiverListen(listen: string): boolean {
	return addressIn(listen) !== undefined || isAbsolute(listen);
}

/** Whether pushes can be handed on to it. */
export function isForwardUrl(url: string): boolean {
	if (!URL.canParse(url)) return false;
	const { protocol, username, password, hash } = new URL(url);
	return /^https?:$/.test(protocol) && username + password + hash === "";
}

/** From a table of the right shape. */
export function receiverIn(
	table:
		| { readonly listen: string; readonly forward?: string | undefined }
		| undefined,
): ReceiverSettings | undefined {
	if (table === undefined) return undefined;
	const { listen, forward } = table;
	return { listen, address: addressIn(listen), forward };
}

/**
 * The directory of what must outlive a reboot: `state_directory`, else the first one that
 * systemd gives; undefined: neither is there.
 */
export function stateDirectoryIn(
	configured: string | undefined,
	env: ConfigOptions["env"],
): string | undefined {
	const given = configured ?? env.STATE_DIRECTORY?.split(":", 1)[0];
	return given === undefined || given === "" ? undefined : resolve(given);
}

/** What of it is missing or left over; types may be wrong. */
export function findPlatformProblems(
	{ content }: ConfigSource,
	env: ConfigOptions["env"],
): readonly ConfigProblem[] {
	const { receiver, fleet, state_directory: directory } = content;
	const problems: ConfigProblem[] = [];
	const tables = platformTables.filter((one) => content[one] !== undefined);
	const hasPlatforms = tables.length > 0;
	if (
		hasPlatforms &&
		stateDirectoryIn(directory as string | undefined, env) === undefined
	)
		problems.push({
			path: "state_directory",
			message:
				'is missing; expected an absolute path, such as "/var/lib/wxtokend", or StateDirectory= in the unit: tickets, refresh tokens and permanent codes must outlive a reboot',
		});
	const isCentral = /^https?:/.test(String(Object(fleet).url ?? ""));
	for (const table of isCentral ? tables : [])
		problems.push({
			path: table,
			message: `stands beside a [fleet] with a central wxtokend, which does not tell what is pushed to it; expected the [[${table}]] on the central one, or the url of a Redis`,
		});
	if (receiver !== undefined && !hasPlatforms)
		problems.push({
			path: "receiver",
			message:
				"has nothing to receive for; expected a [[component]] or [[suite]] beside it",
		});
	return problems;
}

/**
 * Problems that no key of the configuration can show alone: two accounts that would
 * share a file, a socket or metrics in the way of a token file. They are looked for even if the
 * content has the wrong shape, so that one run reports everything.
 */
import { realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { ConfigProblem } from "../core/errors.ts";
import {
	defaultDirectory,
	defaultTokenFile,
	ticketFile,
	ticketNames,
} from "./lookup.ts";
import { show } from "./shape.ts";
import type { ConfigOptions, ConfigSource, Input } from "./source.ts";

/** All such problems, with the paths of their keys; none of them quotes a secret. */
export function findCrossProblems(
	source: ConfigSource,
	env: ConfigOptions["env"],
	input: Input,
): readonly ConfigProblem[] {
	return [
		...findTwins(source),
		...findSocketProblems(source, env),
		...findMetricsProblems(source, env, input),
	];
}

/** What an account is called. Undefined: the content does not tell. */
interface AccountNames {
	readonly appid: string | undefined;
	readonly file: string | undefined;
	/** The files of its tickets. */
	readonly ticketFiles: readonly string[];
	/** The copies of all its files in other formats. */
	readonly copies: readonly string[];
}

/** The names of every account, in the order of the file. */
export function namesIn({
	account,
}: ConfigSource["content"]): readonly AccountNames[] {
	// A value of a wrong type is a problem of the shape, and has no name.
	const text = (value: unknown) =>
		typeof value === "string" ? value : undefined;
	return (Array.isArray(account) ? account : []).map((entry: unknown) => {
		const { appid, file, tickets, formats } = (entry ?? {}) as Record<
			string,
			unknown
		>;
		const name = text(appid);
		const kept = ticketNames.filter(
			(ticket) => Array.isArray(tickets) && tickets.includes(ticket),
		);
		const tokenFile =
			text(file) ?? (name === undefined ? undefined : defaultTokenFile(name));
		const ticketFiles =
			name === undefined ? [] : kept.map((one) => ticketFile(one, name));
		const hasPhp = Array.isArray(formats) && formats.includes("php");
		const published = [tokenFile ?? [], ticketFiles].flat();
		return {
			appid: name,
			ticketFiles,
			file: tokenFile,
			copies: hasPhp ? published.map((one) => `${one}.php`) : [],
		};
	});
}

/** The absolute path of the control socket; undefined: it is turned off, or no string. */
export function socketPath(
	directory: string,
	socket: unknown = "control.sock",
): string | undefined {
	return typeof socket === "string" && socket !== ""
		? resolve(directory, socket)
		: undefined;
}

/** Accounts with the appid or the file of an earlier one. */
function findTwins({ content }: ConfigSource): readonly ConfigProblem[] {
	const problems: ConfigProblem[] = [];
	const appids = new Map<string, number>();
	const files = new Map<string, number>();
	// One problem for each account: with the same appid the default file is the same.
	for (const [index, { appid, file }] of namesIn(content).entries()) {
		const twin = appid === undefined ? undefined : appids.get(appid);
		const sharer = file === undefined ? undefined : files.get(file);
		if (twin !== undefined) {
			problems.push({
				path: `account[${index}].appid`,
				message: `is ${show(appid, "appid")}, as account[${twin}].appid already; expected each appid once`,
			});
		} else if (sharer !== undefined) {
			problems.push({
				path: `account[${index}].file`,
				message: `is ${show(file)}, the file of account[${sharer}] already; expected a file for each account`,
			});
		}
		if (appid !== undefined) appids.set(appid, twin ?? index);
		if (file !== undefined) files.set(file, sharer ?? index);
	}
	for (const [index, { ticketFiles, copies }] of namesIn(content).entries()) {
		const takes = (name: string, what: string) => {
			const sharer = files.get(name);
			if (sharer !== undefined)
				problems.push({
					path: `account[${sharer}].file`,
					message: `is ${show(name)}, ${what} of account[${index}]; expected another name`,
				});
		};
		for (const ticket of ticketFiles) takes(ticket, "the file of a ticket");
		for (const copy of copies) takes(copy, "a copy in another format");
	}
	return problems;
}

/** `sockaddr_un` has 108 bytes, one of them for the NUL at the end. */
const maxSocketPathBytes = 107;

/** At most one problem: the first that is found is enough to correct the key. */
function findSocketProblems(
	source: ConfigSource,
	env: ConfigOptions["env"],
): readonly ConfigProblem[] {
	const { directory: given = defaultDirectory(env), socket } = source.content;
	if (typeof given !== "string") return [];
	const directory = resolve(given);
	const path = socketPath(directory, socket);
	if (path === undefined) return [];
	const message = socketProblem(path, directory, socket);
	if (message !== undefined) return [{ path: "socket", message }];
	const index = namesIn(source.content).findIndex(
		({ file = "", ticketFiles, copies }) =>
			[file, ...ticketFiles, ...copies].some(
				(name) => resolve(directory, name) === path,
			),
	);
	if (index < 0) return [];
	// With the default socket it is the account's file that was given.
	return socket === undefined
		? [
				{
					path: `account[${index}].file`,
					message: `is ${show(basename(path))}, the default name of the control socket (\`socket\`); expected another name`,
				},
			]
		: [
				{
					path: "socket",
					message: `is ${show(socket)}, the name of a file of account[${index}]; expected another name`,
				},
			];
}

function socketProblem(
	path: string,
	directory: string,
	socket: unknown,
): string | undefined {
	if (Buffer.byteLength(path) > maxSocketPathBytes)
		return `is ${show(path)}, too long for a Unix socket; expected at most ${maxSocketPathBytes} bytes`;
	const isAbove = `${directory}/`.startsWith(path === "/" ? path : `${path}/`);
	if (isAbove)
		return `is ${show(socket)}, which is a directory; expected the path of a file`;
	const name = basename(path);
	// Temporary files and locks of token files have such names, and are swept.
	const isReserved = name.startsWith(".") || name.endsWith(".lock");
	return dirname(path) === directory && isReserved
		? `is ${show(socket)}, a name for temporary files and locks of token files; expected another name`
		: undefined;
}

/** The metrics are published over whatever lies at their path. */
function findMetricsProblems(
	{ content, name, isEnvironment }: ConfigSource,
	env: ConfigOptions["env"],
	input: Input,
): readonly ConfigProblem[] {
	const { directory = defaultDirectory(env), metrics_file, socket } = content;
	if (typeof metrics_file !== "string" || typeof directory !== "string")
		return [];
	const path = realLocation(metrics_file, input);
	const over = (other: string, what: string) =>
		basename(other) === basename(path) && realLocation(other, input) === path
			? what
			: undefined;
	const listed = Array.isArray(content.account) ? content.account : [];
	const isAbove = `${realLocation(directory, input)}/`.startsWith(`${path}/`);
	const socketAt = socketPath(directory, socket);
	const ofAccount = ({ file }: AccountNames, index: number) => {
		const { secret_file: secret } = Object(listed[index]);
		return (
			(file &&
				over(join(directory, file), `the token file of account[${index}]`)) ||
			(typeof secret === "string" &&
				over(secret, `the secret file of account[${index}]`))
		);
	};
	// Tickets, copies, locks, records and drafts do not end in .prom.
	const what =
		(isAbove && "the directory of the tokens, or one above it") ||
		(!isEnvironment && over(name, "this configuration file")) ||
		(socketAt && over(socketAt, "the control socket")) ||
		namesIn(content).map(ofAccount).find(Boolean) ||
		undefined;
	return what === undefined
		? []
		: [
				{
					path: "metrics_file",
					message: `is ${show(metrics_file)}, ${what}; expected a file of its own, as the metrics are published over what lies there`,
				},
			];
}

/** By the real path of the directory: a link may lead to the same file. */
function realLocation(path: string, input: Input): string {
	const directory = dirname(resolve(path));
	const real = input(() => {
		try {
			return realpathSync(directory);
		} catch {
			return directory; // It does not exist yet, so no file of ours is there.
		}
	});
	return join(real, basename(path));
}

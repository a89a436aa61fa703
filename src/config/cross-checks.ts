/**
 * Problems that no key of the configuration can show alone: two entries that would
 * share a file, a socket or metrics in the way of a token file. They are looked for even if the
 * content has the wrong shape, so that one run reports everything.
 */
import { basename, dirname, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { ConfigProblem } from "../core/errors.ts";
import { eachInSteps, type Steps } from "../core/steps.ts";
import {
	type EntryNames,
	type EntryTableName,
	entryTableNames,
	entryTables,
	entryTablesInWords,
	namesInSteps,
} from "./entry-names.ts";
import type { Input } from "./inputs.ts";
import { defaultDirectory } from "./lookup.ts";
import { findMemberProblems } from "./member-checks.ts";
import { platformTables } from "./platform.ts";
import { show } from "./shape.ts";
import type { ConfigOptions, ConfigSource } from "./source.ts";

/** All such problems, with the paths of their keys; none of them quotes a secret. */
export function* findCrossProblems(
	source: ConfigSource,
	env: ConfigOptions["env"],
	input: Input,
): Steps<readonly ConfigProblem[]> {
	const names = yield* namesInSteps(source.content);
	return [
		...findNothing(source),
		...(yield* findTwins(names)),
		...(platformTables.some((table) => source.content[table] !== undefined)
			? findMemberProblems(source.content)
			: []),
		...findSocketProblems(source, names, env),
		...findMetricsProblems(source, names, env, input),
	];
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

/** There must be something to keep. */
function findNothing({ content }: ConfigSource): readonly ConfigProblem[] {
	// A table of a wrong type, or without entries, is a problem of the shape.
	if (entryTableNames.some((table) => content[table] !== undefined)) return [];
	return [
		{
			path: "account",
			message: `is missing; expected at least one ${entryTablesInWords}`,
		},
	];
}

/** Entries with the name or the file of an earlier one. */
function* findTwins(
	all: readonly EntryNames[],
): Steps<readonly ConfigProblem[]> {
	const problems: ConfigProblem[] = [];
	const names = new Map<string, string>();
	const files = new Map<string, string>();
	// One problem for each entry: with the same name the default file is the same.
	yield* eachInSteps(all, ({ table, path, ids, file }) => {
		const name = ids && [table, ...ids].join(" ");
		const twin = name === undefined ? undefined : names.get(name);
		const sharer = file === undefined ? undefined : files.get(file);
		if (twin !== undefined) problems.push(twinProblem(table, path, ids, twin));
		else if (sharer !== undefined)
			problems.push({
				path: `${path}.file`,
				message: `is ${show(file)}, the file of ${sharer} already; expected a file for each ${table === "account" ? "account" : "entry"}`,
			});
		if (name !== undefined) names.set(name, twin ?? path);
		if (file !== undefined) files.set(file, sharer ?? path);
	});
	return [...problems, ...findTaken(all, files)];
}

function twinProblem(
	table: EntryTableName,
	path: string,
	ids: readonly string[] = [],
	twin: string,
): ConfigProblem {
	const { idKeys }: { readonly idKeys: readonly string[] } = entryTables[table];
	// The last key is the one that can be changed: a corp has many apps.
	const key = idKeys.at(-1) ?? "";
	const all = idKeys.join(" and ");
	return {
		path: `${path}.${key}`,
		message: `is ${show(ids.at(-1), key)}, as ${twin}.${key} already; expected each ${all} once`,
	};
}

/** Files of tickets and copies in the place of another file; `files`: tokens, with the paths of their entries. */
function findTaken(
	all: readonly EntryNames[],
	files: ReadonlyMap<string, string>,
): readonly ConfigProblem[] {
	const problems: ConfigProblem[] = [];
	const tickets = new Map<string, EntryNames>();
	for (const one of all) {
		const { path, ticketFiles, copies } = one;
		const takes = (name: string, what: string) => {
			const sharer = files.get(name);
			if (sharer !== undefined)
				problems.push({
					path: `${sharer}.file`,
					message: `is ${show(name)}, ${what} of ${path}; expected another name`,
				});
		};
		for (const ticket of ticketFiles) {
			takes(ticket, "the file of a ticket");
			const sharer = tickets.get(ticket);
			// Of twins that is told already.
			if (sharer !== undefined && !isDeepStrictEqual(sharer.ids, one.ids))
				problems.push({
					path: `${path}.tickets`,
					message: `would publish ${show(ticket)}, as ${sharer.path} does; expected entries whose names joined by "_" differ`,
				});
			tickets.set(ticket, one);
		}
		for (const copy of copies) takes(copy, "a copy in another format");
	}
	return problems;
}

/** `sockaddr_un` has 108 bytes, one of them for the NUL at the end. */
const maxSocketPathBytes = 107;

/** At most one problem: the first that is found is enough to correct the key. */
function findSocketProblems(
	source: ConfigSource,
	names: readonly EntryNames[],
	env: ConfigOptions["env"],
): readonly ConfigProblem[] {
	const { directory: given = defaultDirectory(env), socket } = source.content;
	if (typeof given !== "string") return [];
	const directory = resolve(given);
	const path = socketPath(directory, socket);
	if (path === undefined) return [];
	const message = socketProblem(path, directory, socket);
	if (message !== undefined) return [{ path: "socket", message }];
	if (dirname(path) !== directory) return [];
	const taken = basename(path);
	const owner = names.find(
		({ file, ticketFiles, copies }) =>
			file === taken || ticketFiles.includes(taken) || copies.includes(taken),
	);
	if (owner === undefined) return [];
	// With the default socket it is the entry's file that was given.
	return socket === undefined
		? [
				{
					path: `${owner.path}.file`,
					message: `is ${show(basename(path))}, the default name of the control socket (\`socket\`); expected another name`,
				},
			]
		: [
				{
					path: "socket",
					message: `is ${show(socket)}, the name of a file of ${owner.path}; expected another name`,
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
	names: readonly EntryNames[],
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
	const isAbove = `${realLocation(directory, input)}/`.startsWith(`${path}/`);
	const socketAt = socketPath(directory, socket);
	const ofEntry = ({ file, secretFile, path }: EntryNames) =>
		(file && over(`${directory}/${file}`, `the token file of ${path}`)) ||
		(secretFile && over(secretFile, `the secret file of ${path}`));
	// Tickets, copies, locks, records and drafts do not end in .prom.
	const what =
		(isAbove && "the directory of the tokens, or one above it") ||
		(!isEnvironment && over(name, "this configuration file")) ||
		(socketAt && over(socketAt, "the control socket")) ||
		firstOf(names, ofEntry);
	return what === undefined
		? []
		: [
				{
					path: "metrics_file",
					message: `is ${show(metrics_file)}, ${what}; expected a file of its own, as the metrics are published over what lies there`,
				},
			];
}

function firstOf(
	all: readonly EntryNames[],
	what: (one: EntryNames) => string | undefined,
): string | undefined {
	for (const one of all) {
		const found = what(one);
		if (found) return found;
	}
	return undefined;
}

/** By the real path of the directory: a link may lead to the same file. */
function realLocation(path: string, input: Input): string {
	const directory = dirname(resolve(path));
	const real = input(({ realPath }) => {
		try {
			return realPath(directory);
		} catch {
			return directory; // It does not exist yet, so no file of ours is there.
		}
	});
	return join(real, basename(path));
}

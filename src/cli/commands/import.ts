/** `wxtokend import`: hands tickets, refresh tokens, permanent codes and auth codes over to the daemon. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { errnoOf, exitCode, inWords, UsageError } from "../../core/errors.ts";
import { adminSocket } from "../../daemon/platform-doors.ts";
import type { CommandLine } from "../command-line.ts";
import {
	type ControlCall,
	ControlUnreachable,
	callControl,
	findControl,
} from "../control-client.ts";
import { tellPerson } from "../explain.ts";

const timeoutMs = 30_000;

/** Lines under way: those that arrive together share one sync of the disk. */
const maxAtOnce = 32;

/** A line that was not taken. */
interface Refused {
	readonly line: number;
	readonly cause: string;
	/** The exit code that it leads to: `usage` if the line is wrong. */
	readonly code: number;
}

/**
 * Every line is tried, also after a wrong one; each of these is told. Returns the exit
 * code. Throws `UsageError`.
 */
export async function importLines(line: CommandLine): Promise<number> {
	const [file = "-"] = line.operands;
	const socket = socketOf(line);
	const given = platformIn(line);
	const refused: Refused[] = [];
	let taken = 0;
	const takeLine = async (text: string, number: number) => {
		const call = callFor(text, given);
		const why =
			typeof call === "string"
				? { cause: call, code: exitCode.usage }
				: await send(socket, call);
		if (why === undefined) taken += 1;
		else refused.push({ line: number, ...why });
	};
	try {
		await eachLine(file, takeLine);
	} catch (error) {
		if (!(error instanceof ControlUnreachable)) throw error;
		tellPerson(
			`could not import after ${taken} lines: ${error.message}; it must run as the daemon's user, or as root, while the daemon runs`,
		);
		return exitCode.temporary;
	}
	tellRefused(refused);
	process.stdout.write(`took ${taken} lines over\n`);
	const codes = refused.map(({ code }) => code);
	// What is no line's fault comes first: with it gone, the same lines are to be tried again.
	const worst = [exitCode.cannotWrite, exitCode.temporary, exitCode.usage];
	return worst.find((code) => codes.includes(code)) ?? exitCode.done;
}

/** A cause that thousands of lines share is told once. */
function tellRefused(refused: readonly Refused[]): void {
	/** Lines behind the first one with that cause. */
	const others = new Map<string, number>();
	const told = refused.filter(({ cause, code }) => {
		const before = others.get(cause);
		if (code !== exitCode.usage)
			others.set(cause, before === undefined ? 0 : before + 1);
		return code === exitCode.usage || before === undefined;
	});
	for (const { line, cause } of told) {
		const more = others.get(cause) ?? 0;
		tellPerson(`line ${line}${more > 0 ? ` and ${more} more` : ""}: ${cause}`);
	}
}

/** For lines that name no platform. */
interface GivenPlatform {
	readonly component?: string;
	readonly suite?: string;
}

/** Throws `UsageError`. */
function platformIn(line: CommandLine): GivenPlatform {
	const [component, suite] = [line.value("component"), line.value("suite")];
	if (component !== undefined && suite !== undefined)
		throw new UsageError(
			"--component and --suite stand side by side",
			"give one of them, or name the platform in each line",
		);
	if (suite !== undefined) return { suite };
	return component === undefined ? {} : { component };
}

function socketOf(line: CommandLine): string {
	const { config, socket, hidden, wrong } = findControl(
		line.value("config"),
		process.env,
	);
	if (wrong !== undefined) throw wrong;
	if (config !== undefined) return join(config.directory, adminSocket);
	if (hidden === undefined || socket === undefined)
		throw new UsageError("no configuration is found", "give --config F");
	throw new UsageError(
		`the configuration cannot be read: ${hidden.path}: ${hidden.message}`,
		"run it as the daemon's user, or as root",
	);
}

/** Calls `act` for each line that is not empty, for a few at a time. */
async function eachLine(
	file: string,
	act: (text: string, number: number) => Promise<void>,
): Promise<void> {
	const input = file === "-" ? process.stdin : createReadStream(file);
	const failed = new Promise<never>((_, reject) => {
		input.once("error", (error: Error) =>
			reject(
				new UsageError(
					`could not read ${file}: ${inWords(errnoOf(error))}`,
					'give a file of JSON lines, or "-" for stdin',
				),
			),
		);
	});
	const underWay = new Set<Promise<void>>();
	const readAll = async () => {
		let number = 0;
		for await (const text of createInterface({ input })) {
			number += 1;
			if (text.trim() === "") continue;
			const one = act(text, number).finally(() => underWay.delete(one));
			underWay.add(one);
			if (underWay.size >= maxAtOnce) await Promise.race(underWay);
		}
		await Promise.all(underWay);
	};
	await Promise.race([readAll(), failed]);
}

/** A text: why the line is none. It quotes nothing, as all of it may be secret. */
function callFor(
	text: string,
	given: GivenPlatform,
): Pick<ControlCall, "path" | "content"> | string {
	let fields: Readonly<Record<string, unknown>>;
	try {
		fields = Object(JSON.parse(text));
	} catch {
		return "is not JSON";
	}
	const isOwn = "component" in fields || "suite" in fields;
	const { component, suite, ...content } = isOwn
		? fields
		: { ...given, ...fields };
	const [id, ...more] = [component, suite].filter((one) => one !== undefined);
	if (typeof id !== "string" || more.length > 0 || !/^[\w-]{1,64}$/.test(id))
		return 'has no "component" and no "suite", or both: give one in the line, or by --component APPID or --suite SUITE_ID';
	const route = component === undefined ? "suites" : "components";
	const what = "ticket" in content ? "ticket" : "authorizations";
	return { path: `/v1/${route}/${id}/${what}`, content };
}

/** The daemon's disk takes nothing. */
const diskCodes = ["ENOSPC", "EDQUOT", "EROFS", "EIO", "EACCES", "EPERM"];

/** Undefined: it was taken. Throws `ControlUnreachable`. */
async function send(
	socket: string,
	call: Pick<ControlCall, "path" | "content">,
): Promise<Pick<Refused, "cause" | "code"> | undefined> {
	const reply = await callControl(socket, {
		...call,
		method: "POST",
		timeoutMs,
	});
	if (reply.status === 204) return undefined;
	const {
		code: told,
		message = `the daemon answers ${reply.status}`,
		hint,
	} = Object(reply.content);
	const isLater = reply.status >= 500 || [408, 429].includes(reply.status);
	const code = diskCodes.includes(told)
		? exitCode.cannotWrite
		: exitCode.temporary;
	return {
		cause: hint === undefined ? message : `${message}; ${hint}`,
		code: isLater ? code : exitCode.usage,
	};
}

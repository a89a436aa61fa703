/** `wxtokend refresh`: asks the daemon for new tokens, and tells what came of it. */
import { join } from "node:path";
import { isPublishedFile } from "../../config/entry-names.ts";
import { guessedDirectory } from "../../config/lookup.ts";
import { nounOf } from "../../core/credential.ts";
import { exitCode, UsageError } from "../../core/errors.ts";
import type { StatusReport } from "../../core/status.ts";
import type { CommandLine } from "../command-line.ts";
import {
	type ControlLocation,
	type ControlReply,
	ControlUnreachable,
	callControl,
	findControl,
} from "../control-client.ts";
import { tellPerson, worstCode } from "../explain.ts";
import { reportFromFiles } from "../status-files.ts";

/** More than the daemon itself waits for a refresh, so that its answer arrives. */
const timeoutMs = 150_000;

/** Accounts that are refreshed at a time: connections to the daemon are limited. */
const maxAtOnce = 32;

/** Prints a line for each account; returns the exit code. Throws `ConfigError` and `UsageError`. */
export async function refresh(line: CommandLine): Promise<number> {
	// systemd sets $MAINPID for ExecReload=, and a user does not.
	const mainPid = Number(process.env.MAINPID);
	if (line.has("reload") && mainPid > 0) return reloadMain(mainPid, line);
	if (line.has("reload")) mustBeAboutAll(line);
	const location = findControl(line.value("config"), process.env);
	for (const appid of line.operands) mustBeName(appid);
	// stdin is read before the daemon is called: a wrong command line must cost nothing.
	const stale = await staleToken(line.value("stale"));
	const { socket } = location;
	if (socket === undefined)
		throw new UsageError(
			"the control socket is turned off in the configuration",
			"set `socket`, or send the daemon a SIGHUP",
		);
	try {
		if (line.has("reload")) return await reload(socket);
		// The daemon works by its old configuration, but the next start would fail.
		if (location.wrong !== undefined)
			tellPerson(`warning: ${location.wrong.message}`);
		const names =
			line.operands.length > 0
				? [...new Set(line.operands)]
				: await allTokens(socket);
		if (stale !== undefined && names.length !== 1)
			throw new UsageError(
				"--stale is about the token of one account",
				"give its NAME",
			);
		const codes = await inTurns(names, (name) =>
			refreshOne(socket, name, {
				...(stale === undefined ? {} : { stale }),
				...(line.has("alone") ? { alone: true } : {}),
			}),
		);
		return worstCode(codes);
	} catch (error) {
		if (!(error instanceof ControlUnreachable)) throw error;
		const { hidden } = location;
		const guess =
			hidden === undefined
				? ""
				: ` (${hidden.path} ${hidden.message}, so this path is a guess)`;
		tellPerson(`could not refresh: ${error.message}${guess}; ${error.hint}`);
		// A wrong configuration is the most likely reason why no daemon runs.
		if (location.wrong !== undefined) throw location.wrong;
		return withoutDaemon(location, line.operands);
	}
}

/**
 * Runs as ExecReload= of the systemd unit. The configuration on disk may name another
 * socket than the running daemon has, or be wrong. So the socket in the usual place is
 * tried as well, and if none answers, the process gets a signal.
 */
async function reloadMain(mainPid: number, line: CommandLine): Promise<number> {
	mustBeAboutAll(line);
	const { socket: configured } = findControl(line.value("config"), process.env);
	const usual = join(guessedDirectory(process.env), "control.sock");
	for (const socket of new Set([configured, usual])) {
		try {
			if (socket !== undefined) return await reload(socket);
		} catch (error) {
			if (!(error instanceof ControlUnreachable)) throw error;
		}
	}
	process.kill(mainPid, "SIGHUP");
	tellPerson(
		"sent SIGHUP, as no control socket answers; the refresh is not waited for",
	);
	return exitCode.done;
}

/** Throws `UsageError` if the command line names an account or a token. */
function mustBeAboutAll(line: CommandLine): void {
	if (line.operands.length > 0 || line.value("stale") !== undefined)
		throw new UsageError(
			"--reload is about all accounts",
			"give neither an APPID nor --stale with it",
		);
}

/** Returns the exit code. Throws `ControlUnreachable`. */
async function reload(socket: string): Promise<number> {
	const reply = await callControl(socket, {
		method: "POST",
		path: "/v1/reload",
		timeoutMs,
	});
	if (reply.status === 200) {
		process.stdout.write("reloaded; every account has a new token\n");
		return exitCode.done;
	}
	const code = failureIn(reply, "could not reload");
	if (code === "config") return exitCode.configuration;
	// The refresh of an account failed. Health shows whether all still have a token.
	const { status } = await callControl(socket, {
		method: "GET",
		path: "/healthz",
		timeoutMs,
	});
	return status === 200 ? exitCode.temporary : exitCode.noToken;
}

/** Tells on stderr what failed, in the daemon's words; returns the code of the failure. */
function failureIn(reply: ControlReply, what: string): string | undefined {
	const { code, message, hint } = (reply.content ?? {}) as Failure;
	tellPerson(
		`${message ?? `${what}: the daemon answers ${reply.status}`}${hint === undefined ? "" : `; ${hint}`}`,
	);
	return code;
}

/** From the command line, or for `-` from stdin: every user can see arguments. */
async function staleToken(
	given: string | undefined,
): Promise<string | undefined> {
	if (given !== "-") return given?.trim();
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of process.stdin) {
		size += chunk.length;
		// A file that was redirected by mistake may be large.
		if (size > 4_096)
			throw new UsageError("there is no token on stdin", "it is too long");
		chunks.push(chunk);
	}
	const token = Buffer.concat(chunks).toString("utf8").trim();
	if (token !== "") return token;
	throw new UsageError(
		"there is no token on stdin",
		"write the token that WeChat refused to it, or leave --stale out for a forced refresh",
	);
}

function isAppid(name: string): boolean {
	return /^[A-Za-z0-9_-]{1,64}$/.test(name) && !isPublishedFile(name);
}

/** Throws `UsageError`. A name becomes a part of a path, so it is checked before. */
function mustBeName(name: string): void {
	if (isAppid(name) || /^(?!\.)[A-Za-z0-9._-]{1,200}$/.test(name)) return;
	throw new UsageError(
		`${JSON.stringify(name)} is neither an appid nor the name of a published file`,
		"1 to 64 of A–Z a–z 0–9 _ -",
	);
}

/** From the daemon, which may keep others than the configuration on disk. */
async function allTokens(socket: string): Promise<readonly string[]> {
	const { status, content } = await callControl(socket, {
		method: "GET",
		path: "/v1/credentials",
		timeoutMs,
	});
	if (status !== 200)
		throw new ControlUnreachable(socket, `it answers ${status}`);
	const { credentials } = content as Pick<StatusReport, "credentials">;
	return tokensIn(credentials).map((one) =>
		one.interface === null ? one.credential : one.appid,
	);
}

/** Tickets cannot be forced. */
function tokensIn(
	credentials: StatusReport["credentials"],
): StatusReport["credentials"] {
	return credentials.filter((one) => nounOf(one) === "token");
}

/** Returns the exit code. Throws `ControlUnreachable`. */
async function refreshOne(
	socket: string,
	name: string,
	body: { readonly stale?: string; readonly alone?: true },
): Promise<number> {
	const ask = (path: string) =>
		callControl(socket, {
			method: "POST",
			path: `${path}/refresh`,
			timeoutMs,
			...(Object.keys(body).length === 0 ? {} : { content: body }),
		});
	let path = pathOf(name);
	let reply = await ask(path);
	// A file may have a name that looks like an appid.
	const { code: refused } = (reply.content ?? {}) as Failure;
	if (refused === "unknown-account") {
		const other = await ask(`/v1/credentials/${name}`);
		if (other.status !== 404) {
			path = `/v1/credentials/${name}`;
			reply = other;
		}
	}
	if (reply.status === 200) {
		process.stdout.write(`${name}: ${successIn(reply)}\n`);
		return exitCode.done;
	}
	const code = failureIn(reply, `could not refresh ${name}`);
	if (code === "unknown-account" || code === "unknown-credential")
		return exitCode.usage;
	return (await hasToken(socket, path)) ? exitCode.temporary : exitCode.noToken;
}

/** The JSON of an answer to a request that failed. */
interface Failure {
	readonly code?: string;
	readonly message?: string;
	readonly hint?: string;
}

/** What the outcome means for the person, and what to do next. */
function successIn({ content }: ControlReply): string {
	const { outcome, expire } = content as {
		readonly outcome: "refreshed" | "already-fresh" | "alive";
		readonly expire: number;
	};
	const until = `until ${new Date(expire * 1000).toISOString()}`;
	switch (outcome) {
		case "refreshed":
			return `refreshed; the new token lives ${until}`;
		case "already-fresh":
			return `already fresh: the token on disk is another one than the reported one, and lives ${until}; read the file again`;
		case "alive":
			return `alive: WeChat still accepts the reported token, which lives ${until}, so nothing was fetched; look for another cause, such as an API that this kind of account may not call`;
		default:
			return outcome satisfies never;
	}
}

/** Whether apps still have a valid token after a failed refresh. */
async function hasToken(socket: string, path: string): Promise<boolean> {
	const { content } = await callControl(socket, {
		method: "GET",
		path,
		timeoutMs,
	});
	return (content as { readonly valid?: boolean } | undefined)?.valid === true;
}

/** The exit code when no daemon answers: it depends on the tokens on disk. */
function withoutDaemon(
	{ config }: ControlLocation,
	operands: readonly string[],
): number {
	if (config === undefined) return exitCode.noToken;
	const { credentials } = reportFromFiles(config);
	const wanted = (
		operands.length === 0 ? tokensIn(credentials) : credentials
	).filter(
		({ appid, credential, interface: wire }) =>
			operands.length === 0 ||
			operands.includes(credential) ||
			(wire !== null && operands.includes(appid)),
	);
	return wanted.length > 0 && wanted.every(({ valid }) => valid)
		? exitCode.temporary
		: exitCode.noToken;
}

/** As `Promise.all` over `work`, but for a limited number of items at a time. */
async function inTurns<T, R>(
	items: readonly T[],
	work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
	const done: R[] = [];
	for (let start = 0; start < items.length; start += maxAtOnce)
		done.push(
			...(await Promise.all(items.slice(start, start + maxAtOnce).map(work))),
		);
	return done;
}

/** The route of an account, or of another credential by its file. */
function pathOf(name: string): string {
	return isAppid(name) ? `/v1/accounts/${name}` : `/v1/credentials/${name}`;
}

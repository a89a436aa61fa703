import { join } from "node:path";
import { guessedDirectory } from "../../config/lookup.ts";
import { exitCode, UsageError } from "../../core/errors.ts";
import type { StatusReport } from "../../core/status.ts";
import type { CommandLine } from "../command-line.ts";
import {
	type ControlReply,
	ControlUnreachable,
	callControl,
} from "../control-client.ts";
import { type ControlPlace, findControl } from "../control-place.ts";
import { reportFromFiles } from "../status-files.ts";

/** More than the daemon itself waits for a refresh. */
const patienceMs = 150_000;
/** Accounts asked for at a time. */
const atATime = 32;

export async function refresh(line: CommandLine): Promise<number> {
	const mainPid = Number(process.env.MAINPID);
	if (line.has("reload") && mainPid > 0) return reloadMain(mainPid, line);
	if (line.has("reload")) mustBeAboutAll(line);
	const place = findControl(line.value("config"), process.env);
	for (const appid of line.operands) mustBeAppid(appid);
	const stale = await staleToken(line.value("stale"));
	const { socket } = place;
	if (socket === undefined)
		throw new UsageError(
			"the control socket is turned off in the configuration",
			"set `socket`, or send the daemon a SIGHUP",
		);
	try {
		if (line.has("reload")) return await reload(socket);
		if (place.wrong !== undefined)
			process.stderr.write(`wxtokend: warning: ${place.wrong.message}\n`);
		const appids =
			line.operands.length > 0
				? [...new Set(line.operands)]
				: await allAppids(socket);
		if (stale !== undefined && appids.length !== 1)
			throw new UsageError(
				"--stale is about the token of one account",
				"give its APPID",
			);
		const codes = await inTurns(appids, (appid) =>
			refreshOne(socket, appid, stale),
		);
		return worst(codes);
	} catch (error) {
		if (!(error instanceof ControlUnreachable)) throw error;
		process.stderr.write(
			`wxtokend: could not refresh: ${error.message}; ${error.hint}\n`,
		);
		if (place.wrong !== undefined) throw place.wrong;
		return withoutDaemon(place, line.operands);
	}
}

/**
 * As the unit's ExecReload=. The configuration on disk is perhaps newer than the
 * one that the daemon runs by, or broken: it must hear of it all the same. So
 * the usual socket is tried as well, and without any the process is signalled.
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
	process.stderr.write(
		"wxtokend: sent SIGHUP, as no control socket answers; the refresh is not waited for\n",
	);
	return exitCode.done;
}

function mustBeAboutAll(line: CommandLine): void {
	if (line.operands.length > 0 || line.value("stale") !== undefined)
		throw new UsageError(
			"--reload is about all accounts",
			"give neither an APPID nor --stale with it",
		);
}

async function reload(socket: string): Promise<number> {
	const reply = await callControl(socket, {
		method: "POST",
		path: "/v1/reload",
		timeoutMs: patienceMs,
	});
	if (reply.status === 200) {
		process.stdout.write("reloaded; every account has a new token\n");
		return exitCode.done;
	}
	const code = failureIn(reply, "could not reload");
	if (code === "config") return exitCode.configuration;
	const { status } = await callControl(socket, {
		method: "GET",
		path: "/healthz",
		timeoutMs: patienceMs,
	});
	return status === 200 ? exitCode.temporary : exitCode.noToken;
}

/** Says on stderr what failed; returns its code. */
function failureIn(reply: ControlReply, what: string): string | undefined {
	const { code, message, hint } = (reply.content ?? {}) as Failure;
	process.stderr.write(
		`wxtokend: ${message ?? `${what}: the daemon answers ${reply.status}`}${hint === undefined ? "" : `; ${hint}`}\n`,
	);
	return code;
}

/** From the command line, or from stdin for `-`: arguments can be seen by every user. */
async function staleToken(
	given: string | undefined,
): Promise<string | undefined> {
	if (given !== "-") return given?.trim();
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of process.stdin) {
		size += chunk.length;
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

function mustBeAppid(appid: string): void {
	if (/^[A-Za-z0-9_-]{1,64}$/.test(appid)) return;
	throw new UsageError(
		`${JSON.stringify(appid)} is no appid`,
		"1 to 64 of A–Z a–z 0–9 _ -",
	);
}

async function allAppids(socket: string): Promise<readonly string[]> {
	const { status, content } = await callControl(socket, {
		method: "GET",
		path: "/v1/accounts",
		timeoutMs: patienceMs,
	});
	if (status !== 200)
		throw new ControlUnreachable(socket, `it answers ${status}`);
	return (content as StatusReport).accounts.map(({ appid }) => appid);
}

async function refreshOne(
	socket: string,
	appid: string,
	stale: string | undefined,
): Promise<number> {
	const reply = await callControl(socket, {
		method: "POST",
		path: `/v1/accounts/${appid}/refresh`,
		timeoutMs: patienceMs,
		...(stale === undefined ? {} : { content: { stale } }),
	});
	if (reply.status === 200) {
		process.stdout.write(`${appid}: ${successIn(reply)}\n`);
		return exitCode.done;
	}
	const code = failureIn(reply, `could not refresh ${appid}`);
	if (code === "unknown-account") return exitCode.usage;
	return (await hasToken(socket, appid))
		? exitCode.temporary
		: exitCode.noToken;
}

interface Failure {
	readonly code?: string;
	readonly message?: string;
	readonly hint?: string;
}

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
			return `alive: WeChat accepts the reported token ${until}, so nothing was fetched; look for another cause, such as an API that this kind of account may not call`;
		default:
			return outcome satisfies never;
	}
}

async function hasToken(socket: string, appid: string): Promise<boolean> {
	const { content } = await callControl(socket, {
		method: "GET",
		path: `/v1/accounts/${appid}`,
		timeoutMs: patienceMs,
	});
	return (content as { readonly valid?: boolean } | undefined)?.valid === true;
}

/** Nothing was refreshed; do the tokens on disk still live? */
function withoutDaemon(
	{ config }: ControlPlace,
	operands: readonly string[],
): number {
	if (config === undefined) return exitCode.noToken;
	const wanted = reportFromFiles(config).accounts.filter(
		({ appid }) => operands.length === 0 || operands.includes(appid),
	);
	return wanted.length > 0 && wanted.every(({ valid }) => valid)
		? exitCode.temporary
		: exitCode.noToken;
}

async function inTurns<T, R>(
	items: readonly T[],
	work: (item: T) => Promise<R>,
): Promise<readonly R[]> {
	const done: R[] = [];
	for (let start = 0; start < items.length; start += atATime)
		done.push(
			...(await Promise.all(items.slice(start, start + atATime).map(work))),
		);
	return done;
}

/** Of several accounts, what most needs a person. */
function worst(codes: readonly number[]): number {
	const order = [exitCode.usage, exitCode.noToken, exitCode.temporary];
	return order.find((code) => codes.includes(code)) ?? exitCode.done;
}

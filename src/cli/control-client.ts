/** How a command finds a running daemon, and asks it through its control socket. */
import { request } from "node:http";
import { type Config, loadConfig } from "../config/config.ts";
import {
	likelySocket,
	readConfigText,
	readersHint,
	usualSocket,
} from "../config/lookup.ts";
import {
	ConfigError,
	type ConfigProblem,
	errnoOf,
	inWords,
} from "../core/errors.ts";

/** Where a command finds the daemon, and what it knows of the configuration. */
export interface ControlLocation {
	/** The path of the socket; undefined: the configuration turns it off. */
	readonly socket: string | undefined;
	/** Without secrets. Undefined: this user cannot read it, or it is wrong. */
	readonly config: Config | undefined;
	/** Why this user cannot read the configuration. */
	readonly hidden?: ConfigProblem;
	/** What is wrong with the configuration. */
	readonly wrong?: ConfigError;
	/** The socket is only where it usually is: the configuration does not tell. */
	readonly isGuessed?: boolean;
}

/**
 * Finds the socket by the configuration. A user who may use the socket, but not read
 * the configuration, finds it in the usual directory. That is also where it is looked
 * for while the configuration is wrong, because the daemon may still use the one from
 * before. Never throws a `ConfigError`.
 */
export function findControl(
	file: string | undefined,
	env: Readonly<Record<string, string | undefined>>,
): ControlLocation {
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
		const isGuessed = socket === usualSocket(env);
		return { socket, config: undefined, wrong: error, isGuessed };
	}
}

/** No daemon answers there. */
export class ControlUnreachable extends Error {
	/** `ECONNREFUSED`, `ENOENT`, `EACCES`, `timeout`… */
	readonly code: string;
	/** What to do next. */
	readonly hint: string;
	constructor(path: string, code: string) {
		super(
			`${code === "EACCES" ? "this user cannot reach the daemon" : "no daemon answers"} at ${path}: ${inWords(code)}`,
		);
		this.name = "ControlUnreachable";
		this.code = code;
		this.hint =
			code === "EACCES" ? readersHint(path) : (hints[code] ?? startIt);
	}
}

const startIt =
	"start it (systemctl start wxtokend, or wxtokend run); without a daemon there is wxtokend once";

const hints: Readonly<Record<string, string>> = {
	EAGAIN: "too many ask it at the same time: try again",
	timeout: "it does not answer in time: read its log",
	interrupted: "it closed the connection: read its log",
	ECONNRESET: "it closed the connection: read its log",
};

/** A request to the daemon. */
export interface ControlCall {
	readonly method: "GET" | "POST";
	readonly path: string;
	/** Sent as JSON; undefined: no body. */
	readonly content?: unknown;
	/** For the whole call. */
	readonly timeoutMs: number;
}

/** What the daemon answered. */
export interface ControlReply {
	/** Of HTTP. */
	readonly status: number;
	/** Parsed; undefined if it was no JSON. */
	readonly content: unknown;
}

/** Calls the daemon once. Throws `ControlUnreachable`. */
export function callControl(
	socketPath: string,
	{ method, path, content, timeoutMs }: ControlCall,
): Promise<ControlReply> {
	const body = content === undefined ? undefined : JSON.stringify(content);
	return new Promise((resolve, reject) => {
		const fail = (code: string) =>
			reject(new ControlUnreachable(socketPath, code));
		const call = request({
			socketPath,
			method,
			path,
			// A connection that is kept would keep the command alive.
			agent: false,
			headers: {
				Host: "wxtokend",
				...(body === undefined
					? {}
					: {
							"Content-Type": "application/json",
							"Content-Length": Buffer.byteLength(body),
						}),
			},
		});
		const timer = setTimeout(() => {
			fail("timeout");
			call.destroy();
		}, timeoutMs);
		call.once("close", () => clearTimeout(timer));
		call.once("error", (error) => fail(errnoOf(error) ?? "interrupted"));
		call.once("response", (response) => {
			const chunks: Buffer[] = [];
			response.on("data", (chunk: Buffer) => chunks.push(chunk));
			response.once("error", () => fail("interrupted"));
			response.once("end", () =>
				resolve({
					status: response.statusCode ?? 0,
					content: parsed(Buffer.concat(chunks).toString("utf8")),
				}),
			);
		});
		call.end(body);
	});
}

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

/** Whether a daemon may be running at that control socket. */
export async function daemonAnswers(socket: string): Promise<boolean> {
	try {
		await callControl(socket, {
			method: "GET",
			path: "/healthz",
			timeoutMs: 5_000,
		});
		return true;
	} catch (error) {
		if (!(error instanceof ControlUnreachable)) throw error;
		// Only these codes show that no daemon is there. After any other one, such as
		// EACCES, a daemon must be assumed.
		return !/^(ENOENT|ECONNREFUSED|ENOTSOCK|ENOTDIR)$/.test(error.code);
	}
}

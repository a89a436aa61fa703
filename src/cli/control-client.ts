/** Asks a running daemon through its control socket. */
import { request } from "node:http";
import { readersHint } from "../config/lookup.ts";
import { errnoOf, inWords } from "../core/errors.ts";

/** No daemon answers there. */
export class ControlUnreachable extends Error {
	/** `ECONNREFUSED`, `ENOENT`, `EACCES`, `timeout`… */
	readonly code: string;
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

export interface ControlCall {
	readonly method: "GET" | "POST";
	readonly path: string;
	/** Sent as JSON. */
	readonly content?: unknown;
	readonly timeoutMs: number;
}

export interface ControlReply {
	readonly status: number;
	/** Parsed; undefined if it was no JSON. */
	readonly content: unknown;
}

/** Throws `ControlUnreachable`. */
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

const startIt =
	"start it (systemctl start wxtokend, or wxtokend run); without a daemon there is wxtokend once";

const hints: Readonly<Record<string, string>> = {
	EAGAIN: "too many ask it at the same time: try again",
	timeout: "it does not answer in time: look into its log",
	interrupted: "it ended the connection: look into its log",
	ECONNRESET: "it ended the connection: look into its log",
};

function parsed(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return undefined;
	}
}

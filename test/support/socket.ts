/** The control socket as its clients see it. */
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";

export interface SocketAnswer {
	readonly status: number;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly text: string;
	/** Parsed; throws if it is no JSON. */
	json(): Record<string, unknown>;
}

export interface SocketCall {
	readonly method?: string;
	readonly body?: string;
	readonly headers?: Readonly<Record<string, string>>;
}

/** Where the control socket is by default. */
export function socketIn(directory: string): string {
	return join(directory, "control.sock");
}

/** One request on a connection of its own; rejects if it is closed unanswered. */
export function callSocket(
	socketPath: string,
	path: string,
	{ method = "GET", body, headers = {} }: SocketCall = {},
): Promise<SocketAnswer> {
	return new Promise((resolve, reject) => {
		const call = request(
			{ socketPath, path, method, headers, agent: false },
			(response) => {
				let text = "";
				response.setEncoding("utf8").on("data", (chunk) => {
					text += chunk;
				});
				response.on("error", reject);
				response.on("end", () =>
					resolve({
						status: response.statusCode ?? 0,
						headers: response.headers,
						text,
						json: () => JSON.parse(text),
					}),
				);
			},
		);
		call.on("error", reject);
		call.end(body);
	});
}

/** A forced refresh, or with `stale` the report of a dead token. */
export function refreshOver(
	socketPath: string,
	appid: string,
	stale?: string,
): Promise<SocketAnswer> {
	return callSocket(socketPath, `/v1/accounts/${appid}/refresh`, {
		method: "POST",
		...(stale === undefined ? {} : { body: JSON.stringify({ stale }) }),
	});
}

/**
 * Sends bytes as they are, and collects what comes back until the other side
 * closes. A connection that is refused or reset gives what came until then.
 */
export function sendRaw(
	place: string | { readonly host: string; readonly port: number },
	bytes: string | Buffer,
): Promise<Buffer> {
	return new Promise((resolve) => {
		const chunks: Buffer[] = [];
		const connection = connect({
			...(typeof place === "string" ? { path: place } : place),
			allowHalfOpen: true,
		});
		connection.on("data", (chunk) => chunks.push(chunk));
		connection.on("end", () => connection.destroy());
		connection.on("error", () => connection.destroy());
		connection.on("close", () => resolve(Buffer.concat(chunks)));
		connection.write(bytes);
	});
}

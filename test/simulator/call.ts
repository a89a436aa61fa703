import { type IncomingMessage, request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";

export interface Reply {
	readonly status: number;
	readonly headers: IncomingMessage["headers"];
	readonly body: string;
}

export interface CallOptions {
	readonly method?: string;
	readonly headers?: Record<string, string>;
	readonly body?: string;
	readonly ca?: string;
	readonly rejectUnauthorized?: boolean;
	readonly signal?: AbortSignal;
}

/** One request on its own connection, so that no connection outlives a test. */
export function call(url: string, options: CallOptions = {}): Promise<Reply> {
	const { body, ...rest } = options;
	const send = url.startsWith("https:") ? tlsRequest : plainRequest;
	return new Promise((resolve, reject) => {
		const request = send(url, { agent: false, ...rest }, (response) => {
			const chunks: Buffer[] = [];
			response.on("data", (chunk: Buffer) => chunks.push(chunk));
			response.on("error", reject);
			response.on("end", () =>
				resolve({
					status: response.statusCode ?? 0,
					headers: response.headers,
					body: Buffer.concat(chunks).toString("utf8"),
				}),
			);
		});
		request.on("error", reject);
		request.end(body);
	});
}

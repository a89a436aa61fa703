/** One HTTP request to WeChat, with limits on everything. */
import { gunzipSync, inflateSync } from "node:zlib";
import type { Dispatcher } from "undici";
import request from "undici/lib/api/api-request.js";
import Agent from "undici/lib/dispatcher/agent.js";
import EnvHttpProxyAgent from "undici/lib/dispatcher/env-http-proxy-agent.js";
import { type LinkTrouble, linkTroubles } from "./errcode.ts";
import { errnoOf } from "./errors.ts";

export interface HttpRequest {
	/** `https://host[:port]`, perhaps with a path before WeChat's own. */
	readonly baseUrl: string;
	/** From `/cgi-bin/` on, with the query. It may hold the AppSecret. */
	readonly path: string;
	/** A JSON text makes it a POST. */
	readonly body?: string;
	/** For connect, headers, body and all of it together. */
	readonly timeoutMs: number;
}

export interface HttpAnswer {
	readonly status: number;
	readonly text: string;
	/** The server's clock, epoch ms, from the `Date` header. */
	readonly serverTime: number | undefined;
}

/** Why there was no answer that could be read. It never holds the URL. */
export class LinkError extends Error {
	readonly trouble: LinkTrouble;
	/** `ECONNREFUSED`, `UND_ERR_…`, `http 502`: for those who know. */
	readonly code: string;
	/** The request had left, and may have been worked on. */
	readonly sent: boolean;
	constructor(trouble: LinkTrouble, code: string, sent: boolean) {
		super(`${linkTroubles[trouble].meaning} (${code})`);
		this.name = "LinkError";
		this.trouble = trouble;
		this.code = code;
		this.sent = sent;
	}
}

export const maxBodyBytes = 65_536;

export interface HttpOptions {
	readonly connectTimeoutMs: number;
	/** The environment, for `https_proxy`, `http_proxy` and `no_proxy`. */
	readonly env: Readonly<Record<string, string | undefined>>;
}

/** The connections that all accounts share. Redirects are never followed. */
export function createHttp({ connectTimeoutMs, env }: HttpOptions) {
	const options = {
		// One request in 40 minutes: a socket that sat idle so long is dead. Just
		// long enough to serve many accounts that are due together.
		keepAliveTimeout: 1_000,
		keepAliveMaxTimeout: 1_000,
		connections: 64,
		pipelining: 1,
		connect: { timeout: connectTimeoutMs },
	};
	const proxied = ["https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"];
	const dispatcher: Dispatcher = proxied.some((name) => env[name])
		? new EnvHttpProxyAgent(options)
		: new Agent(options);

	return {
		send: (sent: HttpRequest) => send(dispatcher, sent),
		close: () => dispatcher.destroy(),
	};
}

export type Http = ReturnType<typeof createHttp>;

async function send(
	dispatcher: Dispatcher,
	{ baseUrl, path, body, timeoutMs }: HttpRequest,
): Promise<HttpAnswer> {
	const base = new URL(baseUrl);
	try {
		const answer = await request.call(dispatcher, {
			origin: base.origin,
			path: base.pathname.replace(/\/+$/, "") + path,
			method: body === undefined ? "GET" : "POST",
			headers: {
				accept: "application/json",
				"user-agent": "wxtokend",
				...(body === undefined ? {} : { "content-type": "application/json" }),
			},
			// A string, not a stream: WeChat's gateway insists on Content-Length.
			body: body ?? null,
			headersTimeout: timeoutMs,
			bodyTimeout: timeoutMs,
			signal: AbortSignal.timeout(timeoutMs),
		});
		const bytes = await readLimited(answer.body);
		const { date, "content-encoding": encoding } = answer.headers;
		const time = Date.parse(String(date));
		return {
			status: answer.statusCode,
			text: unpack(bytes, String(encoding ?? "identity")).toString("utf8"),
			serverTime: Number.isNaN(time) ? undefined : time,
		};
	} catch (error) {
		throw error instanceof LinkError ? error : linkErrorFrom(error);
	}
}

async function readLimited(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
	const chunks: Uint8Array[] = [];
	let size = 0;
	// Leaving the loop early destroys the body and its connection.
	for await (const chunk of body) {
		size += chunk.length;
		if (size > maxBodyBytes) throw tooLarge();
		chunks.push(chunk);
	}
	return Buffer.concat(chunks);
}

/** We never ask for compression, but a proxy may compress all the same. */
function unpack(bytes: Buffer, encoding: string): Buffer {
	const limit = { maxOutputLength: maxBodyBytes };
	try {
		if (/^(x-)?gzip$/i.test(encoding)) return gunzipSync(bytes, limit);
		if (/^deflate$/i.test(encoding)) return inflateSync(bytes, limit);
	} catch (error) {
		if (errnoOf(error) === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
		throw new LinkError("not-json", `broken ${encoding}`, true);
	}
	return bytes;
}

function tooLarge(): LinkError {
	return new LinkError("too-large", "over 65536 bytes", true);
}

const neverConnected = new Set([
	"EACCES",
	"EADDRNOTAVAIL",
	"EAI_AGAIN",
	"EAI_FAIL",
	"ECONNREFUSED",
	"EHOSTUNREACH",
	"EMFILE",
	"ENETUNREACH",
	"ENOTFOUND",
	"EPERM",
	"UND_ERR_CONNECT_TIMEOUT",
]);

const timeouts = new Set([
	"ETIMEDOUT",
	"TimeoutError",
	"UND_ERR_BODY_TIMEOUT",
	"UND_ERR_HEADERS_TIMEOUT",
]);

const certificateTrouble =
	/^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|ERR_SSL_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/;

/** Only the error's code is kept: undici's errors may carry the request. */
function linkErrorFrom(error: unknown): LinkError {
	const code = codeOf(error);
	if (neverConnected.has(code))
		return new LinkError("unreachable", code, false);
	if (timeouts.has(code)) return new LinkError("timeout", code, true);
	if (/^(DEPTH_ZERO_)?SELF_SIGNED_CERT/.test(code))
		return new LinkError("intercepted", code, false);
	if (certificateTrouble.test(code))
		return new LinkError("certificate", code, false);
	return new LinkError("interrupted", code, true);
}

function codeOf(error: unknown): string {
	// Several addresses of one name: what happened to the first one.
	if (error instanceof AggregateError && error.errors.length > 0)
		return codeOf(error.errors[0]);
	const code = errnoOf(error);
	if (code !== undefined) return code;
	return error instanceof Error ? error.name : "unknown";
}

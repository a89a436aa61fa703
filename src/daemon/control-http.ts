/**
 * The control socket's HTTP face: takes requests apart and delivers answers,
 * with limits on size, number and time, so that no client can hold up another
 * one or the keepers. Whatever is wrong with a request is answered in JSON.
 */
import {
	createServer,
	type IncomingMessage,
	type Server,
	type ServerResponse,
	STATUS_CODES,
} from "node:http";
import type { Duplex } from "node:stream";
import { errnoOf } from "../core/errors.ts";

export interface ControlRequest {
	readonly method: string;
	/** Exactly as sent, without the query. */
	readonly path: string;
	readonly body: string;
}

export interface ControlAnswer {
	readonly status: number;
	/** JSON, if it is not a text. */
	readonly content: unknown;
	readonly headers?: Readonly<Record<string, string>>;
}

export interface ControlFailure {
	readonly code: string;
	readonly message: string;
	readonly hint: string;
}

export interface FaceParts {
	/** How many clients may be connected at a time. */
	readonly connections: number;
	readonly answer: (request: ControlRequest) => Promise<ControlAnswer>;
	/** An answer could not be given because of a mistake of ours. */
	readonly onBug: (error: unknown) => void;
}

export const maxBodyBytes = 4_096;
/** So much of a body that is too large is read all the same: who is still sending hears no answer. */
const drainedBytes = 1_048_576;
const maxHeaderBytes = 8_192;
const headersTimeoutMs = 5_000;
/** For a whole request, and for reading its answer. */
const requestTimeoutMs = 10_000;
const requestsPerConnection = 100;
/** Answers under way to clients who do not read them must not fill the memory. */
const maxUnreadBytes = 33_554_432;

/** A server that answers requests; it does not listen yet. */
export function createFace(parts: FaceParts): Server {
	const deliver = createDelivery();
	const asked = new WeakMap<Duplex, number>();
	const server = createServer(
		{
			maxHeaderSize: maxHeaderBytes,
			headersTimeout: headersTimeoutMs,
			requestTimeout: requestTimeoutMs,
			keepAliveTimeout: 5_000,
			connectionsCheckingInterval: 1_000,
			// A few lines of shell are a client too.
			requireHostHeader: false,
		},
		(request, response) => {
			const { socket } = request;
			const count = (asked.get(socket) ?? 0) + 1;
			asked.set(socket, count);
			// Node.js has such a limit too, but answers what is over it without words.
			if (count >= requestsPerConnection) response.shouldKeepAlive = false;
			if (count > requestsPerConnection) deliver(request, response, tooMany);
			else
				void answerTo(request, parts).then((answer) =>
					deliver(request, response, answer),
				);
		},
	);
	server.maxConnections = parts.connections;
	server.on("checkExpectation", (request, response) =>
		deliver(request, response, cannotExpect),
	);
	server.on("connect", (_request, socket) => hangUp(socket, unknownMethod));
	server.on("clientError", (error: ClientError, socket) =>
		hangUp(socket, malformed(errnoOf(error), error.rawPacket)),
	);
	return server;
}

export function failure(
	status: number,
	content: ControlFailure,
	headers: Readonly<Record<string, string>> = {},
): ControlAnswer {
	return { status, content, headers };
}

async function answerTo(
	request: IncomingMessage,
	{ answer, onBug }: FaceParts,
): Promise<ControlAnswer> {
	try {
		const { method = "", url = "" } = request;
		const [path = ""] = url.split("?", 1);
		const body = method === "POST" ? await bodyOf(request) : "";
		return typeof body === "string"
			? await answer({ method, path, body })
			: body;
	} catch (error) {
		onBug(error);
		return ourMistake;
	}
}

/** The body, or why it is not taken. */
async function bodyOf(
	request: IncomingMessage,
): Promise<string | ControlAnswer> {
	const chunks: Buffer[] = [];
	let size = 0;
	try {
		// Leaving the loop early must not end the connection, which owes an answer.
		for await (const chunk of request.iterator({ destroyOnReturn: false })) {
			size += chunk.length;
			if (size > drainedBytes) return tooLarge;
			if (size <= maxBodyBytes) chunks.push(chunk);
		}
	} catch {
		return cutOff; // Nobody is there any more who could read this.
	}
	const { "content-type": type, "content-encoding": coding } = request.headers;
	if (size > maxBodyBytes) return tooLarge;
	if (coding !== undefined && coding !== "identity") return packed;
	if (size > 0 && type !== undefined && !isPlainEnough(type)) return notJson;
	return Buffer.concat(chunks).toString("utf8");
}

/** `curl -d` calls everything a form. */
function isPlainEnough(type: string): boolean {
	return /^(application\/(json|x-www-form-urlencoded|octet-stream)|text\/(json|plain))\s*(;|$)/i.test(
		type.trim(),
	);
}

type Deliver = (
	request: IncomingMessage,
	response: ServerResponse,
	answer: ControlAnswer,
) => void;

function createDelivery(): Deliver {
	let unreadBytes = 0;
	return (request, response, answer) => {
		const { socket } = request;
		if (!socket.writable) return;
		let { status, headers = {}, content } = answer;
		let body = bytesOf(content);
		if (unreadBytes + body.length > maxUnreadBytes) {
			({ status, headers = {}, content } = busy);
			body = bytesOf(content);
		}
		const { length } = body;
		unreadBytes += length;
		// One that waits for an earlier answer on its connection is not late.
		const late =
			response.socket === null
				? undefined
				: setTimeout(() => socket.destroy(), requestTimeoutMs);
		response.once("close", () => {
			clearTimeout(late);
			unreadBytes -= length;
		});
		// The rest of a body that nobody wants is not waited for.
		if (!request.complete) response.shouldKeepAlive = false;
		response.writeHead(status, {
			"Content-Type":
				typeof content === "string"
					? "text/plain; charset=utf-8"
					: "application/json",
			"Content-Length": length,
			"Cache-Control": "no-store",
			...headers,
		});
		response.end(body);
	};
}

type ClientError = Error & { readonly rawPacket?: Buffer };

/** Answers what is not a request at all, and closes. */
function hangUp(socket: Duplex, answer: ControlAnswer | undefined): void {
	// Node.js has let go of a socket after CONNECT: its errors are ours now.
	socket.on("error", () => socket.destroy());
	if (answer === undefined || !socket.writable) {
		socket.destroy();
		return;
	}
	const { status, content, headers } = answer;
	const body = bytesOf(content);
	const lines = Object.entries({
		"Content-Type": "application/json",
		"Content-Length": body.length,
		...headers,
		Connection: "close",
	}).map(([name, value]) => `${name}: ${value}\r\n`);
	socket.end(
		`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`,
		// Its own half stays open if the client does not close it.
		() => socket.destroy(),
	);
}

function bytesOf(content: unknown): Buffer {
	return Buffer.from(
		typeof content === "string" ? content : `${JSON.stringify(content)}\n`,
	);
}

/** The hint for who asks for something else. */
export const seeRoutes =
	"routes: GET /v1/accounts, GET /v1/accounts/{appid}, GET /v1/accounts/{appid}/token, POST /v1/accounts/{appid}/refresh, POST /v1/reload, GET /healthz, GET /metrics";

/** Undefined: nothing can be said, as nobody listens. */
function malformed(
	errno: string | undefined,
	sent: Buffer | undefined,
): ControlAnswer | undefined {
	switch (errno) {
		case "ECONNRESET":
		case "EPIPE":
			return undefined;
		case "HPE_INVALID_METHOD": {
			// One that Node.js does not know, or no HTTP at all.
			const isRequest = /^[A-Z]+ \S+ HTTP\/1\.[01]\r\n/.test(`${sent}`);
			return isRequest ? unknownMethod : noHttp(errno);
		}
		case "HPE_HEADER_OVERFLOW":
			return failure(431, {
				code: "headers-too-large",
				message: `could not read the request: its headers are larger than ${maxHeaderBytes} bytes`,
				hint: "send fewer headers, and the token in the body",
			});
		case "ERR_HTTP_REQUEST_TIMEOUT":
			return failure(408, {
				code: "request-timeout",
				message: "could not read the request: it did not arrive in time",
				hint: `send it at once; all of it must be there within ${requestTimeoutMs / 1000} s`,
			});
		default:
			return noHttp(errno);
	}
}

function noHttp(errno: string | undefined): ControlAnswer {
	return failure(400, {
		code: "bad-request",
		message: `could not read the request: it is not HTTP/1.1 (${errno})`,
		hint: seeRoutes,
	});
}

const unknownMethod = failure(
	405,
	{
		code: "method-not-allowed",
		message: "no path here knows this method",
		hint: seeRoutes,
	},
	{ Allow: "GET, HEAD, POST" },
);

const tooLarge = failure(413, {
	code: "body-too-large",
	message: `could not read the request: its body is larger than ${maxBodyBytes} bytes`,
	hint: 'send {"stale":"TOKEN"}, or no body',
});

const notJson = failure(415, {
	code: "not-json",
	message: "could not read the request: its body is not JSON",
	hint: "send Content-Type: application/json",
});

const packed = failure(415, {
	code: "compressed",
	message: "could not read the request: its body is compressed",
	hint: "send it plain",
});

const cutOff = failure(400, {
	code: "cut-off",
	message: "could not read the request: the connection ended in its middle",
	hint: "send all of it",
});

const tooMany = failure(503, {
	code: "too-many-requests",
	message: `could not answer more than ${requestsPerConnection} requests on one connection`,
	hint: "open another connection",
});

const cannotExpect = failure(417, {
	code: "expectation-failed",
	message: "could not do what the Expect header asks for",
	hint: "leave it out",
});

const busy = failure(503, {
	code: "busy",
	message:
		"could not answer: too many answers wait for clients who do not read",
	hint: "read answers, then ask again",
});

const ourMistake = failure(500, {
	code: "bug",
	message: "could not answer because of a mistake in wxtokend",
	hint: "look into its log, and report it",
});

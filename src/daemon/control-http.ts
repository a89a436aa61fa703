/**
 * HTTP on the control socket, and on the address of `[http]`: reads requests and sends answers, with limits on size,
 * number and time, so that no client can hold up another one or the keepers. A wrong
 * request gets an answer in JSON, too.
 */
import {
	createServer,
	type IncomingHttpHeaders,
	type IncomingMessage,
	type Server,
	type ServerResponse,
	STATUS_CODES,
} from "node:http";
import {
	createServer as createTlsServer,
	type Server as TlsServer,
} from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { errnoOf } from "../core/errors.ts";
import { onAnswerEnd } from "./answer-end.ts";
import {
	begin,
	createTurnstile,
	isInPieces,
	maxPieceBytes,
	sendPieces,
} from "./pieces.ts";

/** A request of a client. */
export interface ControlRequest {
	readonly method: string;
	/** Exactly as sent, without the query. */
	readonly path: string;
	/** What stands behind the "?", as sent. */
	readonly query: string;
	readonly headers: IncomingHttpHeaders;
	/** "" for every method but POST. */
	readonly body: string;
	/** The client's IP address; "" on a Unix socket. */
	readonly remote: string;
	/** Calls the listener when the client has its answer, or has gone without. */
	onEnd(listener: () => void): void;
}

/** Answers a request; throws only if wxtokend has a bug. */
export type Answering = (request: ControlRequest) => Promise<ControlAnswer>;

/** A server of these answers. */
export type ControlServer = Server | TlsServer;

/** What a client gets. */
export interface ControlAnswer {
	/** Of HTTP. */
	readonly status: number;
	/** A string is sent as text, an `AsyncIterable` of strings in pieces, anything else as JSON. */
	readonly content: unknown;
	/** What the pieces hold in memory until the last one was taken. */
	readonly heldBytes?: number;
	readonly headers?: Readonly<Record<string, string>>;
}

/** The JSON of an answer to a request that failed. */
export interface ControlFailure {
	/** Stable, for programs. */
	readonly code: string;
	readonly message: string;
	/** What to do next. */
	readonly hint: string;
}

/** Which bodies are read. */
export interface Bodies {
	readonly maxBytes: number;
	/** Whatever the client says that it sends. */
	readonly isAnyType: boolean;
}

/** What a control server is made of. */
export interface ControlServerParts {
	/** How many clients may be connected at a time. */
	readonly maxConnections: number;
	readonly answer: Answering;
	/** PEM; undefined: without TLS. */
	readonly tls?: { readonly cert: string; readonly key: string } | undefined;
	/** What bodies may be; by default JSON of up to 4 KiB. */
	readonly bodies?: Bodies | undefined;
	/** Called when `answer` throws; the client gets a 500. */
	readonly onBug: (error: unknown) => void;
}

const maxBodyBytes = 4_096;
const jsonBodies: Bodies = { maxBytes: maxBodyBytes, isAnyType: false };
/**
 * A body that is too large is read up to this size before it is refused: a client
 * reads the answer only after it has sent everything.
 */
const maxDrainedBytes = 1_048_576;
const maxHeaderBytes = 8_192;
const headersTimeoutMs = 5_000;
/** For a whole request, and for reading its answer. */
const requestTimeoutMs = 10_000;
const requestsPerConnection = 100;
/** Answers that clients have not read yet, of all connections: they must not fill the memory. */
const maxUnreadBytes = 33_554_432;

/** For a whole TLS handshake. */
const handshakeTimeoutMs = 5_000;

/** A server that answers requests. It does not listen yet. */
export function createControlServer(parts: ControlServerParts): ControlServer {
	const deliver = createDelivery(parts.onBug);
	const connections = createConnections(parts.maxConnections);
	/** Connection → how many requests came on it. */
	const asked = new WeakMap<Duplex, number>();
	const listener = (request: IncomingMessage, response: ServerResponse) => {
		const { socket } = request;
		const count = (asked.get(socket) ?? 0) + 1;
		asked.set(socket, count);
		// Half a body holds a connection no better than half a head.
		if (request.method === "POST")
			request.once("end", () => connections.begin(socket));
		else connections.begin(socket);
		onAnswerEnd(request, response, () => connections.end(socket));
		// Node.js has such a limit, too, but says nothing in its answer.
		if (count >= requestsPerConnection) response.shouldKeepAlive = false;
		if (count > requestsPerConnection) deliver(request, response, tooMany);
		else
			void answerTo(request, response, parts).then((answer) =>
				deliver(request, response, answer),
			);
	};
	const options = {
		maxHeaderSize: maxHeaderBytes,
		headersTimeout: headersTimeoutMs,
		requestTimeout: requestTimeoutMs,
		keepAliveTimeout: 5_000,
		connectionsCheckingInterval: 1_000,
		// A client may be a few lines of shell, which send no Host.
		requireHostHeader: false,
	};
	const { tls } = parts;
	const server: ControlServer =
		tls === undefined
			? createServer(options, listener)
			: createTlsServer(
					{ ...options, ...tls, handshakeTimeout: handshakeTimeoutMs },
					listener,
				);
	// One more than wanted: it takes the place of one that has asked for nothing.
	server.maxConnections = parts.maxConnections + 1;
	server.on("connection", connections.open);
	server.on("secureConnection", connections.secure);
	// Node.js would answer these three without JSON, or not at all.
	server.on(
		"checkExpectation",
		(request: IncomingMessage, response: ServerResponse) =>
			deliver(request, response, cannotExpect),
	);
	server.on("connect", (_request: IncomingMessage, socket: Duplex) =>
		hangUp(socket, unknownMethod),
	);
	server.on("clientError", (error: ClientError, socket: Duplex) =>
		hangUp(socket, malformed(errnoOf(error), error.rawPacket)),
	);
	return server;
}

/** The answer to a request that failed. */
export function failure(
	status: number,
	content: ControlFailure,
	headers: Readonly<Record<string, string>> = {},
): ControlAnswer {
	return { status, content, headers };
}

/** Never throws: a bug is reported, and answered with a 500. */
async function answerTo(
	request: IncomingMessage,
	response: ServerResponse,
	{ answer, bodies = jsonBodies, onBug }: ControlServerParts,
): Promise<ControlAnswer> {
	try {
		const { method = "", url = "", headers, socket } = request;
		// A client that takes us for a proxy sends the whole URL, which a server must accept.
		const target = url.replace(/^https?:\/\/[^/?]*/i, "");
		const [path = ""] = target.split("?", 1);
		const query = target.slice(path.length + 1);
		const body = method === "POST" ? await bodyOf(request, bodies) : "";
		if (typeof body !== "string") return body;
		const { remoteAddress: remote = "" } = socket;
		const onEnd = (listener: () => void) =>
			onAnswerEnd(request, response, listener);
		return await answer({ method, path, query, headers, body, remote, onEnd });
	} catch (error) {
		onBug(error);
		return bug;
	}
}

/** The body, or why it is not taken. */
async function bodyOf(
	request: IncomingMessage,
	{ maxBytes, isAnyType }: Bodies,
): Promise<string | ControlAnswer> {
	const chunks: Buffer[] = [];
	let size = 0;
	try {
		// By default leaving the loop ends the connection, and the answer would be lost.
		for await (const chunk of request.iterator({ destroyOnReturn: false })) {
			size += chunk.length;
			if (size > maxDrainedBytes) return tooLarge(maxBytes);
			if (size <= maxBytes) chunks.push(chunk);
		}
	} catch {
		return cutOff; // The connection is broken: the client does not get it.
	}
	const { "content-type": type, "content-encoding": coding } = request.headers;
	if (size > maxBytes) return tooLarge(maxBytes);
	if (coding !== undefined && coding !== "identity") return packed;
	const isRightType = isAnyType || type === undefined || isPlainEnough(type);
	if (size > 0 && !isRightType) return notJson;
	return Buffer.concat(chunks).toString("utf8");
}

/** `curl -d` sends JSON with the type of a form, and some clients with that of a text. */
function isPlainEnough(type: string): boolean {
	return /^(application\/(json|x-www-form-urlencoded|octet-stream)|text\/(json|plain))\s*(;|$)/i.test(
		type.trim(),
	);
}

/** Sends an answer, if the client is still connected. */
type Deliver = (
	request: IncomingMessage,
	response: ServerResponse,
	answer: ControlAnswer,
) => void;

/** The connections of a server, and which of them may be closed for a new one. */
interface Connections {
	open(socket: Socket): void;
	/** TLS was agreed on: its requests come on that socket, and no more on the one below. */
	secure(socket: Socket): void;
	/** A whole request has arrived. */
	begin(socket: Duplex): void;
	/** Its answer was read, or will not be. */
	end(socket: Duplex): void;
}

/**
 * Thousands of connections with half a request on each must not keep others out: a
 * new one takes the place of the one that has waited longest without a request.
 */
function createConnections(maxConnections: number): Connections {
	let open = 0;
	/** Without a request under way; the longest first. */
	const waiting = new Set<Duplex>();
	/** Of connections without a TLS handshake so far: the address of the client → the socket. */
	const unsecured = new Map<string, Socket>();
	/** A TLS socket → the connection below it. */
	const below = new WeakMap<Duplex, Duplex>();
	const peerOf = ({ remoteAddress, remotePort }: Socket) =>
		`${remoteAddress} ${remotePort}`;
	return {
		open: (socket) => {
			open += 1;
			const peer = peerOf(socket);
			unsecured.set(peer, socket);
			socket.once("close", () => {
				open -= 1;
				waiting.delete(socket);
				if (unsecured.get(peer) === socket) unsecured.delete(peer);
			});
			if (open > maxConnections) {
				const [longest = socket] = waiting;
				waiting.delete(longest);
				longest.destroy();
			}
			if (!socket.destroyed) waiting.add(socket);
		},
		secure: (socket) => {
			const lower = unsecured.get(peerOf(socket));
			if (lower !== undefined) below.set(socket, lower);
		},
		begin: (socket) => {
			waiting.delete(below.get(socket) ?? socket);
		},
		end: (socket) => {
			const lower = below.get(socket) ?? socket;
			if (!lower.destroyed) waiting.add(lower);
		},
	};
}

/** For all connections of a server, which share the limit of unread answers. */
function createDelivery(onBug: (error: unknown) => void): Deliver {
	let unreadBytes = 0;
	/** Counts bytes as unread until the answer ends. */
	const hold = (
		request: IncomingMessage,
		response: ServerResponse,
		bytes: number,
	) => {
		unreadBytes += bytes;
		onAnswerEnd(request, response, () => {
			unreadBytes -= bytes;
		});
	};
	const turn = createTurnstile();

	const sendWhole = (
		request: IncomingMessage,
		response: ServerResponse,
		answer: ControlAnswer,
	) => {
		if (request.socket.destroyed) return;
		const body = bytesOf(answer.content);
		const isTooMuch = unreadBytes + body.length > maxUnreadBytes;
		const sent = isTooMuch ? busy : answer;
		const bytes = isTooMuch ? bytesOf(busy.content) : body;
		hold(request, response, bytes.length);
		endIfUnread(request, response);
		writeHead(request, response, sent, { "Content-Length": bytes.length });
		response.end(bytes);
	};

	const sendInPieces = async (
		request: IncomingMessage,
		response: ServerResponse,
		answer: ControlAnswer,
		content: AsyncIterable<string>,
	) => {
		const bytes = maxPieceBytes + (answer.heldBytes ?? 0);
		if (unreadBytes + bytes > maxUnreadBytes)
			return sendWhole(request, response, busy);
		hold(request, response, bytes);
		const isGone = () => request.socket.destroyed;
		const begun = await begin(content, turn, isGone);
		if (begun === undefined) return;
		const { headers = {} } = answer;
		const type = { "Content-Type": "text/plain; charset=utf-8", ...headers };
		if (begun.rest === undefined)
			return sendWhole(request, response, {
				...answer,
				content: begun.text,
				headers: type,
			});
		const timer = endIfUnread(request, response);
		writeHead(request, response, { ...answer, headers: type }, {});
		// Node.js leaves the body out of an answer to HEAD, but it need not be made either.
		if (request.method === "HEAD") {
			response.end();
			await begun.rest.return?.();
		} else
			await sendPieces(request, response, begun, turn, () => timer.refresh());
	};

	return (request, response, answer) => {
		const { socket } = request;
		if (!socket.writable || socket.destroyed) return;
		const { content } = answer;
		if (!isInPieces(content)) return sendWhole(request, response, answer);
		sendInPieces(request, response, answer, content).catch((error) => {
			onBug(error);
			socket.destroy();
		});
	};
}

/** A client that does not read its answer loses its connection. */
function endIfUnread(
	request: IncomingMessage,
	response: ServerResponse,
): NodeJS.Timeout {
	const { socket } = request;
	// Without a socket it waits for an earlier answer on its connection: the client
	// has had no time to read it.
	let wasWaiting = response.socket === null;
	const timer = setTimeout(() => {
		if (!wasWaiting) return socket.destroy();
		wasWaiting = response.socket === null;
		timer.refresh();
	}, requestTimeoutMs);
	onAnswerEnd(request, response, () => clearTimeout(timer));
	return timer;
}

function writeHead(
	request: IncomingMessage,
	response: ServerResponse,
	{ status, content, headers }: ControlAnswer,
	length: Readonly<Record<string, number>>,
): void {
	// The connection is closed instead of reading the rest of a refused body.
	if (!request.complete) response.shouldKeepAlive = false;
	response.writeHead(status, {
		"Content-Type":
			typeof content === "string"
				? "text/plain; charset=utf-8"
				: "application/json",
		...length,
		"Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff",
		...headers,
	});
}

/** `rawPacket`: the bytes that could not be read. */
type ClientError = Error & { readonly rawPacket?: Buffer };

/** Answers what Node.js could not read as a request, and closes the connection. */
function hangUp(socket: Duplex, answer: ControlAnswer | undefined): void {
	// After CONNECT Node.js leaves the socket to us, and an error without a listener
	// would end the process.
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
		// A client that does not close its half would keep the connection open.
		() => socket.destroy(),
	);
}

/** JSON ends with a line feed, for shells. */
function bytesOf(content: unknown): Buffer {
	return Buffer.from(
		typeof content === "string" ? content : `${JSON.stringify(content)}\n`,
	);
}

/** The hint of an answer to a request for anything else. */
export const seeRoutes =
	"routes: GET /v1/accounts, GET /v1/accounts/{appid}, GET …/token, POST …/refresh, POST …/jssdk; the same below /v1/credentials by the name of a file; GET /v1/fleet, POST /v1/reload, GET /healthz, GET /metrics";

/** Why it could not be read; undefined: the client has closed the connection. */
function malformed(
	errno: string | undefined,
	sent: Buffer | undefined,
): ControlAnswer | undefined {
	// A TLS handshake that failed: there is no way to say so.
	if (errno?.startsWith("ERR_SSL_") || errno?.startsWith("ERR_TLS_"))
		return undefined;
	switch (errno) {
		case "ECONNRESET":
		case "EPIPE":
		case "EPROTO":
			return undefined;
		case "HPE_INVALID_METHOD": {
			// A method that Node.js does not know, or something that is not HTTP.
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
				hint: `send it faster: all of it must arrive within ${requestTimeoutMs / 1000} s`,
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
		message: "no path here takes this method",
		hint: seeRoutes,
	},
	{ Allow: "GET, HEAD, POST" },
);

function tooLarge(maxBytes: number): ControlAnswer {
	return failure(413, {
		code: "body-too-large",
		message: `could not read the request: its body is larger than ${maxBytes} bytes`,
		hint: "send what this path takes, and nothing else: no body here is that long",
	});
}

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
	message:
		"could not read the request: the connection ended before all of it had arrived",
	hint: "send the whole request before you close the connection",
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
		"could not answer: clients have not read the answers that were sent before",
	hint: "read the answers, then ask again",
});

const bug = failure(500, {
	code: "bug",
	message: "could not answer because of a bug in wxtokend",
	hint: "read the log of the daemon, and report the bug",
});

/** One HTTP request to WeChat, with limits on everything. */
import {
	request as httpRequest,
	type IncomingHttpHeaders,
	type IncomingMessage,
} from "node:http";
import type { Socket } from "node:net";
import { setImmediate as yieldOnce } from "node:timers/promises";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import type { Dispatcher, Pool as PoolOfOrigin } from "undici";
import Pool from "undici/lib/dispatcher/pool.js";
import { systemClock } from "../core/clock.ts";
import { errnoOf } from "../core/errors.ts";
import { createConnections, type PlainConnection } from "./connect.ts";
import { exchangeError, LinkError } from "./link-error.ts";
import { type Destination, destinationOf, readProxies } from "./proxy.ts";

/** One request; `send` may try it twice, see `createHttp`. */
export interface HttpRequest {
	/** `https://host[:port]`, with the path of a gateway if there is one. */
	readonly baseUrl: string;
	/** From `/cgi-bin/` on, with the query. It may hold the AppSecret. */
	readonly path: string;
	/** A JSON text. With a body it is a POST, without one a GET. */
	readonly body?: string;
	/** For the whole request: connect, send, headers, body. */
	readonly timeoutMs: number;
	/** It must not be sent again, even if its connection was stale. */
	readonly onlyOnce?: boolean;
	/** A larger body is not read to its end; by default `maxBodyBytes`. */
	readonly maxBytes?: number;
	/** Called each time the request leaves. */
	readonly onSent?: (() => void) | undefined;
}

/** What a server answered. */
export interface HttpAnswer {
	readonly status: number;
	/** The body if the status is 2xx; the bodies of other answers are not read. */
	readonly text: string;
	/** The server's clock, epoch ms, from the `Date` header. */
	readonly serverTime: number | undefined;
}

/** A larger body is not read to its end, unless the request says so. */
export const maxBodyBytes = 65_536;

/** What all requests of a process have in common. */
export interface HttpOptions {
	readonly connectTimeoutMs: number;
	/** The environment, for `https_proxy`, `http_proxy` and `no_proxy`. */
	readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Requests over https share connections for a second: between us and the server nobody
 * can put an answer into them, and a new handshake would cost ten times as much. Over
 * plain http each request has a connection of its own: a proxy that sends an answer
 * twice would otherwise give one account the token of another.
 *
 * Redirects are never followed. A shared connection may have become stale while it was
 * idle. If it breaks before the first byte of the answer, the request is sent once more,
 * on a new connection, unless it is `onlyOnce`. Throws `ConfigError` if the environment
 * names something else than a proxy.
 */
export function createHttp({ connectTimeoutMs, env }: HttpOptions) {
	const connections = createConnections({
		timeoutMs: connectTimeoutMs,
		proxyFor: readProxies(env),
	});
	const open = new Set<Socket>();
	const options = {
		connect: connections.connector,
		// An account sends about one request in an hour, and no server keeps a connection
		// open for so long. One second is enough for many accounts that are due together.
		keepAliveTimeout: keepAliveMs,
		keepAliveMaxTimeout: keepAliveMs,
		// As many as the limiters allow, plus the urgent requests.
		connections: 576,
		// The timer of the whole request limits these as well.
		headersTimeout: 0,
		bodyTimeout: 0,
	};
	const routes = new Map<string, Route>();
	const routeTo = (baseUrl: string): Route => {
		const known = routes.get(baseUrl);
		if (known !== undefined) return known;
		const url = new URL(baseUrl);
		const route: Route = {
			origin: url.origin,
			host: url.host,
			server: destinationOf(url),
			prefix: url.pathname.replace(/\/+$/, ""),
			// undici's Agent would drop a pool with its last connection, and make it again
			// for each refresh.
			pool:
				url.protocol === "https:" ? new Pool(url.origin, options) : undefined,
			freshPool: undefined,
			answeredAt: Number.NEGATIVE_INFINITY,
		};
		routes.set(baseUrl, route);
		return route;
	};

	/** A connection that comes too late is closed. */
	const connectWithin = (server: Destination, deadline: Deadline) =>
		new Promise<PlainConnection>((resolve, reject) => {
			deadline.onOver = () => reject(expired(false));
			connections.connectPlain(server).then((connection) => {
				if (deadline.isOver) connection.socket.destroy();
				else resolve(connection);
			}, reject);
		});

	const exchangeWithin = async (
		request: HttpRequest,
		deadline: Deadline,
	): Promise<Received> => {
		const route = routeTo(request.baseUrl);
		if (route.pool === undefined) {
			const connection = await connectWithin(route.server, deadline);
			open.add(connection.socket);
			try {
				return await exchangePlain(connection, route, request, deadline);
			} finally {
				connection.socket.destroy();
				open.delete(connection.socket);
			}
		}
		const idleMs = systemClock.monotonic() - route.answeredAt;
		const progress: Progress = { sent: false, answered: false };
		try {
			return await exchange(route.pool, route, request, deadline, progress);
		} catch (error) {
			const isInterrupted =
				error instanceof LinkError && error.kind === "interrupted";
			const isStale =
				isInterrupted && !progress.answered && idleMs < 3 * keepAliveMs;
			if (!isStale || request.onlyOnce) throw error;
			route.freshPool ??= new Pool(route.origin, { ...options, pipelining: 0 });
			const { freshPool } = route;
			return await exchange(freshPool, route, request, deadline, progress);
		} finally {
			if (progress.answered) route.answeredAt = systemClock.monotonic();
		}
	};

	const nextTurn = createSharedTurn();

	return {
		/** Throws `LinkError`. */
		send: async (request: HttpRequest): Promise<HttpAnswer> => {
			const deadline: Deadline = { isOver: false, onOver: () => {} };
			const timer = setTimeout(() => {
				deadline.isOver = true;
				deadline.onOver();
			}, request.timeoutMs);
			try {
				const received = await exchangeWithin(request, deadline);
				await nextTurn();
				return answerIn(received, request.maxBytes);
			} finally {
				clearTimeout(timer);
			}
		},
		close: async () => {
			for (const socket of open) socket.destroy();
			const pools = [...routes.values()].map(({ pool, freshPool }) => [
				pool?.destroy(),
				freshPool?.destroy(),
			]);
			await Promise.all(pools.flat());
		},
	};
}

/** Sends requests; the connections are those of the whole process. */
export type Http = ReturnType<typeof createHttp>;

const keepAliveMs = 1_000;

/**
 * A turn of the event loop, shared by all answers that have arrived in this one. The
 * same steps follow each answer, and taken together they need a tenth less time.
 */
function createSharedTurn(): () => Promise<void> {
	let next: Promise<void> | undefined;
	return () => {
		next ??= yieldOnce().then(() => {
			next = undefined;
		});
		return next;
	};
}

/** What is kept of a base URL between requests. */
interface Route {
	readonly origin: string;
	/** For the header `Host`. */
	readonly host: string;
	readonly server: Destination;
	/** The path of a gateway, which comes before WeChat's path. */
	readonly prefix: string;
	/** Shared connections; undefined for plain http. */
	readonly pool: PoolOfOrigin | undefined;
	/** Uses each of its connections only once. */
	freshPool: PoolOfOrigin | undefined;
	/** When it answered last, by the monotonic clock. */
	answeredAt: number;
}

interface Received {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	/** Empty unless the status is 2xx. */
	readonly body: Buffer;
}

/** The end of a request's time, for all of its steps; only one of them is under way. */
interface Deadline {
	isOver: boolean;
	onOver: () => void;
}

const headers = {
	accept: "application/json",
	// A cache on the way would answer with a token that has been replaced.
	"cache-control": "no-cache",
	"user-agent": "wxtokend",
};
const headersOfJson = { ...headers, "content-type": "application/json" };

/** How far a request has come. A second try leaves both true. */
interface Progress {
	sent: boolean;
	answered: boolean;
}

function exchange(
	dispatcher: Dispatcher,
	{ origin, prefix }: Route,
	{ path, body, onSent, maxBytes = maxBodyBytes }: HttpRequest,
	deadline: Deadline,
	progress: Progress,
): Promise<Received> {
	const options: Dispatcher.DispatchOptions = {
		origin,
		path: prefix + path,
		method: body === undefined ? "GET" : "POST",
		headers: body === undefined ? headers : headersOfJson,
		// A string, not a stream: WeChat's gateway insists on Content-Length.
		body: body ?? null,
	};
	return new Promise<Received>((resolve, reject) => {
		let connection: Dispatcher.DispatchController | undefined;
		let head: Omit<Received, "body"> = { status: 0, headers: {} };
		let size = 0;
		const chunks: Buffer[] = [];

		/** Ends the exchange early: nothing more is read from the connection. */
		const breakOff = (act: () => void) => {
			act();
			connection?.abort(new Error("broken off"));
		};
		// This also ends a wait for a connection, which undici has no limit for here.
		deadline.onOver = () => breakOff(() => reject(expired(progress.sent)));
		dispatcher.dispatch(options, {
			onRequestStart: (controller) => {
				connection = controller;
				if (deadline.isOver) controller.abort(new Error("too late"));
				else {
					progress.sent = true;
					onSent?.();
				}
			},
			onResponseStart: (_, status, headers) => {
				if (status < 200) return; // Such as "early hints": the answer follows.
				progress.answered = true;
				head = { status, headers };
				if (status >= 300)
					breakOff(() => resolve({ ...head, body: Buffer.alloc(0) }));
			},
			onResponseData: (_, chunk) => {
				size += chunk.length;
				if (size > maxBytes) breakOff(() => reject(tooLarge(maxBytes)));
				else chunks.push(chunk);
			},
			onResponseEnd: () => resolve({ ...head, body: Buffer.concat(chunks) }),
			onResponseError: (_, error) =>
				reject(exchangeError(error, progress.sent)),
		});
	});
}

/** The same over plain http, by Node.js, which skips an unasked "100 Continue". */
function exchangePlain(
	{ socket, proxy }: PlainConnection,
	{ origin, host, prefix }: Route,
	{ path, body, onSent, maxBytes = maxBodyBytes }: HttpRequest,
	deadline: Deadline,
): Promise<Received> {
	const target = proxy === undefined ? "" : origin;
	return new Promise<Received>((resolve, reject) => {
		deadline.onOver = () => reject(expired(true));
		const request = httpRequest({
			path: target + prefix + path,
			method: body === undefined ? "GET" : "POST",
			headers: {
				host,
				connection: "close",
				...(body === undefined
					? headers
					: { ...headersOfJson, "content-length": Buffer.byteLength(body) }),
				...(proxy?.authorization && {
					"proxy-authorization": proxy.authorization,
				}),
			},
			createConnection: () => socket,
		});
		let answer: IncomingMessage | undefined;
		request.on("response", (response) => {
			answer = response;
			const { statusCode: status = 0, headers } = response;
			if (status >= 300)
				return resolve({ status, headers, body: Buffer.alloc(0) });
			let size = 0;
			const chunks: Buffer[] = [];
			response.on("data", (chunk: Buffer) => {
				size += chunk.length;
				if (size > maxBytes) reject(tooLarge(maxBytes));
				else chunks.push(chunk);
			});
			response.on("end", () =>
				resolve({ status, headers, body: Buffer.concat(chunks) }),
			);
			response.on("error", (error) => reject(exchangeError(error, true)));
		});
		request.on("error", (error) => {
			// What follows a complete answer does not concern us.
			if (answer?.complete !== true) reject(exchangeError(error, true));
		});
		onSent?.();
		request.end(body);
	});
}

function expired(sent: boolean): LinkError {
	return new LinkError(sent ? "timeout" : "unreachable", "timeout", sent);
}

function tooLarge(maxBytes: number): LinkError {
	return new LinkError("too-large", `over ${maxBytes} bytes`, true);
}

function answerIn(
	{ status, headers, body }: Received,
	maxBytes = maxBodyBytes,
): HttpAnswer {
	const { date, "content-encoding": encoding } = headers;
	const time = Date.parse(String(date));
	return {
		status,
		text: unpack(body, encoding, maxBytes).toString("utf8"),
		serverTime: Number.isNaN(time) ? undefined : time,
	};
}

/** We never ask for compression, but some proxies compress all the same. Throws `LinkError`. */
function unpack(
	bytes: Buffer,
	encoding = "identity",
	maxBytes: number,
): Buffer {
	const limit = { maxOutputLength: maxBytes };
	if (bytes.length === 0) return bytes;
	try {
		switch (encoding.toLowerCase()) {
			case "gzip":
			case "x-gzip":
				return gunzipSync(bytes, limit);
			case "deflate":
				return inflateSync(bytes, limit);
			case "br":
				return brotliDecompressSync(bytes, limit);
			case "identity":
				return bytes;
		}
	} catch (error) {
		if (errnoOf(error) === "ERR_BUFFER_TOO_LARGE") throw tooLarge(maxBytes);
		throw new LinkError("not-json", `broken ${encoding}`, true);
	}
	const unknown = encoding.replace(/[^\w.,-]+/g, " ").slice(0, 40);
	throw new LinkError("not-json", `content-encoding ${unknown}`, true);
}

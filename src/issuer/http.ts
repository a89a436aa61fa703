/** One HTTP request to WeChat, with limits on everything. */
import type { IncomingHttpHeaders } from "node:http";
import { setImmediate as yieldOnce } from "node:timers/promises";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import type { Dispatcher, Pool as PoolOfOrigin } from "undici";
import Pool from "undici/lib/dispatcher/pool.js";
import { errnoOf } from "../core/errors.ts";
import { connectThrough } from "./connect.ts";
import { exchangeError, LinkError } from "./link-error.ts";
import { readProxies } from "./proxy.ts";

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

/** A larger body is not read to its end. */
export const maxBodyBytes = 65_536;

/** What all requests of a process have in common. */
export interface HttpOptions {
	readonly connectTimeoutMs: number;
	/** The environment, for `https_proxy`, `http_proxy` and `no_proxy`. */
	readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The connections that all accounts share. Redirects are never followed. A connection
 * may have become stale while it was idle. If it breaks before the first byte of the
 * answer, the request is sent once more, on a new connection, unless it is `onlyOnce`.
 * Throws `ConfigError` if the environment names something else than a proxy.
 */
export function createHttp({ connectTimeoutMs, env }: HttpOptions) {
	const options = {
		connect: connectThrough({
			timeoutMs: connectTimeoutMs,
			proxyFor: readProxies(env),
		}),
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
		const { origin, pathname } = new URL(baseUrl);
		const route: Route = {
			origin,
			prefix: pathname.replace(/\/+$/, ""),
			// undici's Agent would drop a pool with its last connection, and make it again
			// for each refresh.
			pool: new Pool(origin, options),
			freshPool: undefined,
			answeredAt: Number.NEGATIVE_INFINITY,
		};
		routes.set(baseUrl, route);
		return route;
	};

	const exchangeWithin = async (
		request: HttpRequest,
		deadline: Deadline,
	): Promise<Received> => {
		const route = routeTo(request.baseUrl);
		const idleMs = performance.now() - route.answeredAt;
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
			if (progress.answered) route.answeredAt = performance.now();
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
				return answerIn(received);
			} finally {
				clearTimeout(timer);
			}
		},
		close: async () => {
			const pools = [...routes.values()].map(({ pool, freshPool }) => [
				pool.destroy(),
				freshPool?.destroy(),
			]);
			await Promise.all(pools.flat());
		},
	};
}

/** Sends requests over shared connections. */
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
	/** The path of a gateway, which comes before WeChat's path. */
	readonly prefix: string;
	readonly pool: PoolOfOrigin;
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

/** The end of a request's time. It is one for both tries, of which one is under way at a time. */
interface Deadline {
	isOver: boolean;
	onOver: () => void;
}

const headers = { accept: "application/json", "user-agent": "wxtokend" };
const headersOfJson = { ...headers, "content-type": "application/json" };

/** How far a request has come. A second try leaves both true. */
interface Progress {
	sent: boolean;
	answered: boolean;
}

function exchange(
	dispatcher: Dispatcher,
	{ origin, prefix }: Route,
	{ path, body, onSent }: HttpRequest,
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
		deadline.onOver = () => breakOff(() => reject(expired(progress)));
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
				if (size > maxBodyBytes) breakOff(() => reject(tooLarge()));
				else chunks.push(chunk);
			},
			onResponseEnd: () => resolve({ ...head, body: Buffer.concat(chunks) }),
			onResponseError: (_, error) =>
				reject(exchangeError(error, progress.sent)),
		});
	});
}

function expired({ sent }: Progress): LinkError {
	return new LinkError(sent ? "timeout" : "unreachable", "timeout", sent);
}

function tooLarge(): LinkError {
	return new LinkError("too-large", `over ${maxBodyBytes} bytes`, true);
}

function answerIn({ status, headers, body }: Received): HttpAnswer {
	const { date, "content-encoding": encoding } = headers;
	const time = Date.parse(String(date));
	return {
		status,
		text: unpack(body, encoding).toString("utf8"),
		serverTime: Number.isNaN(time) ? undefined : time,
	};
}

/** We never ask for compression, but some proxies compress all the same. Throws `LinkError`. */
function unpack(bytes: Buffer, encoding = "identity"): Buffer {
	const limit = { maxOutputLength: maxBodyBytes };
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
		if (errnoOf(error) === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
		throw new LinkError("not-json", `broken ${encoding}`, true);
	}
	const unknown = encoding.replace(/[^\w.,-]+/g, " ").slice(0, 40);
	throw new LinkError("not-json", `content-encoding ${unknown}`, true);
}

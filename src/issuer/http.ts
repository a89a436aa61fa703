/** One HTTP request to WeChat, with limits on everything. */
import type { IncomingHttpHeaders } from "node:http";
import { setImmediate as breathe } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { brotliDecompressSync, gunzipSync, inflateSync } from "node:zlib";
import type { Dispatcher, Pool as PoolOfOrigin } from "undici";
import Pool from "undici/lib/dispatcher/pool.js";
import { errnoOf } from "../core/errors.ts";
import { connectThrough } from "./connect.ts";
import { exchangeError, LinkError } from "./link-error.ts";
import { readProxies } from "./proxy.ts";

export interface HttpRequest {
	/** `https://host[:port]`, perhaps with a path before WeChat's own. */
	readonly baseUrl: string;
	/** From `/cgi-bin/` on, with the query. It may hold the AppSecret. */
	readonly path: string;
	/** A JSON text makes it a POST. */
	readonly body?: string;
	/** For all of it together: connect, send, headers, body. */
	readonly timeoutMs: number;
	/** Must not be sent again, even if its connection turns out to be stale. */
	readonly onlyOnce?: boolean;
	/** Each time that it leaves. */
	readonly onSent?: (() => void) | undefined;
}

export interface HttpAnswer {
	readonly status: number;
	/** The body if the status is 2xx; of other answers it is not even read. */
	readonly text: string;
	/** The server's clock, epoch ms, from the `Date` header. */
	readonly serverTime: number | undefined;
}

export const maxBodyBytes = 65_536;

export interface HttpOptions {
	readonly connectTimeoutMs: number;
	/** The environment, for `https_proxy`, `http_proxy` and `no_proxy`. */
	readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * The connections that all accounts share. Redirects are never followed. A
 * connection may have gone stale while it was idle: when it breaks before a byte
 * of the answer, a request that may be repeated is, once, on a new connection.
 *
 * @throws ConfigError if the environment names a proxy that is none
 */
export function createHttp({ connectTimeoutMs, env }: HttpOptions) {
	// undici's parser is WebAssembly, and good enough as it is compiled at first:
	// the optimizing compiler would take 10 MB for it, which are never given back.
	setFlagsFromString("--liftoff-only");
	const options = {
		connect: connectThrough({
			timeoutMs: connectTimeoutMs,
			proxyFor: readProxies(env),
		}),
		// One request in 40 minutes: a connection that idles so long is dead. Just
		// long enough to serve many accounts that are due together.
		keepAliveTimeout: keepAliveMs,
		keepAliveMaxTimeout: keepAliveMs,
		// No more than the gates let through, and what is urgent.
		connections: 576,
		// The one timer for the whole request does for these, too.
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
			// undici's Agent would let a pool go with its last connection, and make it
			// anew for each refresh.
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
				error instanceof LinkError && error.trouble === "interrupted";
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

	let nextTurn: Promise<void> | undefined;
	/**
	 * Answers that have arrived by now go on together: what is done with each is the
	 * same, and done for one after the other it takes a tenth less time.
	 */
	const together = (): Promise<void> => {
		nextTurn ??= breathe().then(() => {
			nextTurn = undefined;
		});
		return nextTurn;
	};

	return {
		/** @throws LinkError */
		send: async (request: HttpRequest): Promise<HttpAnswer> => {
			const deadline: Deadline = { isOver: false, onOver: () => {} };
			const timer = setTimeout(() => {
				deadline.isOver = true;
				deadline.onOver();
			}, request.timeoutMs);
			try {
				const received = await exchangeWithin(request, deadline);
				await together();
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

export type Http = ReturnType<typeof createHttp>;

const keepAliveMs = 1_000;

/** What is kept of a base URL from request to request. */
interface Route {
	readonly origin: string;
	/** The path before WeChat's own. */
	readonly prefix: string;
	readonly pool: PoolOfOrigin;
	/** No connection of this one is used twice. */
	freshPool: PoolOfOrigin | undefined;
	/** When it answered last, by a clock that nobody sets. */
	answeredAt: number;
}

interface Received {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	/** Empty unless the status is 2xx. */
	readonly body: Buffer;
}

/** Of a request with all its tries, of which one is under way at a time. */
interface Deadline {
	isOver: boolean;
	onOver: () => void;
}

const headers = { accept: "application/json", "user-agent": "wxtokend" };
const headersOfJson = { ...headers, "content-type": "application/json" };

/** How far a request has come; over a second try both stay true. */
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

		/** Enough is known: the connection is of no more use. */
		const breakOff = (act: () => void) => {
			act();
			connection?.abort(new Error("broken off"));
		};
		// Also while there is no connection yet, which undici would wait for.
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
				if (status < 200) return; // "Early hints" and the like come before it.
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

/** We never ask for compression, but a proxy may compress all the same. */
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

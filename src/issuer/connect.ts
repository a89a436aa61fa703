/** Connections to WeChat, directly or through a proxy. */
import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { buildConnector } from "undici";
import createConnector from "undici/lib/core/connect.js";
import { errnoOf } from "../core/errors.ts";
import { connectError, LinkError } from "./link-error.ts";
import {
	type Destination,
	type ProxyAddress,
	portOf,
	type readProxies,
} from "./proxy.ts";

/** What all connections have in common. */
export interface ConnectOptions {
	/** For each of three steps: the connection, the proxy's answer, TLS in the tunnel. */
	readonly timeoutMs: number;
	readonly proxyFor: ReturnType<typeof readProxies>;
}

/** A new connection for one request over plain http. */
export interface PlainConnection {
	readonly socket: Socket;
	/** The proxy at the other end, which reads the request itself; undefined: the server. */
	readonly proxy: ProxyAddress | undefined;
}

/** Both ways to connect have the same timeouts, the same proxies and the same errors. */
export function createConnections({ timeoutMs, proxyFor }: ConnectOptions) {
	const dial = createConnector({
		timeout: timeoutMs,
		// In spite of NODE_TLS_REJECT_UNAUTHORIZED, as the request holds the AppSecret.
		rejectUnauthorized: true,
		// Node.js tries each address of a name for 250 ms. That is too short between
		// continents.
		autoSelectFamilyAttemptTimeout: Math.max(250, timeoutMs / 4),
	});
	const connect = (target: buildConnector.Options) =>
		new Promise<Socket>((resolve, reject) => {
			dial(target, (error, socket) => {
				if (error === null) resolve(socket);
				else reject(error);
			});
		});

	const reachByTls = async (
		target: buildConnector.Options,
	): Promise<Socket> => {
		const proxy = proxyFor(target);
		if (proxy === undefined) return connect(target);
		const link = await reachProxy(connect, proxy);
		await openTunnel(link, proxy, target, timeoutMs);
		return connect({ ...target, httpSocket: link });
	};

	return {
		/**
		 * The function that undici calls for each new connection of an https server. Every
		 * failure is a `LinkError`, as after some of its own errors undici would connect
		 * again for ever.
		 */
		connector: ((target, callback) => {
			reachByTls(target).then(
				(socket) => callback(null, socket),
				(error) => callback(connectError(error), null),
			);
		}) satisfies buildConnector.connector,

		/**
		 * A connection for plain http, on which nothing has been said yet. It is handed to
		 * its proxy without CONNECT, which many proxies allow for port 443 only. Throws
		 * `LinkError`.
		 */
		connectPlain: async (target: Destination): Promise<PlainConnection> => {
			const proxy = proxyFor(target);
			try {
				const { hostname } = target;
				const port = portOf(target);
				const socket =
					proxy === undefined
						? await connect({ ...target, port, host: hostname })
						: await reachProxy(connect, proxy);
				await refuseSpeech(socket);
				return { socket, proxy };
			} catch (error) {
				throw connectError(error);
			}
		},
	};
}

/** The server spoke first. Perhaps it is an answer to another request. Throws `LinkError`. */
async function refuseSpeech(socket: Socket): Promise<void> {
	// After two turns of the event loop, what has arrived has been read.
	await nextTurn();
	await nextTurn();
	const isUnasked = socket.readableLength > 0;
	if (!isUnasked && !socket.readableEnded && !socket.destroyed) return;
	socket.destroy();
	throw isUnasked
		? new LinkError("unasked", "before the request", false)
		: new LinkError("unreachable", "closed", false);
}

/** A connection to the proxy itself. Throws `LinkError`. */
async function reachProxy(
	connect: (target: buildConnector.Options) => Promise<Socket>,
	{ protocol, hostname, port }: ProxyAddress,
): Promise<Socket> {
	try {
		return await connect({ protocol, hostname, host: hostname, port });
	} catch (error) {
		const failure = connectError(error);
		const isNetwork =
			failure instanceof LinkError && failure.kind === "unreachable";
		throw isNetwork ? new LinkError("no-proxy", failure.code, false) : failure;
	}
}

/** Makes the proxy pass on to the target what goes over that connection. Throws `LinkError`. */
async function openTunnel(
	link: Socket,
	{ authorization }: ProxyAddress,
	target: buildConnector.Options,
	timeoutMs: number,
): Promise<void> {
	// An IPv6 address needs brackets in CONNECT.
	const name = target.hostname.includes(":")
		? `[${target.hostname}]`
		: target.hostname;
	const path = `${name}:${portOf(target)}`;
	return new Promise((resolve, reject) => {
		const ask = httpRequest({
			method: "CONNECT",
			path,
			headers: {
				host: path,
				...(authorization && { "proxy-authorization": authorization }),
			},
			createConnection: () => link,
		});
		const fail = (error: LinkError) => {
			clearTimeout(timer);
			link.destroy();
			reject(error);
		};
		// undici has no timer for this answer.
		const timer = setTimeout(
			() => fail(new LinkError("no-proxy", "no answer to CONNECT", false)),
			timeoutMs,
		);
		ask.on("error", (error) => {
			const code = errnoOf(error) ?? error.name;
			fail(new LinkError("no-proxy", code, false));
		});
		ask.on("connect", ({ statusCode = 0 }, _, rest) => {
			if (statusCode < 200 || statusCode > 299)
				return fail(refusalOf(statusCode));
			if (rest.length > 0)
				return fail(new LinkError("unasked", "in the tunnel", false));
			clearTimeout(timer);
			resolve();
		});
		ask.end();
	});
}

/** The error of a proxy that answered CONNECT with that HTTP status. */
function refusalOf(status: number): LinkError {
	// 502, 503 and 504 mean that the proxy could not reach the target.
	return status >= 500
		? new LinkError("unreachable", `http ${status} from the proxy`, false)
		: new LinkError("proxy-refused", `http ${status} to CONNECT`, false);
}

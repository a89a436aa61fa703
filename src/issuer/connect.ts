/** Connections to WeChat, directly or through the tunnel of a proxy. */
import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import type { buildConnector } from "undici";
import createConnector from "undici/lib/core/connect.js";
import { connectError, LinkError } from "./link-error.ts";
import { type ProxyAddress, portOf, type readProxies } from "./proxy.ts";

/** What all connections have in common. */
export interface ConnectOptions {
	/** For each of three steps: the connection, the proxy's answer, TLS in the tunnel. */
	readonly timeoutMs: number;
	readonly proxyFor: ReturnType<typeof readProxies>;
}

/**
 * The function that undici calls for each new connection. Every failure is a
 * `LinkError`, as after some of its own errors undici would connect again for ever.
 */
export function connectThrough({
	timeoutMs,
	proxyFor,
}: ConnectOptions): buildConnector.connector {
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

	const reach = async (target: buildConnector.Options): Promise<Socket> => {
		const proxy = proxyFor(target);
		if (proxy === undefined) return connect(target);
		const socket = await tunnel(connect, proxy, target, timeoutMs);
		return target.protocol === "https:"
			? connect({ ...target, httpSocket: socket })
			: socket;
	};

	return (target, callback) => {
		reach(target).then(
			(socket) => callback(null, socket),
			(error) => callback(connectError(error), null),
		);
	};
}

/** A connection to the target through the proxy, by CONNECT. Throws `LinkError`. */
async function tunnel(
	connect: (target: buildConnector.Options) => Promise<Socket>,
	{ protocol, hostname, port, authorization }: ProxyAddress,
	target: buildConnector.Options,
	timeoutMs: number,
): Promise<Socket> {
	let link: Socket;
	try {
		link = await connect({ protocol, hostname, host: hostname, port });
	} catch (error) {
		const { kind, code } = connectError(error);
		const isNetwork = kind === "unreachable";
		throw new LinkError(isNetwork ? "no-proxy" : kind, code, false);
	}
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
		ask.on("error", (error) =>
			fail(new LinkError("no-proxy", connectError(error).code, false)),
		);
		ask.on("connect", ({ statusCode = 0 }) => {
			if (statusCode < 200 || statusCode > 299)
				return fail(refusalOf(statusCode));
			clearTimeout(timer);
			resolve(link);
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

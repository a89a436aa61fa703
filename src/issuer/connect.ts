/** Connections to WeChat, perhaps through a proxy's tunnel. */
import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import type { buildConnector } from "undici";
import createConnector from "undici/lib/core/connect.js";
import { connectError, LinkError } from "./link-error.ts";
import { type ProxyAddress, portOf, type readProxies } from "./proxy.ts";

export interface ConnectOptions {
	/** For each of: the connection, the proxy's answer, TLS through the tunnel. */
	readonly timeoutMs: number;
	readonly proxyFor: ReturnType<typeof readProxies>;
}

/**
 * What undici calls for each new connection. Every failure is a `LinkError`:
 * after some errors of its own undici would connect again without end.
 */
export function connectThrough({
	timeoutMs,
	proxyFor,
}: ConnectOptions): buildConnector.connector {
	const dial = createConnector({
		timeout: timeoutMs,
		// Whatever NODE_TLS_REJECT_UNAUTHORIZED says: the AppSecret goes along.
		rejectUnauthorized: true,
		// Node.js gives each address of a name 250 ms, which is too short between
		// continents, where one of them may lead nowhere.
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

/** A connection that the proxy passes on to the target. */
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
		const { trouble, code } = connectError(error);
		const isNetwork = trouble === "unreachable";
		throw new LinkError(isNetwork ? "no-proxy" : trouble, code, false);
	}
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
		const timer = setTimeout(
			() => fail(new LinkError("no-proxy", "no answer to CONNECT", false)),
			timeoutMs,
		);
		ask.on("error", (error) =>
			fail(new LinkError("no-proxy", connectError(error).code, false)),
		);
		ask.on("connect", ({ statusCode = 0 }) => {
			if (statusCode < 200 || statusCode > 299)
				return fail(refusalBy(statusCode));
			clearTimeout(timer);
			resolve(link);
		});
		ask.end();
	});
}

function refusalBy(status: number): LinkError {
	// A proxy that could not get through says so by 502, 503 or 504.
	return status >= 500
		? new LinkError("unreachable", `http ${status} from the proxy`, false)
		: new LinkError("proxy-refused", `http ${status} to CONNECT`, false);
}

import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { loopback } from "./request.ts";

/** One of WeChat's names, on a port of its own, for this machine only. */
export interface Listener {
	readonly host: string;
	readonly url: string;
	readonly port: number;
	/** While false, connecting ends in ECONNREFUSED. Settles when it is so. */
	setListening(isListening: boolean): Promise<void>;
	close(): Promise<void>;
}

export interface ListenerOptions {
	readonly host: string;
	/** 0: any free one. */
	readonly port: number;
	/** PEM texts; absent: plain HTTP. */
	readonly tls?: TlsOptions | undefined;
	readonly onRequest: RequestListener;
}

export interface TlsOptions {
	readonly key: string;
	readonly cert: string;
}

/** @throws the system's error if the port is taken */
export async function openListener(
	options: ListenerOptions,
): Promise<Listener> {
	const { host, tls, onRequest } = options;
	const server = tls
		? createTlsServer({ ...tls }, onRequest)
		: createServer(onRequest);
	server.keepAliveTimeout = 60_000;
	await listen(server, options.port);
	const { port } = server.address() as AddressInfo;
	return {
		host,
		port,
		url: `${tls ? "https" : "http"}://${loopback}:${port}`,
		async setListening(isListening) {
			if (isListening === server.listening) return;
			if (isListening) await listen(server, port);
			else {
				// The port is free at once; connections in use end with their request.
				server.close();
				server.closeIdleConnections();
			}
		},
		close: () =>
			new Promise((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	};
}

function listen(server: Server, port: number): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", reject);
		server.listen(port, loopback, () => {
			server.off("error", reject);
			resolve();
		});
	});
}

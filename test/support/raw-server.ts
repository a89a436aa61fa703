/** A TCP server that sees requests byte for byte, and answers with any bytes. */
import { once } from "node:events";
import {
	type AddressInfo,
	createServer,
	type Server,
	type Socket,
} from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { onTestFinished } from "vitest";

export interface RawRequest {
	/** Head and body, as they came. */
	readonly text: string;
	readonly socket: Socket;
	/** Counts from 1: which connection, and which request on it. */
	readonly connection: number;
	readonly nth: number;
}

export interface RawServer {
	readonly port: number;
	readonly requests: readonly RawRequest[];
	/** How many connections were ever made. */
	connections(): number;
}

export interface RawOptions {
	readonly address?: string;
	readonly tls?: { readonly key: string; readonly cert: string };
	/** Instead of waiting for requests. */
	readonly onConnection?: (socket: Socket, connection: number) => void;
}

/** Closed after the test, with all its connections. */
export async function startRaw(
	onRequest: (request: RawRequest) => void,
	{ address = "127.0.0.1", tls, onConnection }: RawOptions = {},
): Promise<RawServer> {
	const requests: RawRequest[] = [];
	const sockets = new Set<Socket>();
	let connections = 0;
	const accept = (socket: Socket) => {
		connections += 1;
		const connection = connections;
		let buffered = "";
		let nth = 0;
		sockets.add(socket);
		socket.on("close", () => sockets.delete(socket));
		socket.on("error", () => {});
		if (onConnection !== undefined) return onConnection(socket, connection);
		socket.setEncoding("latin1").on("data", (text) => {
			buffered += text;
			for (;;) {
				const length = lengthOfRequest(buffered);
				if (length === undefined || buffered.length < length) return;
				nth += 1;
				const request = {
					text: buffered.slice(0, length),
					socket,
					connection,
					nth,
				};
				buffered = buffered.slice(length);
				requests.push(request);
				onRequest(request);
			}
		});
	};
	const server: Server = tls
		? createTlsServer({ ...tls }, accept)
		: createServer(accept);
	server.listen(0, address);
	await once(server, "listening");
	onTestFinished(
		() =>
			new Promise<void>((resolve) => {
				server.close(() => resolve());
				for (const socket of sockets) socket.destroy();
			}),
	);
	const { port } = server.address() as AddressInfo;
	return { port, requests, connections: () => connections };
}

export interface RawAnswer {
	readonly status?: string;
	readonly headers?: Readonly<Record<string, string>>;
	readonly body?: string | Buffer;
}

/** An HTTP answer with its Content-Length. */
export function rawAnswer({
	status = "200 OK",
	headers = {},
	body = "",
}: RawAnswer): Buffer {
	const bytes = Buffer.from(body);
	const lines = Object.entries({ "Content-Length": bytes.length, ...headers });
	const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
	return Buffer.concat([
		Buffer.from(`HTTP/1.1 ${status}\r\n${head}\r\n`),
		bytes,
	]);
}

function lengthOfRequest(text: string): number | undefined {
	const end = text.indexOf("\r\n\r\n");
	if (end < 0) return undefined;
	const length = /^content-length: *(\d+)/im.exec(text.slice(0, end))?.[1];
	return end + 4 + Number(length ?? 0);
}

/** The simulator on the wire: ports, requests as values, answers as bytes. */
import {
	createServer,
	type IncomingMessage,
	type RequestListener,
	type Server,
	type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { type FaultScript, isOutage } from "./faults.ts";
import {
	type Answer,
	type CompleteRequest,
	loopback,
	wholeDelivery,
} from "./http-messages.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** A host name on a port of its own, reachable from this machine only. */
export interface Listener {
	readonly host: string;
	readonly url: string;
	readonly port: number;
	/** While false, a connection attempt fails with ECONNREFUSED. Settles when that is so. */
	setListening(isListening: boolean): Promise<void>;
	close(): Promise<void>;
}

/** What a listener is opened with. */
export interface ListenerOptions {
	readonly host: string;
	/** 0: any free port. */
	readonly port: number;
	/** Absent: plain HTTP. */
	readonly tls?: TlsOptions | undefined;
	readonly onRequest: RequestListener;
}

/** Key and certificate as PEM texts. */
export interface TlsOptions {
	readonly key: string;
	readonly cert: string;
}

/**
 * Opens the port of a host.
 *
 * @throws the system's error (EADDRINUSE, EACCES) if the port cannot be opened
 */
export async function openListener(
	options: ListenerOptions,
): Promise<Listener> {
	const { host, tls, onRequest } = options;
	const server = tls
		? createTlsServer({ ...tls }, onRequest)
		: createServer(onRequest);
	// WeChat keeps connections alive. Node would close them after 5 s by default.
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
				// The port is free at once; busy connections end after their request.
				server.close();
				server.closeIdleConnections();
			}
		},
		// A hanging request would keep the server open for ever.
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

/** Closes and opens ports as the scripted `refuse` faults require. */
export interface Outages {
	/** Settles when the ports are as the script requires now. */
	settle(): Promise<void>;
	stop(): void;
}

/** `listeners` is read at each call, so that listeners can be added later. */
export function createOutages(
	listeners: readonly Listener[],
	faults: FaultScript,
	clock: VirtualClock,
): Outages {
	let timer: NodeJS.Timeout | undefined;
	let settling = Promise.resolve();

	async function apply(): Promise<void> {
		// The next look is when the first outage ends; a repeated settle replaces the timer.
		clearTimeout(timer);
		const refusals = faults.pending(clock.now()).filter(isOutage);
		const ends = refusals.flatMap(({ forSeconds }) => forSeconds ?? []);
		if (ends.length > 0)
			timer = setTimeout(() => void settle(), clock.realMs(Math.min(...ends)));
		for (const listener of listeners)
			await listener.setListening(
				!refusals.some(
					({ host }) => host === undefined || host === listener.host,
				),
			);
	}

	/** One at a time: an opening port must not meet its own closing. */
	function settle(): Promise<void> {
		settling = settling.then(apply);
		return settling;
	}

	return { settle, stop: () => clearTimeout(timer) };
}

/** More than any real request needs. The rest of a longer body is dropped, which breaks its JSON. */
const maxBodyBytes = 64 * 1024;

/** Reads a request to its end, then calls `done`. A request that breaks off is dropped. */
export function readRequest(
	message: IncomingMessage,
	host: string,
	done: (request: CompleteRequest) => void,
): void {
	const chunks: Buffer[] = [];
	let size = 0;
	message.on("data", (chunk: Buffer) => {
		size += chunk.length;
		if (size <= maxBodyBytes) chunks.push(chunk);
	});
	message.on("end", () => {
		const body = Buffer.concat(chunks).toString("utf8");
		done(requestOf(message, body, host));
	});
}

function requestOf(
	message: IncomingMessage,
	body: string,
	host: string,
): CompleteRequest {
	// Node leaves the URL unparsed, and its parser would need a base URL.
	const { url: target = "/", method = "GET", headers, socket } = message;
	const mark = target.indexOf("?");
	return {
		method,
		host,
		path: mark < 0 ? target : target.slice(0, mark),
		query:
			mark < 0
				? {}
				: Object.fromEntries(new URLSearchParams(target.slice(mark + 1))),
		body,
		// IPv4 on a dual-stack socket; whitelists have the plain form.
		ip: (socket.remoteAddress ?? loopback).replace(/^::ffff:/, ""),
		chunked: headers["transfer-encoding"] !== undefined,
		secure: "encrypted" in socket,
	};
}

/** Sends the answer, or fails to, as its delivery says. */
export function deliver(
	response: ServerResponse,
	answer: Answer,
	clock: VirtualClock,
): void {
	const { delivery } = answer;
	switch (delivery.how) {
		case "whole":
			writeHead(response, answer, Buffer.byteLength(answer.body));
			response.end(answer.body);
			return;
		// The connection is open already, so a reset is the closest to a refusal.
		case "refuse":
		case "reset":
			reset(response);
			return;
		case "cut": {
			const bytes = Buffer.from(answer.body);
			writeHead(response, answer, bytes.length);
			// A reset drops what is still queued, so wait until the half is sent.
			response.write(bytes.subarray(0, bytes.length / 2), () =>
				reset(response),
			);
			return;
		}
		case "hang":
			return;
		case "delay":
			setTimeout(
				() => deliver(response, { ...answer, delivery: wholeDelivery }, clock),
				clock.realMs(delivery.seconds),
			);
			return;
		case "drip":
			drip(response, answer, clock.realMs(delivery.seconds));
			return;
		case "gzip": {
			const bytes = gzipSync(answer.body);
			response.setHeader("Content-Encoding", "gzip");
			writeHead(response, answer, bytes.length);
			response.end(bytes);
			return;
		}
		default:
			throw new TypeError(`unknown delivery ${delivery satisfies never}`);
	}
}

/** Sends an answer of the control port. */
export function sendJson(
	response: ServerResponse,
	status: number,
	content: unknown,
): void {
	const body = `${JSON.stringify(content)}\n`;
	response.writeHead(status, {
		"Content-Type": "application/json; charset=utf-8",
		"Content-Length": Buffer.byteLength(body),
		// A kept connection would bypass an outage that this request ordered.
		Connection: "close",
	});
	response.end(body);
}

function writeHead(
	response: ServerResponse,
	{ status, headers }: Answer,
	length: number,
): void {
	response.writeHead(status, { ...headers, "Content-Length": length });
}

/** Node cannot reset a TLS connection: there the connection only ends. */
function reset({ socket }: ServerResponse): void {
	if (socket === null) return;
	if ("encrypted" in socket) socket.destroy();
	else socket.resetAndDestroy();
}

/** One byte at a time, until the end or until the caller disconnects. */
function drip(response: ServerResponse, answer: Answer, totalMs: number): void {
	const bytes = Buffer.from(answer.body);
	writeHead(response, answer, bytes.length);
	response.flushHeaders();
	let sent = 0;
	const timer = setInterval(
		() => {
			if (sent < bytes.length) response.write(bytes.subarray(sent, sent + 1));
			else response.end();
			sent += 1;
			if (sent > bytes.length) clearInterval(timer);
		},
		// One interval per byte and one for the end; a timer has at least 1 ms.
		Math.max(1, totalMs / (bytes.length + 1)),
	);
	response.on("close", () => clearInterval(timer));
}

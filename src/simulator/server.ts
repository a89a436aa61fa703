/**
 * The simulator's HTTP face on loopback: WeChat's endpoints, and under `/sim/` a
 * control face for tests in any language, whose table is in control.ts.
 */
import { randomInt } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { SimulatedAccount } from "./account.ts";
import type { Answer } from "./answer.ts";
import { type ControlAnswer, control } from "./control.ts";
import { deliver } from "./deliver.ts";
import type { Fault } from "./faults.ts";
import type { Knobs } from "./knobs.ts";
import { type Listener, openListener, type TlsOptions } from "./listener.ts";
import { createOutages } from "./outages.ts";
import { createPlatform, type Platform } from "./platform.ts";
import { loopback, mainHost, type PlatformRequest } from "./request.ts";
import { createRequestLog, type RequestRecord } from "./request-log.ts";
import { createVirtualClock } from "./virtual-clock.ts";

export interface SimulatorOptions {
	/** Default 0: any free one. */
	readonly port?: number;
	readonly accounts: readonly SimulatedAccount[];
	/** Virtual seconds per real second; default 1. */
	readonly timeScale?: number;
	/** Virtual epoch ms at the start; default: the real time. */
	readonly startAtMs?: number;
	/** Default: random, so that two runs never issue the same token. */
	readonly seed?: number;
	readonly knobs?: Partial<Knobs>;
	/** Real ms that every answer takes; default 0. */
	readonly latencyMs?: number;
	/** More host names (`api2.weixin.qq.com`…), each on a port of its own; 0: any. */
	readonly hosts?: Readonly<Record<string, number>>;
	/** Host names that speak TLS, with these certificates. */
	readonly tls?: Readonly<Record<string, TlsOptions>>;
	/** Told of each request after it was answered inside. */
	readonly onRequest?: (record: RequestRecord) => void;
}

export interface Simulator {
	/** Of `api.weixin.qq.com`, which has the control face too. */
	readonly url: string;
	readonly port: number;
	/** Every host name's listener, the main one included. */
	readonly hosts: Readonly<Record<string, { url: string; port: number }>>;
	readonly platform: Platform;
	/** Virtual epoch ms. */
	now(): number;
	/** At least the last 10,000, with their secrets: for tests in the same process. */
	readonly requests: readonly RequestRecord[];
	/** Skips time; settles when the listeners have followed. */
	advance(seconds: number): Promise<void>;
	/**
	 * Scripts a fault as of now, and settles when it is in force; its result takes
	 * it out again. Unlike `platform.faults.add` it also closes the listeners that a
	 * `refuse` for a whole host means.
	 */
	addFault(fault: Fault): Promise<() => Promise<void>>;
	clearFaults(): Promise<void>;
	/**
	 * The first request (past ones included, if their id is above `sinceId`) that
	 * fulfils the predicate; rejects after `timeoutMs`.
	 */
	waitFor(
		predicate: (record: RequestRecord) => boolean,
		timeoutMs: number,
		sinceId?: number,
	): Promise<RequestRecord>;
	close(): Promise<void>;
}

/** @throws the system's error if a port is taken; RangeError for wrong settings */
export async function startSimulator(
	options: SimulatorOptions,
): Promise<Simulator> {
	const clock = createVirtualClock(options.startAtMs, options.timeScale ?? 1);
	const requestLog = createRequestLog(requestLogLimit);
	const { accounts, knobs = {}, latencyMs = 0 } = options;
	const seed = options.seed ?? randomInt(2 ** 32);
	const platform = createPlatform({ accounts, seed, knobs });

	function answer(
		request: ReceivedRequest,
		message: IncomingMessage,
		response: ServerResponse,
	): void {
		const at = clock.now();
		const given = platform.answer(request, at);
		const record = requestLog.add(recordOf(message, request, given, at));
		options.onRequest?.(record);
		if (latencyMs > 0)
			setTimeout(() => deliver(response, given, clock), latencyMs);
		else deliver(response, given, clock);
	}

	async function open(host: string, port: number): Promise<Listener> {
		return openListener({
			host,
			port,
			tls: options.tls?.[host],
			onRequest: (message, response) =>
				receive(message, (body) => {
					const request = requestOf(message, body, host);
					if (isControl(request.path))
						void control(
							{ platform, clock, requestLog, outages },
							request,
						).then((content) => sendControl(response, content));
					else answer(request, message, response);
				}),
		});
	}

	const listeners = await openAll(
		{ [mainHost]: options.port ?? 0, ...options.hosts },
		open,
	);
	const outages = createOutages(listeners, platform.faults, clock);
	const hosts = Object.fromEntries(
		listeners.map(({ host, url, port }) => [host, { url, port }]),
	);
	const main = hosts[mainHost];
	if (main === undefined) throw new Error("the main listener is missing");

	return {
		...main,
		hosts,
		platform,
		now: clock.now,
		requests: requestLog.records,
		advance(seconds) {
			clock.advance(seconds);
			return outages.settle();
		},
		async addFault(fault) {
			const remove = platform.faults.add(fault, clock.now());
			await outages.settle();
			return () => {
				remove();
				return outages.settle();
			};
		},
		clearFaults() {
			platform.faults.clear();
			return outages.settle();
		},
		waitFor: requestLog.waitFor,
		async close() {
			outages.stop();
			await Promise.all(listeners.map((listener) => listener.close()));
		},
	};
}

const requestLogLimit = 10_000;

/** Enough for every real request; what is longer is cut, and so no JSON any more. */
const bodyLimit = 64 * 1024;

type ReceivedRequest = Required<PlatformRequest>;

/** All listeners, or none: what is open already is closed when one fails. */
async function openAll(
	ports: Readonly<Record<string, number>>,
	open: (host: string, port: number) => Promise<Listener>,
): Promise<readonly Listener[]> {
	const listeners: Listener[] = [];
	try {
		for (const [host, port] of Object.entries(ports))
			listeners.push(await open(host, port));
	} catch (error) {
		await Promise.all(listeners.map((listener) => listener.close()));
		throw error;
	}
	return listeners;
}

/** `/sim/use` is a business API: it belongs to the platform. */
function isControl(path: string): boolean {
	return path.startsWith("/sim/") && path !== "/sim/use";
}

function receive(message: IncomingMessage, done: (body: string) => void): void {
	const chunks: Buffer[] = [];
	let size = 0;
	message.on("data", (chunk: Buffer) => {
		size += chunk.length;
		if (size <= bodyLimit) chunks.push(chunk);
	});
	message.on("end", () => done(Buffer.concat(chunks).toString("utf8")));
}

function requestOf(
	message: IncomingMessage,
	body: string,
	host: string,
): ReceivedRequest {
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
		ip: (socket.remoteAddress ?? loopback).replace(/^::ffff:/, ""),
		chunked: headers["transfer-encoding"] !== undefined,
		secure: "encrypted" in socket,
	};
}

function recordOf(
	message: IncomingMessage,
	{ method, host, path, query, body, ip }: ReceivedRequest,
	{ status, endpoint, outcome, processed, appid }: Answer,
	at: number,
): Omit<RequestRecord, "id"> {
	return {
		at,
		method,
		host,
		path,
		target: message.url ?? "/",
		query,
		body,
		headers: message.headers,
		ip,
		status,
		endpoint,
		outcome,
		...(processed === undefined ? {} : { processed }),
		...(appid === undefined ? {} : { appid }),
	};
}

function sendControl(
	response: ServerResponse,
	{ status, content }: ControlAnswer,
): void {
	const body = `${JSON.stringify(content)}\n`;
	response.writeHead(status, {
		"Content-Type": "application/json; charset=utf-8",
		"Content-Length": Buffer.byteLength(body),
		// An outage that was just ordered must not be bypassed on this connection.
		Connection: "close",
	});
	response.end(body);
}

/**
 * The simulator's HTTP face on loopback: WeChat's endpoints, and under `/sim/` a
 * control face for tests in any language; see control.ts for its table.
 */
import {
	createServer,
	type IncomingMessage,
	type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import type { SimulatedAccount } from "./account.ts";
import type { Answer, PlatformRequest } from "./answer.ts";
import { type ControlAnswer, control } from "./control.ts";
import { deliver } from "./deliver.ts";
import { createJournal, type RequestRecord } from "./journal.ts";
import type { Knobs } from "./knobs.ts";
import { createPlatform, type Platform } from "./platform.ts";
import { createVirtualClock } from "./virtual-clock.ts";

export interface SimulatorOptions {
	/** Default 127.0.0.1. */
	readonly host?: string;
	/** Default 0: any free one. */
	readonly port?: number;
	readonly accounts: readonly SimulatedAccount[];
	/** Default 7200. */
	readonly tokenLifetimeSeconds?: number;
	/** Default 300, but never more than a quarter of the lifetime. */
	readonly overlapSeconds?: number;
	/** Virtual seconds per real second; default 1. */
	readonly timeScale?: number;
	/** Virtual epoch ms at the start; default: the real time. */
	readonly startAtMs?: number;
	readonly seed?: number;
	readonly knobs?: Partial<Knobs>;
	/** Real ms that every answer takes; default 0. */
	readonly latencyMs?: number;
	/** Told of each request, after it was answered inside. */
	readonly onRequest?: (record: RequestRecord) => void;
}

export interface Simulator {
	readonly url: string;
	readonly port: number;
	readonly platform: Platform;
	/** Virtual epoch ms. */
	now(): number;
	/** At least the last 10,000, with secrets: for tests in the same process. */
	readonly requests: readonly RequestRecord[];
	advance(seconds: number): void;
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

/** Enough for every real request; more is cut off. */
const bodyLimit = 64 * 1024;
const journalLimit = 10_000;

export async function startSimulator(
	options: SimulatorOptions,
): Promise<Simulator> {
	const clock = createVirtualClock(options.startAtMs, options.timeScale ?? 1);
	const journal = createJournal(journalLimit);
	const platform = createPlatform({
		accounts: options.accounts,
		seed: options.seed ?? 1,
		knobs: {
			...(options.tokenLifetimeSeconds === undefined
				? {}
				: { tokenLifetimeSeconds: options.tokenLifetimeSeconds }),
			...(options.overlapSeconds === undefined
				? {}
				: { overlapSeconds: options.overlapSeconds }),
			...options.knobs,
		},
	});
	const latencyMs = options.latencyMs ?? 0;
	const name = "api.weixin.qq.com";

	const server = createServer((message, response) => {
		receive(message, (body) => {
			const request = requestOf(message, body, name);
			if (request.path.startsWith("/sim/") && request.path !== "/sim/use") {
				sendControl(response, control({ platform, clock, journal }, request));
				return;
			}
			const at = clock.now();
			const answer = platform.answer(request, at);
			const record = journal.add(recordOf(message, request, answer, at));
			options.onRequest?.(record);
			const sent = () =>
				deliver(message, response, answer, dateOf(at), clock.scale);
			if (latencyMs > 0) setTimeout(sent, latencyMs);
			else sent();
		});
	});
	server.keepAliveTimeout = 60_000;

	function dateOf(at: number): number {
		return at + platform.knobs.clockOffsetSeconds * 1000;
	}

	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(options.port ?? 0, options.host ?? "127.0.0.1", resolve);
	});
	const { port } = server.address() as AddressInfo;

	return {
		url: `http://${options.host ?? "127.0.0.1"}:${port}`,
		port,
		platform,
		now: clock.now,
		requests: journal.records,
		advance: clock.advance,
		waitFor: journal.waitFor,
		close: () =>
			new Promise((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	};
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
): Required<Omit<PlatformRequest, "secure">> {
	const target = message.url ?? "/";
	const mark = target.indexOf("?");
	return {
		method: message.method ?? "GET",
		host,
		path: mark < 0 ? target : target.slice(0, mark),
		query:
			mark < 0
				? {}
				: Object.fromEntries(new URLSearchParams(target.slice(mark + 1))),
		body,
		ip: (message.socket.remoteAddress ?? "127.0.0.1").replace(/^::ffff:/, ""),
		chunked: message.headers["transfer-encoding"] !== undefined,
	};
}

function recordOf(
	message: IncomingMessage,
	request: ReturnType<typeof requestOf>,
	answer: Answer,
	at: number,
): Omit<RequestRecord, "id"> {
	const { method, host, path, query, body, ip } = request;
	const { status, endpoint, outcome, processed, appid } = answer;
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
		"Content-Type": "application/json",
		"Content-Length": Buffer.byteLength(body),
	});
	response.end(body);
}

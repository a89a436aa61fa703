/**
 * A running simulator on loopback: the hosts of WeChat, each on a port of its
 * own, and under `/sim/` the control port (its table is in control-port.ts).
 */
import { randomInt } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { SimulatedAccount } from "./accounts.ts";
import type { SimulatedComponent } from "./components.ts";
import type { Controlled } from "./control-fields.ts";
import { answerControl, isControlPath } from "./control-port.ts";
import { mainHost } from "./hosts.ts";
import type { Answer, CompleteRequest } from "./http-messages.ts";
import {
	createOutages,
	deliver,
	type Listener,
	type Outages,
	openListener,
	readRequest,
	sendJson,
	type TlsOptions,
} from "./http-server.ts";
import type { Knobs } from "./knobs.ts";
import { createPlatform, type Platform } from "./platform.ts";
import { createPushes, type Pushes } from "./pushes.ts";
import {
	createRequestLog,
	type RequestLog,
	type RequestRecord,
} from "./request-log.ts";
import type { SimulatedSuite } from "./suites.ts";
import { createVirtualClock, type VirtualClock } from "./virtual-clock.ts";
import type { SimulatedWecomApp } from "./wecom.ts";

/** What a simulator starts with. */
export interface SimulatorOptions {
	/** Port of the main host; default 0: any free one. */
	readonly port?: number;
	readonly accounts: readonly SimulatedAccount[];
	/** 第三方平台. */
	readonly components?: readonly SimulatedComponent[];
	/** Suites of 企业微信; their host needs a port in `hosts`. */
	readonly suites?: readonly SimulatedSuite[];
	/** Apps of 企业微信; their host needs a port in `hosts`. */
	readonly wecom?: readonly SimulatedWecomApp[];
	/** Virtual seconds per real second; default 1. */
	readonly timeScale?: number;
	/** Virtual epoch ms at the start; default: the real time. */
	readonly startAtMs?: number;
	/** 32 bits. Default: random, so that two runs never issue the same token. */
	readonly seed?: number;
	readonly knobs?: Partial<Knobs>;
	/** Real ms that every answer takes; default 0. */
	readonly latencyMs?: number;
	/** More host names (`api2.weixin.qq.com`…) with their ports; 0: any free one. */
	readonly hosts?: Readonly<Record<string, number>>;
	/** Certificates of the host names that use TLS. */
	readonly tls?: Readonly<Record<string, TlsOptions>>;
	/** Called with each request once its answer is known, before it is delivered. */
	readonly onRequest?: (record: RequestRecord) => void;
}

/** A running simulator. Its `platform` can be read and changed directly. */
export interface Simulator extends Controlled {
	/** URL of `api.weixin.qq.com`. */
	readonly url: string;
	readonly port: number;
	/** The listener of every host name, the main host included. */
	readonly hosts: Readonly<Record<string, { url: string; port: number }>>;
	/**
	 * The first request above `sinceId` that fulfils the predicate. Requests that
	 * came already count too. Rejects after `timeoutMs` of real time.
	 */
	waitFor: RequestLog["waitFor"];
	close(): Promise<void>;
}

/** How often it is looked whether a push is due, real ms. */
const pushTickMs = 100;

/** Requests that the log keeps at least. It bounds the memory of a long run. */
const requestLogLimit = 10_000;

/**
 * Starts a simulator in this process.
 *
 * @throws the system's error if a port cannot be opened; RangeError for wrong options
 */
export async function startSimulator(
	options: SimulatorOptions,
): Promise<Simulator> {
	const clock = createVirtualClock(options.startAtMs, options.timeScale ?? 1);
	const requestLog = createRequestLog(requestLogLimit);
	const { accounts, components = [], suites = [] } = options;
	const { wecom = [], knobs = {} } = options;
	const seed = options.seed ?? randomInt(2 ** 32);
	const platform = createPlatform({
		...{ accounts, components, suites, wecom },
		...{ seed, knobs },
	});
	const pushes = createPushes(platform.state, clock.now, async (seconds) => {
		await sleep(clock.realMs(seconds), undefined, { ref: false });
	});
	// Filled by openAll: a request may reach the first port before the last is open.
	const listeners: Listener[] = [];
	const outages = createOutages(listeners, platform.faults, clock);
	const controlled = control(platform, requestLog, clock, outages, pushes);
	const answer = createAnswering(options, platform, requestLog, clock);

	await openAll(listeners, options, (host, message, response) =>
		readRequest(message, host, (request) => {
			if (!isControlPath(request.path)) answer(request, message, response);
			else
				void answerControl(controlled, request).then(({ status, content }) =>
					sendJson(response, status, content),
				);
		}),
	);
	const hosts = Object.fromEntries(
		listeners.map(({ host, url, port }) => [host, { url, port }]),
	);
	const main = hosts[mainHost];
	if (main === undefined) throw new Error("the main listener is missing");

	const ticking = setInterval(pushes.tick, pushTickMs);
	ticking.unref();
	return {
		...controlled,
		...main,
		hosts,
		waitFor: requestLog.waitFor,
		async close() {
			clearInterval(ticking);
			pushes.stop();
			outages.stop();
			await Promise.all(listeners.map((listener) => listener.close()));
		},
	};
}

/** The functions that the control port and a test in the same process share. */
function control(
	platform: Platform,
	requestLog: RequestLog,
	clock: VirtualClock,
	outages: Outages,
	pushes: Pushes,
): Controlled {
	return {
		platform,
		pushes,
		requests: requestLog.records,
		now: clock.now,
		advance(seconds) {
			clock.advance(seconds);
			pushes.tick();
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
	};
}

/** Answers requests to WeChat, and logs them. */
function createAnswering(
	{ onRequest, latencyMs = 0 }: SimulatorOptions,
	platform: Platform,
	requestLog: RequestLog,
	clock: VirtualClock,
): (
	request: CompleteRequest,
	message: IncomingMessage,
	response: ServerResponse,
) => void {
	return (request, message, response) => {
		const at = clock.now();
		const answer = platform.answer(request, at);
		const record = requestLog.add(recordOf(message, request, answer, at));
		onRequest?.(record);
		if (latencyMs > 0)
			setTimeout(() => deliver(response, answer, clock), latencyMs);
		else deliver(response, answer, clock);
	};
}

/** Opens every host's port and adds it to `listeners`. If one fails, it closes the others. */
async function openAll(
	listeners: Listener[],
	{ port = 0, hosts, tls }: SimulatorOptions,
	onRequest: (
		host: string,
		message: IncomingMessage,
		response: ServerResponse,
	) => void,
): Promise<void> {
	const ports: Readonly<Record<string, number>> = {
		[mainHost]: port,
		...hosts,
	};
	try {
		for (const [host, port] of Object.entries(ports))
			listeners.push(
				await openListener({
					host,
					port,
					tls: tls?.[host],
					onRequest: (message, response) => onRequest(host, message, response),
				}),
			);
	} catch (error) {
		await Promise.all(listeners.map((listener) => listener.close()));
		throw error;
	}
}

function recordOf(
	message: IncomingMessage,
	{ method, host, path, query, body, ip }: CompleteRequest,
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

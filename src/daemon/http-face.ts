/**
 * The address of `[http]` over the daemon's life: opened, moved by reloads, tried
 * again while it is taken, closed at the end. A failure is only a warning, because the
 * keepers work without it.
 */
import type { AddressInfo, Server } from "node:net";
import type { HttpSettings } from "../config/http-settings.ts";
import type { Clock } from "../core/clock.ts";
import { errnoOf, inWords } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import {
	type Answering,
	type Bodies,
	type ControlServer,
	createControlServer,
} from "./control-http.ts";
import { createGate } from "./http-gate.ts";
import {
	affordableConnections,
	createChangeLog,
	createDraining,
	createQueue,
	drainTimeoutMs,
	logBug,
	logRefusedClient,
	retryMs,
} from "./server-life.ts";

/** The HTTP address of a daemon. */
export interface HttpFace {
	/**
	 * Uses these settings from now on; undefined: closes it. Resolves when that is done
	 * or has failed; failures are logged.
	 */
	use(settings: HttpSettings | undefined): Promise<void>;
	/** Tries again if it could not be opened before. Cheap, for each tick. */
	keepOpen(): void;
	/** As `Control.stop`. */
	stop(settled: Promise<unknown>): Promise<void>;
}

/** What it is made of. */
export interface HttpFaceParts {
	/** What it is called in the log; by default "http", which has a gate before it. */
	readonly name?: "http" | "receiver";
	/** The same as on the control socket. */
	readonly answer: Answering;
	readonly bodies?: Bodies;
	readonly clock: Clock;
	readonly log: Log;
}

/** A server, and what it was opened for. */
interface Open {
	readonly server: ControlServer;
	readonly settings: HttpSettings;
}

/** Nothing is listened on before the first `use`. */
export function createHttpFace({
	answer,
	bodies,
	clock,
	log,
	name = "http",
}: HttpFaceParts): HttpFace {
	const changes = createChangeLog();
	const draining = createDraining();
	const inTurn = createQueue((error) => {
		throw error;
	});
	const stopped = new AbortController();
	const maxConnections = affordableConnections(1 / 4);
	let wanted: HttpSettings | undefined;
	let open: Open | undefined;
	let triedAt = Number.NEGATIVE_INFINITY;
	const gated =
		name === "http"
			? createGate({
					bearer: () => wanted?.bearer,
					isLoopback: () => wanted?.isLoopback === true,
					answer,
					clock,
					log,
				})
			: answer;

	const ensureOpen = async (): Promise<void> => {
		const settings = wanted;
		if (settings === undefined || stopped.signal.aborted || open) return;
		triedAt = clock.monotonic();
		const server = createControlServer({
			answer: gated,
			bodies,
			maxConnections,
			tls: settings.tls,
			onBug: (error) => logBug(error, log),
		});
		const problem = await tryListening(server, settings);
		if (problem !== undefined) {
			changes.log(`${settings.listen} ${problem}`, () =>
				logUnavailable(settings, problem, name, log),
			);
			return;
		}
		server.on("error", (error: Error) => logRefusedClient(error, log));
		open = { server, settings };
		const { port } = server.address() as AddressInfo;
		const url = urlOf(settings, port);
		changes.log(`open ${url}`, () =>
			log.info({ event: `${name}.opened`, url }, openedWords[name](url)),
		);
	};

	const close = () => {
		if (open !== undefined) draining.add(open.server);
		open = undefined;
	};

	return {
		use: (settings) =>
			inTurn(async () => {
				wanted = settings;
				if (open !== undefined && !isSamePlace(open.settings, settings))
					close();
				// Connections that are open keep the former certificate.
				if (open !== undefined && settings?.tls !== undefined)
					setCertificate(open.server, settings.tls);
				await ensureOpen();
			}),
		keepOpen: () => {
			if (wanted === undefined || open !== undefined) return;
			if (stopped.signal.aborted || clock.monotonic() - triedAt < retryMs)
				return;
			triedAt = clock.monotonic();
			void inTurn(ensureOpen);
		},
		stop: async (settled) => {
			stopped.abort();
			await inTurn(async () => {
				close();
				await settled;
				await draining.end(drainTimeoutMs);
			});
		},
	};
}

const openedWords = {
	http: (url: string) => `HTTP is answered at ${url}`,
	receiver: (url: string) => `pushes are received at ${url}`,
};

/** A change of the certificate or of the bearer needs no other server. */
function isSamePlace(one: HttpSettings, other: HttpSettings | undefined) {
	return (
		one.listen === other?.listen &&
		(one.tls === undefined) === (other.tls === undefined)
	);
}

function setCertificate(
	server: ControlServer,
	tls: NonNullable<HttpSettings["tls"]>,
): void {
	if ("setSecureContext" in server) server.setSecureContext(tls);
}

/** As a browser takes it. `port`: the one that was given. */
function urlOf({ host, tls }: HttpSettings, port: number): string {
	const scheme = tls === undefined ? "http" : "https";
	return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}/`;
}

/** Undefined: it listens. Else the errno of why not. */
export function tryListening(
	server: Pick<Server, "once" | "off" | "listen">,
	{ host, port }: Pick<HttpSettings, "host" | "port">,
): Promise<string | undefined> {
	return new Promise((resolve) => {
		const failed = (error: Error) => resolve(errnoOf(error) ?? error.message);
		server.once("error", failed);
		server.listen({ host, port, backlog: 2048 }, () => {
			server.off("error", failed);
			resolve(undefined);
		});
	});
}

/** Why it could not be listened on, and what to do, in the operator's words. */
export function listenProblem(
	{ listen, port }: Pick<HttpSettings, "listen" | "port">,
	errno: string,
	table: "http" | "receiver",
): { readonly message: string; readonly hint: string } {
	return {
		message: `could not listen on ${listen}: ${inWords(errno)}`,
		hint: listenHint(port, errno, table),
	};
}

function listenHint(
	port: number,
	errno: string,
	table: "http" | "receiver",
): string {
	switch (errno) {
		case "EADDRINUSE":
			return `see who has the port (ss -ltnp 'sport = :${port}'), and end it or set another \`listen\` below [${table}]`;
		case "EACCES":
			return "take a port from 1024 on: lower ones are for root";
		case "EPERM":
			return `if the unit forbids it (SocketBindDeny=): systemctl edit wxtokend, add "[Service]" and "SocketBindAllow=tcp:${port}", then restart it`;
		case "EADDRNOTAVAIL":
			return "take an address of this machine (ip address shows them)";
		default:
			return `set another \`listen\` below [${table}]`;
	}
}

function logUnavailable(
	settings: HttpSettings,
	errno: string,
	name: "http" | "receiver",
	log: Log,
): void {
	const { listen } = settings;
	const { message, hint } = listenProblem(settings, errno, name);
	log.warn(
		{ event: `${name}.unavailable`, listen, code: errno, hint },
		`${message}; the daemon runs without, and tries again`,
	);
}

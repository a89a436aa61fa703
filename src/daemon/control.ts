/**
 * The control socket over the daemon's life: opened at its location, moved by
 * reloads, checked at each tick, removed at the end. A failure is only a warning,
 * because the keepers work without the socket.
 */
import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import { createControlServer } from "./control-http.ts";
import { type AnswerParts, createAnswers } from "./control-routes.ts";
import {
	isOurs,
	type OpenSocket,
	openSocket,
	removeSocket,
	type SocketLocation,
	type SocketParts,
} from "./control-socket.ts";

/** The control socket of a daemon. */
export interface Control {
	/**
	 * Moves the socket there, or closes it (undefined). Resolves when that is done or
	 * has failed; failures are logged.
	 */
	moveTo(location: SocketLocation | undefined): Promise<void>;
	/**
	 * Opens the socket again if its file was deleted, or if it could not be opened
	 * before. Cheap, for each tick.
	 */
	keepOpen(): void;
	/**
	 * Removes the socket. Requests that are connected still get an answer. Resolves
	 * when all have theirs, or shortly after `settled`.
	 */
	stop(settled: Promise<unknown>): Promise<void>;
}

/** How long a socket that could not be opened is left before the next try. */
const retryMs = 5_000;

/** How long answers may be on their way to clients once all refreshes are over. */
const drainTimeoutMs = 250;

/** A server and its file. */
interface Open {
	readonly server: Server;
	readonly socket: OpenSocket;
}

/** The socket is closed until the first `moveTo`. */
export function createControl(
	parts: AnswerParts & SocketParts & { readonly log: Log },
): Control {
	const { log, clock } = parts;
	const answer = createAnswers(parts);
	const stopped = new AbortController();
	const changes = createChangeLog();
	const inTurn = createQueue((error) => logFailure(error, log, changes));
	const draining = createDraining();
	let wanted: SocketLocation | undefined;
	let open: Open | undefined;
	let triedAt = Number.NEGATIVE_INFINITY;

	const isInPlace = () => open !== undefined && isOurs(open.socket);

	const ensureOpen = async (): Promise<void> => {
		if (wanted === undefined || stopped.signal.aborted || isInPlace()) return;
		close();
		triedAt = clock.monotonic();
		const { path } = wanted;
		const server = createControlServer({
			answer,
			maxConnections: affordableConnections(),
			onBug: (error) => logBug(error, log),
		});
		const socket = await openSocket(server, wanted, parts);
		if (socket === "taken") {
			changes.log(`taken ${path}`, () => logTaken(path, log));
			return;
		}
		server.on("error", (error) => logRefusedClient(error, log));
		open = { server, socket };
		changes.log(`open ${path}`, () =>
			log.info({ event: "control.opened", path }, "the control socket is open"),
		);
	};

	/** Takes no more clients; those that are connected get their answers. */
	const close = () => {
		const former = open;
		open = undefined;
		if (former === undefined) return;
		try {
			removeSocket(former.socket);
		} finally {
			draining.add(former.server);
		}
	};

	return {
		moveTo: (location) =>
			inTurn(async () => {
				const isSame =
					wanted?.path === location?.path && wanted?.gid === location?.gid;
				if (!isSame) close();
				wanted = location;
				await ensureOpen();
			}),
		keepOpen: () => {
			const isGone = open !== undefined && !isInPlace();
			// Its file was deleted: that it is open again is worth a line.
			if (isGone) changes.forget();
			const isTooSoon = clock.monotonic() - triedAt < retryMs;
			if (stopped.signal.aborted || (isTooSoon && !isGone)) return;
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

/** Logs what is the same as the last time only once. */
interface ChangeLog {
	/** Calls `write` unless `what` is the same as in the last call. */
	log(what: string, write: () => void): void;
	/** The next call writes in any case. */
	forget(): void;
}

function createChangeLog(): ChangeLog {
	let last = "";
	return {
		log: (what, write) => {
			if (last !== what) write();
			last = what;
		},
		forget: () => {
			last = "";
		},
	};
}

/**
 * Runs steps one after the other: while a socket is being opened, nothing else may
 * move or close it. After a step that fails the next one runs all the same.
 */
function createQueue(
	onError: (error: unknown) => void,
): (step: () => Promise<void>) => Promise<void> {
	let turn: Promise<void> = Promise.resolve();
	return (step) => {
		turn = turn.then(step).catch(onError);
		return turn;
	};
}

/** Servers that take no more clients, until their last answer is sent. */
function createDraining() {
	const servers = new Map<Server, Promise<void>>();
	return {
		add: (server: Server) => {
			const ended = new Promise<void>((resolve) => {
				server.close(() => {
					servers.delete(server);
					resolve();
				});
			});
			servers.set(server, ended);
		},
		/** Waits for the answers, up to `timeoutMs`; then breaks the connections. */
		end: async (timeoutMs: number) => {
			await Promise.race([Promise.all(servers.values()), sleep(timeoutMs)]);
			for (const server of servers.keys()) server.closeAllConnections();
		},
	};
}

/** Logs a `StoreError`, and throws anything else. */
function logFailure(error: unknown, log: Log, changes: ChangeLog): void {
	if (!(error instanceof StoreError)) throw error;
	const { message, code, hint } = error;
	changes.log(message, () =>
		log.warn(
			{ event: "control.unavailable", code, hint },
			`${message}; the daemon runs without it`,
		),
	);
}

function logTaken(path: string, log: Log): void {
	log.warn(
		{
			event: "control.taken",
			path,
			hint: "run one daemon for each directory, or give this one another `socket`",
		},
		"another daemon has the control socket; this one runs without",
	);
}

/** For example, no file descriptor is left for it. The other clients are served. */
function logRefusedClient(error: Error, log: Log): void {
	log.debug(
		{ event: "control.refused", code: errnoOf(error) },
		"a client could not be accepted",
	);
}

function logBug(error: unknown, log: Log): void {
	const stack = String(error instanceof Error ? error.stack : error);
	log.error(
		{ event: "control.failed", stack },
		"a request could not be answered: this is a bug, please report it",
	);
}

const maxConnections = 2_048;

/**
 * Half of the files that the process may have open, so that keepers can still open
 * the files that they publish.
 */
function affordableConnections(): number {
	let limit = Number.NaN;
	try {
		const limits = readFileSync("/proc/self/limits", "utf8");
		limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
	} catch {
		// Not Linux: there Node.js has raised the limit far above this.
	}
	return Number.isNaN(limit)
		? maxConnections
		: Math.min(maxConnections, Math.max(16, Math.floor(limit / 2)));
}

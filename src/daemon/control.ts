/**
 * The control socket over the daemon's life: opened at its location, moved by
 * reloads, checked at each tick, removed at the end. A failure is only a warning,
 * because the keepers work without the socket.
 */
import { StoreError } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import {
	type Answering,
	type Bodies,
	type ControlServer,
	createControlServer,
} from "./control-http.ts";
import {
	isOurs,
	type OpenSocket,
	openSocket,
	removeSocket,
	type SocketLocation,
	type SocketParts,
} from "./control-socket.ts";
import {
	affordableConnections,
	type ChangeLog,
	createChangeLog,
	createDraining,
	createQueue,
	drainTimeoutMs,
	logBug,
	logRefusedClient,
	retryMs,
} from "./server-life.ts";

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

/** A server and its file. */
interface Open {
	readonly server: ControlServer;
	readonly socket: OpenSocket;
}

/** The socket is closed until the first `moveTo`. */
export function createControl(
	parts: SocketParts & {
		/** What it is called in the log; by default the control socket. */
		readonly name?: string;
		readonly answer: Answering;
		readonly bodies?: Bodies;
		readonly log: Log;
	},
): Control {
	const { answer, bodies, log, clock, name = "control" } = parts;
	const stopped = new AbortController();
	const changes = createChangeLog();
	const inTurn = createQueue((error) => logFailure(error, name, log, changes));
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
			bodies,
			maxConnections: affordableConnections(1 / 2),
			onBug: (error) => logBug(error, log),
		});
		const socket = await openSocket(server, wanted, parts);
		if (socket === "taken") {
			changes.log(`taken ${path}`, () => logTaken(path, name, log));
			return;
		}
		server.on("error", (error) => logRefusedClient(error, log));
		open = { server, socket };
		changes.log(`open ${path}`, () =>
			log.info({ event: `${name}.opened`, path }, `the ${name} socket is open`),
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

/** Logs a `StoreError`, and throws anything else. */
function logFailure(
	error: unknown,
	name: string,
	log: Log,
	changes: ChangeLog,
): void {
	if (!(error instanceof StoreError)) throw error;
	const { message, code, hint } = error;
	changes.log(message, () =>
		log.warn(
			{ event: `${name}.unavailable`, code, hint },
			`${message}; the daemon runs without it`,
		),
	);
}

function logTaken(path: string, name: string, log: Log): void {
	log.warn(
		{
			event: `${name}.taken`,
			path,
			hint: "run one daemon for each directory, or give this one another `socket`",
		},
		`another daemon has the ${name} socket; this one runs without`,
	);
}

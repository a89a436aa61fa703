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
	lookForSocket,
	type OpenSocket,
	openSocket,
	removeSocket,
	type SocketLocation,
	type SocketParts,
} from "./control-socket.ts";
import { createDiskQuestions } from "./disk-questions.ts";
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
	 * before. Cheap, for each tick: nothing waits for the disk.
	 */
	keepOpen(): void;
	/**
	 * Removes the socket. Requests that are connected still get an answer. Resolves
	 * when all have theirs, or shortly after `settled`; with whether the disk of the
	 * socket still owes an answer. Then its file stays.
	 */
	stop(settled: Promise<unknown>): Promise<boolean>;
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

	const questions = createDiskQuestions(clock);
	let isLooking = false;

	const look = async (socket: OpenSocket) => {
		const found = await lookForSocket(socket, questions);
		if (found === "silent")
			changes.log(`silent ${socket.path}`, () =>
				logSilent(socket.path, name, log),
			);
		return found;
	};

	const ensureOpen = async (): Promise<void> => {
		if (wanted === undefined || stopped.signal.aborted) return;
		if (open !== undefined) {
			if ((await look(open.socket)) !== "gone") return;
			// That it is open again is worth a line.
			changes.forget();
			drain(open);
		}
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
	const drain = ({ server }: Open) => {
		open = undefined;
		draining.add(server);
	};

	/** The same, and its file is removed. */
	const close = async () => {
		if (open === undefined) return;
		const former = open;
		try {
			if ((await look(former.socket)) === "here") removeSocket(former.socket);
		} finally {
			drain(former);
		}
	};

	return {
		moveTo: (location) =>
			inTurn(async () => {
				const isSame =
					wanted?.path === location?.path && wanted?.gid === location?.gid;
				if (!isSame) await close();
				wanted = location;
				await ensureOpen();
			}),
		keepOpen: () => {
			const isTooSoon =
				open === undefined && clock.monotonic() - triedAt < retryMs;
			if (isLooking || isTooSoon || stopped.signal.aborted) return;
			isLooking = true;
			void inTurn(ensureOpen).then(() => {
				isLooking = false;
			});
		},
		stop: async (settled) => {
			stopped.abort();
			await inTurn(async () => {
				await close();
				await settled;
				await draining.end(drainTimeoutMs);
			});
			return questions.end();
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

function logSilent(path: string, name: string, log: Log): void {
	log.warn(
		{
			event: `${name}.silent`,
			path,
			hint: "the tokens are kept all the same; a socket belongs on a local disk or in memory: set `socket`",
		},
		`the disk of the ${name} socket does not answer`,
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

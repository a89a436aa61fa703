/**
 * The control socket's life: opened at its place, followed through reloads,
 * looked after at each tick, taken away at the end. Whatever goes wrong with it
 * is a warning: the keepers work without it.
 */
import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf, StoreError } from "../core/errors.ts";
import { createFace } from "./control-http.ts";
import { type AnswerParts, createAnswers } from "./control-routes.ts";
import {
	isOurs,
	type PlacedSocket,
	type PlacingParts,
	placeSocket,
	removeSocket,
	type SocketPlace,
} from "./control-socket.ts";
import type { Log } from "./log.ts";

export interface ControlParts extends AnswerParts, PlacingParts {
	readonly log: Log;
}

export interface Control {
	/** From now on the socket belongs there; undefined: nowhere. Never throws. */
	follow(place: SocketPlace | undefined): Promise<void>;
	/**
	 * Opens the socket if it is not in its place: it was deleted, or the process
	 * that had it is gone. Cheap, for each tick.
	 */
	tend(): void;
	/**
	 * Takes the socket away; who is connected still gets an answer. Resolves when
	 * all have theirs, or shortly after `settled`.
	 */
	stop(settled: Promise<unknown>): Promise<void>;
}

/** How often a socket that could not be opened is tried again. */
const retryMs = 5_000;

/** For answers on their way to clients, once nothing is under way any more. */
const farewellMs = 250;

export function createControl(parts: ControlParts): Control {
	const { log, clock } = parts;
	const answer = createAnswers(parts);
	let place: SocketPlace | undefined;
	let open:
		| { readonly server: Server; readonly socket: PlacedSocket }
		| undefined;
	let triedAt = Number.NEGATIVE_INFINITY;
	let lastTold = "";
	/** Given up, but with connections that still wait for an answer. */
	const ending = new Map<Server, Promise<void>>();
	/** Opening and closing happen one after the other. */
	let turn: Promise<void> = Promise.resolve();
	let stopped = false;

	const inTurn = (step: () => Promise<void>): Promise<void> => {
		turn = turn.then(step).catch(tell);
		return turn;
	};

	const ensure = async (): Promise<void> => {
		if (place === undefined || stopped || isInPlace()) return;
		leave();
		triedAt = clock.monotonic();
		const server = createFace({
			answer,
			connections: affordableConnections(),
			onBug: (error) =>
				log.error(
					{ event: "control.failed", stack: stackOf(error) },
					"a request could not be answered: this is a bug, please report it",
				),
		});
		const { path } = place;
		const socket = await placeSocket(server, place, parts);
		if (socket === "taken") {
			tellOnce(`taken ${path}`, () =>
				log.warn(
					{
						event: "control.taken",
						path,
						hint: "one daemon for each directory is enough; or give this one another `socket`",
					},
					"another daemon has the control socket; this one runs without",
				),
			);
			return;
		}
		// Such as no more files to accept a client with: it concerns that client.
		server.on("error", (error) =>
			log.debug(
				{ event: "control.refused", code: errnoOf(error) },
				"a client could not be accepted",
			),
		);
		open = { server, socket };
		tellOnce(`open ${path}`, () =>
			log.info({ event: "control.opened", path }, "the control socket is open"),
		);
	};

	const isInPlace = () => open !== undefined && isOurs(open.socket);

	/** Gives up the present socket, if any; its connections live on. */
	const leave = () => {
		const left = open;
		open = undefined;
		if (left === undefined) return;
		try {
			removeSocket(left.socket);
		} finally {
			ending.set(left.server, closing(left.server));
		}
	};

	const closing = (server: Server) =>
		new Promise<void>((resolve) => {
			server.close(() => {
				ending.delete(server);
				resolve();
			});
		});

	const tell = (error: unknown) => {
		if (!(error instanceof StoreError)) throw error;
		const { message, code, hint } = error;
		tellOnce(message, () =>
			log.warn(
				{ event: "control.unavailable", code, hint },
				`${message}; the daemon runs without it`,
			),
		);
	};

	const tellOnce = (what: string, say: () => void) => {
		if (lastTold !== what) say();
		lastTold = what;
	};

	return {
		follow: (wanted) =>
			inTurn(async () => {
				if (place?.path !== wanted?.path || place?.gid !== wanted?.gid) leave();
				place = wanted;
				await ensure();
			}),
		tend: () => {
			const isGone = open !== undefined && !isInPlace();
			if (isGone) lastTold = "";
			const isTooSoon = clock.monotonic() - triedAt < retryMs;
			if (stopped || (isTooSoon && !isGone)) return;
			triedAt = clock.monotonic();
			void inTurn(ensure);
		},
		stop: async (settled) => {
			stopped = true;
			await inTurn(async () => {
				leave();
				await settled;
				await Promise.race([Promise.all(ending.values()), sleep(farewellMs)]);
				for (const server of ending.keys()) server.closeAllConnections();
			});
		},
	};
}

const mostConnections = 2_048;

/**
 * Clients must not use up the files that the process may have open: keepers
 * need some to publish.
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
		? mostConnections
		: Math.min(mostConnections, Math.max(16, Math.floor(limit / 2)));
}

function stackOf(error: unknown): string {
	return String(error instanceof Error ? error.stack : error);
}

/**
 * What the control socket and the HTTP address have in common over a daemon's life:
 * steps in turn, each change logged once, servers that take no more clients, and how
 * many connections a process can afford.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { errnoOf } from "../core/errors.ts";
import type { Log } from "../core/ports.ts";
import type { ControlServer } from "./control-http.ts";

/** How long a place that could not be listened at is left before the next try. */
export const retryMs = 5_000;

/** How long answers may be on their way to clients once all refreshes are over. */
export const drainTimeoutMs = 250;

/** Logs what is the same as the last time only once. */
export interface ChangeLog {
	/** Calls `write` unless `what` is the same as in the last call. */
	log(what: string, write: () => void): void;
	/** The next call writes in any case. */
	forget(): void;
}

export function createChangeLog(): ChangeLog {
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
export function createQueue(
	onError: (error: unknown) => void,
): (step: () => Promise<void>) => Promise<void> {
	let turn: Promise<void> = Promise.resolve();
	return (step) => {
		turn = turn.then(step).catch(onError);
		return turn;
	};
}

/** Servers that take no more clients, until their last answer is sent. */
export function createDraining() {
	const servers = new Map<ControlServer, Promise<void>>();
	return {
		add: (server: ControlServer) => {
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

/** For example, no file descriptor is left for it. The other clients are served. */
export function logRefusedClient(error: Error, log: Log): void {
	log.debug(
		{ event: "control.refused", code: errnoOf(error) },
		"a client could not be accepted",
	);
}

/** The client got a 500. */
export function logBug(error: unknown, log: Log): void {
	const stack = String(error instanceof Error ? error.stack : error);
	log.error(
		{ event: "control.failed", stack },
		"a request could not be answered: this is a bug, please report it",
	);
}

const maxConnections = 2_048;

/**
 * A share of the files that the process may have open, so that keepers can still open
 * the files that they publish.
 */
export function affordableConnections(share: number): number {
	let limit = Number.NaN;
	try {
		const limits = readFileSync("/proc/self/limits", "utf8");
		limit = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1]);
	} catch {
		// Not Linux: there Node.js has raised the limit far above this.
	}
	return Number.isNaN(limit)
		? maxConnections
		: Math.min(maxConnections, Math.max(16, Math.floor(limit * share)));
}

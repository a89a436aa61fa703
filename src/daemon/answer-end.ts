/** When an answer over HTTP is over, so that what was held for it can be given back. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/**
 * Connection → what waits for the end of one of its answers. Each connection has one
 * listener of its own, because Node.js 20 tells no `close` of an answer that was still
 * queued behind another one when the connection closed.
 */
const waitingOn = new WeakMap<Duplex, Set<() => void>>();

/**
 * Calls the listener once: when the client has its answer, or has gone without. Where
 * that has happened before, it calls it at once. Returns how to call it no more.
 */
export function onAnswerEnd(
	{ socket }: IncomingMessage,
	response: ServerResponse,
	listener: () => void,
): () => void {
	if (socket.destroyed || response.closed) {
		listener();
		return () => {};
	}
	const waiting = waitingFor(socket);
	const end = () => {
		forget();
		listener();
	};
	const forget = () => {
		waiting.delete(end);
		response.off("close", end);
	};
	waiting.add(end);
	response.once("close", end);
	return forget;
}

function waitingFor(socket: Duplex): Set<() => void> {
	const known = waitingOn.get(socket);
	if (known !== undefined) return known;
	const waiting = new Set<() => void>();
	waitingOn.set(socket, waiting);
	socket.once("close", () => {
		for (const end of [...waiting]) end();
	});
	return waiting;
}

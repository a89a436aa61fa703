/**
 * Long answers are made and sent in pieces: a piece is made when its client has read
 * the one before, and in between others have their turn.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { nextTurn } from "../keeper/limiter.ts";
import { onAnswerEnd } from "./answer-end.ts";

/** A piece, and what a connection buffers of it, in bytes. */
export const maxPieceBytes = 131_072;

/** The beginning of an answer; `rest`: there is more than fits into one piece. */
export interface Begun {
	readonly text: string;
	readonly rest: AsyncIterator<string> | undefined;
}

/** Lets one piece be made in each turn of the event loop, however many answers are under way. */
export type Turnstile = () => Promise<void>;

export function createTurnstile(): Turnstile {
	let last: Promise<void> = Promise.resolve();
	return () => {
		last = last.then(nextTurn);
		return last;
	};
}

/** Whether a content is one that comes in pieces. */
export function isInPieces(content: unknown): content is AsyncIterable<string> {
	return (
		typeof content === "object" &&
		content !== null &&
		Symbol.asyncIterator in content
	);
}

/**
 * Takes so much that a short answer is complete; undefined if the client is gone by
 * then: for many clients that hung up no more is made. Throws what making it throws.
 */
export async function begin(
	pieces: AsyncIterable<string>,
	turn: Turnstile,
	isGone: () => boolean,
): Promise<Begun | undefined> {
	const rest = pieces[Symbol.asyncIterator]();
	let text = "";
	while (!isGone()) {
		const next = await rest.next();
		if (next.done === true) return { text, rest: undefined };
		text += next.value;
		if (text.length >= maxPieceBytes / 2) return { text, rest };
		await turn();
	}
	await rest.return?.();
	return undefined;
}

/**
 * Sends the text and the rest behind a head that is sent already. `onProgress`: the
 * client has read a piece. Throws what making a piece throws.
 */
export async function sendPieces(
	request: IncomingMessage,
	response: ServerResponse,
	{ text, rest }: Begun,
	turn: Turnstile,
	onProgress: () => void,
): Promise<void> {
	let piece = text;
	while (!request.socket.destroyed) {
		if (!response.write(piece)) await drained(request, response);
		onProgress();
		await turn();
		const next = await rest?.next();
		if (next === undefined || next.done === true) {
			response.end();
			return;
		}
		piece = next.value;
	}
	await rest?.return?.();
}

/** Resolves when the client has read what was written, or is gone. */
function drained(
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> {
	return new Promise((resolve) => {
		const forget = onAnswerEnd(request, response, resolve);
		response.once("drain", () => {
			forget();
			resolve();
		});
	});
}

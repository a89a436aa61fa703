import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import type { Answer } from "./answer.ts";

/** Writes the answer to the wire, or fails to, as its delivery says. */
export function deliver(
	message: IncomingMessage,
	response: ServerResponse,
	answer: Answer,
	dateMs: number,
	timeScale: number,
): void {
	const { delivery } = answer;
	switch (delivery.how) {
		case "whole":
			writeHead(response, answer, Buffer.byteLength(answer.body), dateMs);
			response.end(answer.body);
			return;
		case "refuse":
		case "reset":
			message.socket.resetAndDestroy();
			return;
		case "cut": {
			const bytes = Buffer.from(answer.body);
			writeHead(response, answer, bytes.length, dateMs);
			// Only when the half is out: a reset throws away what is still queued.
			response.write(bytes.subarray(0, bytes.length / 2), () =>
				message.socket.resetAndDestroy(),
			);
			return;
		}
		case "hang":
			return;
		case "delay":
			setTimeout(
				() =>
					deliver(
						message,
						response,
						{ ...answer, delivery: { how: "whole" } },
						dateMs,
						timeScale,
					),
				(delivery.seconds * 1000) / timeScale,
			);
			return;
		case "drip":
			writeHead(response, answer, Buffer.byteLength(answer.body), dateMs);
			drip(
				response,
				Buffer.from(answer.body),
				(delivery.seconds * 1000) / timeScale,
			);
			return;
		case "gzip": {
			const bytes = gzipSync(answer.body);
			response.setHeader("Content-Encoding", "gzip");
			writeHead(response, answer, bytes.length, dateMs);
			response.end(bytes);
			return;
		}
		default:
			throw new TypeError(`unknown delivery ${delivery satisfies never}`);
	}
}

function writeHead(
	response: ServerResponse,
	answer: Answer,
	length: number,
	dateMs: number,
): void {
	response.setHeader("Date", dateText(dateMs));
	response.writeHead(answer.status, {
		...answer.headers,
		"Content-Length": length,
	});
}

function dateText(ms: number): string {
	return new Date(ms).toUTCString();
}

function drip(response: ServerResponse, bytes: Buffer, totalMs: number): void {
	let sent = 0;
	const timer = setInterval(
		() => {
			if (response.destroyed) clearInterval(timer);
			else if (sent < bytes.length)
				response.write(bytes.subarray(sent, ++sent));
			else {
				clearInterval(timer);
				response.end();
			}
		},
		Math.max(1, totalMs / (bytes.length + 1)),
	);
}

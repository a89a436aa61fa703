import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { type Answer, wholeDelivery } from "./answer.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** Writes the answer to the wire, or fails to, as its delivery says. */
export function deliver(
	response: ServerResponse,
	answer: Answer,
	clock: VirtualClock,
): void {
	const { delivery } = answer;
	switch (delivery.how) {
		case "whole":
			writeHead(response, answer, Buffer.byteLength(answer.body));
			response.end(answer.body);
			return;
		case "refuse":
		case "reset":
			reset(response);
			return;
		case "cut": {
			const bytes = Buffer.from(answer.body);
			writeHead(response, answer, bytes.length);
			// Only when the half is out: a reset throws away what is still queued.
			response.write(bytes.subarray(0, bytes.length / 2), () =>
				reset(response),
			);
			return;
		}
		case "hang":
			return;
		case "delay":
			setTimeout(
				() => deliver(response, { ...answer, delivery: wholeDelivery }, clock),
				clock.realMs(delivery.seconds),
			);
			return;
		case "drip":
			drip(response, answer, clock.realMs(delivery.seconds));
			return;
		case "gzip": {
			const bytes = gzipSync(answer.body);
			response.setHeader("Content-Encoding", "gzip");
			writeHead(response, answer, bytes.length);
			response.end(bytes);
			return;
		}
		default:
			throw new TypeError(`unknown delivery ${delivery satisfies never}`);
	}
}

function writeHead(
	response: ServerResponse,
	{ status, headers }: Answer,
	length: number,
): void {
	response.writeHead(status, { ...headers, "Content-Length": length });
}

/** Over TLS the reset is below Node's reach: there the connection just ends. */
function reset({ socket }: ServerResponse): void {
	if (socket === null) return;
	if ("encrypted" in socket) socket.destroy();
	else socket.resetAndDestroy();
}

/** One byte at a time, until the caller goes. */
function drip(response: ServerResponse, answer: Answer, totalMs: number): void {
	const bytes = Buffer.from(answer.body);
	writeHead(response, answer, bytes.length);
	response.flushHeaders();
	let sent = 0;
	const timer = setInterval(
		() => {
			if (sent < bytes.length) response.write(bytes.subarray(sent, sent + 1));
			else response.end();
			sent += 1;
			if (sent > bytes.length) clearInterval(timer);
		},
		Math.max(1, totalMs / (bytes.length + 1)),
	);
	response.on("close", () => clearInterval(timer));
}

import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below those that the system gives to whoever asks for any port: one of these could be
 * taken by another test before the program listens there.
 */
const first = 10_240;

/** Test files that run at the same time have ranges of their own: so many may. */
export const portRanges = 16;
const rangeSize = 1_280;
const range = Number(process.env.VITEST_POOL_ID ?? 0) % portRanges;

/** Another run of the tests begins elsewhere. */
let next = process.pid % rangeSize;

/** A port of 127.0.0.1 without a listener, and never the same one twice in a row. */
export async function freePort(): Promise<number> {
	for (;;) {
		const port = first + range * rangeSize + next;
		next = (next + 1) % rangeSize;
		if (await isFree(port)) return port;
	}
}

async function isFree(port: number): Promise<boolean> {
	const server = createServer().listen(port, "127.0.0.1");
	try {
		await once(server, "listening");
	} catch {
		// Somebody listens there.
		return false;
	}
	server.close();
	await once(server, "close");
	return true;
}

/** A way to a server on loopback that can be cut, or go silent, for one host alone. */
import { connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface Relay {
	readonly port: number;
	/** Ends what is open, and takes nothing. */
	cut(): void;
	/** Leaves open what is open, and hands nothing on: a half-open link. */
	silence(): void;
	mend(): void;
}

/** `endsAt`: a word at which it ends the connection, as a proxy that does not know it. */
export async function startRelay(
	to: number,
	{ endsAt }: { readonly endsAt?: string } = {},
): Promise<Relay> {
	const sockets = new Set<Socket>();
	let state: "open" | "cut" | "silent" = "open";
	const server = createServer((near) => {
		if (state === "cut") {
			near.destroy();
			return;
		}
		const far = connect(to, "127.0.0.1");
		for (const [one, other] of [
			[near, far],
			[far, near],
		] as const) {
			sockets.add(one);
			one.on("data", (bytes) => {
				const isEnd = endsAt !== undefined && bytes.includes(endsAt);
				if (isEnd) one.destroy();
				else if (state === "open") other.write(bytes);
			});
			one.on("error", () => {});
			one.on("close", () => {
				sockets.delete(one);
				other.destroy();
			});
		}
	});
	const endAll = () => {
		for (const socket of sockets) socket.destroy();
	};
	await new Promise<void>((resolve) => {
		server.listen(0, "127.0.0.1", resolve);
	});
	onTestFinished(() => {
		endAll();
		server.close();
	});
	const address = server.address();
	if (address === null || typeof address === "string")
		throw new Error("no port");
	return {
		port: address.port,
		cut: () => {
			state = "cut";
			endAll();
		},
		silence: () => {
			state = "silent";
		},
		mend: () => {
			// What was swallowed meanwhile cannot be made up for.
			if (state === "silent") endAll();
			state = "open";
		},
	};
}

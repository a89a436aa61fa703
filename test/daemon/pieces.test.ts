/** Answers in pieces, as clients see them: whole, in order, and no faster than they are read. */
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import {
	type ControlAnswer,
	createControlServer,
} from "../../src/daemon/control-http.ts";
import { newDirectory } from "../support/directory.ts";
import { eventually } from "../support/eventually.ts";
import { callSocket } from "../support/socket.ts";

const piece = "0123456789abcdef".repeat(2_048);

/** A server whose every answer has so many pieces. */
async function serve(count: number, answer: Partial<ControlAnswer> = {}) {
	let made = 0;
	let ended = 0;
	const bugs: unknown[] = [];
	async function* pieces() {
		try {
			for (let index = 0; index < count; index += 1) {
				made += 1;
				yield piece;
			}
		} finally {
			ended += 1;
		}
	}
	const server = createControlServer({
		maxConnections: 100,
		answer: async () => ({ status: 200, content: pieces(), ...answer }),
		onBug: (error) => bugs.push(error),
	});
	const path = join(newDirectory(), "socket");
	server.listen(path);
	await once(server, "listening");
	onTestFinished(() => {
		server.closeAllConnections();
		server.close();
	});
	return { path, made: () => made, ended: () => ended, bugs };
}

test("a short answer has its length, a long one comes in chunks, and both are whole", async () => {
	for (const [count, length] of [
		[1, String(piece.length)],
		[40, undefined],
	] as const) {
		const { path } = await serve(count);
		const { status, headers, text } = await callSocket(path, "/");
		expect(status).toBe(200);
		expect(headers["content-length"]).toBe(length);
		expect(headers["content-type"]).toBe("text/plain; charset=utf-8");
		expect(text).toBe(piece.repeat(count));
	}
});

test("HEAD gets the head, and what it does not show is not made", async () => {
	const { path, made, ended } = await serve(1_000);
	const { status, text } = await callSocket(path, "/", { method: "HEAD" });
	expect({ status, text }).toEqual({ status: 200, text: "" });
	await eventually(() => ended() === 1, { what: "the end" });
	expect(made()).toBeLessThan(10);
});

test("for a client that does not read, little is made; when it is gone, the rest is given up", async () => {
	const { path, made, ended } = await serve(10_000);
	const client = connect(path);
	client.write("GET / HTTP/1.1\r\n\r\n");
	client.pause();
	await eventually(() => made() > 3, { what: "the beginning" });
	// Another client gets all of its answer in the meantime.
	const { text } = await callSocket(path, "/");
	expect(text.length).toBe(10_000 * piece.length);
	expect(made()).toBeLessThan(10_200);
	client.destroy();
	await eventually(() => ended() === 2, { what: "the end" });
});

test("also a client that reads its first answer, and not the one that was ready behind it, loses its connection", async () => {
	let open = () => {};
	let isSecondReady = false;
	const server = createControlServer({
		maxConnections: 100,
		answer: async ({ path }) => {
			if (path === "/first")
				await new Promise<void>((resolve) => {
					open = resolve;
				});
			else isSecondReady = true;
			const content = path === "/first" ? "first" : piece.repeat(200);
			return { status: 200, content };
		},
		onBug: (error) => {
			throw error;
		},
	});
	const path = join(newDirectory(), "socket");
	let isOpen = true;
	server.on("connection", (socket) => {
		socket.on("close", () => {
			isOpen = false;
		});
	});
	server.listen(path);
	await once(server, "listening");
	onTestFinished(() => {
		vi.useRealTimers();
		server.close();
		server.closeAllConnections();
	});
	const client = connect(path);
	client.write("GET /first HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
	// For the timers of the answers, which begin with them.
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	while (!isSecondReady) await new Promise(setImmediate);
	open();
	await once(client, "readable");
	// Time to read the first one, and then as much for the second.
	await vi.advanceTimersByTimeAsync(20_000);
	vi.useRealTimers();
	await eventually(() => !isOpen, { what: "the end of the connection" });
});

test("answers that hold much memory are refused while others hold as much as there may be", async () => {
	const { path, made } = await serve(10_000, { heldBytes: 16_000_000 });
	const clients = [1, 2].map(() => {
		const client = connect(path);
		client.write("GET / HTTP/1.1\r\n\r\n");
		client.pause();
		return client;
	});
	await eventually(() => made() > 6, { what: "two answers" });
	const refused = await callSocket(path, "/");
	expect(refused.status).toBe(503);
	expect(refused.json()).toMatchObject({ code: "busy" });
	for (const client of clients) client.destroy();
	await eventually(
		async () =>
			(await callSocket(path, "/", { method: "HEAD" })).status === 200,
		{ what: "an answer" },
	);
});

test("an answer that is ready when its client has hung up counts for nothing, and no more of it is made", async () => {
	const gates: (() => void)[] = [];
	let made = 0;
	async function* slow() {
		await new Promise<void>((resolve) => gates.push(resolve));
		for (;;) {
			made += 1;
			yield piece;
		}
	}
	const big = "x".repeat(33_000_000);
	async function* short() {
		await new Promise<void>((resolve) => gates.push(resolve));
		yield big;
	}
	// Too much beside the big one.
	const whole = "x".repeat(1_000_000);
	const path = join(newDirectory(), "socket");
	let open = 0;
	const server = createControlServer({
		maxConnections: 100,
		answer: async ({ path: asked }) => ({
			status: 200,
			content:
				asked === "/short" ? short() : asked === "/slow" ? slow() : whole,
		}),
		onBug: (error) => {
			throw error;
		},
	});
	server.on("connection", (socket) => {
		open += 1;
		socket.on("close", () => {
			open -= 1;
		});
	});
	server.listen(path);
	await once(server, "listening");
	onTestFinished(() => void server.close());
	for (const target of ["/short", "/slow"]) {
		const client = connect(path);
		client.write(`GET ${target} HTTP/1.1\r\n\r\n`.repeat(2));
		await eventually(() => gates.length === 2, { what: "two requests" });
		client.destroy();
		await eventually(() => open === 0, { what: "the end of the connection" });
		// Queued behind the first: Node.js 20 tells no `close` of it.
		const [, second] = gates.splice(0);
		second?.();
	}
	const { status, text } = await callSocket(path, "/");
	expect({ status, length: text.length }).toEqual({
		status: 200,
		length: whole.length,
	});
	expect(made).toBeLessThanOrEqual(1);
});

test("a bug while a piece is made ends the connection, and is reported", async () => {
	async function* broken() {
		yield piece.repeat(3);
		throw new Error("a bug");
	}
	const { path, bugs } = await serve(0, { content: broken() });
	const call = request({ socketPath: path, path: "/" });
	call.end();
	const [response] = await once(call, "response");
	response.resume();
	await expect(once(response, "end")).rejects.toThrow();
	expect(bugs).toHaveLength(1);
});

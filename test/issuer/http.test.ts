import { AssertionError } from "node:assert";
import { createRequire } from "node:module";
import { createConnection, type Socket } from "node:net";
import {
	setImmediate as nextTurn,
	setTimeout as pause,
} from "node:timers/promises";
import { inspect } from "node:util";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ConfigError } from "../../src/core/errors.ts";
import { createHttp, type HttpRequest } from "../../src/issuer/http.ts";
import {
	connectError,
	exchangeError,
	LinkError,
} from "../../src/issuer/link-error.ts";
import { proxyWarnings, readProxies } from "../../src/issuer/proxy.ts";
import { certificate } from "../support/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/free-port.ts";
import {
	type RawAnswer,
	type RawRequest,
	rawAnswer,
	startRaw,
} from "../support/raw-server.ts";

/** It is in every request, and no error may show it. */
const secret = "5ecret-0123456789abcdef";
const path = `/cgi-bin/token?secret=${secret}`;
const longTimeoutMs = 20_000;

function newHttp(env: Record<string, string> = {}, connectTimeoutMs = 10_000) {
	const http = createHttp({ connectTimeoutMs, env });
	onTestFinished(() => http.close());
	const get = (baseUrl: string, more: Partial<HttpRequest> = {}) =>
		http.send({ baseUrl, path, timeoutMs: longTimeoutMs, ...more });
	return {
		...http,
		get,
		/** The error, which must be a `LinkError` without the secret. */
		failure: async (baseUrl: string, more: Partial<HttpRequest> = {}) => {
			const error = await get(baseUrl, more).then(
				() => undefined,
				(thrown: unknown) => thrown,
			);
			expect(error).toBeInstanceOf(LinkError);
			const shown = inspect(error, { depth: 20, showHidden: true });
			expect(shown).not.toContain(secret);
			expect((error as LinkError).cause).toBeUndefined();
			return error as LinkError;
		},
	};
}

const answering =
	(answer: RawAnswer) =>
	({ socket }: RawRequest) => {
		socket.write(rawAnswer(answer));
	};

const writing =
	(...parts: readonly (string | Buffer)[]) =>
	({ socket }: RawRequest) => {
		for (const part of parts) socket.write(part);
	};

async function urlOf(
	onRequest: (request: RawRequest) => void,
	options?: Parameters<typeof startRaw>[1],
) {
	const raw = await startRaw(onRequest, options);
	return { raw, url: `http://127.0.0.1:${raw.port}` };
}

const body64 = Buffer.alloc(65_536, "x");
const body64and1 = Buffer.alloc(65_537, "x");

describe("the request", () => {
	test("goes below the path of its base URL, with or without slashes at its end", async () => {
		const { raw, url } = await urlOf(answering({ body: "{}" }));
		const { get } = newHttp();
		for (const prefix of ["", "/", "/wechat", "/wechat/", "/a/b//"])
			await get(`${url}${prefix}`);
		expect(raw.requests.map(({ text }) => text.split(" ")[1])).toEqual([
			path,
			path,
			`/wechat${path}`,
			`/wechat${path}`,
			`/a/b${path}`,
		]);
	});

	test("reaches an IPv6 address", async () => {
		const { raw } = await urlOf(answering({ body: "{}" }), { address: "::1" });
		const { get } = newHttp();
		await expect(get(`http://[::1]:${raw.port}`)).resolves.toMatchObject({
			text: "{}",
		});
		expect(raw.requests[0]?.text).toContain(`host: [::1]:${raw.port}\r\n`);
	});
});

describe("the answer", () => {
	const whole = async (answer: RawAnswer) => {
		const { url } = await urlOf(answering(answer));
		return newHttp().get(url);
	};
	const refused = async (...answer: readonly (string | Buffer)[]) => {
		const { url } = await urlOf(writing(...answer));
		return newHttp().failure(url);
	};
	const compressed = (encoding: string, body: Buffer) =>
		rawAnswer({ headers: { "Content-Encoding": encoding }, body });

	test("gives the text and the server's time", async () => {
		const date = "Wed, 23 Aug 2023 09:35:12 GMT";
		expect(await whole({ body: "{}", headers: { Date: date } })).toEqual({
			status: 200,
			text: "{}",
			serverTime: Date.UTC(2023, 7, 23, 9, 35, 12),
		});
		expect(
			await whole({ body: "{}", headers: { Date: "yesterday" } }),
		).toMatchObject({ serverTime: undefined });
	});

	test("may be of any Content-Type, chunked, compressed, without a length, or after statuses that mean nothing", async () => {
		const text = '{"access_token":"小程序"}';
		const bytes = Buffer.from(text);
		const head = "HTTP/1.1 200 OK\r\n";
		const chunks = ["Transfer-Encoding: chunked\r\n\r\n"];
		for (const byte of bytes)
			chunks.push(`1\r\n`, String.fromCharCode(byte), "\r\n");
		const chunked = Buffer.from(`${head}${chunks.join("")}0\r\n\r\n`, "latin1");
		const ways: Record<string, Buffer> = {
			"application/json; encoding=utf-8": rawAnswer({
				body: bytes,
				headers: { "Content-Type": "application/json; encoding=utf-8" },
			}),
			"text/plain": rawAnswer({
				body: bytes,
				headers: { "Content-Type": "text/plain" },
			}),
			"an absurd type": rawAnswer({
				body: bytes,
				headers: { "Content-Type": "image/png; charset=gbk" },
			}),
			"no type": rawAnswer({ body: bytes }),
			chunked,
			gzip: compressed("gzip", gzipSync(bytes)),
			"x-gzip": compressed("x-gzip", gzipSync(bytes)),
			GZIP: compressed("GZIP", gzipSync(bytes)),
			deflate: compressed("deflate", deflateSync(bytes)),
			br: compressed("br", brotliCompressSync(bytes)),
			identity: compressed("identity", bytes),
			"an unasked continue": Buffer.concat([
				Buffer.from("HTTP/1.1 100 Continue\r\n\r\n"),
				rawAnswer({ body: bytes }),
			]),
			"several that mean nothing": Buffer.concat([
				Buffer.from(
					"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 What\r\n\r\n",
				),
				rawAnswer({ body: bytes }),
			]),
			"early hints": Buffer.concat([
				Buffer.from("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
				rawAnswer({ body: bytes }),
			]),
		};
		for (const [way, answer] of Object.entries(ways)) {
			const { url } = await urlOf(writing(answer));
			expect((await newHttp().get(url)).text, way).toBe(text);
		}
		// In HTTP/1.0 the answer ends with the connection.
		const { url } = await urlOf(({ socket }) =>
			socket.end(`HTTP/1.0 200 OK\r\n\r\n${text}`, "utf8"),
		);
		expect((await newHttp().get(url)).text).toBe(text);
	});

	test("may have at most 64 KiB, also after decompression", async () => {
		expect((await whole({ body: body64 })).text).toHaveLength(65_536);
		const packed = (body: Buffer) => ({
			body: gzipSync(body),
			headers: { "Content-Encoding": "gzip" },
		});
		expect((await whole(packed(body64))).text).toHaveLength(65_536);
		const big = { kind: "too-large", sent: true };
		expect(await refused(rawAnswer({ body: body64and1 }))).toMatchObject(big);
		expect(await refused(rawAnswer(packed(body64and1)))).toMatchObject(big);
		const bomb = Buffer.alloc(20_000_000);
		expect(await refused(rawAnswer(packed(bomb)))).toMatchObject(big);
		expect(
			await refused(compressed("br", brotliCompressSync(bomb))),
		).toMatchObject(big);
	});

	test("is broken off as soon as it gets too large", async () => {
		const { raw, url } = await urlOf(({ socket }) => {
			socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
			const more = () => {
				while (
					!socket.destroyed &&
					socket.write(`1000\r\n${"x".repeat(4096)}\r\n`)
				);
			};
			socket.on("drain", more);
			more();
		});
		expect(await newHttp().failure(url)).toMatchObject({
			kind: "too-large",
		});
		const { socket } = raw.requests[0] as RawRequest;
		await closed(socket);
	});

	test("is refused in a broken or unknown encoding", async () => {
		const kind = "not-json";
		expect(await refused(compressed("gzip", Buffer.from("{}")))).toMatchObject({
			kind,
			message: expect.stringContaining("(broken gzip)"),
		});
		expect(
			await refused(compressed("zstd\u001b[31m", Buffer.from("{}"))),
		).toBeInstanceOf(LinkError);
		expect(await refused(compressed("zstd", Buffer.from("{}")))).toMatchObject({
			kind,
			message: expect.stringContaining("(content-encoding zstd)"),
		});
	});

	test("is refused if it is not HTTP, or has giant headers", async () => {
		expect(await refused("SSH-2.0-OpenSSH_9.6\r\n\r\n")).toMatchObject({
			kind: "not-http",
			sent: true,
		});
		const head = `HTTP/1.1 200 OK\r\nX: ${"x".repeat(70_000)}\r\n\r\n`;
		expect(await refused(head)).toMatchObject({ kind: "too-large" });
	});

	test("with an error status is not read to its end, however long it is", async () => {
		const { raw, url } = await urlOf(({ socket }) => {
			socket.write(
				"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9999999\r\n\r\n<ht",
			);
		});
		expect(await newHttp().get(url)).toMatchObject({ status: 502, text: "" });
		const { socket } = raw.requests[0] as RawRequest;
		await closed(socket);
	});

	test("that redirects is not followed, as the AppSecret would be sent there", async () => {
		const elsewhere = await startRaw(answering({ body: "{}" }));
		for (const status of ["301 Moved", "302 Found", "307 Same", "308 Same"]) {
			const { url } = await urlOf(
				answering({
					status,
					headers: { Location: `http://127.0.0.1:${elsewhere.port}/` },
				}),
			);
			const answer = await newHttp().get(url);
			expect(answer.status).toBe(Number(status.slice(0, 3)));
		}
		expect(elsewhere.requests).toEqual([]);
	});
});

describe("a link that fails", () => {
	test("before the request has left gives `sent: false`", async () => {
		const gone = await startRaw(() => {});
		const refusing = `http://127.0.0.1:${await freePort()}`;
		const cutting = await startRaw(() => {}, {
			onConnection: (socket) => socket.destroy(),
		});
		const { failure } = newHttp();
		const unreachable = { kind: "unreachable", sent: false };
		expect(await failure(refusing)).toMatchObject({
			...unreachable,
			code: "ECONNREFUSED",
		});
		expect(await failure("http://wxtokend.invalid")).toMatchObject({
			...unreachable,
			code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/),
		});
		// Closed in the middle of the handshake.
		expect(await failure(`https://127.0.0.1:${cutting.port}`)).toMatchObject({
			...unreachable,
			code: "ECONNRESET",
		});
		expect(gone.requests).toEqual([]);
	});

	test("after the request has left gives `sent: true`", async () => {
		const interrupted = { kind: "interrupted", sent: true };
		const cases: Record<string, (request: RawRequest) => void> = {
			reset: ({ socket }) => socket.resetAndDestroy(),
			"closed without a word": ({ socket }) => socket.end(),
			"reset in the body": ({ socket }) => {
				socket.write("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", () =>
					socket.resetAndDestroy(),
				);
			},
			"closed in the body": ({ socket }) => {
				socket.end("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{");
			},
			"closed in a chunk": ({ socket }) => {
				socket.end(
					"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
				);
			},
		};
		for (const [name, act] of Object.entries(cases)) {
			const { raw, url } = await urlOf(act);
			expect(await newHttp().failure(url), name).toMatchObject(interrupted);
			// Without an answer shortly before, no connection can have become stale.
			expect(raw.requests, name).toHaveLength(1);
		}
	});

	test("by silence ends at the timeout of the whole request, in every phase", async () => {
		const timeoutMs = 150;
		const { failure } = newHttp();
		const silent = await urlOf(() => {});
		const late = { kind: "timeout", code: "timeout", sent: true };
		expect(await failure(silent.url, { timeoutMs })).toMatchObject(late);
		const dripping = await urlOf(({ socket }) => {
			socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n");
			// The bytes come so fast that no timeout between two of them could end it.
			const timer = setInterval(() => socket.write("x"), 10);
			socket.on("close", () => clearInterval(timer));
		});
		expect(await failure(dripping.url, { timeoutMs })).toMatchObject(late);
		const drippingHead = await urlOf(({ socket }) => {
			socket.write("HTTP/1.1 200 OK\r\nX: ");
			const timer = setInterval(() => socket.write("x"), 10);
			socket.on("close", () => clearInterval(timer));
		});
		expect(await failure(drippingHead.url, { timeoutMs })).toMatchObject(late);
		// TLS is never established; the request's timeout is shorter than the connection's.
		const mute = await startRaw(() => {}, { onConnection: () => {} });
		expect(
			await failure(`https://127.0.0.1:${mute.port}`, { timeoutMs }),
		).toMatchObject({ kind: "unreachable", code: "timeout", sent: false });
	});

	test("by silence before the connection is established ends at the timeout of connections", async () => {
		const mute = await startRaw(() => {}, { onConnection: () => {} });
		const { failure } = newHttp({}, 200);
		expect(await failure(`https://127.0.0.1:${mute.port}`)).toMatchObject({
			kind: "unreachable",
			code: "UND_ERR_CONNECT_TIMEOUT",
			sent: false,
		});
	});

	test("does not deliver its request later, when it works again", async () => {
		let accept: (() => void) | undefined;
		const { key, cert } = aCertificate();
		const target = await startRaw(answering({ body: "{}" }), {
			tls: { key, cert },
		});
		// It passes the bytes on only when `accept` is called.
		const gate = await startRaw(() => {}, {
			onConnection: (socket) => {
				socket.pause();
				accept = () => splice(socket, target.port);
			},
		});
		const { failure } = newHttp();
		await failure(`https://127.0.0.1:${gate.port}`, { timeoutMs: 100 });
		accept?.();
		await pause(100);
		expect(target.requests).toEqual([]);
	});
});

describe("TLS", () => {
	test("is always verified", async () => {
		const { failure } = newHttp();
		const honest = answering({ body: "{}" });
		const selfSigned = await startRaw(honest, { tls: aCertificate() });
		expect(await failure(`https://127.0.0.1:${selfSigned.port}`)).toMatchObject(
			{
				kind: "intercepted",
				code: "DEPTH_ZERO_SELF_SIGNED_CERT",
				sent: false,
			},
		);
		expect(selfSigned.requests).toEqual([]);
	});

	test("is verified also if NODE_TLS_REJECT_UNAUTHORIZED is 0", async () => {
		vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
		onTestFinished(() => {
			vi.unstubAllEnvs();
		});
		const selfSigned = await startRaw(answering({ body: "{}" }), {
			tls: aCertificate(),
		});
		expect(
			await newHttp().failure(`https://127.0.0.1:${selfSigned.port}`),
		).toMatchObject({ kind: "intercepted", sent: false });
		expect(selfSigned.requests).toEqual([]);
	});

	test("that the server does not speak gives no-tls", async () => {
		const { failure } = newHttp();
		const plain = await startRaw(() => {}, {
			onConnection: (socket) =>
				socket.once("data", () =>
					socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
				),
		});
		expect(await failure(`https://127.0.0.1:${plain.port}`)).toMatchObject({
			kind: "no-tls",
			sent: false,
		});
	});
});

describe("over plain http a connection carries one request:", () => {
	test("an answer that comes twice never answers somebody else's request", async () => {
		// Each answer names its request, and is sent again after the next one arrived.
		let late: (() => void) | undefined;
		const { raw, url } = await urlOf(({ socket, text }) => {
			const body = /account=(\d+)/.exec(text)?.[1] ?? "";
			late?.();
			socket.write(rawAnswer({ body }));
			late = () => socket.write(rawAnswer({ body }));
		});
		const { get } = newHttp();
		for (let account = 0; account < 20; account += 1) {
			const answer = await get(url, {
				path: `/cgi-bin/token?account=${account}`,
			});
			expect(answer.text).toBe(String(account));
			// So that a connection that was kept would be used again.
			await nextTurn();
			await nextTurn();
		}
		expect(raw.connections()).toBe(20);
		expect(raw.requests.map(({ nth }) => nth)).toEqual(Array(20).fill(1));
	});

	test.each([
		["after it", (answer: Buffer) => [Buffer.concat([answer, answer])]],
		["after it, in another piece", (answer: Buffer) => [answer, answer]],
		[
			"after it, which closes",
			(answer: Buffer) => [
				Buffer.concat([
					Buffer.from(
						"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\none",
					),
					answer,
				]),
			],
		],
		[
			"after it, and makes no sense",
			() => [
				Buffer.concat([
					rawAnswer({ body: "one" }),
					Buffer.from("SSH-2.0-OpenSSH_9.6\r\n\r\n"),
				]),
			],
		],
	])("the first answer counts, whatever comes %s", async (_, parts) => {
		const { url } = await urlOf(writing(...parts(rawAnswer({ body: "one" }))));
		expect((await newHttp().get(url)).text).toBe("one");
	});

	test("what was said before the request left is no answer to it", async () => {
		const unasked = { kind: "unasked", sent: false };
		const answer = rawAnswer({ body: '{"access_token":"another"}' });
		const requests: string[] = [];
		const speaker = await startRaw(() => {}, {
			onConnection: (socket) => {
				socket.write(answer);
				socket.on("data", (bytes) => requests.push(String(bytes)));
			},
		});
		const { failure } = newHttp();
		expect(await failure(`http://127.0.0.1:${speaker.port}`)).toMatchObject(
			unasked,
		);
		expect(requests).toEqual([]);
		// The same where a proxy hands out more than the tunnel.
		const proxy = await startRaw(
			writing(Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\n\r\n"), answer])),
		);
		const https_proxy = `http://127.0.0.1:${proxy.port}`;
		expect(
			await newHttp({ https_proxy }).failure("https://api.weixin.qq.com"),
		).toMatchObject(unasked);
	});

	test("one that was closed before the request left has not carried it", async () => {
		const { port } = await startRaw(() => {}, {
			onConnection: (socket) => socket.end(),
		});
		expect(await newHttp().failure(`http://127.0.0.1:${port}`)).toMatchObject({
			kind: "unreachable",
			sent: false,
		});
	});

	test("one that breaks is not tried again: the next attempt does that", async () => {
		const { raw, url } = await urlOf(({ socket }) => {
			if (raw.requests.length === 1) socket.write(rawAnswer({ body: "{}" }));
			else socket.resetAndDestroy();
		});
		const { get, failure } = newHttp();
		await get(url);
		expect(await failure(url)).toMatchObject({
			kind: "interrupted",
			sent: true,
		});
		expect(raw.requests).toHaveLength(2);
	});
});

describe("an error that no link can cause is passed on as it is:", () => {
	test.each([
		["no memory", () => new RangeError("Array buffer allocation failed")],
		["a wrong argument", () => new TypeError("The argument is wrong")],
		["a wrong state", () => new AssertionError({ message: "state" })],
	])("%s", (_, make) => {
		const error = make();
		expect(connectError(error)).toBe(error);
		expect(exchangeError(error, true)).toBe(error);
	});

	test("also to the caller of a request", async () => {
		const { url } = await urlOf(answering({ body: "{}" }));
		const fault = new RangeError("Array buffer allocation failed");
		const onSent = () => {
			throw fault;
		};
		await expect(newHttp().get(url, { onSent })).rejects.toBe(fault);
	});

	test("but a limit on addresses is told with its remedy", () => {
		const error = new RangeError(
			"WebAssembly.Instance(): Out of memory: Cannot allocate Wasm memory for new instance",
		);
		expect(exchangeError(error, false)).toMatchObject({
			kind: "no-memory",
			sent: false,
		});
	});
});

/** A server whose certificate is trusted, as one of `NODE_EXTRA_CA_CERTS` is. */
async function trustedUrlOf(onRequest: (request: RawRequest) => void) {
	const tls = createRequire(import.meta.url)("node:tls");
	const own = aCertificate();
	const connect = tls.connect;
	const spy = vi
		.spyOn(tls, "connect")
		.mockImplementation((options) =>
			connect({ ...(options as object), ca: own.cert }),
		);
	onTestFinished(() => spy.mockRestore());
	const raw = await startRaw(onRequest, { tls: own });
	return { raw, url: `https://127.0.0.1:${raw.port}` };
}

describe("a shared https connection that became stale while it was idle makes no request fail:", () => {
	const twice = async (
		onRequest: (request: RawRequest) => void,
		more: Partial<HttpRequest> = {},
	) => {
		const { raw, url } = await trustedUrlOf(onRequest);
		const http = newHttp();
		await http.get(url);
		// Then the connection is idle, and will be used again.
		await nextTurn();
		await nextTurn();
		return { raw, second: () => http.get(url, more), http, url };
	};
	const onceOnly: (request: RawRequest) => void = ({ socket, nth }) => {
		if (nth === 1) socket.write(rawAnswer({ body: "{}" }));
		else socket.destroy();
	};

	test("when it is cut off at its second request", async () => {
		const { raw, second } = await twice(onceOnly);
		await expect(second()).resolves.toMatchObject({ text: "{}" });
		expect(raw.requests.map(({ nth }) => nth)).toEqual([1, 2, 1]);
	});

	test("when it is closed at its second request", async () => {
		const { raw, second } = await twice(({ socket, nth }) => {
			if (nth === 1) socket.write(rawAnswer({ body: "{}" }));
			else socket.end();
		});
		await expect(second()).resolves.toMatchObject({ text: "{}" });
		expect(raw.connections()).toBe(2);
	});

	test("but a request that may be sent only once is not sent again", async () => {
		const { raw, second } = await twice(onceOnly, {
			body: '{"force_refresh":true}',
			onlyOnce: true,
		});
		await expect(second()).rejects.toMatchObject({
			kind: "interrupted",
			sent: true,
		});
		expect(raw.requests).toHaveLength(2);
	});

	test("and no request is sent a third time", async () => {
		let answers = 1;
		const { raw, http, url } = await twice(({ socket }) => {
			if (answers > 0) socket.write(rawAnswer({ body: "{}" }));
			else socket.destroy();
			answers -= 1;
		});
		expect(await http.failure(url)).toMatchObject({ kind: "interrupted" });
		expect(raw.requests).toHaveLength(3);
	});

	test("but a request whose answer breaks off in the middle is not sent again", async () => {
		const { raw, http, url } = await twice(({ socket, nth }) => {
			if (nth === 1) socket.write(rawAnswer({ body: "{}" }));
			else socket.end("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{");
		});
		expect(await http.failure(url)).toMatchObject({ kind: "interrupted" });
		expect(raw.requests).toHaveLength(2);
	});

	test("and requests at any interval near the server's idle timeout succeed", async () => {
		// The server closes after a second, without announcing it.
		const { url } = await trustedUrlOf(({ socket }) => {
			socket.write(rawAnswer({ body: "{}" }));
			const timer = setTimeout(() => socket.destroy(), 1_000);
			socket.on("data", () => clearTimeout(timer));
		});
		const { get } = newHttp();
		const series = [0, 900, 980, 995, 1_000, 1_005, 1_020, 1_300, 2_000].map(
			async (gapMs) => {
				await get(url);
				await pause(gapMs);
				return (await get(url)).text;
			},
		);
		expect(new Set(await Promise.all(series))).toEqual(new Set(["{}"]));
	});
});

describe("a proxy", () => {
	const target = "https://api.weixin.qq.com";

	/** A proxy whose answer to CONNECT the test decides. */
	async function startProxy(
		answer: (request: RawRequest) => void,
		tls?: { key: string; cert: string },
	) {
		const raw = await startRaw(answer, tls ? { tls } : {});
		return { raw, port: raw.port };
	}

	test("of https_proxy gets a CONNECT, and the TLS in the tunnel is verified", async () => {
		const wechat = await startRaw(answering({ body: "{}" }), {
			tls: aCertificate(),
		});
		const { raw, port } = await startProxy(({ socket }) => {
			socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
			splice(socket, wechat.port);
		});
		for (const https_proxy of [
			`http://127.0.0.1:${port}`,
			`127.0.0.1:${port}`,
			`http://me:p%40ss@127.0.0.1:${port}/`,
		]) {
			const { failure } = newHttp({ https_proxy });
			expect(await failure(target)).toMatchObject({
				kind: "intercepted",
				sent: false,
			});
		}
		const texts = raw.requests.map(({ text }) => text);
		for (const text of texts)
			expect(text).toMatch(
				/^CONNECT api\.weixin\.qq\.com:443 HTTP\/1\.1\r\nhost: api\.weixin\.qq\.com:443\r\n/i,
			);
		const basic = Buffer.from("me:p@ss").toString("base64");
		expect(
			texts.map((text) => /authorization: (.*)\r/i.exec(text)?.[1]),
		).toEqual([undefined, undefined, `Basic ${basic}`]);
		expect(texts.join("")).not.toContain(secret);
	});

	test("that refuses, fails, closes or keeps silent gives an error of its own, and gets one request", async () => {
		const cases: readonly [
			(request: RawRequest) => void,
			Partial<LinkError>,
		][] = [
			[
				answering({ status: "407 Proxy Authentication Required" }),
				{ kind: "proxy-refused", code: "http 407 to CONNECT" },
			],
			[
				answering({ status: "403 Forbidden", body: "<html>" }),
				{ kind: "proxy-refused" },
			],
			[
				answering({ status: "503 Service Unavailable" }),
				{ kind: "unreachable", code: "http 503 from the proxy" },
			],
			[({ socket }) => socket.end(), { kind: "no-proxy" }],
			[({ socket }) => socket.resetAndDestroy(), { kind: "no-proxy" }],
			[writing("SSH-2.0-OpenSSH_9.6\r\n\r\n"), { kind: "no-proxy" }],
			[() => {}, { kind: "no-proxy", code: "no answer to CONNECT" }],
		];
		for (const [answer, expected] of cases) {
			const { raw, port } = await startProxy(answer);
			const { failure } = newHttp(
				{ https_proxy: `http://127.0.0.1:${port}` },
				300,
			);
			expect(await failure(target)).toMatchObject({ ...expected, sent: false });
			// A library that connects again by itself would do so at once.
			await pause(20);
			expect(raw.connections()).toBe(1);
		}
		const https_proxy = `http://127.0.0.1:${await freePort()}`;
		expect(await newHttp({ https_proxy }).failure(target)).toMatchObject({
			kind: "no-proxy",
			code: "ECONNREFUSED",
		});
	});

	test("with an untrusted certificate gets no request", async () => {
		const { raw, port } = await startProxy(() => {}, aCertificate());
		const { failure } = newHttp({ https_proxy: `https://127.0.0.1:${port}` });
		expect(await failure(target)).toMatchObject({ kind: "intercepted" });
		expect(raw.requests).toEqual([]);
	});

	test("that never answers does not outlast the request", async () => {
		const { port } = await startProxy(() => {});
		const { failure } = newHttp({ https_proxy: `http://127.0.0.1:${port}` });
		expect(await failure(target, { timeoutMs: 150 })).toMatchObject({
			kind: "unreachable",
			code: "timeout",
			sent: false,
		});
	});

	test("is handed plain http as it is, without CONNECT, and only the protocol it is named for", async () => {
		const { raw, port } = await startProxy(answering({ body: "{}" }));
		for (const http_proxy of [
			`http://127.0.0.1:${port}`,
			`http://me:p%40ss@127.0.0.1:${port}`,
		]) {
			const { get } = newHttp({ http_proxy });
			expect((await get("http://api.weixin.qq.com")).text).toBe("{}");
			await get("http://api.weixin.qq.com:8080/below", { body: "{}" });
			// An http_proxy is none for https.
			await newHttp({ http_proxy }).failure("https://wxtokend.invalid");
		}
		const heads = raw.requests.map(({ text }) => text.split("\r\n"));
		const auth = `proxy-authorization: Basic ${Buffer.from("me:p@ss").toString("base64")}`;
		expect(
			heads.map(([line = "", host = "", ...rest]) => [
				line,
				host,
				rest.includes(auth),
			]),
		).toEqual(
			[false, true].flatMap((isNamed) => [
				[
					`GET http://api.weixin.qq.com${path} HTTP/1.1`,
					"host: api.weixin.qq.com",
					isNamed,
				],
				[
					`POST http://api.weixin.qq.com:8080/below${path} HTTP/1.1`,
					"host: api.weixin.qq.com:8080",
					isNamed,
				],
			]),
		);
	});

	test("that does not run is named also for plain http", async () => {
		const http_proxy = `http://127.0.0.1:${await freePort()}`;
		expect(
			await newHttp({ http_proxy }).failure("http://api.weixin.qq.com"),
		).toMatchObject({ kind: "no-proxy", code: "ECONNREFUSED", sent: false });
	});

	test("is not used for this machine and for the names in no_proxy", async () => {
		const { raw, port } = await startProxy(
			answering({ status: "403 Forbidden" }),
		);
		const https_proxy = `http://127.0.0.1:${port}`;
		const throughProxy = async (host: string, no_proxy: string) => {
			const before = raw.requests.length;
			await newHttp({ https_proxy, no_proxy }, 2_000).failure(
				`https://${host}`,
				{
					timeoutMs: 4_000,
				},
			);
			return raw.requests.length > before;
		};
		const host = "api.wxtokend.invalid";
		expect(await throughProxy(host, "")).toBe(true);
		expect(
			await throughProxy(host, "other.invalid, xapi.wxtokend.invalid"),
		).toBe(true);
		expect(await throughProxy(host, "i.wxtokend.invalid")).toBe(true);
		expect(await throughProxy(host, `${host}:444`)).toBe(true);
		for (const no_proxy of [
			"*",
			host,
			host.toUpperCase(),
			"wxtokend.invalid",
			".wxtokend.invalid",
			"*.wxtokend.invalid",
			`other,${host}`,
			`other ${host}`,
			`${host}:443`,
		])
			expect(await throughProxy(host, no_proxy), no_proxy).toBe(false);
		const free = await freePort();
		for (const loopback of ["127.0.0.1", "localhost", "[::1]"])
			expect(await throughProxy(`${loopback}:${free}`, ""), loopback).toBe(
				false,
			);
	});

	test.each([
		["198.51.100.7", "198.51.100.0/24", false],
		["198.51.100.7", "10.0.0.0/8,198.51.100.6/31", false],
		["198.51.101.7", "198.51.100.0/24", true],
		["198.51.100.7", "100.7", true],
		["198.51.100.7", "198.51.100.0/33", true],
		["2001:db8::1", "2001:db8::/32", false],
		["2001:db8::1", "[2001:db8::]/32", false],
		["2001:db9::1", "2001:db8::/32", true],
		["api.example.test", "198.51.100.0/24", true],
		["api.example.test", "example.test.", false],
		["api.example.test.", "example.test", false],
	])("for %s with no_proxy = %s: used is %s", (hostname, no_proxy, used) => {
		const proxyOf = readProxies({ https_proxy: "http://proxy:3128", no_proxy });
		const destination = { protocol: "https:", hostname, port: "" };
		expect(proxyOf(destination) !== undefined).toBe(used);
	});

	test("whose address stands in quotes is found, and the quotes are told", async () => {
		const { raw, port } = await startProxy(
			answering({ status: "403 Forbidden" }),
		);
		for (const [name, quoted] of [
			["https_proxy", `"http://127.0.0.1:${port}"`],
			["https_proxy", `'http://127.0.0.1:${port}' `],
			["HTTPS_PROXY", `“127.0.0.1:${port}”`],
		] as const) {
			const env = { [name]: quoted };
			expect(await newHttp(env).failure(target)).toMatchObject({
				kind: "proxy-refused",
			});
			expect(proxyWarnings(env)).toEqual([
				`${name} in the environment: its value stands in quotes; it is used without them`,
			]);
		}
		expect(raw.requests).toHaveLength(3);
		const no_proxy = "'127.0.0.1,.wxtokend.invalid'";
		const env = { https_proxy: `http://127.0.0.1:${port}`, no_proxy };
		expect(
			await newHttp(env).failure("https://api.wxtokend.invalid"),
		).toMatchObject({ kind: "unreachable" });
		expect(raw.requests).toHaveLength(3);
		expect(proxyWarnings(env)).toEqual([expect.stringMatching(/^no_proxy /)]);
	});

	test("of ALL_PROXY alone is not used, and that is told", () => {
		const ALL_PROXY = "socks5://127.0.0.1:1080";
		expect(proxyWarnings({ ALL_PROXY })).toEqual([
			expect.stringMatching(
				/^ALL_PROXY .* not used.* without a proxy; set https_proxy/,
			),
		]);
		expect(proxyWarnings({ all_proxy: ALL_PROXY })).toHaveLength(1);
		expect(
			proxyWarnings({ ALL_PROXY, https_proxy: "http://proxy:3128" }),
		).toEqual([]);
		expect(proxyWarnings({})).toEqual([]);
	});

	test("with an invalid address is a ConfigError that does not show its password", () => {
		for (const value of [
			"socks5://me:passw0rd@proxy:1080",
			"http://me:passw0rd@",
			"ftp://proxy",
			"http://[",
			// One quote may have lost the other one; no host has any.
			'http://"proxy:3128',
			'"http://me:passw0rd@proxy:3128',
		]) {
			const thrown = (() => {
				try {
					createHttp({ connectTimeoutMs: 1, env: { https_proxy: value } });
				} catch (error) {
					return error;
				}
			})();
			expect(thrown, value).toBeInstanceOf(ConfigError);
			expect(inspect(thrown, { depth: 9, showHidden: true })).not.toContain(
				"passw0rd",
			);
			expect((thrown as ConfigError).problems[0]?.path).toBe("https_proxy");
		}
	});
});

test("a thousand requests, good and bad, leave no timer, listener or connection behind", async () => {
	let count = 0;
	const { url } = await urlOf(({ socket }) => {
		count += 1;
		if (count % 3 === 0) socket.resetAndDestroy();
		else if (count % 3 === 1) socket.write(rawAnswer({ body: "{}" }));
		else socket.write(rawAnswer({ status: "502 Bad", body: "<html>" }));
	});
	const warnings: Error[] = [];
	const note = (warning: Error) => warnings.push(warning);
	process.on("warning", note);
	onTestFinished(() => {
		process.off("warning", note);
	});
	const http = createHttp({ connectTimeoutMs: 5_000, env: {} });
	const before = held();
	for (let round = 0; round < 50; round += 1)
		await Promise.allSettled(
			Array.from({ length: 20 }, () =>
				http.send({ baseUrl: url, path, timeoutMs: longTimeoutMs }),
			),
		);
	expect(count).toBeGreaterThanOrEqual(1_000);
	await http.close();
	await eventually(() => held().sockets <= before.sockets, {
		what: "the end of all connections",
	});
	// undici keeps one timer for all of its clients, for a second or two.
	expect(held().timers - before.timers).toBeLessThanOrEqual(1);
	expect(warnings).toEqual([]);
});

function held() {
	const kinds = process.getActiveResourcesInfo();
	const countOf = (pattern: RegExp) =>
		kinds.filter((kind) => pattern.test(kind)).length;
	return {
		timers: countOf(/Timeout/),
		sockets: countOf(/TCPSocketWrap|TLSWrap/),
	};
}

let made: { readonly key: string; readonly cert: string } | undefined;

/** Self-signed for 127.0.0.1. Made once, as that takes some time. */
function aCertificate() {
	made ??= certificate(
		new Date(Date.now() - 86_400_000),
		new Date(Date.now() + 86_400_000),
	);
	return made;
}

function closed(socket: Socket): Promise<unknown> {
	return new Promise((resolve) => {
		if (socket.destroyed) resolve(undefined);
		else socket.once("close", resolve);
	});
}

function splice(socket: Socket, port: number): void {
	const onward = createConnection(port, "127.0.0.1");
	onward.on("error", () => socket.destroy());
	socket.on("close", () => onward.destroy());
	onward.on("close", () => socket.destroy());
	socket.removeAllListeners("data");
	socket.setEncoding("latin1");
	socket.on("data", (text) =>
		onward.write(text as unknown as string, "latin1"),
	);
	onward.on("data", (bytes) => socket.write(bytes));
	socket.resume();
}

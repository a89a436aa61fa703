import { once } from "node:events";
import { createConnection } from "node:net";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
	checkFault,
	type Fault,
	type FaultMode,
	faultModes,
} from "../../src/simulator/faults.ts";
import type {
	Simulator,
	SimulatorOptions,
} from "../../src/simulator/server.ts";
import { startWeChat } from "../support/wechat.ts";
import { call } from "./call.ts";
import { at, mini, mp, scene } from "./scene.ts";

function started(options: Partial<SimulatorOptions> = {}): Promise<Simulator> {
	return startWeChat({ accounts: [mp, mini], ...options });
}

const target = (account: { appid: string; secret: string } = mp) =>
	`/cgi-bin/token?grant_type=client_credential&appid=${account.appid}&secret=${account.secret}`;

/** The answer to a fetch while the fault is in force. */
async function fetched(fault: Fault) {
	const { url, addFault } = await started();
	await addFault(fault);
	return call(`${url}${target()}`);
}

describe("S45: over real HTTP", () => {
	test("refuse: the port is closed, for every endpoint", async () => {
		const { url, addFault } = await started();
		const clear = await addFault({ mode: "refuse" });
		const refused = { code: "ECONNREFUSED" };
		await expect(call(`${url}${target()}`)).rejects.toMatchObject(refused);
		await expect(call(`${url}/sim/state`)).rejects.toMatchObject(refused);
		await clear();
		expect((await call(`${url}${target()}`)).status).toBe(200);
	});

	test("refuse: the port opens again when skipped time ends the fault", async () => {
		const { url, addFault, advance, now } = await started({ timeScale: 0 });
		await addFault({ mode: "refuse", forSeconds: 60 });
		await expect(call(`${url}${target()}`)).rejects.toThrow();
		const before = now();
		await advance(60);
		expect(now() - before).toBe(60_000);
		expect((await call(`${url}${target()}`)).status).toBe(200);
	});

	test("refuse: the port opens again when passing time ends the fault", async () => {
		const { url, addFault, now } = await started({ timeScale: 1000 });
		const before = now();
		await addFault({ mode: "refuse", forSeconds: 60 });
		let status: number | undefined;
		for (let tries = 0; tries < 10_000 && status === undefined; tries += 1)
			status = await call(`${url}${target()}`).then(
				(reply) => reply.status,
				() => undefined,
			);
		expect(status).toBe(200);
		expect(now() - before).toBeGreaterThanOrEqual(60_000);
	});

	test("refuse: with an endpoint, account or count the connection is reset instead", async () => {
		const { url, addFault } = await started();
		await addFault({ mode: "refuse", count: 1 });
		await expect(call(`${url}${target()}`)).rejects.toMatchObject({
			code: "ECONNRESET",
		});
		expect((await call(`${url}${target()}`)).status).toBe(200);
	});

	test("reset: the connection is reset instead of an answer", async () => {
		await expect(fetched({ mode: "reset" })).rejects.toMatchObject({
			code: "ECONNRESET",
		});
	});

	test("cut: the headers and half of the body, then a reset", async () => {
		const { port, addFault, requests } = await started();
		await addFault({ mode: "cut" });
		const text = await raw(port, `GET ${target()} HTTP/1.1\r\nHost: x\r\n\r\n`);
		const [head = "", body = ""] = text.split("\r\n\r\n");
		const length = Number(/Content-Length: (\d+)/.exec(head)?.[1]);
		expect(body).toHaveLength(Math.floor(length / 2));
		expect(body).toMatch(/^\{"access_token":"/);
		expect(requests.at(-1)?.processed).toBe("issued");
	});

	test("hang: the connection stays open without a byte", async () => {
		const { url, port, addFault, waitFor } = await started();
		await addFault({ mode: "hang" });
		const socket = createConnection(port, "127.0.0.1");
		let bytes = 0;
		socket.on("data", (chunk) => {
			bytes += chunk.length;
		});
		socket.write(`GET ${target()} HTTP/1.1\r\nHost: x\r\n\r\n`);
		await waitFor(({ outcome }) => outcome === "fault hang", 10_000);
		// Other requests are answered meanwhile.
		for (let count = 0; count < 5; count += 1) await call(`${url}/sim/state`);
		expect(bytes).toBe(0);
		expect(socket.closed).toBe(false);
		socket.destroy();
	});

	test("delay: the answer comes late", async () => {
		const { url, addFault, waitFor } = await started();
		await addFault({ mode: "delay", seconds: 0.2, count: 1 });
		let isDone = false;
		const late = call(`${url}${target()}`).finally(() => {
			isDone = true;
		});
		await waitFor(({ outcome }) => outcome === "fault delay", 10_000);
		expect(isDone).toBe(false);
		expect(JSON.parse((await late).body)).toHaveProperty("access_token");
	});

	test("drip: one byte at a time, complete in the end", async () => {
		const { port, addFault } = await started();
		await addFault({ mode: "drip", seconds: 0.2 });
		const pieces: string[] = [];
		const socket = createConnection(port, "127.0.0.1");
		socket.on("data", (chunk) => pieces.push(chunk.toString()));
		socket.write(
			`GET ${target()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
		);
		await once(socket, "close");
		expect(pieces.length).toBeGreaterThan(10);
		const [, body = ""] = pieces.join("").split("\r\n\r\n");
		expect(JSON.parse(body)).toHaveProperty("access_token");
	});

	test.each([403, 404, 412, 500, 502, 503, 504])(
		"status: HTTP %i with HTML",
		async (status) => {
			const reply = await fetched({ mode: "status", status });
			expect(reply.status).toBe(status);
			expect(reply.headers["content-type"]).toBe("text/html");
			expect(reply.body).toMatch(/^<html>/);
		},
	);

	test("redirect: 301 to another host", async () => {
		const location = "https://elsewhere.invalid/";
		const reply = await fetched({ mode: "redirect", location });
		expect(reply.status).toBe(301);
		expect(reply.headers.location).toBe(location);
	});

	test("gzip-big: a small body that unpacks to 2 MB", async () => {
		const { port, addFault } = await started();
		await addFault({ mode: "gzip-big" });
		const text = await raw(
			port,
			`GET ${target()} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
			"latin1",
		);
		const [head = "", body = ""] = text.split(/\r\n\r\n(.*)/s);
		expect(head).toContain("Content-Encoding: gzip");
		expect(body.length).toBeLessThan(10_000);
		expect(gunzipSync(Buffer.from(body, "latin1")).length).toBeGreaterThan(
			2 ** 21,
		);
	});

	const token = expect.stringMatching(/^\d\d_/);
	test.each<[FaultMode, (body: string) => unknown, unknown]>([
		["empty", (body) => body, ""],
		["truncated", (body) => isJson(body), false],
		["html", (body) => body.startsWith("<html>"), true],
		["no-fields", JSON.parse, {}],
		["empty-token", JSON.parse, { access_token: "", expires_in: 7200 }],
		["expires-absent", JSON.parse, { access_token: token }],
		["expires-zero", JSON.parse, { access_token: token, expires_in: 0 }],
		["expires-negative", JSON.parse, { access_token: token, expires_in: -1 }],
		["expires-text", JSON.parse, { access_token: token, expires_in: "7200" }],
		["expires-huge", JSON.parse, { access_token: token, expires_in: 1e12 }],
		["bom", (body) => [body.charCodeAt(0), isJson(body)], [0xfeff, false]],
		["big", (body) => body.length > 2 ** 21 && isJson(body), true],
		[
			"errcode",
			JSON.parse,
			{ errcode: -1, errmsg: expect.stringMatching(/^system error rid: /) },
		],
		[
			"errcode-text",
			JSON.parse,
			{ errcode: "-1", errmsg: expect.stringMatching(/^system error rid: /) },
		],
	])("%s: HTTP 200 with a wrong answer", async (mode, seen, expected) => {
		const { status, body, headers } = await fetched({ mode });
		expect(status).toBe(200);
		expect(headers["content-length"]).toBe(String(Buffer.byteLength(body)));
		expect(seen(body)).toEqual(expected);
	});

	test("errcode: any number, known or unknown", async () => {
		const known = await fetched({ mode: "errcode", errcode: 40243 });
		expect(JSON.parse(known.body)).toMatchObject({ errcode: 40243 });
		const unknown = await fetched({
			mode: "errcode",
			errcode: 10001,
			errmsg: "as it is",
		});
		expect(JSON.parse(unknown.body)).toEqual({
			errcode: 10001,
			errmsg: "as it is",
		});
	});

	test("body: any text, unchanged", async () => {
		const reply = await fetched({ mode: "body", body: "[]", status: 500 });
		expect([reply.status, reply.body]).toEqual([500, "[]"]);
	});
});

describe("S45: a fault hits", () => {
	const outcomes = (fault: Fault, seconds: readonly number[]) => {
		const { platform } = scene();
		platform.faults.add(fault, at(0));
		return seconds.map((second) => {
			const { outcome } = platform.classicToken(mp, at(second));
			return outcome === "issued" ? "ok" : outcome;
		});
	};

	test("so many calls as its count says", () => {
		expect(outcomes({ mode: "errcode", count: 3 }, [0, 1, 2, 3, 4])).toEqual([
			...Array(3).fill("fault errcode"),
			...Array(2).fill("ok"),
		]);
	});

	test("calls until its virtual seconds are over", () => {
		expect(
			outcomes({ mode: "status", forSeconds: 60 }, [0, 59.9, 60, 61]),
		).toEqual(["fault status", "fault status", "ok", "ok"]);
	});

	test("only the endpoint, host and account that it names", () => {
		const { platform } = scene();
		const hit = (fault: Fault) => {
			const remove = platform.faults.add(fault, at(0));
			const isFault = ({ outcome }: { outcome: string }) =>
				outcome.startsWith("fault");
			const host = "api2.weixin.qq.com";
			const hits = [
				isFault(platform.classicToken(mp, at(0))),
				isFault(platform.stableToken(mp, at(0))),
				isFault(platform.classicToken(mini, at(0))),
				isFault(platform.classicToken({ ...mp, host }, at(0))),
				isFault(platform.use("made-up", at(0))),
			];
			remove();
			return hits;
		};
		const mode = "reset";
		expect(hit({ mode })).toEqual([true, true, true, true, false]);
		expect(hit({ mode, endpoint: "token" })).toEqual([
			...[true, false, true, true, false],
		]);
		expect(hit({ mode, endpoint: "use" })).toEqual([
			...[false, false, false, false, true],
		]);
		expect(hit({ mode, appid: mp.appid })).toEqual([
			...[true, true, false, true, false],
		]);
		expect(hit({ mode, host: "api2.weixin.qq.com" })).toEqual([
			...[false, false, false, true, false],
		]);
		expect(hit({ mode, host: "api.weixin.qq.com" })).toEqual([
			...[true, true, true, false, false],
		]);
	});

	test("after the fault before it is used up", () => {
		const { platform } = scene();
		platform.faults.add({ mode: "empty", count: 1 }, at(0));
		platform.faults.add({ mode: "html", count: 1 }, at(0));
		const outcomes = [0, 1, 2].map(
			(second) => platform.classicToken(mp, at(second)).outcome,
		);
		expect(outcomes).toEqual(["fault empty", "fault html", "issued"]);
	});

	test("pending shows the hits and seconds that are left", () => {
		const { platform } = scene();
		platform.faults.add({ mode: "empty", count: 3, forSeconds: 60 }, at(0));
		platform.classicToken(mp, at(10));
		expect(platform.faults.pending(at(10))).toEqual([
			{ mode: "empty", count: 2, forSeconds: 50 },
		]);
		expect(platform.faults.pending(at(60))).toEqual([]);
	});
});

describe.each(faultModes)("the mode %s", (mode) => {
	test.each([true, false])(
		"acts after or without processing, as `processed` says: %s",
		(processed) => {
			const { platform } = scene();
			platform.faults.add({ mode, processed }, at(0));
			const { outcome } = platform.classicToken(mp, at(0));
			expect(outcome).toBe(`fault ${mode}`);
			expect(platform.account(mp.appid, at(0))?.classic.issued).toBe(
				processed ? 1 : 0,
			);
		},
	);
});

test.each([
	[{}, "needs a mode"],
	[{ mode: "nonsense" }, 'mode cannot be "nonsense"'],
	[{ mode: "empty", endpoint: "tokens" }, "endpoint cannot be"],
	[{ mode: "empty", cuont: 1 }, 'a fault has no "cuont"'],
	[{ mode: "empty", count: "1" }, 'count cannot be "1"'],
	[{ mode: "status", status: 99 }, "status cannot be 99"],
])("the fault %j is refused with a reason", (fault, message) => {
	expect(() => checkFault(fault)).toThrow(message);
});

function isJson(text: string): boolean {
	try {
		JSON.parse(text);
		return true;
	} catch {
		return false;
	}
}

/** All bytes of a connection until it is closed or reset. */
async function raw(
	port: number,
	request: string,
	encoding: BufferEncoding = "utf8",
): Promise<string> {
	const socket = createConnection(port, "127.0.0.1");
	const chunks: Buffer[] = [];
	socket.on("data", (chunk) => chunks.push(chunk));
	socket.on("error", () => {});
	socket.write(request);
	await new Promise((resolve) => socket.on("close", resolve));
	return Buffer.concat(chunks).toString(encoding);
}

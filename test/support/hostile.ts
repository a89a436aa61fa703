/**
 * Ten thousand hostile requests, the same in each run, for whatever answers HTTP: bytes
 * that are none, halves of requests, bodies and headers without end, and correct ones
 * in between.
 */
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "vitest";
import { createRandom } from "../../src/simulator/random.ts";
import type { Simulator } from "../../src/simulator/server.ts";
import type { TestConfig } from "./config-file.ts";
import { eventually } from "./eventually.ts";
import type { Running } from "./program.ts";
import { readTokenFile } from "./token-file.ts";

const total = 10_000;
/** They wait until they are disconnected, which takes seconds, so they run beside the others. */
const slowOnes = 200;
const atATime = 40;

/** Tokens live so long at the simulator. */
export const lifetimeSeconds = 6;

export interface Siege {
	readonly daemon: Running;
	readonly wechat: Simulator;
	readonly config: TestConfig;
	/** Sends bytes, and collects what comes back until the other side closes. */
	readonly send: (bytes: Buffer) => Promise<Buffer>;
	/** Lines of a header that lets a caller in; "" if none is needed. */
	readonly credentials?: string;
}

/**
 * Attacks, and checks that each request was answered in JSON or closed, while every
 * renewal was on time and memory and files stayed flat.
 */
export async function besiege(siege: Siege): Promise<void> {
	const { daemon, credentials = "" } = siege;
	const attacks = attacksWith(credentials);
	const random = createRandom(20_250_607).next;
	const seen = new Map<string, number>();
	const attack = async ({ bytes }: Attack) => {
		for (const outcome of outcomesIn(await siege.send(bytes)))
			seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
	};
	let sent = 0;
	const attackUntil = async (count: number) => {
		while (sent < count) {
			const next = pick(attacks.quick, random)(random);
			sent += next.requests;
			await attack(next);
		}
	};
	const crowd = Array.from({ length: slowOnes }, () =>
		attack(pick(attacks.slow, random)(random)),
	);
	sent += slowOnes;
	const crew = () => Array.from({ length: atATime });
	await Promise.all(crew().map(() => attackUntil(total / 2)));
	const halfway = residentBytes(daemon.pid);
	await Promise.all(crew().map(() => attackUntil(total)));
	await Promise.all(crowd);
	expect(sent).toBeGreaterThanOrEqual(total);
	expect([...seen.keys()].filter((outcome) => !isFine(outcome))).toEqual([]);
	for (const status of [200, 400, 404, 405, 408, 413, 415, 431])
		expect(seen.has(String(status)), `an answer ${status}`).toBe(true);
	await expectRenewals(siege);
	const grownBy = residentBytes(daemon.pid) - halfway;
	expect(grownBy, "bytes more than halfway").toBeLessThan(20 * 1_048_576);
	expect(readdirSync(`/proc/${daemon.pid}/fd`).length).toBeLessThan(60);
	const trouble = daemon.events().filter(({ level }) => level !== "info");
	expect(trouble.filter(({ event }) => event !== "control.refused")).toEqual(
		[],
	);
}

/** The simulator's log shows how late renewals were, and that only the daemon fetched. */
async function expectRenewals({ wechat, config }: Siege): Promise<void> {
	for (const { appid } of config.accounts) {
		const fetches = await eventually(
			() => {
				const found = wechat.requests.filter((one) => one.appid === appid);
				return found.length > 2 && found;
			},
			{ what: "two renewals" },
		);
		for (const [index, { at, outcome }] of fetches.entries()) {
			expect(outcome).toBe("issued");
			const endOfLast =
				(fetches[index - 1]?.at ?? at) + lifetimeSeconds * 1_000;
			expect(at).toBeLessThan(endOfLast);
		}
		const { expire } = readTokenFile(config.tokenFile(appid));
		expect(expire * 1_000).toBeGreaterThan(Date.now());
	}
}

interface Attack {
	/** How many requests stand in `bytes`. */
	readonly requests: number;
	readonly bytes: Buffer;
}

type Random = () => number;
type AttackKind = (random: Random) => Attack;

const closing = "Connection: close\r\n";

const refreshPath = "/v1/accounts/wx1/refresh";

/** `credentials`: in each request that shall be let in. */
function attacksWith(credentials: string) {
	function head(method: string, headers = closing, path = refreshPath): string {
		return `${method} ${path} HTTP/1.1\r\n${credentials}${headers}\r\n`;
	}

	function many(count: number, text: string): Attack {
		const last = head("GET", closing, "/healthz");
		return {
			requests: count + 1,
			bytes: Buffer.from(text.repeat(count) + last),
		};
	}

	function get(path: string, headers = ""): Attack {
		return one(head("GET", `${closing}${headers}`, path));
	}

	function post(body: string, headers = ""): Attack {
		const length = Buffer.byteLength(body);
		return one(
			`${head("POST", `${closing}Content-Length: ${length}\r\n${headers}`)}${body}`,
		);
	}

	const quick: readonly AttackKind[] = [
		// Bytes that are no HTTP at all.
		(random) => one(noise(random, 1 + Math.floor(random() * 2_000))),
		() => one("\0\0\0\0\r\n\r\n"),
		() => one("GET\r\n\r\n"),
		() => one("GET /healthz HTTP/9.9\r\n\r\n"),
		() => one("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
		// Unknown paths and methods, and appids that want to be paths.
		(random) => get(pick(badPaths, random)),
		(random) => one(head(pick(["DELETE", "PUT", "PATCH", "TRACE"], random))),
		() => one("CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n"),
		() =>
			one(head("GET", "Upgrade: websocket\r\nConnection: Upgrade, close\r\n")),
		// Bodies.
		(random) => post(pick(badBodies, random)),
		(random) => post("x".repeat(4_000 + Math.floor(random() * 200_000))),
		() =>
			post('{"stale":"', 'Content-Type: multipart/form-data; boundary="x"\r\n'),
		() => post("\x1f\x8b\x08", "Content-Encoding: gzip\r\n"),
		() => one(head("POST", "Content-Length: 99999999999999999999\r\n")),
		() => one(head("POST", "Content-Length: 5\r\nContent-Length: 6\r\n")),
		() =>
			one(
				`${head("POST", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")}0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n`,
			),
		() => one(`${head("POST", "Transfer-Encoding: chunked\r\n")}zz\r\n`),
		() =>
			one(
				`${head("POST", `${closing}Transfer-Encoding: chunked\r\n`)}${"1000\r\n".concat("x".repeat(4096), "\r\n").repeat(20)}0\r\n\r\n`,
			),
		() =>
			one(
				head(
					"POST",
					`${closing}Expect: 200-ok\r\nContent-Length: 2\r\n`,
				).concat("{}"),
			),
		// Headers.
		(random) =>
			get("/healthz", `X: ${"x".repeat(8_192 + random() * 60_000)}\r\n`),
		() => get("/healthz", "X: y\r\n".repeat(2_000)),
		() => get("/healthz", "Bad Header: y\r\n"),
		() => get("/healthz", "X: a\0b\r\n"),
		() => get(`/${"a".repeat(20_000)}`),
		// Many at once on one connection; the last one ends it.
		() => many(5, head("GET", "", "/v1/accounts")),
		(random) => many(random() < 0.02 ? 150 : 5, head("GET", "", "/metrics")),
		() => many(5, head("POST", "Content-Length: 1\r\n").concat("{")),
		// Correct requests: reports of old tokens.
		(random) =>
			post(JSON.stringify({ stale: noise(random, 20).toString("hex") })),
	];

	/** They send the beginning of a request, and then wait. */
	const slow: readonly AttackKind[] = [
		() => one(""),
		() => one("G"),
		() => one("GET /healthz HTTP/1.1\r\nX: y\r\n"),
		() => one(head("POST", "Content-Length: 4000\r\n").concat("{")),
		() => one(head("POST", "Transfer-Encoding: chunked\r\n").concat("5\r\nab")),
		// Keeps its connection open after an answer, and sends nothing more.
		() => one("GET /healthz HTTP/1.1\r\n\r\n"),
	];

	return { quick, slow };
}

const badPaths = [
	"/",
	"*",
	"/v1",
	"/v1/accounts/",
	"/v1/accounts/wx1/../../../etc/passwd",
	"/v1/accounts/..%2F..%2F..%2Fetc%2Fpasswd/token",
	"/v1/accounts/%00/token",
	"/v1/accounts/wx1%0a/token",
	"/v1/accounts/constructor/token",
	"/v1/accounts/__proto__/refresh",
	"/v1/accounts/wx1/token/",
	"//v1/accounts",
	"http://169.254.169.254/latest",
	"/healthz\u0000",
	"/?".concat("q=1&".repeat(500)),
];

const badBodies = [
	"{",
	"[]",
	"1",
	"null",
	'"stale"',
	'{"stale":1}',
	'{"stale":{"a":1}}',
	'{"__proto__":{"stale":"x"}}',
	'{"stale":"x","force":true}',
	"[".repeat(4_000),
	"\u0000",
	"\ufeff{}x",
];

function one(text: string | Buffer): Attack {
	return { requests: 1, bytes: Buffer.from(text) };
}

function noise(random: Random, length: number): Buffer {
	return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

function pick<T>(items: readonly T[], random: Random): T {
	const item = items[Math.floor(random() * items.length)];
	if (item === undefined) throw new Error("nothing to pick from");
	return item;
}

/** The statuses of the answers; a 5xx with its body. What is no whole answer in JSON begins with "odd". */
function outcomesIn(bytes: Buffer): readonly string[] {
	const outcomes: string[] = [];
	let rest = bytes;
	while (rest.length > 0) {
		const end = rest.indexOf("\r\n\r\n");
		const lines = rest.subarray(0, end).toString("latin1");
		const status = /^HTTP\/1\.1 (\d{3}) /.exec(lines)?.[1];
		const length = Number(/^content-length: (\d+)$/im.exec(lines)?.[1]);
		if (end < 0 || status === undefined || Number.isNaN(length))
			return [...outcomes, `odd: ${lines.slice(0, 200)}`];
		const body = rest.subarray(end + 4, end + 4 + length).toString("utf8");
		outcomes.push(
			/^content-type: application\/json\r?$/im.test(lines) &&
				!isFailure(status, body)
				? `odd ${status}: ${body.slice(0, 200)}`
				: status.startsWith("5")
					? `${status}: ${body.slice(0, 400)}`
					: status,
		);
		rest = rest.subarray(end + 4 + length);
	}
	return outcomes.length === 0 ? ["closed"] : outcomes;
}

/** An error has code, message and hint; anything else is an answer of status 200. */
function isFailure(status: string, body: string): boolean {
	if (status === "200") return true;
	const { code, message, hint } = JSON.parse(body);
	return [code, message, hint].every((text) => typeof text === "string");
}

function isFine(outcome: string): boolean {
	return outcome === "closed" || /^(200|4\d\d)$/.test(outcome);
}

function residentBytes(pid: number): number {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

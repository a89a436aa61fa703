import { execFileSync } from "node:child_process";
import {
	existsSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { RequestRecord } from "../src/simulator/request-log.ts";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory, removeInUse } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { newToken } from "./support/issuer.ts";
import { noteToken } from "./support/leaks.ts";
import { startDaemon, startProgram } from "./support/program.ts";
import {
	callSocket,
	refreshOver,
	sendRaw,
	socketIn,
} from "./support/socket.ts";
import { startAll } from "./support/start-all.ts";
import { readTokenFile } from "./support/token-file.ts";
import { fetchesOf, startWeChat } from "./support/wechat.ts";

test("a socket that was deleted, with its directory or alone, is there again after a tick", async () => {
	const { config, daemon, socket } = await startAll();
	for (const what of [socket, config.directory]) {
		removeInUse(what);
		await eventually(() => existsSync(socket), { what: "the socket" });
		const { status } = await callSocket(socket, "/v1/accounts/wx1/token");
		expect(status).toBe(200);
	}
	const opened = daemon
		.events()
		.filter(({ event }) => event === "control.opened");
	expect(opened).toHaveLength(3);
});

test("an app reads state and token from the socket, and the state holds no token", async () => {
	const { config, socket } = await startAll({ count: 2 });
	const onDisk = readTokenFile(config.tokenFile("wx2"));
	const token = await callSocket(socket, "/v1/accounts/wx2/token");
	expect(token.status).toBe(200);
	expect(token.headers["content-type"]).toBe("application/json");
	expect(token.json()).toEqual(onDisk);
	const all = await callSocket(socket, "/v1/accounts");
	expect(all.json()).toMatchObject({
		source: "daemon",
		accounts: [
			{ appid: "wx1", state: "valid", valid: true },
			{
				appid: "wx2",
				state: "valid",
				expire: onDisk.expire,
				lifetime: 7200,
				lastRefresh: { reason: "first" },
				lastError: null,
				budget: { used: 1, of: 60 },
				foreignFetcher: false,
				interface: "classic",
				file: config.tokenFile("wx2"),
			},
		],
	});
	const one = await callSocket(socket, "/v1/accounts/wx2");
	expect(one.json()).toMatchObject({ appid: "wx2", valid: true });
	for (const { text } of [all, one]) {
		expect(text).not.toContain(onDisk.value.slice(0, 20));
		for (const { secret } of config.accounts)
			expect(text).not.toContain(secret);
	}
});

test("a refresh through the socket answers with the token that is on disk by then", async () => {
	const { wechat, config, socket } = await startAll();
	const before = readTokenFile(config.tokenFile("wx1"));
	const answer = await refreshOver(socket, "wx1");
	const after = readTokenFile(config.tokenFile("wx1"));
	expect(answer.status).toBe(200);
	expect(answer.json()).toEqual({ outcome: "refreshed", ...after });
	expect(after.value).not.toBe(before.value);
	expect(fetchesOf(wechat, "wx1")).toBe(2);
});

test("a report of an older token is answered without a call to WeChat", async () => {
	const { wechat, config, socket } = await startAll();
	const before = wechat.requests.length;
	const answer = await refreshOver(socket, "wx1", "70_a_token_of_yesterday");
	expect(answer.json()).toEqual({
		outcome: "already-fresh",
		...readTokenFile(config.tokenFile("wx1")),
	});
	expect(wechat.requests.length).toBe(before);
});

test("while WeChat refuses, the caller gets its errcode with a hint, and the old token stays", async () => {
	const { wechat, config, socket } = await startAll();
	const before = readFileSync(config.tokenFile("wx1"), "utf8");
	await wechat.addFault({ mode: "errcode", errcode: 40164 });
	const answer = await refreshOver(socket, "wx1");
	expect(answer.status).toBe(502);
	expect(answer.json()).toMatchObject({
		code: "errcode 40164",
		message: expect.stringContaining("could not fetch a token for wx1"),
		hint: expect.stringContaining("whitelist"),
	});
	expect(readFileSync(config.tokenFile("wx1"), "utf8")).toBe(before);
	const status = await callSocket(socket, "/v1/accounts/wx1");
	expect(status.json()).toMatchObject({
		state: "failing",
		valid: true,
		lastError: { code: "errcode 40164", attempts: 1 },
	});
	const health = await callSocket(socket, "/healthz");
	expect(health.status).toBe(200);
	const { expire } = readTokenFile(config.tokenFile("wx1"));
	const from = new Date(expire * 1000).toISOString();
	expect(health.json()).toMatchObject({
		status: "ok",
		failing: [
			{
				credential: "wx_access_token_wx1",
				reason: expect.stringMatching(
					new RegExp(
						`: could not be renewed since \\S+Z: apps will fail from ${from} on$`,
					),
				),
				appsFailFrom: from,
				error: { code: "errcode 40164" },
			},
		],
	});
});

test("healthz reports what readers find in the file, even if the daemon knows a valid token", async () => {
	const schedule = "0 0 1 1 *"; // Nothing is repaired meanwhile.
	const { config, socket } = await startAll({ top: { schedule } });
	const path = config.tokenFile("wx1");
	const { value, expire } = readTokenFile(path);
	const health = async () => (await callSocket(socket, "/healthz")).status;
	expect(await health()).toBe(200);
	const past = Math.floor(Date.now() / 1_000) - 10;
	for (const [altered, status] of [
		[{ value, expire: past }, 503],
		[{ value, expire }, 200],
		[{ value: noteToken(newToken()), expire }, 503],
		[{ value, expire: expire + 60 }, 200],
		["", 503],
		["{", 503],
	] as const) {
		const text =
			typeof altered === "string" ? altered : `${JSON.stringify(altered)}\n`;
		writeFileSync(path, text);
		expect(await health(), text).toBe(status);
	}
	rmSync(path);
	expect(await health()).toBe(503);
});

test("a refresh that cannot be written to disk is answered with the reason", async () => {
	const socket = join(newDirectory(), "control.sock");
	const { config, wechat } = await startAll({ top: { socket } });
	// The directory of tokens has become a file.
	removeInUse(config.directory);
	writeFileSync(config.directory, "");
	const answer = await refreshOver(socket, "wx1");
	expect(answer.status).toBe(500);
	expect(answer.json()).toMatchObject({ code: "ENOTDIR" });
	expect(fetchesOf(wechat, "wx1")).toBe(1);
});

test("healthz checks the file on disk, not the memory of the daemon", async () => {
	const { config, socket } = await startAll({
		// The schedule ticks so seldom that nothing is repaired meanwhile.
		top: { schedule: "0 0 1 1 *" },
		count: 2,
	});
	const well = await callSocket(socket, "/healthz");
	expect(well.status).toBe(200);
	expect(well.json()).toEqual({ status: "ok", accounts: 2 });
	rmSync(config.tokenFile("wx2"));
	const ill = await callSocket(socket, "/healthz");
	expect(ill.status).toBe(503);
	expect(ill.json()).toMatchObject({
		code: "no-valid-token",
		reasons: [
			{
				...{ appid: "wx2", state: "missing", appsFailSince: null },
				reason: expect.stringMatching(/: there is no such file: apps fail$/),
			},
		],
	});
});

test("the answer to every wrong request is JSON with code, message and hint", async () => {
	const { wechat, socket } = await startAll();
	const fetches = fetchesOf(wechat, "wx1");
	const seen = async (bytes: string) => {
		const text = String(await sendRaw(socket, bytes));
		const status = Number(/^HTTP\/1.1 (\d+) /.exec(text)?.[1]);
		const body = JSON.parse(text.slice(text.indexOf("\r\n\r\n")));
		expect(Object.keys(body).sort(), bytes).toEqual([
			"code",
			"hint",
			"message",
		]);
		if (status === 405)
			expect(text).toMatch(/^Allow: (GET, HEAD|POST|GET, HEAD, POST)\r$/m);
		return `${status} ${body.code}`;
	};
	for (const [start, expected] of [
		["GET /nothing", "404 unknown-path"],
		["GET /v1/accounts/", "404 unknown-path"],
		["GET /v1/accounts/wx9", "404 unknown-account"],
		["GET /v1/accounts/wx1/secret", "404 unknown-path"],
		["GET /v1/accounts/..%2f..%2fetc/token", "404 unknown-account"],
		["GET /v1/accounts/../../etc/token", "404 unknown-path"],
		["GET /v1/accounts/wx1%00/token", "404 unknown-account"],
		["GET /v1/accounts/__proto__", "404 unknown-account"],
		["GET /__proto__", "404 unknown-path"],
		["GET *", "404 unknown-path"],
		["DELETE /v1/accounts", "405 method-not-allowed"],
		["OPTIONS /healthz", "405 method-not-allowed"],
		["POST /v1/accounts/wx1/token", "405 method-not-allowed"],
		["GET /v1/accounts/wx1/refresh", "405 method-not-allowed"],
		["CONNECT wechat:443", "405 method-not-allowed"],
		["BREW /healthz", "405 method-not-allowed"],
		["brew /healthz", "400 bad-request"],
		["BREW", "400 bad-request"],
		["GET /a b", "400 bad-request"],
		["GET /\0", "400 bad-request"],
	])
		expect(
			await seen(`${start} HTTP/1.1\r\nConnection: close\r\n\r\n`),
			start,
		).toBe(expected);
	const post = (headers: string, body: string) =>
		seen(
			`POST /v1/accounts/wx1/refresh HTTP/1.1\r\nConnection: close\r\n${headers}\r\n\r\n${body}`,
		);
	for (const [body, expected] of [
		["{", "400 bad-body"],
		["[]", "400 bad-body"],
		["null", "400 bad-body"],
		['{"stale":null}', "400 bad-body"],
		['{"stale":""}', "400 bad-body"],
		['{"stale":["a"]}', "400 bad-body"],
		['{"token":"a"}', "400 bad-body"],
		["x".repeat(4097), "413 body-too-large"],
		["x".repeat(300_000), "413 body-too-large"],
	] as const)
		expect(
			await post(`Content-Length: ${body.length}`, body),
			body.slice(0, 20),
		).toBe(expected);
	const chunk = `3000\r\n${"x".repeat(0x3000)}\r\n`;
	for (const [headers, body, expected] of [
		["Transfer-Encoding: chunked", `${chunk}0\r\n\r\n`, "413 body-too-large"],
		[
			"Content-Length: 4\r\nContent-Type: application/xml",
			"<a/>",
			"415 not-json",
		],
		["Content-Length: 2\r\nContent-Encoding: gzip", "{}", "415 compressed"],
		["Content-Length: 2\r\nExpect: a-miracle", "{}", "417 expectation-failed"],
		["Content-Length: -1", "", "400 bad-request"],
		[`X: ${"x".repeat(9_000)}`, "", "431 headers-too-large"],
	] as const)
		expect(await post(headers, body), headers.slice(0, 60)).toBe(expected);
	expect(fetchesOf(wechat, "wx1")).toBe(fetches);
});

test("a connection takes a hundred requests, even all at once, and is closed then", async () => {
	const { socket } = await startAll();
	const requests = "GET /healthz HTTP/1.1\r\n\r\n".repeat(150);
	const text = String(await sendRaw(socket, requests));
	expect(text.match(/^HTTP\/1.1 200 /gm)?.length).toBe(100);
	expect(text.match(/^HTTP\/1.1 /gm)?.length).toBe(100);
});

test("curl -d can report a token, although curl sends the type of a form", async () => {
	const { socket } = await startAll();
	const said = execFileSync(
		"curl",
		[
			...["-sS", "--unix-socket", socket, "-d", '{"stale":"70_old"}'],
			"http://wxtokend/v1/accounts/wx1/refresh",
		],
		{ encoding: "utf8" },
	);
	expect(JSON.parse(said)).toMatchObject({ outcome: "already-fresh" });
});

test("a line of HTTP/1.0 without a Host header is a valid request", async () => {
	const { socket } = await startAll();
	const text = String(await sendRaw(socket, "GET /healthz HTTP/1.0\r\n\r\n"));
	expect(text).toMatch(/^HTTP\/1.1 200 /);
});

test("a client that sends only part of a request gets an answer, and is disconnected", async () => {
	const { socket } = await startAll();
	const answers = await Promise.all(
		[
			"",
			"GET /healthz HTTP/1.1\r\n",
			"POST /v1/accounts/wx1/refresh HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
		].map(async (bytes) => String(await sendRaw(socket, bytes))),
	);
	for (const text of answers) {
		expect(text).toMatch(/^HTTP\/1.1 408 /);
		expect(text).toContain('"code":"request-timeout"');
	}
});

test("the socket has its mode and group before it appears at its path", async () => {
	const accounts = newAccounts();
	const wechat = await startWeChat({ accounts });
	const gid = process.getuid?.() === 0 ? 12_345 : process.getgid?.();
	const config = writeConfig({
		accounts,
		url: wechat.url,
		top: { group: gid },
	});
	const trace = join(newDirectory(), "trace");
	const calls = "bind,listen,mkdir,chmod,fchmodat,chown,lchown,fchownat,rename";
	const daemon = await startDaemon(config.file, {
		launcher: [
			"strace",
			"-D",
			"-f",
			"-qq",
			"-e",
			`trace=${calls}`,
			"-o",
			trace,
		],
	});
	const socket = socketIn(config.directory);
	const { mode, gid: group } = lstatSync(socket);
	expect([mode & 0o7777, group]).toEqual([0o660, gid]);
	await daemon.stop();
	expect(existsSync(socket)).toBe(false);
	const steps = readFileSync(trace, "utf8")
		.split("\n")
		.filter((line) => /\/\.cs|control\.sock"/.test(line))
		.map((line) => line.replace(/^\d+ +/, "").replaceAll(config.directory, ""))
		.map((line) => line.replace(/\.cs\w{6}/g, ".cs"));
	expect(steps).toEqual([
		expect.stringMatching(/^mkdir\("\/.cs", 0700\) += 0$/),
		expect.stringMatching(/^bind\(.*"\/.cs\/s".*= 0$/),
		// Only root can give it a group that it has not by itself.
		...(process.getuid?.() === 0
			? [expect.stringMatching(/^l?chown\("\/.cs\/s", -1, \d+\) += 0$/)]
			: []),
		expect.stringMatching(/^chmod\("\/.cs\/s", 0660\) += 0$/),
		expect.stringMatching(/^rename\("\/.cs\/s", "\/control.sock"\) += 0$/),
	]);
});

test("a daemon that ends does not remove the socket that has replaced its own", async () => {
	const { daemon, socket } = await startAll();
	rmSync(socket);
	const stranger = createServer((connection) => connection.destroy());
	await new Promise<void>((resolve) => stranger.listen(socket, resolve));
	onTestFinished(() => void stranger.close());
	await daemon.stop();
	expect(existsSync(socket)).toBe(true);
});

test("a socket that a killed daemon left behind is replaced", async () => {
	const { config, daemon, socket } = await startAll();
	daemon.kill("SIGKILL");
	await daemon.exited;
	const left = lstatSync(socket);
	const next = await startDaemon(config.file);
	await next.event("control.opened");
	expect(lstatSync(socket).ino).not.toBe(left.ino);
	expect((await callSocket(socket, "/healthz")).status).toBe(200);
});

test("a second daemon leaves a living socket alone and says so, and opens its own when the first one ends", async () => {
	const { config, daemon, socket } = await startAll();
	const first = lstatSync(socket).ino;
	const second = await startDaemon(config.file);
	const said = await second.event("control.taken");
	expect(said).toMatchObject({ level: "warn", path: socket });
	expect(lstatSync(socket).ino).toBe(first);
	await daemon.stop();
	await second.event("control.opened");
	expect((await callSocket(socket, "/healthz")).status).toBe(200);
	// The end of the second one removes its own.
	await second.stop();
	expect(existsSync(socket)).toBe(false);
});

test("of eight daemons that start at once over a dead socket, exactly one opens it and keeps it", async () => {
	const { config, daemon, socket } = await startAll();
	daemon.kill("SIGKILL");
	await daemon.exited;
	const daemons = Array.from({ length: 8 }, () =>
		startProgram(["run", "--config", config.file]),
	);
	await Promise.all(daemons.map((one) => one.event("daemon.ready")));
	const events = daemons.flatMap((one) =>
		one.events().filter(({ event }) => event.startsWith("control.")),
	);
	expect(events.map(({ event }) => event).sort()).toEqual([
		"control.opened",
		...Array(7).fill("control.taken"),
	]);
	expect((await callSocket(socket, "/healthz")).status).toBe(200);
});

test("a file that is no socket is left alone, and the daemon runs without a socket", async () => {
	const accounts = newAccounts();
	const wechat = await startWeChat({ accounts });
	const config = writeConfig({ accounts, url: wechat.url });
	mkdirSync(config.directory);
	const socket = socketIn(config.directory);
	writeFileSync(socket, "the operator's notes");
	const daemon = await startDaemon(config.file);
	expect(await daemon.event("control.unavailable")).toMatchObject({
		level: "warn",
		hint: expect.stringContaining("move it away"),
	});
	expect(readFileSync(socket, "utf8")).toBe("the operator's notes");
	readTokenFile(config.tokenFile("wx1"));
	// When it is gone, the socket opens without a restart.
	rmSync(socket);
	await daemon.event("control.opened");
});

test("a directory in which no socket can be made is a warning with a hint", async () => {
	const accounts = newAccounts();
	const wechat = await startWeChat({ accounts });
	const place = newDirectory();
	const config = writeConfig({
		accounts,
		url: wechat.url,
		top: { socket: join(place, "missing", "control.sock") },
	});
	const daemon = await startDaemon(config.file);
	expect(await daemon.event("control.unavailable")).toMatchObject({
		code: "ENOENT",
		hint: expect.stringContaining("directory"),
	});
	readTokenFile(config.tokenFile("wx1"));
});

test("the longest path that the system allows works", async () => {
	const accounts = newAccounts();
	const wechat = await startWeChat({ accounts });
	const place = newDirectory();
	// 107 bytes together with the name of the socket.
	const directory = join(
		place,
		"d".repeat(106 - "/control.sock".length - place.length),
	);
	const config = writeConfig({
		accounts,
		url: wechat.url,
		directory,
	});
	const socket = socketIn(directory);
	expect(Buffer.byteLength(socket)).toBe(107);
	const daemon = await startDaemon(config.file);
	await daemon.event("control.opened");
	expect((await callSocket(socket, "/healthz")).status).toBe(200);
});

test("a reload moves the socket, adds new accounts and drops old ones", async () => {
	const accounts = newAccounts(3);
	const wechat = await startWeChat({ accounts });
	const config = writeConfig({
		accounts: accounts.slice(0, 2),
		url: wechat.url,
	});
	const daemon = await startDaemon(config.file);
	const before = socketIn(config.directory);
	const moved = join(config.directory, "moved.sock");
	const other = writeConfig({
		accounts: accounts.slice(1),
		url: wechat.url,
		directory: config.directory,
		top: { socket: "moved.sock" },
	});
	writeFileSync(config.file, readFileSync(other.file));
	daemon.kill("SIGHUP");
	await daemon.event("control.opened", ({ path }) => path === moved);
	expect(existsSync(before)).toBe(false);
	const statusOf = async (appid: string) =>
		(await callSocket(moved, `/v1/accounts/${appid}`)).status;
	expect(await Promise.all(["wx1", "wx2", "wx3"].map(statusOf))).toEqual([
		404, 200, 200,
	]);
});

test('socket = "" turns it off', async () => {
	const { config, daemon } = await startAll({ top: { socket: "" } });
	expect(existsSync(socketIn(config.directory))).toBe(false);
	expect(
		daemon.events().filter(({ event }) => event.startsWith("control.")),
	).toEqual([]);
});

test("a client that waits for a refresh when the daemon stops still gets an answer", async () => {
	const { wechat, daemon, socket } = await startAll();
	await wechat.addFault({ mode: "delay", seconds: 1, count: 1 });
	const since = wechat.requests.at(-1)?.id ?? 0;
	const answer = refreshOver(socket, "wx1");
	await wechat.waitFor(({ endpoint }) => endpoint === "token", 10_000, since);
	const [{ status }, { code }] = await Promise.all([answer, daemon.stop()]);
	expect(status).toBe(200);
	expect(code).toBe(0);
	expect(existsSync(socket)).toBe(false);
});

test("clients that leave, tunnel or disconnect in the middle do the daemon no harm", async () => {
	const { daemon, socket } = await startAll({ wechat: { cooldown: 2 } });
	await refreshOver(socket, "wx1");
	// These clients wait for the cooldown, and leave before its end.
	for (const bytes of [
		"POST /v1/accounts/wx1/refresh HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
		"POST /v1/accounts/wx1/refresh HTTP/1.1\r\nContent-Length: 0\r\n\r\n\0\0",
		"CONNECT wechat:443 HTTP/1.1\r\n\r\n",
		"GET /metrics HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
	]) {
		const connection = connect(socket);
		connection.on("error", () => {});
		connection.write(bytes, () => connection.destroy());
	}
	const last = await refreshOver(socket, "wx1");
	expect(last.status).toBe(200);
	expect((await daemon.stop()).code).toBe(0);
});

test("clients cannot use up the files that the keepers need", async () => {
	const accounts = newAccounts();
	const wechat = await startWeChat({
		accounts,
		knobs: { tokenLifetimeSeconds: 6 },
	});
	const config = writeConfig({ accounts, url: wechat.url });
	// The whole process may have 128 files open.
	const daemon = await startDaemon(config.file, {
		launcher: ["prlimit", "--nofile=128:128"],
	});
	const socket = socketIn(config.directory);
	const crowd = new Set<Socket>();
	let pressing = true;
	// A client that is disconnected connects again.
	const press = () => {
		if (!pressing) return;
		const one = connect(socket);
		crowd.add(one);
		one.on("error", () => {});
		one.on("close", () => {
			crowd.delete(one);
			setTimeout(press, 20);
		});
	};
	for (let count = 0; count < 300; count += 1) press();
	const leave = () => {
		pressing = false;
		for (const one of crowd) one.destroy();
	};
	onTestFinished(leave);
	const first = wechat.requests.at(-1);
	const second = await wechat.waitFor(isIssued, 20_000, first?.id);
	const third = await wechat.waitFor(isIssued, 20_000, second.id);
	expect(second.at - (first?.at ?? 0)).toBeLessThan(6_000);
	expect(third.at - second.at).toBeLessThan(6_000);
	expect(daemon.events().filter(({ level }) => level !== "info")).toEqual([]);
	leave();
	await eventually(
		() =>
			callSocket(socket, "/healthz").then(
				({ status }) => status === 200,
				() => false,
			),
		{ what: "an answer, once the crowd has left" },
	);
});

test("a living socket of another program is not replaced", async () => {
	const accounts = newAccounts();
	const wechat = await startWeChat({ accounts });
	const config = writeConfig({ accounts, url: wechat.url });
	mkdirSync(config.directory);
	const socket = socketIn(config.directory);
	const stranger = createServer((connection) => connection.destroy());
	await new Promise<void>((resolve) => stranger.listen(socket, resolve));
	onTestFinished(() => void stranger.close());
	const daemon = await startDaemon(config.file);
	await daemon.event("control.taken");
	await daemon.stop();
	expect(existsSync(socket)).toBe(true);
});

function isIssued({ outcome }: RequestRecord): boolean {
	return outcome === "issued";
}

import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { certificate } from "./support/certificate.ts";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { freePort } from "./support/free-port.ts";
import { callHttp, httpOf, newBearer } from "./support/http.ts";
import { runProgram, startDaemon } from "./support/program.ts";
import { callSocket, refreshOver } from "./support/socket.ts";
import { startAll } from "./support/start-all.ts";
import { readTokenFile } from "./support/token-file.ts";

const states = ["/metrics", "/v1/accounts", "/v1/credentials"];
const ofOne = ["/v1/accounts/wx1", "/v1/credentials/wx_access_token_wx1"];

test("on loopback everybody sees the states, and only the bearer opens tokens and refreshes", async () => {
	const { bearer, file } = newBearer();
	const http = { listen: "127.0.0.1:0", bearer_file: file };
	const { config, daemon, socket } = await startAll({ top: { http } });
	const url = await httpOf(daemon);
	const onDisk = readTokenFile(config.tokenFile("wx1"));
	for (const path of ["/healthz", ...states, ...ofOne]) {
		const answer = await callHttp(url + path);
		expect([path, answer.status]).toEqual([path, 200]);
		expect(answer.text).not.toContain(onDisk.value);
	}
	// The two faces are one set of routes.
	const overSocket = await callSocket(
		socket,
		"/v1/credentials/wx_access_token_wx1",
	);
	expect(Object.keys((await callHttp(url + ofOne[1])).json())).toEqual(
		Object.keys(overSocket.json()),
	);
	for (const one of ofOne)
		for (const [method, end] of [
			["GET", "token"],
			["POST", "refresh"],
			["POST", "jssdk"],
		]) {
			const path = `${one}/${end}`;
			const answer = await callHttp(url + path, { method: method ?? "" });
			expect([path, answer.status]).toEqual([path, 401]);
			expect(answer.headers["www-authenticate"]).toMatch(/^Bearer /);
			expect(answer.json()).toMatchObject({ code: "unauthorized" });
		}
	expect((await callHttp(`${url}/v1/reload`, { method: "POST" })).status).toBe(
		401,
	);
	expect((await callHttp(`${url}/nowhere`)).status).toBe(404);
	expect((await callHttp(`${url}/v1/accounts`, { method: "PUT" })).status).toBe(
		405,
	);

	const token = await callHttp(`${url}${ofOne[0]}/token`, { bearer });
	expect(token.json()).toEqual(onDisk);
	const bare = await callHttp(`${url}${ofOne[1]}/token`, {
		bearer,
		headers: { accept: "text/plain" },
	});
	expect(bare.text).toBe(onDisk.value);
	expect(bare.headers["content-type"]).toMatch(/^text\/plain/);
	const refreshed = await callHttp(`${url}${ofOne[0]}/refresh`, {
		method: "POST",
		bearer,
	});
	expect(refreshed.json()).toMatchObject({ outcome: "refreshed" });
	expect(refreshed.json()).toMatchObject(
		readTokenFile(config.tokenFile("wx1")),
	);
});

test("a request with the whole URL, as through a proxy, is the same request", async () => {
	const { bearer, file } = newBearer();
	const http = { listen: "127.0.0.1:0", bearer_file: file };
	const { daemon } = await startAll({ top: { http } });
	const { hostname, port } = new URL(await httpOf(daemon));
	const statusOf = async (path: string, headers = {}) => {
		const options = { hostname, port, path, headers, agent: false };
		const [answer] = await once(get(options), "response");
		answer.resume();
		return answer.statusCode;
	};
	const token = "http://wx.internal/v1/accounts/wx1/token";
	expect(await statusOf("http://wx.internal/healthz")).toBe(200);
	expect(await statusOf("HTTPS://wx.internal:8/v1/accounts?a=b")).toBe(200);
	expect(await statusOf(token)).toBe(401);
	expect(await statusOf(token, { authorization: `Bearer ${bearer}` })).toBe(
		200,
	);
});

test("without bearer_file nobody gets a token over HTTP, and is told what is missing", async () => {
	const http = { listen: "127.0.0.1:0" };
	const { daemon } = await startAll({ top: { http } });
	const url = await httpOf(daemon);
	const headers = { authorization: "Bearer whatever-they-try-12345" };
	const answer = await callHttp(`${url}/v1/accounts/wx1/token`, { headers });
	expect(answer.status).toBe(403);
	expect(answer.json()).toMatchObject({
		code: "no-bearer",
		hint: expect.stringContaining("bearer_file"),
	});
});

test("on an address that others reach, only /healthz is open", async () => {
	const { bearer, file } = newBearer();
	const http = { listen: "0.0.0.0:0", bearer_file: file };
	const { daemon } = await startAll({ top: { http } });
	const url = (await httpOf(daemon)).replace("0.0.0.0", "127.0.0.1");
	expect((await callHttp(`${url}/healthz`)).status).toBe(200);
	for (const path of ["/", "/nowhere", ...states, ...ofOne])
		expect([path, (await callHttp(url + path)).status]).toEqual([path, 401]);
	for (const path of [...states, ...ofOne, `${ofOne[0]}/token`])
		expect([path, (await callHttp(url + path, { bearer })).status]).toEqual([
			path,
			200,
		]);
	// A browser asks for a password, which opens what is only looked at.
	const basic = Buffer.from(`me:${bearer}`).toString("base64");
	const headers = { authorization: `Basic ${basic}` };
	expect((await callHttp(`${url}/v1/accounts`, { headers })).status).toBe(200);
	expect((await callHttp(`${url}${ofOne[0]}/token`, { headers })).status).toBe(
		401,
	);
	const doubts = daemon
		.events()
		.filter(({ event }) => event === "config.doubtful");
	expect(doubts.map(({ msg }) => msg).join()).toContain(
		"can be read on the way",
	);
});

test("an address with wrong bearers is logged once and then locked out, unless it has shown the right one", async () => {
	const { bearer, file } = newBearer();
	const http = { listen: "127.0.0.1:0", bearer_file: file };
	const { daemon } = await startAll({ top: { http } });
	const url = `${await httpOf(daemon)}/v1/accounts/wx1/token`;
	const guess = async () =>
		(await callHttp(url, { bearer: `${bearer.slice(1)}x` })).status;
	const first: number[] = [];
	for (let i = 0; i < 30; i++) first.push(await guess());
	expect(first.slice(0, 20)).toEqual(Array(20).fill(401));
	expect(first.slice(21)).toEqual(Array(9).fill(429));
	const refused = await callHttp(url, { bearer });
	expect(refused.status).toBe(429);
	expect(refused.headers["retry-after"]).toBe("60");
	// Load balancers go on asking.
	const health = url.replace("/v1/accounts/wx1/token", "/healthz");
	expect((await callHttp(health)).status).toBe(200);
	const told = () =>
		daemon.events().filter(({ event }) => event === "http.unauthorized");
	expect(told()).toMatchObject([{ level: "warn", address: "127.0.0.1" }]);
});

test("an address that has shown the right bearer is not locked out by the failures of others behind it", async () => {
	const { bearer, file } = newBearer();
	const http = { listen: "127.0.0.1:0", bearer_file: file };
	const { daemon } = await startAll({ top: { http } });
	const url = `${await httpOf(daemon)}/v1/accounts/wx1/token`;
	expect((await callHttp(url, { bearer })).status).toBe(200);
	for (let i = 0; i < 30; i++) await callHttp(url, { bearer: "x".repeat(40) });
	expect((await callHttp(url, { bearer: "x" })).status).toBe(429);
	expect((await callHttp(url, { bearer })).status).toBe(200);
});

test("TLS is answered with the certificate of the last reload, and so is the bearer", async () => {
	const place = newDirectory();
	const files = {
		cert_file: join(place, "cert"),
		key_file: join(place, "key"),
	};
	const day = 86_400_000;
	const renew = () => {
		const made = certificate(
			new Date(Date.now() - day),
			new Date(Date.now() + day),
		);
		writeFileSync(files.cert_file, made.cert);
		writeFileSync(files.key_file, made.key, { mode: 0o600 });
		return made.cert;
	};
	const first = renew();
	const { bearer, file } = newBearer();
	const http = { listen: "127.0.0.1:0", bearer_file: file, ...files };
	const { daemon, socket } = await startAll({ top: { http } });
	const url = `${await httpOf(daemon)}/v1/accounts/wx1/token`;
	expect(url).toMatch(/^https:/);
	expect((await callHttp(url, { bearer, ca: first })).status).toBe(200);
	const second = renew();
	const other = newBearer();
	writeFileSync(file, readFileSync(other.file));
	const reloaded = await callSocket(socket, "/v1/reload", { method: "POST" });
	expect(reloaded.status).toBe(200);
	expect(
		(await callHttp(url, { bearer: other.bearer, ca: second })).status,
	).toBe(200);
	expect((await callHttp(url, { bearer, ca: second })).status).toBe(401);
	await expect(callHttp(url, { bearer, ca: first })).rejects.toThrow();
});

test("a port that is taken is told once, and listened on when it is free; check names it", async () => {
	const port = await freePort();
	const holder = createServer().listen(port, "127.0.0.1");
	onTestFinished(() => void holder.close());
	const listen = `127.0.0.1:${port}`;
	const { config, daemon, socket } = await startAll({
		top: { http: { listen } },
	});
	const unavailable = await daemon.event("http.unavailable");
	expect(unavailable).toMatchObject({
		level: "warn",
		code: "EADDRINUSE",
		msg: expect.stringContaining(
			`could not listen on ${listen}: address already in use`,
		),
		hint: expect.stringContaining(`sport = :${port}`),
	});
	await new Promise((resolve) => holder.close(resolve));
	const url = await httpOf(daemon);
	expect((await callHttp(`${url}/healthz`)).status).toBe(200);
	const again = daemon
		.events()
		.filter(({ event }) => event === "http.unavailable");
	expect(again).toHaveLength(1);

	const beside = await runProgram(["check", "--config", config.file]);
	expect(beside).toMatchObject({ code: 0 });
	expect(beside.stdout).toContain("by the daemon that is running");

	// A reload moves it, and closes it.
	const text = readFileSync(config.file, "utf8");
	const other = await freePort();
	writeFileSync(config.file, text.replace(listen, `127.0.0.1:${other}`));
	await callSocket(socket, "/v1/reload", { method: "POST" });
	const moved = `http://127.0.0.1:${other}`;
	await daemon.event("http.opened", (one) => one.url === `${moved}/`);
	expect((await callHttp(`${moved}/healthz`)).status).toBe(200);
	await expect(callHttp(`${url}/healthz`)).rejects.toThrow("ECONNREFUSED");
	await daemon.stop();
	const holder2 = createServer().listen(other, "127.0.0.1");
	onTestFinished(() => void holder2.close());
	const alone = await runProgram(["check", "--config", config.file]);
	expect(alone.code).toBe(78);
	expect(alone.stderr).toContain("http.listen");
	expect(alone.stderr).toContain("EADDRINUSE");
});

test("a follower waits for the next value, and gets it when it is published", async () => {
	const { bearer, file } = newBearer();
	const http = { listen: "127.0.0.1:0", bearer_file: file };
	const { config, daemon, socket } = await startAll({ top: { http } });
	const url = `${await httpOf(daemon)}/v1/credentials/wx_access_token_wx1/token`;
	const ask = (query: string) => callHttp(`${url}?${query}`, { bearer });
	const first = await ask("newer_than=0&wait=60");
	expect(first.json()).toEqual({
		...readTokenFile(config.tokenFile("wx1")),
		generation: Number(first.headers["wxtokend-generation"]),
	});
	const { generation } = first.json();
	const none = await ask(`newer_than=${generation}`);
	expect([none.status, none.text]).toEqual([304, ""]);
	const waiting = Array.from({ length: 20 }, () =>
		ask(`newer_than=${generation}&wait=60`),
	);
	await refreshOver(socket, "wx1");
	const now = readTokenFile(config.tokenFile("wx1"));
	for (const one of await Promise.all(waiting))
		expect(one.json()).toMatchObject(now);
	expect((await ask("newer_than=x")).json()).toMatchObject({
		code: "bad-query",
	});
	expect((await ask("newer_than=1&wait=301")).status).toBe(400);
	// A stop does not wait for those who wait.
	const last = ask(`newer_than=${Date.now() * 2}&wait=300`);
	await eventually(
		async () => (await callHttp(url, { bearer })).status === 200,
		{
			what: "an answer",
		},
	);
	const stopped = daemon.stop();
	expect((await last).status).toBe(304);
	expect((await stopped).code).toBe(0);
});

test("check and run refuse a bearer or a certificate that is of no use, in words without the bearer", async () => {
	const place = newDirectory();
	const short = join(place, "short");
	writeFileSync(short, "tooshort\n", { mode: 0o600 });
	const { config } = await startAll();
	const text = readFileSync(config.file, "utf8");
	const problemsOf = async (http: string) => {
		writeFileSync(config.file, `${text}\n[http]\n${http}`);
		const { code, stderr } = await runProgram([
			"check",
			"--config",
			config.file,
		]);
		expect(code).toBe(78);
		return stderr;
	};
	const bad = await problemsOf(
		`listen = "9470"\nbearer_file = "${short}"\ncert_file = "${short}"\nport = 1\n`,
	);
	expect(bad).toContain(
		'http.listen: is "9470"; expected an address and a port',
	);
	expect(bad).toContain("http.bearer_file: ");
	expect(bad).toContain("16 to 1024 visible");
	expect(bad).toContain("http.key_file: is missing");
	expect(bad).toContain("http.port: is not a key");
	expect(bad).not.toContain("tooshort");
	const now = Date.now();
	const one = certificate(new Date(now - 9e7), new Date(now + 9e7));
	const other = certificate(new Date(now - 9e7), new Date(now + 9e7));
	writeFileSync(join(place, "cert"), one.cert);
	writeFileSync(join(place, "key"), other.key, { mode: 0o600 });
	const mixed = await problemsOf(
		`listen = "127.0.0.1:0"\ncert_file = "${place}/cert"\nkey_file = "${place}/key"\n`,
	);
	expect(mixed).toContain("the key of another certificate");
	const inPlace = await problemsOf(
		`listen = "127.0.0.1:0"\nbearer_file = "${"x".repeat(40)}"\n`,
	);
	expect(inPlace).not.toContain("xxxx");
});

test("the bearer may be a systemd credential", async () => {
	const { bearer } = newBearer();
	const { config, daemon: first } = await startAll({
		top: { http: { listen: "127.0.0.1:0" } },
	});
	await first.stop();
	const place = newDirectory();
	writeFileSync(join(place, "bearer"), bearer, { mode: 0o600 });
	const daemon = await startDaemon(config.file, {
		env: { CREDENTIALS_DIRECTORY: place },
	});
	const url = await httpOf(daemon);
	const answer = await callHttp(`${url}/v1/accounts/wx1/token`, { bearer });
	expect(answer.status).toBe(200);
});

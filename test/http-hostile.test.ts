import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { certificate } from "./support/certificate.ts";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { besiege, lifetimeSeconds } from "./support/hostile.ts";
import { callHttp, httpOf, newBearer } from "./support/http.ts";
import { startDaemon } from "./support/program.ts";
import { sendRaw } from "./support/socket.ts";
import { startAll } from "./support/start-all.ts";
import { startWeChat } from "./support/wechat.ts";

test("over TCP, too, 10,000 hostile requests are each answered or closed, while every renewal is on time and memory stays flat", async () => {
	const { bearer, file } = newBearer();
	const accounts = newAccounts(2);
	const wechat = await startWeChat({
		accounts,
		knobs: { tokenLifetimeSeconds: lifetimeSeconds },
	});
	const config = writeConfig({
		accounts,
		url: wechat.url,
		top: { http: { listen: "127.0.0.1:0", bearer_file: file } },
		wechat: { budget: 1_000 },
	});
	const daemon = await startDaemon(config.file);
	const url = await httpOf(daemon);
	const { port, hostname: host } = new URL(url);
	await besiege({
		daemon,
		wechat,
		config,
		send: (bytes) => sendRaw({ port: Number(port), host }, bytes),
		credentials: `Authorization: Bearer ${bearer}\r\n`,
	});
	expect((await callHttp(`${url}/healthz`)).status).toBe(200);
}, 240_000);

test("clients that connect and do not finish a TLS handshake keep nobody out", async () => {
	const now = Date.now();
	const { cert, key } = certificate(new Date(now - 9e7), new Date(now + 9e7));
	const place = newDirectory();
	const http = {
		listen: "127.0.0.1:0",
		cert_file: join(place, "cert"),
		key_file: join(place, "key"),
	};
	writeFileSync(http.cert_file, cert);
	writeFileSync(http.key_file, key, { mode: 0o600 });
	const { daemon } = await startAll({ top: { http } });
	const url = await httpOf(daemon);
	const { port, hostname } = new URL(url);
	const silent = Array.from({ length: 3_000 }, (_, index) => {
		const one = connect(Number(port), hostname).on("error", () => {});
		// Half of them begin a handshake.
		if (index % 2 === 0)
			one.write(Buffer.from("1603010200010001fc0303", "hex"));
		return one;
	});
	onTestFinished(() => {
		for (const one of silent) one.destroy();
	});
	const closed = (one: Socket) =>
		new Promise((resolve) => {
			if (one.destroyed) resolve(undefined);
			one.resume().once("close", resolve);
		});
	const ends = silent.map(closed);
	for (let i = 0; i < 5; i++)
		expect((await callHttp(`${url}/healthz`, { ca: cert })).status).toBe(200);
	// Half a handshake holds its connection for seconds, and no longer.
	await Promise.all(ends);
}, 120_000);

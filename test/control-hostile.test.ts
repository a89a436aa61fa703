import { expect, test } from "vitest";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { besiege, lifetimeSeconds } from "./support/hostile.ts";
import { startDaemon } from "./support/program.ts";
import { callSocket, sendRaw, socketIn } from "./support/socket.ts";
import { startWeChat } from "./support/wechat.ts";

test("10,000 hostile requests are each answered in JSON or closed, while every renewal is on time and memory stays flat", async () => {
	const accounts = newAccounts(2);
	const wechat = await startWeChat({
		accounts,
		knobs: { tokenLifetimeSeconds: lifetimeSeconds },
	});
	const config = writeConfig({
		accounts,
		url: wechat.url,
		wechat: { budget: 1_000 },
	});
	const daemon = await startDaemon(config.file);
	const socket = socketIn(config.directory);
	const send = (bytes: Buffer) => sendRaw(socket, bytes);
	await besiege({ daemon, wechat, config, send });
	expect((await callSocket(socket, "/healthz")).status).toBe(200);
}, 240_000);

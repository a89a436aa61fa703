/**
 * Many refreshes by one keeper, over a real network, on a file system in memory (as /run
 * is). None of them may leave anything behind. SOAK=100000 for the long form (npm run
 * test:soak).
 */
import { spawn } from "node:child_process";
import { getEventListeners } from "node:events";
import { readdirSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../src/core/clock.ts";
import { createEventLog } from "../src/daemon/event-log.ts";
import { createAccessTokenIssuer } from "../src/issuer/access-token.ts";
import { createHttp } from "../src/issuer/http.ts";
import { createKeeper } from "../src/keeper/keeper.ts";
import { nameThisProcess } from "../src/store/process-name.ts";
import { accessToken } from "./support/account.ts";
import { newDirectoryInMemory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { logTo } from "./support/log-to.ts";
import { slotIn } from "./support/slot.ts";

const refreshes = Number(process.env.SOAK ?? 4_000);

test(`${refreshes} refreshes leave no file, timer or listener open, and no memory in use`, {
	timeout: 3_600_000,
}, async () => {
	const { refresh, idle, stopping, published } = await startKeeper();
	// By then all code is compiled, and the record holds the calls of one lifetime.
	while (published() < 1_500) await refresh();
	// A request may be answered before the refresh that another one asked for has ended.
	await idle();
	const before = await measure(stopping);
	const samples = [before];
	for (let tenth = 1; tenth <= 10; tenth++) {
		const wanted = 1_500 + (refreshes * tenth) / 10;
		while (published() < wanted) await refresh();
		await idle();
		samples.push(await measure(stopping));
	}
	console.log(samples.map((sample) => JSON.stringify(sample)).join("\n"));
	for (const { heap, files, timers, listeners } of samples.slice(1)) {
		expect({ files, timers, listeners }).toEqual({
			files: before.files,
			timers: before.timers,
			listeners: before.listeners,
		});
		expect(heap).toBeLessThan(before.heap * 1.05);
	}
});

/** A keeper whose tokens live one second, and are refreshed by force. */
async function startKeeper() {
	const stopping = new AbortController().signal;
	const http = createHttp({ connectTimeoutMs: 5_000, env: {} });
	onTestFinished(() => http.close());
	const clock = systemClock;
	const self = nameThisProcess();
	let published = 0;
	const credential = accessToken({ budget: 10_000 });
	const logEvent = createEventLog(
		logTo(() => {}),
		clock,
	);
	const keeper = createKeeper({
		credential,
		parents: () => new Map(),
		slot: slotIn(newDirectoryInMemory(), credential, { self, clock, stopping }),
		issuer: createAccessTokenIssuer({
			appid: "wx1",
			secret: "not a secret at all",
			interface: "classic",
			baseUrls: [await startServer()],
			timeoutMs: 10_000,
			http,
			clock,
			monitor: { serverTime: () => {}, answered: () => {} },
			stopping,
		}),
		clock,
		random: Math.random,
		self,
		startedAt: 0,
		isDead: () => false,
		lockTimeoutMs: 30_000,
		wakeAt: () => {},
		emit: (event) => {
			if (event.kind === "refreshed") published += 1;
			logEvent(credential, event);
		},
		onBug: (error) => {
			throw error;
		},
	});
	return {
		refresh: async () => {
			const answer = await keeper.force();
			if (answer.outcome !== "refreshed")
				throw new Error(JSON.stringify(answer));
		},
		idle: keeper.whenIdle,
		stopping,
		published: () => published,
	};
}

/** The server runs in a process of its own, so that only the memory of the keeper is measured. */
async function startServer(): Promise<string> {
	const script = `
		const server = require("node:http").createServer((_, response) => {
			const value = require("node:crypto").randomBytes(68).toString("hex");
			response.end(JSON.stringify({ access_token: value, expires_in: 1 }));
		});
		server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;
	const child = spawn(process.execPath, ["-e", script], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	onTestFinished(() => {
		child.kill("SIGKILL");
	});
	const port = await new Promise<string>((resolve) =>
		child.stdout.setEncoding("utf8").once("data", resolve),
	);
	return `http://127.0.0.1:${port.trim()}`;
}

/** What is in use once nothing is under way. */
async function measure(stopping: AbortSignal) {
	const isIdle = () =>
		!process.getActiveResourcesInfo().includes("TCPSocketWrap");
	await eventually(isIdle, { what: "the end of idle connections" });
	collectGarbage();
	await new Promise((resolve) => setTimeout(resolve));
	collectGarbage();
	return {
		heap: process.memoryUsage().heapUsed,
		files: readdirSync("/proc/self/fd").length,
		timers: process
			.getActiveResourcesInfo()
			.filter((kind) => kind === "Timeout").length,
		listeners:
			getEventListeners(stopping, "abort").length +
			process
				.eventNames()
				.reduce((sum, name) => sum + process.listenerCount(name), 0),
	};
}

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/**
 * A token dies, and all apps notice at once: how many calls to WeChat a burst of
 * reports and of signals costs, counted at the simulator.
 */
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { type Simulator, startSimulator } from "../src/simulator/server.ts";
import { eventually } from "./support/eventually.ts";
import { callSocket, refreshOver } from "./support/socket.ts";
import { startAll } from "./support/start-all.ts";
import { readTokenFile, tokenOtherThan } from "./support/token-file.ts";
import { fetchesOf } from "./support/wechat.ts";

const reporters = fileURLToPath(
	new URL("support/reporters.py", import.meta.url),
);

async function startOne(wechat: Readonly<Record<string, unknown>> = {}) {
	const all = await startAll({ wechat });
	return { ...all, file: all.config.tokenFile("wx1") };
}

test.for([
	["classic", 1],
	// The stable interface may give the dead token again; then it is asked with force.
	["stable", 2],
] as const)(
	"200 processes report the same dead %s token: at most one probe and %i calls for a token, and all of them get it",
	async ([wire, mostCalls]) => {
		const { wechat, socket, file } = await startOne({ interface: wire });
		const { value } = readTokenFile(file);
		const calls = fetchesOf(wechat, "wx1");
		wechat.platform.kill("wx1", wechat.now());
		const lines = await outputOf(
			["/usr/bin/env", "python3", reporters, "200", socket, "wx1"],
			[`${wechat.url}/sim/use`],
			`${value}\n`,
		);
		expect(lines.length).toBe(200);
		for (const line of lines)
			expect(JSON.parse(line)).toEqual({
				status: 200,
				outcome: expect.stringMatching(/^(refreshed|already-fresh)$/),
				renewed: true,
				errcode: 0,
			});
		expect(fetchesOf(wechat, "wx1") - calls).toBeGreaterThan(0);
		expect(fetchesOf(wechat, "wx1") - calls).toBeLessThanOrEqual(mostCalls);
		expect(probesOf(wechat)).toBeLessThanOrEqual(1);
		expect(readTokenFile(file).value).not.toBe(value);
	},
);

test("twenty processes that only know kill -HUP cost at most two fetches, and end with a token that works", async () => {
	const { wechat, daemon, socket, file } = await startOne({ cooldown: 1 });
	const { value } = readTokenFile(file);
	wechat.platform.kill("wx1", wechat.now());
	const hups = Array.from({ length: 20 }, () =>
		outputOf(["/bin/sh", "-c", `kill -HUP ${daemon.pid}`], [], ""),
	);
	await Promise.all(hups);
	await tokenOtherThan(value, file);
	// When the cooldown is over and no request is deferred any more, the burst can cost
	// nothing more.
	const settled = Date.now() + 2_500;
	await eventually(() => Date.now() > settled, { what: "the cooldown's end" });
	const fetches = fetchesOf(wechat, "wx1") - 1;
	expect(fetches).toBeGreaterThan(0);
	expect(fetches).toBeLessThanOrEqual(2);
	const { value: now } = readTokenFile(file);
	const used = await fetch(`${wechat.url}/sim/use?access_token=${now}`);
	expect(await used.json()).toMatchObject({ errcode: 0 });
	// The next request is not answered with the token of the burst.
	expect((await refreshOver(socket, "wx1")).status).toBe(200);
});

test("a thousand workers, each on its own connection, are all answered and cost one fetch", async () => {
	const { wechat, socket, file } = await startOne();
	const { value } = readTokenFile(file);
	wechat.platform.kill("wx1", wechat.now());
	const answers = await Promise.all(
		Array.from({ length: 1_000 }, () => refreshOver(socket, "wx1", value)),
	);
	const { value: fresh } = readTokenFile(file);
	for (const answer of answers)
		expect(answer.json()).toMatchObject({ value: fresh });
	expect(fetchesOf(wechat, "wx1")).toBe(2);
	expect(probesOf(wechat)).toBeLessThanOrEqual(1);
});

test("an app that reports a living token again and again causes no fetch, and fewer and fewer probes", async () => {
	const { wechat, config, socket, file } = await startOne();
	const { value } = readTokenFile(file);
	const startedAt = Date.now();
	let reports = 0;
	while (probesOf(wechat) < 3 && reports < 100_000) {
		const answer = await refreshOver(socket, "wx1", value);
		expect(answer.json()).toMatchObject({ outcome: "alive", value });
		reports += 1;
	}
	// The second comes after 1 s, the third 2 s later, and then 4, 8, 16…
	const seconds = (Date.now() - startedAt) / 1_000;
	expect(2 ** (probesOf(wechat) - 1)).toBeLessThanOrEqual(seconds + 1.5);
	expect(reports).toBeGreaterThan(10);
	expect(fetchesOf(wechat, "wx1")).toBe(1);
	expect(readTokenFile(config.tokenFile("wx1")).value).toBe(value);
});

test("a token that dies after a probe found it alive is found dead by the next report, even within the cooldown", async () => {
	const { wechat, socket, file } = await startOne();
	const { value } = readTokenFile(file);
	const first = await refreshOver(socket, "wx1", value);
	expect(first.json()).toMatchObject({ outcome: "alive" });
	wechat.platform.kill("wx1", wechat.now());
	// The verdict holds for a second; the first report after that finds it dead.
	const second = await eventually(
		async () => {
			const answer = await refreshOver(socket, "wx1", value);
			return answer.json().outcome !== "alive" && answer;
		},
		{ what: "another verdict", everyMs: 100 },
	);
	expect(second.json()).toMatchObject({ outcome: "refreshed" });
	expect(second.json().value).not.toBe(value);
	expect(probesOf(wechat)).toBe(2);
	expect(fetchesOf(wechat, "wx1")).toBe(2);
});

test("an app that forces again and again uses up its share of the budget and no more, and is told so", async () => {
	const { wechat, socket, file } = await startOne({ cooldown: 0, budget: 5 });
	const answers = [];
	for (let round = 0; round < 20; round += 1)
		answers.push(await refreshOver(socket, "wx1"));
	expect(answers.map(({ status }) => status)).toEqual([
		...Array(4).fill(200),
		...Array(16).fill(429),
	]);
	expect(answers.at(-1)?.json()).toMatchObject({
		code: "budget",
		hint: expect.stringContaining("budget"),
	});
	expect(fetchesOf(wechat, "wx1")).toBe(5);
	expect(readTokenFile(file).value).toBe(answers[3]?.json().value);
});

// After a reset a request is sent again on a new connection, if the last answer is recent.
test.for(["status", "reset"] as const)(
	"a request that is sent again after a %s counts against the budget, too",
	async (mode) => {
		const budget = 5;
		const { wechat, config, socket } = await startOne({ cooldown: 0, budget });
		const second = await startSimulator({ accounts: config.accounts });
		onTestFinished(() => second.close());
		const text = readFileSync(config.file, "utf8");
		const urls = `base_urls = ["${wechat.url}", "${second.url}"]`;
		writeFileSync(config.file, text.replace(/base_urls = .*/, urls));
		const faults = mode === "status" ? { mode, status: 502 } : { mode };
		await wechat.addFault(faults);
		await second.addFault(faults);
		await callSocket(socket, "/v1/reload", { method: "POST" });
		for (let round = 0; round < 10; round += 1)
			await refreshOver(socket, "wx1");
		expect(wechat.requests.length + second.requests.length).toBe(budget);
	},
);

test("a thousand reports while WeChat is broken do not cause a thousand calls", async () => {
	const { wechat, socket, file } = await startOne();
	const { value } = readTokenFile(file);
	wechat.platform.kill("wx1", wechat.now());
	await wechat.addFault({ mode: "errcode", errcode: -1 });
	const before = wechat.requests.length;
	const answers = await Promise.all(
		Array.from({ length: 1_000 }, () => refreshOver(socket, "wx1", value)),
	);
	for (const answer of answers) {
		expect(answer.status).toBe(502);
		expect(answer.json()).toMatchObject({ code: "errcode -1" });
	}
	// A probe, an attempt, and what became due while the last reports were answered.
	expect(wechat.requests.length - before).toBeLessThanOrEqual(5);
	expect(readTokenFile(file).value).toBe(value);
});

function probesOf({ requests }: Simulator): number {
	return requests.filter(({ endpoint }) => endpoint === "get_api_domain_ip")
		.length;
}

/** The lines on stdout of a command; `input` is its stdin. */
function outputOf(
	[file = "", ...args]: readonly string[],
	more: readonly string[],
	input: string,
): Promise<readonly string[]> {
	return new Promise((resolve, reject) => {
		const child = spawn(file, [...args, ...more], {
			stdio: ["pipe", "pipe", "inherit"],
		});
		let text = "";
		child.stdout.setEncoding("utf8").on("data", (chunk) => {
			text += chunk;
		});
		child.stdin.on("error", () => {});
		child.stdin.end(input);
		child.on("error", reject);
		child.on("close", () => resolve(text.match(/.+/g) ?? []));
	});
}

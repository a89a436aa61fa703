// node bench/platform.mjs [COUNT [FETCHED]]
// A 第三方平台 with so many authorised accounts (100,000): how long a start takes that takes
// all their files over, memory per account, CPU at rest. Of FETCHED accounts (2,000) the
// tokens are fetched before, for the rate and the longest answer to a push meanwhile.
// Built program, simulator of its own, tokens in memory.
import { spawn } from "node:child_process";
import {
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const count = Number(process.argv[2] ?? 100_000);
const fetched = Number(process.argv[3] ?? 2_000);
const program = fileURLToPath(new URL("../dist/wxtokend.cjs", import.meta.url));
const place = mkdtempSync("/dev/shm/wxtokend-bench-");
const [appid, secret] = ["wxbench", "0123456789abcdef0123456789abcdef"];
const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const [simPort, pushPort] = [18_190, 18_191];
const running = [];

function start(args, stderr = "ignore") {
	const child = spawn(process.execPath, [program, ...args], {
		stdio: ["ignore", "ignore", stderr],
	});
	running.push(child);
	return child;
}

async function sim(path, body) {
	for (;;)
		try {
			const answer = await fetch(`http://127.0.0.1:${simPort}/sim/${path}`, {
				method: "POST",
				body: JSON.stringify(body),
			});
			return await answer.json();
		} catch {
			await sleep(100);
		}
}

/** Starts a daemon; resolves when it is ready. */
async function daemon() {
	const beganAt = performance.now();
	const child = start(["run", "--config", join(place, "config.toml")], "pipe");
	await new Promise((ready) => {
		let text = "";
		child.stderr.setEncoding("utf8").on("data", (part) => {
			// A line for each account comes before it.
			text = text.slice(-100) + part;
			if (text.includes("daemon.ready")) ready();
		});
	});
	return { child, tookMs: performance.now() - beganAt };
}

async function stop(child) {
	const ended = new Promise((done) => child.once("exit", done));
	child.kill("SIGTERM");
	await ended;
}

/** VmRSS, bytes. */
function memoryOf({ pid }) {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

/** User and system time, ms. */
function cpuOf({ pid }) {
	const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** As if their tokens had been fetched at some time in the last 40 minutes. */
function addAccounts() {
	const lines = [];
	const now = Math.floor(Date.now() / 1000);
	for (let number = fetched; number < count; number += 1) {
		const name = `wxa${String(number).padStart(16, "0")}`;
		const value = `${name}${"x".repeat(117)}`;
		const expire = now + 7_190 - Math.floor((number * 2_400) / count);
		writeFileSync(
			join(place, "run", `wx_access_token_${name}`),
			`${JSON.stringify({ value, expire })}\n`,
			{ mode: 0o640 },
		);
		const refresh_token = `refreshtoken@@@${String(number).padStart(43, "0")}`;
		lines.push(`${JSON.stringify({ appid: name, refresh_token })}\n`);
	}
	const state = join(place, "state/component", appid, "authorizers");
	writeFileSync(state, lines.join(""), { flag: "a" });
}

const published = () =>
	readdirSync(join(place, "run")).filter((name) =>
		/^wx_access_token_[^.]+$/.test(name),
	).length;

function tell(name, value) {
	process.stdout.write(`${name.padEnd(56)} ${value}\n`);
}

try {
	mkdirSync(join(place, "run"));
	writeFileSync(join(place, "token"), "sampletoken", { mode: 0o600 });
	writeFileSync(join(place, "key"), key, { mode: 0o600 });
	writeFileSync(
		join(place, "config.toml"),
		`directory = "${place}/run"
state_directory = "${place}/state"
log_level = "info"
log_format = "json"
[wechat]
base_urls = ["http://127.0.0.1:${simPort}"]
[receiver]
listen = "127.0.0.1:${pushPort}"
[[component]]
appid = "${appid}"
secret = "${secret}"
token_file = "${place}/token"
aes_key_file = "${place}/key"
`,
		{ mode: 0o600 },
	);
	start([
		...["simulate", "--quiet", "--port", String(simPort)],
		...["--component", `${appid}:${secret}`, "--push-token", "sampletoken"],
		...["--push", `http://127.0.0.1:${pushPort}`, "--push-key", key],
	]);
	const first = await daemon();
	await sim("push", { appid });
	await sleep(3_000);
	const emptyBytes = memoryOf(first.child);
	await sim("authorizers", { appid, count: fetched });
	await stop(first.child);
	// A gap makes it compare the list at once.
	rmSync(join(place, "state/component", appid, "authorizers"));
	const filling = await daemon();
	const beganAt = performance.now();
	let slowestPushMs = 0;
	while (published() < fetched) {
		const { tookMs, outcome } = await sim("push", { appid });
		if (outcome !== "success") tell("push", outcome);
		slowestPushMs = Math.max(slowestPushMs, tookMs);
		await sleep(1_000);
	}
	const filledMs = performance.now() - beganAt;
	tell("fetches per second", (fetched / (filledMs / 1000)).toFixed(0));
	tell("slowest answer to a push meanwhile, ms", slowestPushMs);
	await stop(filling.child);
	addAccounts();
	const again = await daemon();
	tell("start until all are taken over, s", (again.tookMs / 1000).toFixed(1));
	await sleep(20_000);
	const bytes = memoryOf(again.child);
	tell("memory, MB", (bytes / 1e6).toFixed(0));
	tell("memory per account, bytes", Math.round((bytes - emptyBytes) / count));
	const [cpuBefore, at] = [cpuOf(again.child), performance.now()];
	await sleep(30_000);
	const share = (cpuOf(again.child) - cpuBefore) / (performance.now() - at);
	tell("CPU at rest, % of a core", (share * 100).toFixed(1));
	await stop(again.child);
} finally {
	for (const child of running) child.kill("SIGKILL");
	rmSync(place, { recursive: true, force: true });
}

// A 第三方平台 with the built program and a simulator of its own on loopback, tokens in
// memory: what the benches of platforms share.
import { spawn } from "node:child_process";
import {
	existsSync,
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

const program = fileURLToPath(new URL("../dist/wxtokend.cjs", import.meta.url));
const loopDelay = fileURLToPath(new URL("loop-delay.cjs", import.meta.url));
const secret = "0123456789abcdef0123456789abcdef";
const key = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";

export const appid = "wxbench";

/**
 * `top`, `wechat`: more lines of the configuration; `latency`: of the simulator, ms. `end`
 * kills what was started.
 */
export function createScene({
	simPort,
	pushPort,
	top,
	wechat = "",
	latency = 0,
}) {
	const place = mkdtempSync("/dev/shm/wxtokend-bench-");
	const running = [];
	const own = (child) => {
		running.push(child);
		return child;
	};
	const delayFile = join(place, "delay");
	const start = (args, stderr = "ignore", flags = []) =>
		own(
			spawn(process.execPath, [...flags, program, ...args], {
				stdio: ["ignore", "ignore", stderr],
				env: { ...process.env, BENCH_LOOP_DELAY: delayFile },
			}),
		);
	mkdirSync(join(place, "run"));
	writeFileSync(join(place, "token"), "sampletoken", { mode: 0o600 });
	writeFileSync(join(place, "key"), key, { mode: 0o600 });
	writeFileSync(
		join(place, "config.toml"),
		`directory = "${place}/run"
state_directory = "${place}/state"
log_format = "json"
${top}
[wechat]
base_urls = ["http://127.0.0.1:${simPort}"]
${wechat}
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
	return {
		place,
		own,
		simulate: () =>
			start([
				...["simulate", "--quiet", "--port", String(simPort)],
				...["--latency", String(latency)],
				...["--component", `${appid}:${secret}`, "--push-token", "sampletoken"],
				...["--push", `http://127.0.0.1:${pushPort}`, "--push-key", key],
			]),
		/** Starts a daemon; resolves with it when it is ready. */
		daemon: async () => {
			const config = join(place, "config.toml");
			const watched = ["--require", loopDelay];
			const child = start(["run", "--config", config], "pipe", watched);
			await new Promise((ready) => {
				let text = "";
				child.stderr.setEncoding("utf8").on("data", (part) => {
					// A line for each account may come before it.
					text = text.slice(-100) + part;
					if (text.includes("daemon.ready")) ready();
				});
			});
			return child;
		},
		/** A control call of the simulator, as soon as it answers. */
		sim: async (path, body) => {
			for (;;)
				try {
					const answer = await fetch(
						`http://127.0.0.1:${simPort}/sim/${path}`,
						{ method: "POST", body: JSON.stringify(body) },
					);
					return await answer.json();
				} catch {
					await sleep(100);
				}
		},
		/** How long its event loop was held up at the longest since its start, or the last call; ms. */
		heldUpMs: async (child) => {
			rmSync(delayFile, { force: true });
			child.kill("SIGUSR2");
			while (!existsSync(delayFile)) await sleep(10);
			return Number(readFileSync(delayFile, "utf8"));
		},
		/** Resolves at its end. */
		stop: async (child) => {
			const ended = new Promise((done) => child.once("exit", done));
			child.kill("SIGTERM");
			await ended;
		},
		/** The names of the token files of its accounts. */
		tokenFiles: () =>
			readdirSync(join(place, "run")).filter((name) =>
				/^wx_access_token_[^.]+$/.test(name),
			),
		/** Where the refresh tokens are kept. */
		authorizers: join(place, "state/component", appid, "authorizers"),
		end: () => {
			for (const child of running) child.kill("SIGKILL");
			rmSync(place, { recursive: true, force: true });
		},
	};
}

/** VmRSS, bytes. */
export function memoryOf({ pid }) {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

/** User and system time, ms. */
export function cpuOf({ pid }) {
	const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
	const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
	return (Number(fields[11]) + Number(fields[12])) * 10;
}

export function tell(name, value) {
	process.stdout.write(`${name.padEnd(56)} ${value}\n`);
}

// node bench/attack.mjs [SECONDS [RATE]]
// The receiver under RATE (10,000) unsigned pushes per second for SECONDS (60), and beside
// them 200 bodies that never end: how many are answered, whether genuine pushes are, whether
// a token of 12 s is renewed in time, and the daemon's memory. Built program, simulator and
// attacker are processes of their own on loopback; tokens in memory.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { loadavg } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
	appid,
	cpuOf,
	createScene,
	memoryOf,
	tell,
} from "./platform-scene.mjs";

const [simPort, pushPort] = [18_290, 18_291];
const self = fileURLToPath(import.meta.url);

if (process.argv[2] === "attacker")
	attack(Number(process.argv[3]), Number(process.argv[4]));
else
	await measure(
		Number(process.argv[2] ?? 60),
		Number(process.argv[3] ?? 10_000),
	);

/** Sends so many a second as far as they are answered; tells how many were. */
function attack(seconds, rate) {
	const cipher = "A".repeat(512);
	const body = `<xml><Encrypt>${cipher}</Encrypt></xml>`;
	const one = `POST /component/${appid}?msg_signature=${"0".repeat(40)}&timestamp=1&nonce=2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
	/** A connection is good for a hundred. */
	const [perBatch, batches, connections] = [20, 5, 50];
	const batch = one.repeat(perBatch);
	let [allowed, answered, refused, lost] = [0, 0, 0, 0];
	const beganAt = performance.now();
	let filledAt = beganAt;
	const isOver = () => performance.now() - beganAt >= seconds * 1000;
	const open = () => {
		if (isOver()) return;
		const socket = connect(pushPort, "127.0.0.1");
		let [sent, unanswered, rest] = [0, 0, ""];
		const send = () => {
			if (isOver() || sent === batches) return socket.destroy();
			if (allowed < perBatch) return setTimeout(send, 2);
			allowed -= perBatch;
			sent += 1;
			unanswered = perBatch;
			socket.write(batch);
		};
		socket.setEncoding("latin1");
		socket.on("connect", send);
		socket.on("data", (chunk) => {
			const text = rest + chunk;
			const statuses = [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)];
			const last = statuses.at(-1);
			// Half a status line is read with the next chunk.
			rest = text.slice(last === undefined ? 0 : last.index + 12).slice(-11);
			unanswered -= statuses.length;
			answered += statuses.length;
			refused += statuses.filter(([, status]) => status === "403").length;
			if (unanswered === 0) send();
		});
		socket.on("error", () => {});
		socket.on("close", () => {
			lost += unanswered;
			setTimeout(open, 0);
		});
	};
	const timer = setInterval(() => {
		const now = performance.now();
		// What could not be sent in time is not made up for later.
		allowed = Math.min(rate / 10, allowed + ((now - filledAt) * rate) / 1000);
		filledAt = now;
		if (!isOver()) return;
		clearInterval(timer);
		process.send({ answered, refused, lost });
		process.disconnect();
	}, 5);
	for (let n = 0; n < connections; n += 1) open();
}

async function measure(seconds, rate) {
	const scene = createScene({
		...{ simPort, pushPort },
		top: 'schedule = "* * * * * *"',
		wechat: "budget = 10000",
	});
	const push = () => scene.sim("push", { appid });
	try {
		scene.simulate();
		await scene.sim("knobs", { tokenLifetimeSeconds: 12 });
		const daemon = await scene.daemon();
		await push();
		const file = join(scene.place, "run", `wx_component_access_token_${appid}`);
		while (leftIn(file) === undefined) await sleep(50);
		const slow = Array.from({ length: 200 }, () => openSlow());
		const attacker = scene.own(
			spawn(
				process.execPath,
				[self, "attacker", String(seconds), String(rate)],
				{ stdio: ["ignore", "inherit", "inherit", "ipc"] },
			),
		);
		const result = new Promise((done) => attacker.once("message", done));
		const seen = await watch(daemon, file, seconds, push);
		const { answered, refused, lost } = await result;
		for (const socket of slow) socket.destroy();
		tell("load average", loadavg()[0].toFixed(1));
		tell(
			"unsigned pushes answered per second",
			(answered / seconds).toFixed(0),
		);
		tell("of them with 403, %", ((100 * refused) / answered).toFixed(2));
		tell("cut off without an answer", lost);
		tell("genuine pushes answered with success", seen.pushes);
		tell("slowest of them, ms", seen.slowestPushMs);
		tell("renewals of a token of 12 s", seen.renewals);
		tell("least that was left of it, s", seen.leastLeft.toFixed(1));
		tell("CPU of the daemon, % of a core", seen.cpu.toFixed(0));
		tell("memory after 10 s, at the end, at most, MB", seen.memory);
	} finally {
		scene.end();
	}
}

/** What happens during the attack: a genuine push each second, looks at the file at each 50 ms. */
async function watch(daemon, file, seconds, push) {
	const beganAt = performance.now();
	const cpuBefore = cpuOf(daemon);
	const memory = [];
	const seen = { pushes: 0, slowestPushMs: 0, renewals: 0, leastLeft: 12 };
	let asked = 0;
	let value = "";
	const pushing = [];
	for (;;) {
		const passed = (performance.now() - beganAt) / 1000;
		if (passed >= seconds) break;
		if (passed >= asked + 1) {
			asked += 1;
			memory.push(memoryOf(daemon) / 1e6);
			pushing.push(
				push().then(({ outcome, tookMs }) => {
					if (outcome === "success") seen.pushes += 1;
					seen.slowestPushMs = Math.max(seen.slowestPushMs, tookMs);
				}),
			);
		}
		const text = readFileSync(file, "utf8");
		if (text !== value) seen.renewals += value === "" ? 0 : 1;
		value = text;
		seen.leastLeft = Math.min(seen.leastLeft, leftIn(file));
		await sleep(50);
	}
	await Promise.all(pushing);
	const ms = performance.now() - beganAt;
	return {
		...seen,
		pushes: `${seen.pushes} of ${asked}`,
		cpu: (100 * (cpuOf(daemon) - cpuBefore)) / ms,
		memory: [memory[9] ?? Number.NaN, memory.at(-1), Math.max(...memory)]
			.map((one) => one.toFixed(0))
			.join(", "),
	};
}

/** A body that is announced and never ends. */
function openSlow() {
	const socket = connect(pushPort, "127.0.0.1");
	socket.on("error", () => {});
	socket.write(
		`POST /component/${appid} HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n<`,
	);
	return socket;
}

/** Seconds that the token in that file has left; undefined: there is none. */
function leftIn(file) {
	try {
		return JSON.parse(readFileSync(file, "utf8")).expire - Date.now() / 1000;
	} catch {
		return undefined;
	}
}

// node bench/platform-renewals.mjs [COUNT [ROUNDS [LATENCY]]]
// A 第三方平台 with so many authorised accounts (2,000): how long until all of their tokens
// are new after a SIGHUP, in turn with a bare loop that asks the same simulator with the same
// refresh tokens. Built program, tokens in memory. The simulator answers after LATENCY ms
// (50): with 0 it is a matter of the processor alone.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { appid, createScene, tell } from "./platform-scene.mjs";

const count = Number(process.argv[2] ?? 2_000);
const rounds = Number(process.argv[3] ?? 3);
const latency = Number(process.argv[4] ?? 50);
/** As many as the daemon has at work at a time. */
const concurrency = 60;
const ports = { simPort: 18_192, pushPort: 18_193 };
const scene = createScene({
	...ports,
	latency,
	top: 'log_level = "info"',
	wechat: "cooldown = 0",
});
const { place, sim, stop, tokenFiles, authorizers } = scene;
const run = join(place, "run");
const bareLoop = fileURLToPath(
	new URL("bare/authorizers.mjs", import.meta.url),
);

/** The epoch ms of the last change, once each file has changed since `since`. */
async function allNewSince(since) {
	for (;;) {
		const times = tokenFiles().map((name) => statSync(join(run, name)).mtimeMs);
		if (times.length >= count && times.every((time) => time >= since))
			return Math.max(...times);
		await sleep(250);
	}
}

async function byUs(child) {
	const beganAt = Date.now();
	child.kill("SIGHUP");
	return (await allNewSince(beganAt)) - beganAt;
}

function byTheLoop() {
	const elsewhere = join(place, "bare");
	mkdirSync(elsewhere, { recursive: true });
	const text = execFileSync(process.execPath, [
		bareLoop,
		`http://127.0.0.1:${ports.simPort}`,
		appid,
		join(run, `wx_component_access_token_${appid}`),
		authorizers,
		elsewhere,
		String(concurrency),
	]);
	return Number(text);
}

try {
	scene.simulate();
	const first = await scene.daemon();
	await sim("push", { appid });
	await sleep(3_000);
	await sim("authorizers", { appid, count });
	await stop(first);
	// A gap makes it compare the list at once.
	rmSync(authorizers, { force: true });
	const child = await scene.daemon();
	while (tokenFiles().length < count) {
		await sim("push", { appid });
		await sleep(1_000);
	}
	const ratios = [];
	for (let round = 0; round < rounds; round += 1) {
		await sleep(6_000);
		const ours = await byUs(child);
		const bare = byTheLoop();
		ratios.push(ours / bare);
		tell(
			`${count} renewed by us; by the loop, ms`,
			`${ours.toFixed(0)}; ${bare.toFixed(0)}`,
		);
	}
	const [median] = ratios
		.toSorted((one, other) => one - other)
		.slice(Math.floor(rounds / 2));
	tell("ratio, median", median.toFixed(2));
} finally {
	scene.end();
}

// node bench/platform.mjs [COUNT [FETCHED]]
// A 第三方平台 with so many authorised accounts (100,000): how long a start takes that takes
// all their files over, memory per account, CPU at rest. Of FETCHED accounts (2,000) the
// tokens are fetched before, for the rate and the longest answer to a push meanwhile.
// Built program, simulator of its own, tokens in memory.
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
	appid,
	cpuOf,
	createScene,
	memoryOf,
	tell,
} from "./platform-scene.mjs";

const count = Number(process.argv[2] ?? 100_000);
const fetched = Number(process.argv[3] ?? 2_000);
const scene = createScene({
	...{ simPort: 18_190, pushPort: 18_191 },
	top: 'log_level = "info"',
});
const { place, sim, stop, tokenFiles, authorizers } = scene;

/** Starts a daemon; how long that takes until it is ready. */
async function daemon() {
	const beganAt = performance.now();
	const child = await scene.daemon();
	return { child, tookMs: performance.now() - beganAt };
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
	writeFileSync(authorizers, lines.join(""), { flag: "a" });
}

try {
	scene.simulate();
	const first = await daemon();
	await sim("push", { appid });
	await sleep(3_000);
	const emptyBytes = memoryOf(first.child);
	await sim("authorizers", { appid, count: fetched });
	await stop(first.child);
	// A gap makes it compare the list at once.
	rmSync(authorizers);
	const filling = await daemon();
	const beganAt = performance.now();
	let slowestPushMs = 0;
	while (tokenFiles().length < fetched) {
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
	tell(
		"event loop held up meanwhile, ms",
		(await scene.heldUpMs(again.child)).toFixed(0),
	);
	// Half a minute after a start V8 itself looks for memory to give back, once.
	await sleep(45_000);
	const bytes = memoryOf(again.child);
	tell("memory, MB", (bytes / 1e6).toFixed(0));
	tell("memory per account, bytes", Math.round((bytes - emptyBytes) / count));
	const [cpuBefore, at] = [cpuOf(again.child), performance.now()];
	await sleep(30_000);
	const share = (cpuOf(again.child) - cpuBefore) / (performance.now() - at);
	tell("CPU at rest, % of a core", (share * 100).toFixed(1));
	await stop(again.child);
} finally {
	scene.end();
}

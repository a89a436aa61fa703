/** The receiver under attack. */
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import {
	callsTo,
	componentAppid,
	liveToken,
	newPlatform,
	type PlatformScene,
} from "./support/platform.ts";
import { startDaemon } from "./support/program.ts";
import { readTokenFile } from "./support/token-file.ts";

/** An unsigned push; its status. */
function unsigned({ port }: PlatformScene, agent: Agent): Promise<number> {
	return new Promise((resolve) => {
		const call = request(
			{
				...{ host: "127.0.0.1", port, agent, method: "POST" },
				path: `/component/${componentAppid}?msg_signature=${"0".repeat(40)}&timestamp=1&nonce=2`,
			},
			(response) => {
				response.resume();
				response.on("end", () => resolve(response.statusCode ?? 0));
			},
		);
		call.on("error", () => resolve(0));
		call.end(`<xml><Encrypt>${"A".repeat(512)}</Encrypt></xml>`);
	});
}

test("ten thousand unsigned pushes and slow bodies delay no genuine one, and no token", async () => {
	// The attacker, WeChat and its clock share this process: what is shown is that genuine
	// pushes are answered while the attack lasts, not how fast a busy machine is.
	const scene = await newPlatform({
		knobs: { tokenLifetimeSeconds: 6, pushTimeoutSeconds: 250 },
	});
	const daemon = await startDaemon(scene.config);
	await scene.push();
	await liveToken(scene, scene.componentFile);
	const slow: Socket[] = Array.from({ length: 500 }, () => {
		const socket = connect(scene.port, "127.0.0.1");
		socket.on("error", () => {});
		socket.write(
			`POST /component/${componentAppid} HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n<`,
		);
		return socket;
	});
	onTestFinished(() => {
		for (const socket of slow) socket.destroy();
	});
	const agent = new Agent({ keepAlive: true, maxSockets: 50 });
	onTestFinished(() => agent.destroy());
	let left = 10_000;
	// A fast machine has sent them before the token is due.
	const isOver = () => left <= 0 && callsTo(scene, "api_component_token") > 1;
	const answers = new Map<number, number>();
	const attack = Promise.all(
		Array.from({ length: 50 }, async () => {
			while (!isOver()) {
				left -= 1;
				const status = await unsigned(scene, agent);
				answers.set(status, (answers.get(status) ?? 0) + 1);
			}
		}),
	);
	for (let count = 0; count < 5; count += 1)
		expect((await scene.push()).outcome).toBe("success");
	expect(left, "unsigned pushes to come").toBeGreaterThan(0);
	await attack;
	expect(answers.get(403) ?? 0).toBeGreaterThan(9_000);
	const { expire } = readTokenFile(scene.componentFile);
	expect(expire * 1000).toBeGreaterThan(scene.wechat.now());
	expect(callsTo(scene, "api_component_token")).toBeGreaterThan(1);
	const told = daemon.events().filter(({ event }) => event === "push.refused");
	expect(told).toHaveLength(1);
});

/**
 * A platform with many authorised accounts, and one component token that all of them hang
 * on: CROWD of them, by default few.
 */
import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { eventually } from "./support/eventually.ts";
import {
	componentAppid,
	liveToken,
	newPlatform,
	type PlatformScene,
	type PlatformSceneOptions,
} from "./support/platform.ts";
import { statusOf } from "./support/platform-place.ts";
import { type Running, startDaemon } from "./support/program.ts";
import { hasFile } from "./support/token-file.ts";

const few = 200;
const crowd = Number(process.env.CROWD ?? few);

const memberAt = (at: number) => `wxa${String(at).padStart(6, "0")}`;

/** Each account has a token. */
async function newCrowd(
	count = crowd,
	options: PlatformSceneOptions = {},
): Promise<{
	readonly scene: PlatformScene;
	readonly daemon: Running;
	/** How often that endpoint was asked so far. */
	calls(endpoint: string): number;
}> {
	const counts = new Map<string, number>();
	const calls = (endpoint: string) => counts.get(endpoint) ?? 0;
	const scene = await newPlatform({
		...options,
		onRequest: ({ endpoint = "" }) => {
			counts.set(endpoint, calls(endpoint) + 1);
		},
	});
	const { platform, now } = scene.wechat;
	platform.loadAuthorizers(componentAppid, "wxa", count, now());
	const daemon = await startDaemon(scene.config);
	await scene.push();
	await eventually(() => allHaveTokens(scene, count), {
		what: "all tokens",
		withinMs: 240_000,
	});
	return { scene, daemon, calls };
}

function allHaveTokens(scene: PlatformScene, count: number): boolean {
	return Array.from({ length: count }, (_, at) => memberAt(at)).every((one) =>
		hasFile(scene.tokenOf(one)),
	);
}

test("a component token that died is fetched once for all accounts that are renewed", async () => {
	const { scene, daemon, calls } = await newCrowd();
	const before = calls("api_component_token");
	const { platform, now } = scene.wechat;
	platform.changeComponent(componentAppid, { kill: true }, now());
	// Each account lacks its file, and what was known of it.
	const renewed = calls("api_authorizer_token");
	await daemon.stop();
	for (let at = 0; at < crowd; at += 1) {
		rmSync(scene.tokenOf(memberAt(at)));
		rmSync(scene.path(`.wx_access_token_${memberAt(at)}.state`));
	}
	const again = await startDaemon(scene.config);
	await eventually(() => allHaveTokens(scene, crowd), {
		what: "all tokens again",
		withinMs: 240_000,
	});
	await liveToken(scene, scene.tokenOf(memberAt(crowd - 1)));
	expect(calls("api_component_token")).toBe(before + 1);
	// Those that were asked for before it was known are asked for once more.
	const asked = calls("api_authorizer_token") - renewed;
	console.log(`${crowd} accounts: asked for ${asked} times`);
	expect(asked).toBeGreaterThanOrEqual(crowd);
	expect(asked).toBeLessThanOrEqual(2 * crowd);
	const paused = again.events().filter(({ event }) => event === "fetch.failed");
	expect(paused).toEqual([]);
	await again.stop();
});

test("a platform that no ticket comes to is told once, and each account says what it waits for", async () => {
	const { scene, daemon } = await newCrowd();
	await daemon.stop();
	rmSync(scene.stateFile("verify-ticket"));
	rmSync(scene.componentFile);
	const again = await startDaemon(scene.config);
	for (const at of [0, crowd - 1]) {
		const name = `wx_access_token_${memberAt(at)}`;
		rmSync(scene.path(`.${name}.state`));
		rmSync(scene.path(name));
		await eventually(
			async () =>
				/no push/.test(JSON.stringify((await statusOf(scene, name)).waitsFor)),
			{ what: "what it waits for" },
		);
	}
	const told = again
		.events()
		.filter(({ event }) => /failed|missing/.test(String(event)))
		.map(({ credential, component }) => credential ?? component);
	expect(told).toEqual([`wx_component_access_token_${componentAppid}`]);
	await again.stop();
});

test("a storm of signals forces two fetches of the component token, and two of each account's", async () => {
	const { scene, daemon, calls } = await newCrowd(few, {
		wechat: { cooldown: 10 },
	});
	const component = calls("api_component_token");
	const members = calls("api_authorizer_token");
	const isFirstRoundOver = () =>
		calls("api_component_token") > component &&
		calls("api_authorizer_token") >= members + few;
	const beganAt = performance.now();
	// Those of one instant are one. So it lasts for some seconds, and until after the first
	// round: on a busy machine that takes longer.
	for (let count = 0; count < 500 || !isFirstRoundOver(); count += 1) {
		daemon.kill("SIGHUP");
		await sleep(5);
	}
	daemon.kill("SIGHUP");
	// One more for each cooldown that it has lasted.
	const most = 2 + Math.floor((performance.now() - beganAt) / 10_000);
	await eventually(
		() =>
			calls("api_component_token") >= component + 2 &&
			calls("api_authorizer_token") >= members + 2 * few,
		{ what: "both fetches of each", withinMs: 240_000 },
	);
	await liveToken(scene, scene.tokenOf(memberAt(few - 1)));
	expect(calls("api_component_token")).toBeLessThanOrEqual(component + most);
	expect(calls("api_authorizer_token")).toBeLessThanOrEqual(
		members + most * few,
	);
	await daemon.stop();
});

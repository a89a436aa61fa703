/**
 * A 第三方平台 on several hosts with one Redis: pushes arrive at any of them, codes are
 * exchanged once, and each has what it needs on its own disk before WeChat is answered.
 */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "smol-toml";
import { expect, test } from "vitest";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { freePort } from "./support/free-port.ts";
import {
	callsTo,
	componentAppid,
	factsIn,
	liveToken,
	newPlatform,
	type PlatformScene,
} from "./support/platform.ts";
import { type Running, startDaemon } from "./support/program.ts";
import { noRedis, type Redis, startRedis } from "./support/redis.ts";
import { corp, livingToken, newSuite, thirdParty } from "./support/suite.ts";
import { hasFile, readTokenFile } from "./support/token-file.ts";

const withRedis = test.skipIf(noRedis !== undefined);

interface PlatformHost {
	readonly config: string;
	daemon: Running;
	/** What is pushed goes to this host from now on. */
	aim(): void;
	file(name: string): string;
	tokenOf(appid: string): string;
	readonly componentFile: string;
	facts(name: string): readonly Record<string, unknown>[];
}

/** Hosts with the same component; the first one gets what is pushed. */
async function startPlatformHosts(redis: Redis, count = 2) {
	const scene = await newPlatform({ top: { fleet: { url: redis.url } } });
	const hosts: PlatformHost[] = [];
	for (let index = 0; index < count; index += 1)
		hosts.push(
			await startHost(
				scene,
				"component",
				componentAppid,
				scene.component.push ?? {},
			),
		);
	hosts[0]?.aim();
	const [a, b] = hosts;
	if (a === undefined || b === undefined) throw new Error("too few hosts");
	return { scene, hosts, a, b };
}

async function startHost(
	scene: Pick<PlatformScene, "config">,
	kind: "component" | "suite",
	id: string,
	target: object,
): Promise<PlatformHost> {
	const place = newDirectory();
	const port = await freePort();
	const directory = join(place, "run");
	const state = join(place, "state");
	const config = join(place, "config.toml");
	const content = {
		...parse(readFileSync(scene.config, "utf8")),
		directory,
		state_directory: state,
		receiver: { listen: `127.0.0.1:${port}` },
	};
	writeFileSync(config, stringify(content));
	chmodSync(config, 0o600);
	return {
		config,
		daemon: await startDaemon(config),
		aim: () => {
			Object.assign(target, { url: `http://127.0.0.1:${port}/${kind}/${id}` });
		},
		file: (name) => join(directory, name),
		tokenOf: (appid) => join(directory, `wx_access_token_${appid}`),
		componentFile: join(directory, `wx_component_access_token_${id}`),
		facts: (name) => factsIn(join(state, kind, id, name)),
	};
}

const account = "wx2123456789abcdef";

withRedis(
	"a ticket that is pushed to one host is on the disk of the other; one code is exchanged for both, and both have the account's token",
	async () => {
		const redis = await startRedis();
		const { scene, a, b } = await startPlatformHosts(redis);
		const { outcome, ticket } = await scene.push();
		expect(outcome).toBe("success");
		expect(a.facts("verify-ticket").at(-1)).toMatchObject({ ticket });
		await eventually(() => b.facts("verify-ticket").at(-1)?.ticket === ticket, {
			what: "the ticket at the other host",
		});
		const token = await liveToken(scene, a.componentFile);
		expect(await liveToken(scene, b.componentFile)).toBe(token);
		expect(callsTo(scene, "api_component_token")).toBe(1);

		b.aim();
		await scene.consent(account);
		const value = await liveToken(scene, a.tokenOf(account));
		expect(await liveToken(scene, b.tokenOf(account))).toBe(value);
		expect(callsTo(scene, "api_query_auth")).toBe(1);
		expect(callsTo(scene, "api_authorizer_token", account)).toBe(1);
		const secret = (host: PlatformHost) =>
			host.facts("authorizers").findLast(({ refresh_token: one }) => one)
				?.refresh_token;
		await eventually(() => secret(a) !== undefined && secret(a) === secret(b), {
			what: "the same refresh token on both disks",
		});

		// Withdrawn at one host, it is at both; its file stays until its token is over.
		await scene.withdraw(account);
		for (const host of [a, b])
			await eventually(
				() => host.facts("authorizers").some(({ retired_at: at }) => at),
				{ what: "the withdrawal" },
			);
		expect(hasFile(a.tokenOf(account))).toBe(true);
		// No name in Redis holds a secret; what is told of it there holds no refresh token.
		const names = await redis.cli("KEYS", "*");
		expect(names).not.toContain(ticket);
		const facts = `wxtokend:{@component/${componentAppid}}:facts`;
		const told = await redis.cli("HGET", facts, `account:${account}`);
		expect(told).toContain("retired_at");
		expect(told).not.toContain("refresh");
	},
);

withRedis(
	"a host that was away catches up with what was pushed to the others; a Redis that comes back empty is filled from the hosts",
	async () => {
		const redis = await startRedis();
		const { scene, a, b } = await startPlatformHosts(redis);
		await scene.push();
		await liveToken(scene, b.componentFile);
		await b.daemon.stop();
		const { ticket } = await scene.push();
		await scene.consent(account);
		const value = await liveToken(scene, a.tokenOf(account));
		b.daemon = await startDaemon(b.config);
		expect(b.facts("verify-ticket").at(-1)).toMatchObject({ ticket });
		expect(await liveToken(scene, b.tokenOf(account))).toBe(value);
		expect(callsTo(scene, "api_query_auth")).toBe(1);

		await redis.kill();
		await redis.restart();
		const facts = `wxtokend:{@component/${componentAppid}}:facts`;
		await eventually(
			async () =>
				(await redis.cli("HGET", facts, `account:${account}`)).includes(
					"refresh_token",
				),
			{ what: "the facts in Redis" },
		);
		expect(await redis.cli("HGET", facts, "ticket")).toContain(ticket);
		expect(readTokenFile(a.tokenOf(account)).value).toBe(value);
		expect(callsTo(scene, "api_authorizer_token", account)).toBe(1);
	},
);

withRedis(
	"while Redis is away a push is kept on the disk, but not answered success, so that WeChat sends it again; what was not told is told when Redis is back",
	async () => {
		const redis = await startRedis();
		const { scene, a, b } = await startPlatformHosts(redis);
		await scene.push();
		await liveToken(scene, b.componentFile);
		await redis.kill();
		await a.daemon.event("fleet.unreachable");
		const { outcome, ticket } = await scene.push();
		expect(outcome).not.toBe("success");
		expect(a.facts("verify-ticket").at(-1)).toMatchObject({ ticket });
		await redis.restart();
		await eventually(() => b.facts("verify-ticket").at(-1)?.ticket === ticket, {
			what: "the ticket at the other host",
		});
		expect((await scene.push()).outcome).toBe("success");
	},
);

withRedis(
	"a suite on two hosts: its code is exchanged once, whichever host got it, and the permanent code is on both disks",
	async () => {
		const redis = await startRedis();
		const scene = await newSuite({ top: { fleet: { url: redis.url } } });
		const target = scene.suite.push ?? {};
		const a = await startHost(scene, "suite", thirdParty, target);
		const b = await startHost(scene, "suite", thirdParty, target);
		a.aim();
		expect((await scene.push()).outcome).toBe("success");
		b.aim();
		await scene.consent();
		const name = `wecom_access_token_${corp}_${thirdParty}`;
		const value = await livingToken(scene, a.file(name));
		expect(await livingToken(scene, b.file(name))).toBe(value);
		const secret = (host: PlatformHost) =>
			host.facts("corps").findLast(({ permanent_code: one }) => one)
				?.permanent_code;
		await eventually(() => secret(a) !== undefined && secret(a) === secret(b), {
			what: "the permanent code on both disks",
		});
		expect(callsTo(scene, "get_permanent_code")).toBe(1);
	},
);

/** Hosts that do not fetch, hosts whose clocks are wrong, and what SDKs find in Redis. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { type Host, hangUp, startHosts } from "./support/hosts.ts";
import { startIssuer } from "./support/issuer.ts";
import { newSecret } from "./support/leaks.ts";
import { runProgram, startDaemon } from "./support/program.ts";
import { faketimeLibrary, noRedis, startRedis } from "./support/redis.ts";
import { callSocket, socketIn } from "./support/socket.ts";
import { readTokenFile } from "./support/token-file.ts";

const withRedis = test.skipIf(noRedis !== undefined);

withRedis(
	"a follower has no AppSecret and fetches nothing; its HUP and its report of a dead token are served by a keeper",
	async () => {
		const redis = await startRedis();
		const fleet = { url: redis.url };
		const { hosts, wechat, fetches, agreement } = await startHosts({
			fleet: () => fleet,
			wechat: { cooldown: 0 },
			count: 2,
		});
		const before = await agreement();
		const config = writeConfig({
			url: "http://127.0.0.1:9",
			withoutSecrets: true,
			top: { log_level: "info", fleet: { ...fleet, role: "follower" } },
		});
		const daemon = await startDaemon(config.file);
		const file = config.tokenFile("wx1");
		expect(readTokenFile(file).value).toBe(before);

		daemon.kill("SIGHUP");
		const forced = await agreement(before);
		await eventually(() => readTokenFile(file).value === forced, {
			what: "the forced token at the follower",
		});
		expect(fetches()).toBe(2);

		wechat.platform.kill("wx1", wechat.now());
		const answer = await callSocket(
			socketIn(config.directory),
			"/v1/accounts/wx1/refresh",
			{ method: "POST", body: JSON.stringify({ stale: forced }) },
		);
		expect(answer.json()).toMatchObject({ outcome: "refreshed" });
		expect(answer.json().value).toBe(await agreement(forced));
		expect(fetches()).toBe(3);
		expect(hosts.length).toBe(2);
	},
);

withRedis(
	"a follower of a central wxtokend has its token at once, also a new one, hands a HUP on, and keeps its file when the server is gone",
	async () => {
		const bearer = join(newDirectory(), "bearer");
		writeFileSync(bearer, "a-bearer-of-the-test-0123456789\n", { mode: 0o600 });
		const { wechat, hosts, fetches, agreement } = await startHosts({
			count: 1,
			wechat: { cooldown: 0 },
			fleet: () => undefined,
			top: () => ({ http: { listen: "127.0.0.1:0", bearer_file: bearer } }),
		});
		const [central] = hosts;
		const opened = await central?.daemon.event("http.opened");
		const before = await agreement();
		const config = writeConfig({
			url: "http://127.0.0.1:9",
			withoutSecrets: true,
			top: {
				log_level: "info",
				fleet: { url: String(opened?.url), bearer_file: bearer },
			},
		});
		const daemon = await startDaemon(config.file);
		const file = config.tokenFile("wx1");
		expect(readTokenFile(file).value).toBe(before);

		hangUp(hosts);
		const forced = await agreement(before);
		await eventually(() => readTokenFile(file).value === forced, {
			what: "the new token at the follower",
		});
		daemon.kill("SIGHUP");
		const wished = await agreement(forced);
		await eventually(() => readTokenFile(file).value === wished, {
			what: "the token that the follower asked for",
		});
		expect(fetches()).toBe(3);

		await central?.end("SIGKILL");
		const line = await daemon.event("fleet.unreachable");
		expect(line.msg).toContain(String(opened?.url));
		// The HUP may be under way still, and its token answers this request, too.
		const answer = await eventually(
			async () => {
				const one = await callSocket(
					socketIn(config.directory),
					"/v1/accounts/wx1/refresh",
					{ method: "POST" },
				);
				return one.status === 200 ? undefined : one;
			},
			{ what: "an answer without the central server" },
		);
		expect([answer.status, answer.json().code]).toEqual([
			503,
			"central-unreachable",
		]);
		expect(readTokenFile(file).value).toBe(wished);
		expect(wechat.requests.length).toBe(3);
	},
);

test("a follower of more accounts than may wait at a central wxtokend has every token, and each new one", async () => {
	const bearer = join(newDirectory(), "bearer");
	writeFileSync(bearer, "a-bearer-of-the-test-0123456789\n", { mode: 0o600 });
	const accounts = newAccounts(65);
	const wechat = await startIssuer();
	const central = writeConfig({
		...{ url: wechat.url, accounts, wechat: { cooldown: 0 } },
		top: { http: { listen: "127.0.0.1:0", bearer_file: bearer } },
	});
	const server = await startDaemon(central.file);
	const { url } = await server.event("http.opened");
	const config = writeConfig({
		...{ url: "http://127.0.0.1:9", accounts, withoutSecrets: true },
		top: { fleet: { url: String(url), bearer_file: bearer } },
	});
	await startDaemon(config.file);
	const valuesOf = ({ tokenFile }: typeof config) =>
		accounts.map(({ appid }) => readTokenFile(tokenFile(appid)).value);
	const first = valuesOf(central);
	expect(valuesOf(config)).toEqual(first);
	server.kill("SIGHUP");
	await eventually(
		() => {
			const values = valuesOf(config);
			const are = valuesOf(central);
			return values.every(
				(value, at) => value !== first[at] && value === are[at],
			);
		},
		{ what: "the new tokens at the follower", everyMs: 500 },
	);
});

const library = faketimeLibrary();

test.skipIf(noRedis !== undefined || library === undefined)(
	"clocks that are an hour off cost no fetch, and the files end by the clock of their host (needs libfaketime)",
	async () => {
		const redis = await startRedis();
		const offsets = [0, 3_600, -3_600];
		const { hosts, fetches, agreement } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 3,
			lifetimeSeconds: 24,
			spawn: (index) => ({
				env: {
					LD_PRELOAD: library ?? "",
					FAKETIME: `${(offsets[index] ?? 0) >= 0 ? "+" : ""}${offsets[index]}s`,
					DONT_FAKE_MONOTONIC: "1",
				},
			}),
		});
		const first = await agreement();
		expect(fetches()).toBe(1);
		const second = await agreement(first);
		expect(second).not.toBe(first);
		expect(fetches()).toBe(2);
		for (const [index, host] of hosts.entries()) {
			// A busy machine may be slower than the token lives: then the next one is looked at.
			await eventually(
				async () => {
					const told = await host.call("/v1/accounts/wx1/token");
					const { expire } = host.token();
					const left = expire - (Date.now() / 1_000 + (offsets[index] ?? 0));
					return told.json().expire === expire && left > 0 && left <= 25;
				},
				{ what: "the end by the host's own clock, in the file and told" },
			);
			// Without a daemon the file is judged by its record.
			const { code } = await runProgram(
				["get", "wx1", "--config", host.config.file],
				{
					env: {
						LD_PRELOAD: library ?? "",
						FAKETIME: `${(offsets[index] ?? 0) >= 0 ? "+" : ""}${offsets[index]}s`,
					},
				},
			);
			expect(code).toBe(0);
		}
	},
);

withRedis(
	"SDKs find the token under their keys; what is deleted or altered there is written again",
	async () => {
		const redis = await startRedis();
		const { agreement } = await startHosts({
			count: 1,
			fleet: () => ({
				url: redis.url,
				publish_as: ["json", "php", "wxjava", "silenceper", "wechatpy"],
			}),
		});
		const value = await agreement();
		const seen = async () => ({
			json: JSON.parse(await redis.cli("GET", "wxtokend:json:wx1")).value,
			php: await redis.cli("GET", "wx_access_token_wx1"),
			wxjava: await redis.cli("GET", "wx:access_token:wx1"),
			silenceper: await redis.cli(
				"GET",
				"gowechat_officialaccount__access_token_wx1",
			),
			wechatpy: await redis.cli("GET", "wechatpy:wx1_access_token"),
		});
		const expected = {
			json: value,
			php: `s:${value.length}:"${value}";`,
			wxjava: value,
			silenceper: value,
			wechatpy: JSON.stringify(value),
		};
		await eventually(
			async () =>
				(await redis.cli("EXISTS", "wechatpy:wx1_access_token")) === "1",
			{ what: "the keys of SDKs" },
		);
		expect(await seen()).toEqual(expected);
		await redis.cli("DEL", "wx:access_token:wx1");
		await redis.cli("SET", "wechatpy:wx1_access_token", '"another"');
		await eventually(
			async () =>
				(await redis.cli("GET", "wx:access_token:wx1")) === value &&
				(await redis.cli("GET", "wechatpy:wx1_access_token")) ===
					JSON.stringify(value),
			{ what: "the keys again" },
		);
	},
);

withRedis(
	"a host whose AppSecret is old hands a refresh on to another one, also while its pause lasts; and hosts that all have an old one ask each other once",
	async () => {
		const redis = await startRedis();
		const { hosts, wechat, fetches, agreement, isLive } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 2,
			wechat: { cooldown: 0 },
			hasWrongSecret: (index) => index === 0,
		});
		const [old, other] = hosts;
		if (old === undefined || other === undefined) throw new Error("no hosts");
		const refresh = (host: Host, body?: object) =>
			host.call("/v1/accounts/wx1/refresh", {
				method: "POST",
				...(body && { body: JSON.stringify(body) }),
			});
		const first = await agreement();
		expect((await refresh(old)).status).toBe(502);
		const second = await agreement(first);
		// Its pause lasts: a report is answered by that, and is handed on as well.
		wechat.platform.kill("wx1", wechat.now());
		expect((await refresh(old, { stale: second })).status).toBe(502);
		expect(isLive(await agreement(second))).toBe(true);
		// Now nobody can fetch: the wish is made once, and served once.
		writeFileSync(
			other.config.file,
			readFileSync(other.config.file, "utf8").replace(
				/secret = ".*"/,
				`secret = "${newSecret()}"`,
			),
		);
		await other.end();
		await other.start();
		const before = fetches();
		await refresh(old);
		await eventually(() => fetches() >= before + 2, { what: "both tries" });
		expect((await refresh(other)).status).toBe(502);
		await eventually(() => fetches() >= before + 4, { what: "both tries" });
		expect(fetches()).toBe(before + 4);
	},
);

withRedis(
	"refresh --alone fetches on one classic host while Redis is away; the others have it when Redis is back",
	async () => {
		const redis = await startRedis();
		const { hosts, fetches, agreement, isLive } = await startHosts({
			fleet: () => ({ url: redis.url }),
			count: 2,
			wechat: { cooldown: 0 },
		});
		const [host] = hosts;
		if (host === undefined) throw new Error("no host");
		const before = await agreement();
		await redis.kill();
		await host.daemon.event("fleet.unreachable");
		const run = (...options: readonly string[]) =>
			runProgram(["refresh", "wx1", "--config", host.config.file, ...options]);
		const refused = await run();
		expect([refused.code, fetches()]).toEqual([75, 1]);
		expect(refused.stderr).toContain("--alone");
		const done = await run("--alone");
		expect([done.code, fetches()]).toEqual([0, 2]);
		await redis.restart();
		const after = await agreement(before);
		expect(isLive(after)).toBe(true);
		expect(fetches()).toBe(2);
	},
);

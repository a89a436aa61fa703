/** Apps of 企业微信 as users have them: the built program, its files, its commands and its socket. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { wecomHost } from "../src/simulator/hosts.ts";
import { startSimulator } from "../src/simulator/server.ts";
import { newDirectory } from "./support/directory.ts";
import { newSecret, noteToken } from "./support/leaks.ts";
import { runProgram, startDaemon, startProgram } from "./support/program.ts";
import { callSocket, socketIn } from "./support/socket.ts";
import { readTokenFile } from "./support/token-file.ts";

const corpid = "ww0123456789abcdef";
const token = `wecom_access_token_${corpid}_1000002`;
const corpTicket = `wecom_jsapi_ticket_${corpid}_1000002`;
const agentTicket = `wecom_agent_ticket_${corpid}_1000002`;
const providerToken = `wecom_provider_access_token_${corpid}`;
const files = [token, corpTicket, agentTicket, providerToken];

/** An app with both tickets and a 服务商, and no account. */
async function scene() {
	const [secret, provider] = [newSecret(), newSecret()];
	const simulator = await startSimulator({
		accounts: [],
		wecom: [
			{ corpid, secret },
			{ corpid, secret: provider, isProvider: true },
		],
		hosts: { [wecomHost]: 0 },
		knobs: { wecomPlainHttp: "served" },
	});
	onTestFinished(() => simulator.close());
	const place = newDirectory();
	const directory = join(place, "tokens");
	const config = join(place, "config.toml");
	const urls = `base_urls = ["${simulator.hosts[wecomHost]?.url}"]`;
	writeFileSync(
		config,
		`directory = "${directory}"
schedule = "* * * * * *"
[[wecom]]
corpid = "${corpid}"
name = "1000002"
secret = ${JSON.stringify(secret)}
tickets = ["jsapi", "agent_config"]
formats = ["php"]
cooldown = 0
${urls}
[[provider]]
corpid = "${corpid}"
secret = ${JSON.stringify(provider)}
${urls}
`,
		{ mode: 0o600 },
	);
	const path = (file: string) => join(directory, file);
	const readValue = (file: string) =>
		noteToken(readTokenFile(path(file)).value);
	const socket = socketIn(directory);
	return {
		simulator,
		config,
		path,
		readValue,
		socket,
		flags: ["--config", config],
	};
}

test("a daemon without any account keeps an app, its tickets and a 服务商, and answers for each", async () => {
	const { simulator, config, path, readValue, socket, flags } = await scene();
	const checked = await runProgram(["check", ...flags]);
	expect(checked).toMatchObject({
		code: 0,
		stdout: expect.stringContaining("1 app of 企业微信, 1 服务商;"),
	});
	await startDaemon(config);
	for (const file of files) {
		const value = readValue(file);
		const got = await runProgram(["get", file, ...flags]);
		expect(got).toMatchObject({ code: 0, stdout: `${value}\n` });
		const one = await callSocket(socket, `/v1/credentials/${file}/token`);
		expect(one.json()).toEqual(readTokenFile(path(file)));
	}
	expect(existsSync(path(`${corpTicket}.php`))).toBe(true);

	const health = await callSocket(socket, "/healthz");
	expect(health.json()).toMatchObject({ status: "ok", accounts: 2 });
	const metrics = await callSocket(socket, "/metrics");
	expect(metrics.text).toContain(
		`{appid="${corpid}",credential="${agentTicket}"}`,
	);
	const accounts = await callSocket(socket, "/v1/accounts");
	expect(accounts.json().accounts).toEqual([]);

	const wrong = await callSocket(socket, `/v1/credentials/${token}/jssdk`, {
		method: "POST",
		body: JSON.stringify({ url: "https://app.example/" }),
	});
	expect([wrong.status, wrong.json().message]).toEqual([
		404,
		`could not sign the page: ${token} is no jsapi ticket, but of the kind wecom_access_token`,
	]);
	for (const [file, type] of [
		[corpTicket, "jsapi"],
		[agentTicket, "agent_config"],
	] as const) {
		const url = "https://app.example/a?b=1";
		const signed = await callSocket(socket, `/v1/credentials/${file}/jssdk`, {
			method: "POST",
			body: JSON.stringify({ url }),
		});
		const { appId, timestamp, nonceStr, signature } = signed.json();
		expect(appId).toBe(corpid);
		expect(
			simulator.platform.verifySignature(
				{
					...{ url, type, timestamp: String(timestamp) },
					...{ noncestr: String(nonceStr), signature: String(signature) },
				},
				simulator.now(),
			),
		).toBe("alive");
	}

	// 企业微信 gives the same token again; one that it has ended is replaced.
	const before = readValue(token);
	const same = await runProgram(["refresh", token, ...flags]);
	expect(same.code).toBe(0);
	expect(readValue(token)).toBe(before);
	const [app] = simulator.platform.state.wecom.apps;
	if (app?.current !== undefined) app.current.isInvalid = true;
	const renewed = await runProgram([
		// It may begin with "-".
		...["refresh", token, `--stale=${before}`],
		...flags,
	]);
	expect(renewed.code).toBe(0);
	expect(readValue(token)).not.toBe(before);

	const status = await runProgram(["status", ...flags]);
	const lines = status.stdout.split("\n");
	expect(
		lines.filter((line) => /^\S/.test(line)).map((line) => line.split(" ")[0]),
	).toEqual(["APPID", token, providerToken]);
	expect(status.stdout).toMatch(/^ {2}wecom_agent_ticket +valid/m);
});

test("`once` keeps the same without a daemon, and finds nothing to do again", async () => {
	const { simulator, readValue, flags } = await scene();
	const first = await runProgram(["once", ...flags]);
	expect(first.code).toBe(0);
	for (const file of files) {
		readValue(file);
		expect(first.stdout).toContain(`${file}: a new `);
	}
	const calls = simulator.requests.length;
	const again = await runProgram(["once", agentTicket, ...flags]);
	expect(again).toMatchObject({ code: 0, stdout: "" });
	expect(simulator.requests.length).toBe(calls);
});

test("`run --simulate` has them as well", async () => {
	const { readValue, flags } = await scene();
	const simulation = startProgram(["run", "--simulate", ...flags]);
	await simulation.event("daemon.ready");
	for (const file of files) readValue(file);
});

test("`simulate --wecom` prints what a configuration needs", async () => {
	const secret = "a-secret-that-is-printed-as-it-is-made-up-1";
	const simulator = startProgram([
		...["simulate", "--port", "0", "--quiet"],
		...["--wecom", `${corpid}:${secret}`],
	]);
	const [printed, url] = await simulator.output(
		/企业微信 at (\S+);[\s\S]*base_urls = \["\1"\]\n/,
	);
	expect(printed).toContain(`secret    = "${secret}"`);
	const query = new URLSearchParams({ corpid, corpsecret: secret });
	const answer = await fetch(`${url}/cgi-bin/gettoken?${query}`);
	expect(await answer.json()).toMatchObject({ errcode: 0, expires_in: 7200 });
});

import { readdirSync, readFileSync, statSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type TestConfig, writeConfig } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { type FakeIssuer, startIssuer } from "./support/issuer.ts";
import { leaksIn, newSecret, noteToken } from "./support/leaks.ts";
import {
	type Running,
	runProgram,
	startDaemon,
	startProgram,
} from "./support/program.ts";
import { startWeChat } from "./support/wechat.ts";

// The output of every program that a test starts is searched for the secrets and
// tokens of that test (see support/program.ts), mostly at level trace. In these runs
// the other side repeats them in every way it can.

interface Echo {
	/** As it stands in the configuration. */
	readonly secret: string;
	/** The token that is on disk. */
	readonly token: string;
	/** Path and query of the request. */
	readonly target: string;
}

type Speaker = (response: ServerResponse, echo: Echo) => void;

const json = (response: ServerResponse, body: object) =>
	response
		.setHeader("Content-Type", "application/json")
		.end(JSON.stringify(body));

const speakers: readonly (readonly [how: string, speak: Speaker])[] = [
	[
		"in errmsg",
		(response, { secret, token, target }) =>
			json(response, {
				errcode: 40013,
				errmsg: `invalid appid, secret ${secret} (${encodeURIComponent(secret)}), token ${token}, request ${target}`,
			}),
	],
	[
		"in errmsg, in other spellings",
		(response, { secret, token }) =>
			json(response, {
				errcode: -1,
				errmsg: `${encodeURIComponent(secret).toLowerCase()} ${encodeURIComponent(encodeURIComponent(secret))} ${new URLSearchParams({ secret, access_token: token })} ${JSON.stringify({ secret, token })} "${token}"`,
			}),
	],
	[
		"in an errmsg of control characters that is cut within one of them",
		(response, { secret, token }) =>
			json(response, {
				errcode: 99999,
				errmsg: `${"x".repeat(280)}${secret}\n\u0007${"y ".repeat(10)}${token}`,
			}),
	],
	[
		"in place of errcode and errmsg",
		(response, { secret, token }) =>
			json(response, { errcode: secret, errmsg: { token, secret } }),
	],
	[
		"in place of access_token and expires_in",
		(response, { secret, token }) =>
			json(response, { access_token: { secret }, expires_in: token }),
	],
	[
		"in place of expires_in, beside a token that is lost",
		(response, { secret }) =>
			json(response, {
				access_token: noteToken(newSecret()),
				expires_in: secret,
			}),
	],
	[
		"in a redirect",
		(response, { token, target }) =>
			response
				.writeHead(302, {
					Location: `http://127.0.0.1:9${target}&access_token=${token}`,
				})
				.end(),
	],
	[
		"in HTML",
		(response, { secret, token, target }) =>
			response
				.setHeader("Content-Type", "text/html")
				.end(`<html>${secret} ${token} <a href="${target}">again</a></html>`),
	],
	[
		"in the page of a gateway that fails",
		(response, { secret, token, target }) =>
			response.writeHead(502).end(`${secret} ${token} ${target}`),
	],
	[
		"in headers and the status line",
		(response, { secret, token, target }) =>
			response
				.writeHead(403, `no ${encodeURIComponent(secret)} ${token}`, {
					Date: encodeURIComponent(secret),
					Server: encodeURIComponent(secret),
					"Set-Cookie": `token=${token}; secret=${encodeURIComponent(secret)}`,
					"X-Request": target,
					"Content-Encoding": token,
				})
				.end(),
	],
	[
		"in the name of an encoding",
		(response, { token }) =>
			response.writeHead(200, { "Content-Encoding": token }).end("{}"),
	],
	[
		"in JSON that breaks off",
		(response, { secret, token }) =>
			response.end(`{"access_token":"${token}","secret":"${secret}"`),
	],
	[
		"in an answer that is no HTTP",
		(response, { secret, token }) =>
			response.socket?.end(`${secret} ${token}\r\n\r\n`),
	],
];

describe("secret and token do not get into our output if an issuer repeats them", () => {
	test.each(speakers)("%s", async (_how, speak) => {
		const issuer = await startIssuer();
		const config = writeConfig({ ...issuer, wechat: { cooldown: 0 } });
		const daemon = await startDaemon(config.file);
		speakUp(issuer, config, speak);
		daemon.kill("SIGHUP");
		await daemon.event("fetch.failed");
		const checked = await runProgram([
			"check",
			"--online",
			"--config",
			config.file,
		]);
		// The fetch failed with a reason, and the token on disk still lives.
		expect(checked.code).toBe(75);
		expect(checked.stdout).toMatch(/wx1: could not fetch a token.*; \S/);
		const { stderr } = await daemon.stop();
		expect(leaksIn(stderr + checked.stdout + checked.stderr, true)).toEqual([]);
		expect(leaksBeside(config)).toEqual([]);
	});
});

test("the address and the rid stay in WeChat's words, because a person needs them", async () => {
	const errmsg =
		"invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist rid: 65a1b2c3-4d5e6f70-1a2b3c4d";
	const issuer = await startIssuer({
		twist: (_request, response) => json(response, { errcode: 40164, errmsg }),
	});
	const config = writeConfig(issuer);
	const args = ["once", "--config", config.file];
	expect((await runProgram(args)).stderr).toContain(errmsg);
});

describe("no secret is given away", () => {
	test("by the command that asks the daemon, its status or its metrics", async () => {
		const accounts = [{ appid: "wx1", secret: newSecret() }];
		const wechat = await startWeChat({ accounts });
		const config = writeConfig({ url: wechat.url, accounts });
		const daemon = await startDaemon(config.file);
		const with_ = ["--config", config.file];
		const token = wechat.platform.account("wx1", wechat.now())?.classic.current;
		for (const args of [
			["refresh", ...with_],
			["refresh", "wx1", "--stale", token?.value ?? "", ...with_],
			["status", ...with_],
			["status", "--json", ...with_],
		])
			expect((await runProgram(args)).code).toBe(0);
		await daemon.stop();
		expect((await runProgram(["status", ...with_])).code).toBe(0);
	});

	test("by the password in a proxy's address", async () => {
		const password = newSecret().replaceAll(/\W/g, "");
		const config = writeConfig({ url: "http://192.0.2.1" });
		for (const proxy of [
			`http://user:${password}@127.0.0.1:9`,
			`socks9://user:${password}@127.0.0.1:9`,
			`user:${password}@`,
		]) {
			const env = { http_proxy: proxy, https_proxy: proxy };
			const { code, stderr } = await runProgram(
				["once", "--config", config.file],
				{ env },
			);
			expect([69, 78]).toContain(code);
			expect(stderr).not.toContain(password);
		}
	});

	test("by the arguments of a process, which every user of the machine can read", async () => {
		const issuer = await startIssuer({ twist: () => {} });
		const config = writeConfig(issuer);
		const daemon = startProgram(["run", "--config", config.file]);
		await eventually(() => issuer.requests[0], { what: "the request" });
		expect(leaksIn(argumentsOf(daemon), true)).toEqual([]);
	});
});

describe("the search for leaks itself", () => {
	test.each([
		["as it is", (secret: string) => secret],
		["URL-encoded", encodeURIComponent],
		[
			"twice URL-encoded",
			(secret: string) => encodeURIComponent(encodeURIComponent(secret)),
		],
		["in a form", (secret: string) => `${new URLSearchParams({ secret })}`],
		["in base64", (secret: string) => Buffer.from(secret).toString("base64")],
		[
			"with its special characters lost",
			(secret: string) => secret.replace(/\W/g, " "),
		],
	])("finds a secret %s", (_how, spelled) => {
		const secret = newSecret();
		expect(leaksIn(`… ${spelled(secret)} …`, false)).toEqual([secret]);
	});

	test("finds a token, except where it is allowed", () => {
		const token = noteToken(`79_${"a1B2".repeat(30)}`);
		expect(leaksIn(`GET /?access_token=${token}`, true)).toEqual([token]);
		expect(leaksIn(token, false)).toEqual([]);
		expect(leaksIn(`${token.slice(0, 10)}…`, true)).toEqual([]);
	});
});

function speakUp(
	issuer: FakeIssuer,
	{ accounts }: TestConfig,
	speak: Speaker,
): void {
	issuer.twist(({ path, query }, response) => {
		speak(response, {
			secret: accounts[0]?.secret ?? "",
			token: issuer.issued[0]?.value ?? "",
			target: `${path}?${new URLSearchParams(query)}`,
		});
	});
}

/** In all files but the token file. */
function leaksBeside({ directory, tokenFile }: TestConfig): readonly string[] {
	return readdirSync(directory)
		.map((name) => join(directory, name))
		.filter((path) => path !== tokenFile("wx1") && statSync(path).isFile())
		.flatMap((path) => leaksIn(readFileSync(path, "utf8"), true));
}

function argumentsOf({ pid }: Running): string {
	return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
}

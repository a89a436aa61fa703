/**
 * Situations of docs/field.md, met by the built program from outside. Tests of its parts
 * hold more cases of each; these hold what a user would see.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { newAccounts, writeConfig } from "./support/config-file.ts";
import { newDirectory } from "./support/directory.ts";
import { eventually } from "./support/eventually.ts";
import { hasFaketime, newFakeClock } from "./support/faketime.ts";
import { newToken, startIssuer } from "./support/issuer.ts";
import { newSecret, noteToken } from "./support/leaks.ts";
import { runProgram, startDaemon } from "./support/program.ts";
import { rawAnswer, startRaw } from "./support/raw-server.ts";
import { refreshOver, socketIn } from "./support/socket.ts";
import {
	hasFile,
	readTokenFile,
	tokenOtherThan,
} from "./support/token-file.ts";

const once = (file: string, env: Readonly<Record<string, string>> = {}) =>
	runProgram(["once", "--config", file], { env });

describe("clocks", () => {
	test.skipIf(!hasFaketime)(
		"in the hour that summer time adds a deleted token file is put back (needs libfaketime)",
		async () => {
			const clock = newFakeClock();
			const issuer = await startIssuer();
			const config = writeConfig(issuer);
			const end = Date.parse("2026-11-01T06:00:00Z") / 1000;
			const now = Math.floor(Date.now() / 1000);
			clock.set(end - now - 4);
			const env = { ...clock.env, TZ: "America/New_York" };
			await startDaemon(config.file, { env });
			await eventually(() => Math.floor(Date.now() / 1000) > now + 6, {
				what: "the hour that is there twice",
			});
			const path = config.tokenFile("wx1");
			unlinkSync(path);
			await tokenOtherThan("", path);
			expect(issuer.requests).toHaveLength(1);
		},
	);

	test.skipIf(!hasFaketime)(
		"set back by less than the token's age, they are noticed at once (needs libfaketime)",
		async () => {
			const clock = newFakeClock();
			const issuer = await startIssuer({ lifetimeSeconds: 45 });
			const config = writeConfig(issuer);
			const { env } = clock;
			const daemon = await startDaemon(config.file, { env });
			const { expire } = readTokenFile(config.tokenFile("wx1"));
			// It is renewed when it is 30 s old, which a busy machine must not come to first.
			await eventually(() => expire - Date.now() / 1000 < 28, {
				what: "a token that is 17 seconds old",
			});
			clock.set(-16);
			const second = await daemon.event(
				"token.refreshed",
				({ reason }) => reason !== "first",
			);
			expect(second).toMatchObject({ reason: "clock" });
		},
	);
});

describe("the way to WeChat", () => {
	/** A certificate for 127.0.0.1 of an authority that nobody knows, and that authority. */
	function chainOfCompany() {
		const cwd = newDirectory();
		const openssl = (...words: readonly string[]) =>
			execFileSync("openssl", words, { cwd, stdio: "pipe" });
		const read = (name: string) => readFileSync(join(cwd, name), "utf8");
		writeFileSync(join(cwd, "san"), "subjectAltName=IP:127.0.0.1\n");
		const key = (name: string) => [
			...["-newkey", "rsa:2048", "-nodes", "-keyout", `${name}.key`],
			...["-subj", `/CN=${name}`],
		];
		openssl("req", "-x509", "-out", "root.pem", ...key("root"));
		openssl("req", "-out", "leaf.csr", ...key("leaf"));
		openssl(
			...["x509", "-req", "-in", "leaf.csr", "-out", "leaf.pem"],
			...["-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial"],
			...["-extfile", "san"],
		);
		const cert = read("leaf.pem") + read("root.pem");
		return { key: read("leaf.key"), cert, root: join(cwd, "root.pem") };
	}

	test("opened by a company that sends its root along: how to trust it is said first, and works", async () => {
		const { key, cert, root } = chainOfCompany();
		const value = noteToken(newToken());
		const body = JSON.stringify({ access_token: value, expires_in: 7200 });
		const server = await startRaw(
			({ socket }) => void socket.end(rawAnswer({ body })),
			{ tls: { key, cert } },
		);
		const config = writeConfig({ url: `https://127.0.0.1:${server.port}` });
		const { code, stderr } = await once(config.file);
		expect(code).toBe(69);
		expect(stderr).toContain("SELF_SIGNED_CERT_IN_CHAIN");
		expect(stderr).toMatch(/NODE_EXTRA_CA_CERTS.*http:\/\/api\.weixin/);
		const trusting = await once(config.file, { NODE_EXTRA_CA_CERTS: root });
		expect(trusting.code).toBe(0);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(value);
	});

	test("over plain http behind a proxy: the request is handed to it as it is, without CONNECT", async () => {
		const value = noteToken(newToken());
		const body = JSON.stringify({ access_token: value, expires_in: 7200 });
		const proxy = await startRaw(({ text, socket }) => {
			const status = text.startsWith("GET http://wechat.test/")
				? "200 OK"
				: "403 Forbidden";
			socket.end(rawAnswer({ status, body }));
		});
		const config = writeConfig({ url: "http://wechat.test" });
		const { code } = await once(config.file, {
			http_proxy: `http://127.0.0.1:${proxy.port}`,
		});
		expect(code).toBe(0);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(value);
	});

	test("that answers twice gives no account the token of another", async () => {
		const issued = new Map<string, string>();
		const answers = new Map<number, Buffer>();
		const server = await startRaw(({ text, socket, connection }) => {
			const appid = /appid=(\w+)/.exec(text)?.[1] ?? "";
			const value = noteToken(newToken());
			issued.set(value, appid);
			const body = JSON.stringify({ access_token: value, expires_in: 7200 });
			const answer = rawAnswer({ body });
			// What was said before on this connection comes once more.
			socket.write(answers.get(connection) ?? "");
			socket.write(answer);
			answers.set(connection, answer);
		});
		const config = writeConfig({
			url: `http://127.0.0.1:${server.port}`,
			accounts: newAccounts(2),
			wechat: { cooldown: 0 },
		});
		await startDaemon(config.file);
		const socket = socketIn(config.directory);
		for (const appid of ["wx1", "wx2", "wx1", "wx2"]) {
			expect((await refreshOver(socket, appid)).status).toBe(200);
			const { value } = readTokenFile(config.tokenFile(appid));
			expect(issued.get(value)).toBe(appid);
		}
	});

	test("with an unasked 100 Continue before the answer gives a token", async () => {
		const value = noteToken(newToken());
		const body = JSON.stringify({ access_token: value, expires_in: 7200 });
		const server = await startRaw(({ socket }) => {
			socket.write("HTTP/1.1 100 Continue\r\n\r\n");
			socket.end(rawAnswer({ body }));
		});
		const config = writeConfig({ url: `http://127.0.0.1:${server.port}` });
		expect((await once(config.file)).code).toBe(0);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(value);
	});

	test("with a cache: the same token again ends no later for it", async () => {
		const value = noteToken(newToken());
		const text = JSON.stringify({ access_token: value, expires_in: 7200 });
		const issuer = await startIssuer({
			twist: (_request, response) => response.end(text),
		});
		const config = writeConfig(issuer);
		await startDaemon(config.file);
		const path = config.tokenFile("wx1");
		const first = readTokenFile(path);
		await eventually(() => first.expire - Date.now() / 1000 < 7_197, {
			what: "the third second of the token",
		});
		await refreshOver(socketIn(config.directory), "wx1");
		expect(issuer.requests).toHaveLength(2);
		expect(readTokenFile(path)).toEqual(first);
	});

	test("by a pool of addresses: the hint names each one that WeChat refused", async () => {
		let refused = 0;
		const issuer = await startIssuer({
			twist: (_request, response) => {
				refused += 1;
				const ip = `203.0.113.${refused}`;
				response.end(
					`{"errcode":40164,"errmsg":"invalid ip ${ip} ipv6 ::ffff:${ip}, not in whitelist"}`,
				);
			},
		});
		const config = writeConfig(issuer);
		await startDaemon(config.file);
		const { stderr } = await runProgram([
			"refresh",
			"wx1",
			...["--config", config.file],
		]);
		expect(stderr).toContain("203.0.113.1");
		expect(stderr).toContain("203.0.113.2");
	});

	test.skipIf(!hasFaketime)(
		"that works again: what one account learns of it ends the others' pauses (needs libfaketime)",
		async () => {
			const clock = newFakeClock();
			const issuer = await startIssuer({
				twist: (_request, response) => void response.destroy(),
			});
			const accounts = newAccounts(2);
			const config = writeConfig({ ...issuer, accounts });
			const { env } = clock;
			const daemon = await startDaemon(config.file, { env });
			// The pauses of both accounts grow to their longest, of nearly a minute.
			for (let n = 1; n <= 8; n += 1) {
				const before = issuer.requests.length;
				const { countOf } = issuer;
				const counts = [countOf("wx1"), countOf("wx2")] as const;
				clock.set(n * 62);
				await eventually(
					() => countOf("wx1") > counts[0] && countOf("wx2") > counts[1],
					{ what: `an attempt of each after ${before} requests` },
				);
			}
			issuer.twist(undefined);
			const socket = socketIn(config.directory);
			expect((await refreshOver(socket, "wx1")).status).toBe(200);
			// Each repair is the work of a tick, which looks at both accounts.
			for (let ticks = 0; ticks < 4; ticks += 1) {
				const path = config.tokenFile("wx1");
				unlinkSync(path);
				await tokenOtherThan("", path);
			}
			expect(hasFile(config.tokenFile("wx2"))).toBe(true);
			await daemon.stop();
		},
	);
});

describe("what keepers share in the directory", () => {
	test("a wrong AppSecret of another keeper does not hold up the right one", async () => {
		const issuer = await startIssuer({ lifetimeSeconds: 12 });
		const [account] = newAccounts();
		const [wrong] = newAccounts();
		if (account === undefined || wrong === undefined) throw new Error("none");
		knowOnly(issuer, account.secret);
		const config = writeConfig({ ...issuer, accounts: [account] });
		const other = writeConfig({
			...issuer,
			accounts: [wrong],
			directory: config.directory,
		});
		await startDaemon(config.file);
		const path = config.tokenFile("wx1");
		await runProgram(["check", "--online", "--config", other.file]);
		const secrets = issuer.requests.map(({ query }) => query.secret);
		expect(secrets).toContain(wrong.secret);
		const { value } = readTokenFile(path);
		expect((await tokenOtherThan(value, path)).value).not.toBe(value);
	});

	test("the token of another account in the file of this one is replaced", async () => {
		const issuer = await startIssuer();
		const directory = join(newDirectory(), "tokens");
		const accounts = newAccounts(2).map((one) => ({ ...one, file: "token" }));
		for (const account of accounts) {
			const config = writeConfig({
				...issuer,
				directory,
				accounts: [account],
			});
			expect((await once(config.file)).code).toBe(0);
		}
		expect(issuer.requests.map(({ query }) => query.appid)).toEqual([
			"wx1",
			"wx2",
		]);
		expect(readTokenFile(join(directory, "token")).value).toBe(
			issuer.issued[1]?.value,
		);
	});

	test("an absurd number anywhere in a record is no bug of status or once", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		expect((await once(config.file)).code).toBe(0);
		const record = join(config.directory, ".wx_access_token_wx1.state");
		const token = readFileSync(config.tokenFile("wx1"));
		const good = readFileSync(record, "utf8").trim().split("\n").at(-1) ?? "";
		const numbers = [...good.matchAll(/(?<=[:[,])\d+(?=[,}\]])/g)];
		expect(numbers.length).toBeGreaterThan(4);
		const spoilt = numbers.map(
			({ index, 0: text }) =>
				`${good.slice(0, index)}1e300${good.slice(index + text.length)}`,
		);
		const pause = { at: 1, waitMs: 1e18 };
		spoilt.push(JSON.stringify({ ...JSON.parse(good), pause }));
		for (const text of spoilt)
			for (const command of ["status", "once"]) {
				writeFileSync(record, `${text}\n`);
				writeFileSync(config.tokenFile("wx1"), token);
				const ended = await runProgram([command, "--config", config.file]);
				// 70 is a bug; the other codes say what is true of such a token.
				expect([0, 69, 75], `${ended.stderr} of ${text}`).toContain(ended.code);
			}
	});
});

describe("metrics", () => {
	test("of two daemons in one folder have no series in common", async () => {
		const folder = newDirectory();
		const series: string[] = [];
		for (const appid of ["wx1", "wx2"]) {
			const path = join(folder, `${appid}.prom`);
			const config = writeConfig({
				...(await startIssuer()),
				accounts: [{ appid, secret: newSecret() }],
				top: { metrics_file: path },
			});
			await startDaemon(config.file);
			const text = await eventually(
				() => hasFile(path) && readFileSync(path, "utf8"),
				{ what: path },
			);
			series.push(...(text.match(/^wxtokend_\S+(?= )/gm) ?? []));
		}
		const twice = series.filter((one, at) => series.indexOf(one) !== at);
		expect(series.length).toBeGreaterThan(20);
		expect(twice).toEqual([]);
	});

	test("over a token file are refused", async () => {
		const issuer = await startIssuer();
		const directory = join(newDirectory(), "tokens");
		const path = join(directory, "token.prom");
		const config = writeConfig({
			...issuer,
			directory,
			accounts: newAccounts().map((one) => ({ ...one, file: "token.prom" })),
			top: { metrics_file: path },
		});
		const asked = ["check", "--config", config.file];
		const { code, stderr } = await runProgram(asked);
		expect(code).toBe(78);
		expect(stderr).toContain("metrics_file");
	});
});

describe("status", () => {
	test("says nothing of a wrong AppSecret any more once the daemon has the right one", async () => {
		const issuer = await startIssuer();
		const [account, wrong] = newAccounts(2);
		if (account === undefined || wrong === undefined) throw new Error("none");
		knowOnly(issuer, account.secret);
		const config = writeConfig({ ...issuer, accounts: [account] });
		const good = readFileSync(config.file, "utf8");
		await (await startDaemon(config.file)).stop();
		writeFileSync(config.file, good.replace(account.secret, wrong.secret));
		const daemon = await startDaemon(config.file);
		await refreshOver(socketIn(config.directory), "wx1");
		const asked = ["status", "--config", config.file];
		expect((await runProgram(asked)).stdout).toMatch(/^wx1 +failing /m);
		await daemon.stop();
		writeFileSync(config.file, good);
		await startDaemon(config.file);
		const { stdout } = await runProgram(asked);
		expect(stdout).toMatch(/^wx1 +valid /m);
		expect(stdout).not.toMatch(/fail|next try/);
	});

	test("tells of a clock that is not WeChat's", async () => {
		const issuer = await startIssuer();
		issuer.twist((_request, response, give) => {
			const date = new Date(Date.now() - 7_200_000);
			response.setHeader("Date", date.toUTCString());
			give();
		});
		const config = writeConfig(issuer);
		await startDaemon(config.file);
		const { stdout } = await runProgram(["status", "--config", config.file]);
		expect(stdout).toMatch(/clock of this server is 7\d\d\d s ahead/);
	});
});

/** The issuer refuses every other AppSecret. */
function knowOnly(
	issuer: Awaited<ReturnType<typeof startIssuer>>,
	secret: string,
): void {
	issuer.twist((request, response, give) =>
		request.query.secret === secret
			? give()
			: response.end('{"errcode":40125,"errmsg":"invalid appsecret"}'),
	);
}

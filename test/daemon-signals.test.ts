import { execFileSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	unlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import {
	newAccounts,
	type TestConfig,
	writeConfig,
} from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { type FakeIssuer, startIssuer } from "./support/issuer.ts";
import {
	type Running,
	runProgram,
	startDaemon,
	startProgram,
} from "./support/program.ts";
import {
	hasFile,
	readTokenFile,
	tokenOtherThan,
} from "./support/token-file.ts";

describe("SIGHUP", () => {
	test("right after the first token brings a new one: no scheduled refresh delays it", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const daemon = start(config);
		const path = config.tokenFile("wx1");
		const { value } = await tokenOtherThan("", path);
		daemon.kill("SIGHUP");
		const renewed = await tokenOtherThan(value, path);
		expect(issuer.issued.map((token) => token.value)).toEqual([
			value,
			renewed.value,
		]);
		expect(await ending(daemon)).toBe(0);
	});

	// Before that moment (some 25 ms, in which Node.js itself starts) no code of
	// ours runs, and by default the signal kills the process. Only its parent can
	// prevent that, by ignoring the signal or by waiting.
	describe.each([
		["with a valid token and the lock of a dead writer on disk", 1],
		["on an empty directory", 0],
	])("at start-up, %s", (_where, known) => {
		test.each(known ? [0, 1, 5, 15, 30, 60, 100, 200] : [0, 10, 50])(
			"%i ms after its handler exists, is kept until a new token can answer it",
			async (delayMs) => {
				const issuer = await startIssuer();
				const config = writeConfig(issuer);
				if (known) {
					await runProgram(["once", "--config", config.file]);
					// Breaking the lock takes a pause, in which signals are delivered.
					const lock = `${config.tokenFile("wx1")}.lock`;
					mkdirSync(lock);
					utimesSync(lock, 1, 1);
				}
				const daemon = start(config);
				await eventually(() => catchesHangUp(daemon.pid), {
					what: "the handler of SIGHUP",
					everyMs: 1,
				});
				if (delayMs > 0) await pause(delayMs);
				const hungUpAt = Date.now();
				daemon.kill("SIGHUP");
				await eventually(
					() => issuer.issued.some(({ issuedAt }) => issuedAt >= hungUpAt),
					{ what: "a token that was fetched after the signal" },
				);
				await daemon.event("daemon.ready");
				await eventually(
					() =>
						readTokenFile(config.tokenFile("wx1")).value ===
						issuer.issued.at(-1)?.value,
					{ what: "the newest token on disk" },
				);
				expect(await ending(daemon)).toBe(0);
				// The first token and the forced one, and no more.
				expect(issuer.requests.length).toBeLessThanOrEqual(2);
			},
		);
	});

	test("10,000 times within 2 s costs two fetches for each account: at once, and after the cooldown", async () => {
		const issuer = await startIssuer();
		const cooldown = 4;
		const config = writeConfig({
			...issuer,
			accounts: newAccounts(3),
			wechat: { cooldown },
		});
		const daemon = await startDaemon(config.file);
		const took = await storm(daemon.pid, 10_000, 1_800);
		// Where the machine is so slow that it lasts longer: another one each cooldown.
		const most = 2 + Math.floor(took / (cooldown * 1000));
		for (const { appid } of config.accounts)
			await eventually(() => issuer.countOf(appid) >= 1 + most, {
				what: `two fetches for ${appid} beside the first`,
			});
		// To see that no third fetch comes, the test waits for one more cooldown.
		await pause(cooldown * 1000 + 1_500);
		const forced = daemon
			.events()
			.filter(({ reason }) => reason === "forced").length;
		expect(forced).toBe(config.accounts.length * most);
		for (const { appid } of config.accounts)
			expect(issuer.countOf(appid)).toBe(1 + most);
		expect(await ending(daemon)).toBe(0);
	});

	test("takes a new account with its secret from the configuration, and drops another one", async () => {
		const issuer = await startIssuer();
		const [one, two, three] = newAccounts(3);
		if (!one || !two || !three) throw new Error("three accounts");
		const config = writeConfig({ ...issuer, accounts: [one, two] });
		const daemon = await startDaemon(config.file);
		const text = readFileSync(config.file, "utf8");
		writeFileSync(
			config.file,
			text.replace(two.appid, three.appid).replace(two.secret, three.secret),
		);
		daemon.kill("SIGHUP");
		await tokenOtherThan("", config.tokenFile(three.appid));
		await eventually(() => issuer.countOf(one.appid) === 2, {
			what: "a forced refresh of the account that stayed",
		});
		expect(issuer.countOf(two.appid)).toBe(1);
		// The file of the dropped account stays, for apps that still read it.
		expect(hasFile(config.tokenFile(two.appid))).toBe(true);
		const sent = issuer.requests.find(
			({ query }) => query.appid === three.appid,
		);
		expect(sent?.query.secret).toBe(three.secret);
	});

	test("with a broken new configuration refreshes by the old one", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const daemon = await startDaemon(config.file);
		const { value } = readTokenFile(config.tokenFile("wx1"));
		writeFileSync(config.file, `mode = 1\n[[account]]\nappid = "wx1"\n`);
		daemon.kill("SIGHUP");
		const refused = await daemon.event("config.refused");
		expect(JSON.stringify(refused.problems)).toMatch(/mode.*account\[0\]/);
		await tokenOtherThan(value, config.tokenFile("wx1"));
		expect(issuer.requests).toHaveLength(2);
	});

	test("with a pipe in place of the configuration does not wait until it is written to", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const daemon = await startDaemon(config.file);
		const { value } = readTokenFile(config.tokenFile("wx1"));
		unlinkSync(config.file);
		execFileSync("mkfifo", [config.file]);
		daemon.kill("SIGHUP");
		const refused = await daemon.event("config.refused");
		expect(JSON.stringify(refused.problems)).toContain("it is a pipe");
		await tokenOtherThan(value, config.tokenFile("wx1"));
	});
});

describe("SIGTERM and SIGINT", () => {
	test.each(["SIGTERM", "SIGINT"] as const)(
		"%s during a slow fetch waits for its token, because the old one is dead already",
		async (signal) => {
			const issuer = await startIssuer({
				twist: (_request, _response, give) => setTimeout(give, 1_000),
			});
			const config = writeConfig(issuer);
			const daemon = start(config);
			await firstRequest(issuer);
			daemon.kill(signal);
			expect(await daemon.exited).toEqual({ code: 0, signal: null });
			expect(readTokenFile(config.tokenFile("wx1")).value).toBe(
				issuer.issued[0]?.value,
			);
			expect(leftIn(config)).toEqual([]);
		},
	);

	test("while an issuer hangs ends with 0 at the request's timeout", async () => {
		const issuer = await startIssuer({ twist: () => {} });
		const config = writeConfig({ ...issuer, wechat: { timeout: 1.5 } });
		const daemon = start(config);
		await firstRequest(issuer);
		daemon.kill("SIGTERM");
		expect(await daemon.exited).toEqual({ code: 0, signal: null });
		// Not before the timeout: until then the answer could still arrive.
		const started = await daemon.event("daemon.started");
		const failed = await daemon.event("fetch.failed");
		expect(failed.code).toBe("timeout");
		expect(
			Date.parse(String(failed.time)) - Date.parse(String(started.time)),
		).toBeGreaterThanOrEqual(1_500);
		expect(issuer.requests).toHaveLength(1);
		expect(leftIn(config)).toEqual([]);
	});

	test("a second one ends the process at once", async () => {
		const issuer = await startIssuer({ twist: () => {} });
		const config = writeConfig({ ...issuer, wechat: { timeout: 300 } });
		const daemon = start(config);
		await firstRequest(issuer);
		daemon.kill("SIGTERM");
		await daemon.event("daemon.stopping");
		daemon.kill("SIGTERM");
		expect(await daemon.exited).toEqual({ code: 0, signal: null });
	});

	test("SIGHUPs before, during and after it do not delay the end", async () => {
		const issuer = await startIssuer();
		const daemon = await startDaemon(writeConfig(issuer).file);
		for (let turn = 0; turn < 40; turn += 1) {
			daemon.kill("SIGHUP");
			if (turn === 10) daemon.kill("SIGTERM");
			await pause(1);
		}
		expect(await daemon.exited).toEqual({ code: 0, signal: null });
	});

	test("between two refreshes leaves the files for their readers", async () => {
		const issuer = await startIssuer();
		const config = writeConfig({ ...issuer, accounts: newAccounts(2) });
		const daemon = await startDaemon(config.file);
		expect(await ending(daemon)).toBe(0);
		for (const { appid } of config.accounts)
			expect(hasFile(config.tokenFile(appid))).toBe(true);
		expect(leftIn(config)).toEqual([]);
	});
});

describe("kill -9", () => {
	test("during a request that WeChat has answered: the next start fetches at once, because the file's token will die soon", async () => {
		const issuer = await startIssuer();
		const config = writeConfig(issuer);
		const first = await startDaemon(config.file);
		// From now on tokens are issued, and the answers never arrive.
		issuer.twist(() => {});
		first.kill("SIGHUP");
		await eventually(() => issuer.requests.length === 2, {
			what: "the forced request",
		});
		first.kill("SIGKILL");
		await first.exited;
		issuer.twist(undefined);
		const second = await startDaemon(config.file);
		expect(issuer.requests).toHaveLength(3);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(
			issuer.issued.at(-1)?.value,
		);
		const refreshed = await second.event("token.refreshed");
		expect(refreshed.reason).toBe("cut-off");
		expect(await ending(second)).toBe(0);
		expect(leftIn(config)).toEqual([]);
	});

	test("during the very first request: the next start has a token at once", async () => {
		const issuer = await startIssuer({ twist: () => {} });
		const config = writeConfig(issuer);
		const first = start(config);
		await firstRequest(issuer);
		first.kill("SIGKILL");
		await first.exited;
		issuer.twist(undefined);
		await startDaemon(config.file);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(
			issuer.issued[0]?.value,
		);
		expect(issuer.requests).toHaveLength(2);
	});

	test("at any other moment leaves a whole token, and leftovers are swept later", async () => {
		const issuer = await startIssuer();
		const config = writeConfig({
			...issuer,
			wechat: { cooldown: 0, timeout: 1 },
		});
		for (let round = 0; round < 6; round++) {
			const daemon = await startDaemon(config.file);
			// On a busy machine the first request can miss its second.
			await eventually(() => existsSync(config.tokenFile("wx1")), {
				what: "the first token",
			});
			daemon.kill("SIGHUP");
			// At a random moment of lock, intent, request, publish, unlock.
			await pause(round * 5);
			daemon.kill("SIGKILL");
			await daemon.exited;
			readTokenFile(config.tokenFile("wx1"));
		}
		// A holder that died before it wrote its name counts as dead only after a while.
		await eventually(
			async () => {
				const daemon = await startDaemon(config.file);
				expect(await ending(daemon)).toBe(0);
				return leftIn(config).length === 0;
			},
			{ what: "a start that sweeps all", everyMs: 500 },
		);
		expect(readTokenFile(config.tokenFile("wx1")).value).toBe(
			issuer.issued.at(-1)?.value,
		);
	});
});

function start({ file }: TestConfig): Running {
	return startProgram(["run", "--config", file]);
}

async function ending(daemon: Running): Promise<number | null> {
	return (await daemon.stop()).code;
}

function firstRequest({ requests }: FakeIssuer) {
	return eventually(() => requests[0], { what: "the first request" });
}

/** Whether a handler for SIGHUP is installed, as the kernel reports it. */
function catchesHangUp(pid: number): boolean {
	const status = readFileSync(`/proc/${pid}/status`, "utf8");
	const [, caught = "0"] = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status) ?? [];
	// Signal 1 is bit 0.
	return (BigInt(`0x${caught}`) & 1n) === 1n;
}

/** Sends so many signals, spread over the time; returns how long it took. */
async function storm(
	pid: number,
	count: number,
	overMs: number,
): Promise<number> {
	const startedAt = performance.now();
	const bursts = 100;
	for (let burst = 1; burst <= bursts; burst++) {
		for (let i = 0; i < count / bursts; i++) process.kill(pid, "SIGHUP");
		const ahead = startedAt + (burst * overMs) / bursts - performance.now();
		if (ahead > 0) await pause(ahead);
	}
	return performance.now() - startedAt;
}

/** Temporary files and locks: what must not be left behind. */
function leftIn({ directory }: TestConfig): readonly string[] {
	return readdirSync(directory).filter(
		(name) => name.includes(".tmp") || name.includes(".lock"),
	);
}

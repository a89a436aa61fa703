/**
 * A writer is stopped during a refresh, until its lock is stale. Meanwhile another one
 * publishes. Then the first goes on, with an older token.
 */
import { existsSync, readFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { newAccounts, writeConfig } from "../support/config-file.ts";
import { eventually } from "../support/eventually.ts";
import { holdAnswers } from "../support/held-answers.ts";
import { newToken, startIssuer } from "../support/issuer.ts";
import { noteToken } from "../support/leaks.ts";
import { type Running, startDaemon } from "../support/program.ts";
import { readTokenFile } from "../support/token-file.ts";
import { inParallel } from "./in-parallel.ts";
import { type Attached, attach, noStrace } from "./strace.ts";

const wantedTries = 100;

test.skipIf(noStrace !== undefined)(
	`a writer that was stopped between its fetch and its rename never puts an older token over a newer one, in ${wantedTries} tries`,
	{ timeout: 300_000 },
	async () => {
		const scene = await startScene(48);
		const writer = await startDaemon(scene.config.file);
		const other = await startDaemon(scene.config.file);
		const watch = scene.watchOrder();
		let tries = 0;
		// 0: it is stopped before it reads the answers. Else at the nth of about 12 calls
		// of fsync that a thread makes afterwards, nearly all of them for token files.
		for (const nth of [0, 6, 3, 9]) {
			if (tries >= wantedTries) break;
			scene.hold();
			writer.kill("SIGHUP");
			await eventually(() => scene.held() === scene.appids.length, {
				what: "a request of each account",
			});
			const strace =
				nth > 0
					? await attach(writer.pid, {
							expressions: [`inject=fsync:signal=STOP:when=${nth}`],
						})
					: undefined;
			if (nth === 0) writer.kill("SIGSTOP");
			scene.release();
			await stopped(writer, strace);
			const caught = scene.appids.filter(scene.isUnpublished);
			tries += caught.length;
			// The other process watches the locks until they are stale, and then publishes.
			await scene.published();
			writer.kill("SIGCONT");
			await scene.settled();
			expect(watch.stepsBack(), `after ${tries} tries`).toEqual([]);
		}
		expect(tries).toBeGreaterThanOrEqual(wantedTries);
		console.log(`${tries} tries, ${watch.changes()} changes seen`);
		expect((await writer.stop()).code).toBe(0);
		expect((await other.stop()).code).toBe(0);
	},
);

test.skipIf(noStrace !== undefined)(
	"a writer that was stopped after any look at its lock, also the last one before the rename, never publishes its older token",
	{ timeout: 300_000 },
	() =>
		inParallel(
			Array.from({ length: 12 }, (_, index) => index + 1),
			12,
			async (nth) => {
				const scene = await startScene(1);
				const writer = await startDaemon(scene.config.file);
				await startDaemon(scene.config.file);
				const watch = scene.watchOrder();
				scene.hold();
				writer.kill("SIGHUP");
				await eventually(() => scene.held() === 1, { what: "a request" });
				const strace = await attach(writer.pid, {
					expressions: [`inject=statx:signal=STOP:when=${nth}`],
					thread: writer.pid,
				});
				scene.release();
				await stopped(writer, strace);
				await scene.published();
				writer.kill("SIGCONT");
				await writer.event("daemon.ready");
				await scene.settled();
				expect(watch.stepsBack()).toEqual([]);
			},
		),
);

async function startScene(count: number) {
	const issued = new Map<string, string[]>();
	const { give, ...holding } = holdAnswers();
	const issuer = await startIssuer({
		twist: ({ query: { appid = "" } }, response) =>
			give(() => {
				const value = noteToken(newToken());
				issued.set(appid, [...(issued.get(appid) ?? []), value]);
				response.end(JSON.stringify({ access_token: value, expires_in: 7200 }));
			}),
	});
	const accounts = newAccounts(count);
	const appids = accounts.map(({ appid }) => appid);
	const config = writeConfig({
		url: issuer.url,
		accounts,
		top: { socket: "", log_level: "info" },
		wechat: { timeout: 1.5, cooldown: 0, budget: 1_000 },
	});
	const tokenOf = (appid: string) =>
		readTokenFile(config.tokenFile(appid)).value;
	const isUnpublished = (appid: string) =>
		tokenOf(appid) !== issued.get(appid)?.at(-1);
	return {
		config,
		appids,
		isUnpublished,
		...holding,
		/** Resolves when readers have the last token of each account. */
		published: () =>
			eventually(() => !appids.some(isUnpublished), {
				what: "the last token of each account",
			}),
		/** Resolves when, in addition, no lock was held for a tick: nothing more will come. */
		settled: async () => {
			const isQuiet = () =>
				!appids.some(
					(appid) =>
						isUnpublished(appid) ||
						existsSync(`${config.tokenFile(appid)}.lock`),
				);
			let quietSince = Date.now();
			await eventually(
				() => {
					if (!isQuiet()) quietSince = Date.now();
					return Date.now() - quietSince > 1_200;
				},
				{ what: "the last token of each account, and no lock" },
			);
		},
		/** A reader that looks every 2 ms. */
		watchOrder: () => {
			const last = new Map<string, number>();
			const stepsBack: string[] = [];
			let changes = 0;
			const timer = setInterval(() => {
				for (const appid of appids) {
					const order = issued.get(appid)?.indexOf(tokenOf(appid)) ?? -1;
					const before = last.get(appid) ?? 0;
					if (order < before) stepsBack.push(`${appid}: ${before} to ${order}`);
					if (order !== before) changes += 1;
					last.set(appid, order);
				}
			}, 2);
			onTestFinished(() => clearInterval(timer));
			return { stepsBack: () => stepsBack, changes: () => changes };
		},
	};
}

/** Resolves when the process is stopped, and not traced any more. */
async function stopped(
	{ pid }: Running,
	strace: Attached | undefined,
): Promise<void> {
	const by = "stopped by SIGSTOP";
	await eventually(() => strace?.output().includes(by) ?? true, { what: by });
	await strace?.detach();
	await eventually(
		() => {
			const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
			return stat.slice(stat.lastIndexOf(")")).startsWith(") T");
		},
		{ what: "a process that stands still" },
	);
}

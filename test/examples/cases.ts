/** What every reader must do, whatever its language or SDK, against a WeChat of the test's own. */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Driver, type Result, startDriver } from "./driver.ts";
import {
	type FakeWechat,
	granted,
	refused,
	startFakeWechat,
	tokenText,
} from "./fake-wechat.ts";
import { environmentOf, missingFor, type Reader } from "./readers.ts";

const works: Result = { errcode: 0 };
const crowd = 20;

export function testReader(reader: Reader): void {
	const missing = missingFor(reader);
	const title =
		missing.length > 0
			? `${reader.name} (not run: install ${missing.join(", ")})`
			: reader.name;

	describe.skipIf(missing.length > 0)(title, () => {
		let wechat: FakeWechat;
		let driver: Driver;
		let begin: () => Driver;

		beforeAll(async () => {
			wechat = await startFakeWechat("wx-fake");
			const command = await reader.prepare();
			begin = () =>
				startDriver({
					command,
					env: environmentOf(wechat),
					path: "/cgi-bin/getcallbackip",
				});
			driver = begin();
		});

		afterEach(async () => {
			expect(wechat.fetches, "a reader never fetches").toEqual([]);
			await wechat.reset();
		});

		afterAll(async () => {
			await driver?.stop();
			await wechat?.close();
		});

		const usedTokens = () => wechat.calls.map(({ token }) => token);

		test("the file is read before every call, so a rotation between two is never noticed", async () => {
			const first = wechat.token();
			expect(await driver.call()).toEqual(works);
			const second = wechat.rotate();
			expect(await driver.call()).toEqual(works);
			expect(usedTokens()).toEqual([first, second]);
			expect(wechat.reports).toEqual([]);
		});

		test.each([
			[
				"with spaces and no end",
				(value: string, expire: number) =>
					`{"value": "${value}", "expire": ${expire}}`,
			],
			[
				"with its keys the other way round",
				(value: string, expire: number) =>
					`{"expire": ${expire}, "value": "${value}"}\n`,
			],
		])(
			"a file as another program left it, %s, is read until the next renewal",
			async (_what, write) => {
				wechat.publish(write(wechat.token(), 4e9));
				expect(await driver.call()).toEqual(works);
				expect(usedTokens()).toEqual([wechat.token()]);
			},
		);

		const deaths = [
			[40001, "application/json; encoding=utf-8"],
			[40014, "application/json"],
			[42001, "text/plain"],
		] as const;
		test.each(deaths)(
			"%i (%s): the dead token is reported once, and the call goes out once more",
			async (code, type) => {
				const first = wechat.token();
				wechat.kill();
				wechat.answerCalls(({ token }) =>
					wechat.isLive(token) ? granted : refused(code, type),
				);
				if (reader.deafTo?.includes(code)) {
					expect(await driver.call()).toEqual({ errcode: code });
					expect(wechat.reports).toEqual([]);
					return;
				}
				expect(await driver.call()).toEqual(works);
				expect(usedTokens()).toEqual([first, wechat.token()]);
				expect(wechat.reports).toEqual([first]);
			},
		);

		test("a token that was replaced while the call was under way needs no report", async () => {
			const first = wechat.token();
			wechat.answerCalls(({ token }) => {
				if (token !== first) return granted;
				wechat.rotate();
				return refused(40001);
			});
			expect(await driver.call()).toEqual(works);
			expect(usedTokens()).toEqual([first, wechat.token()]);
			expect(wechat.reports).toEqual([]);
		});

		test("a token that lives but is refused for ever costs one report and no loop", async () => {
			wechat.answerCalls(() => refused(40001));
			wechat.answerReports((stale) => ({
				content: { outcome: "alive", value: stale, expire: 4e9 },
			}));
			expect(await driver.call()).toEqual({ errcode: 40001 });
			expect(wechat.calls).toHaveLength(reader.callsWhenHopeless);
			expect(wechat.reports).toHaveLength(reader.reportsWhenHopeless ?? 1);
		});

		test("when every token is refused, the second refusal is the app's", async () => {
			wechat.answerCalls(() => refused(42001));
			expect(await driver.call()).toEqual({ errcode: 42001 });
			expect(wechat.calls).toHaveLength(2);
			expect(wechat.reports).toHaveLength(reader.reportsWhenHopeless ?? 1);
		});

		test("other refusals are the app's business", async () => {
			wechat.answerCalls(() => refused(45009));
			expect(await driver.call()).toEqual({ errcode: 45009 });
			expect(wechat.calls).toHaveLength(1);
			expect(wechat.reports).toEqual([]);
		});

		test("an expired token is not used, and the error says so", async () => {
			wechat.publish(tokenText("expired", -1));
			const result = await driver.call();
			expect(result).toEqual({ error: expect.stringContaining("expired") });
			expect(result).toEqual({
				error: expect.stringContaining("wx_access_token_wx-fake"),
			});
			expect(wechat.calls).toEqual([]);
			expect(wechat.reports).toEqual([]);
		});

		test.each([
			["missing", undefined],
			["empty", ""],
			["cut", '{"value":"to'],
		])(
			"a %s file is an error of the reader's, and no reason to fetch",
			async (_what, content) => {
				wechat.publish(content);
				expect(await driver.call()).toEqual({
					error: expect.stringMatching(/\S/),
				});
				expect(wechat.calls).toEqual([]);
				expect(wechat.reports).toEqual([]);
				// The next call works, as if nothing had been.
				wechat.rotate();
				expect(await driver.call()).toEqual(works);
			},
		);

		test.each([
			["is not there", undefined, /no such file|not find|ENOENT|NoSuchFile/i],
			[
				"is a link to itself",
				(file: string) => symlinkSync(file, file),
				// Mono has the number of Windows for it.
				/symbolic links|ELOOP|1921/i,
			],
			[
				"is a directory",
				(file: string) => mkdirSync(file),
				/is a directory|EISDIR|denied/i,
			],
		])(
			"a file that %s: the error names it, and the system's own reason",
			async (_what, make, reason) => {
				wechat.publish(undefined);
				make?.(wechat.file);
				const result = await driver.call();
				rmSync(wechat.file, { recursive: true, force: true });
				expect(result).toEqual({ error: expect.stringMatching(reason) });
				expect(result).toEqual({ error: expect.stringContaining(wechat.file) });
				expect(result).toEqual({
					error: expect.not.stringContaining("expired"),
				});
			},
		);

		test.each([
			["empty", ""],
			["cut", '{"value":"to'],
			["without a token", "{}"],
		])("a file that is %s: the error names it", async (_what, content) => {
			wechat.publish(content);
			const result = await driver.call();
			expect(result).toEqual({ error: expect.stringContaining(wechat.file) });
			expect(result).toEqual({ error: expect.not.stringContaining("expired") });
		});

		test("without the control socket WeChat's own error comes back, not the socket's", async () => {
			await wechat.closeSocket();
			wechat.kill();
			expect(await driver.call()).toEqual({ errcode: 40001 });
			expect(wechat.calls).toHaveLength(reader.callsWhenHopeless);
		});

		test("if the keeper cannot help, WeChat's own error comes back, not the keeper's", async () => {
			wechat.kill();
			wechat.answerReports(() => ({
				status: 503,
				content: { code: "40125", message: "could not refresh", hint: "…" },
			}));
			expect(await driver.call()).toEqual({ errcode: 40001 });
			expect(wechat.calls).toHaveLength(reader.callsWhenHopeless);
			expect(wechat.reports).toHaveLength(reader.reportsWhenHopeless ?? 1);
		});

		test("twenty at once with a dead token: all succeed, with at most a report each", async () => {
			const drivers = reader.oneCallAtATime
				? [driver, ...Array.from({ length: crowd - 1 }, begin)]
				: Array<Driver>(crowd).fill(driver);
			wechat.kill();
			const results = await Promise.all(drivers.map((each) => each.call()));
			expect(results).toEqual(Array(crowd).fill(works));
			expect(wechat.reports.length).toBeGreaterThan(0);
			expect(wechat.reports.length).toBeLessThanOrEqual(crowd);
			expect(wechat.calls.length).toBeLessThanOrEqual(2 * crowd);
			const others = drivers.filter((each) => each !== driver);
			await Promise.all(others.map((each) => each.stop()));
		});

		test("what a call sends is sent again with the second token", async () => {
			wechat.kill();
			expect(await driver.call("POST")).toEqual(works);
			const [first, second] = wechat.calls;
			expect(first?.method).toBe("POST");
			expect(first?.body).toContain("中文");
			expect(second?.method).toBe("POST");
			expect(second?.body).toContain("中文");
			expect(second?.body).toHaveLength(first?.body.length ?? 0);
		});

		if (reader.sendsStreams)
			test("a stream is not sent twice: it fails with a report, and the next call works", async () => {
				const first = wechat.token();
				wechat.kill();
				expect(await driver.call("STREAM")).toEqual({ errcode: 40001 });
				expect(wechat.calls).toEqual([
					expect.objectContaining({
						token: first,
						body: expect.stringContaining("中文"),
					}),
				]);
				expect(wechat.reports).toEqual([first]);
				expect(await driver.call()).toEqual(works);
				expect(wechat.reports).toEqual([first]);
			});
	});
}

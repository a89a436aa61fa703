import { dirname } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { testReader } from "./cases.ts";
import { startDriver } from "./driver.ts";
import { startFakeWechat } from "./fake-wechat.ts";
import {
	environmentOf,
	examples,
	missingFor,
	plainReaders,
} from "./readers.ts";

for (const reader of plainReaders) testReader(reader);

const php = plainReaders.find(({ name }) => name === "PHP");

test.skipIf(php === undefined || missingFor(php).length > 0)(
	"PHP that a hosting panel shuts in with open_basedir says so, and reads if the token file's path is allowed",
	async () => {
		const wechat = await startFakeWechat("wx-fake");
		onTestFinished(() => wechat.close());
		const [interpreter = "", script = ""] = (await php?.prepare()) ?? [];
		const callIn = async (...allowed: readonly string[]) => {
			const inside = [examples, dirname(script), ...allowed].join(":");
			const driver = startDriver({
				command: [interpreter, "-d", `open_basedir=${inside}`, script],
				env: environmentOf(wechat),
				path: "/cgi-bin/getcallbackip",
			});
			const result = await driver.call();
			await driver.stop();
			return result;
		};
		expect(await callIn()).toEqual({
			error: expect.stringMatching(/open_basedir.*wx_access_token_wx-fake/),
		});
		wechat.kill();
		// The socket needs no entry: the dead token is reported, and the new one used.
		expect(await callIn(wechat.file)).toEqual({ errcode: 0 });
		expect(wechat.reports.length).toBe(1);
	},
);

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";
import { installSdks } from "../../bench/sdks.ts";
import { testReader } from "./cases.ts";
import { startDriver } from "./driver.ts";
import { keep } from "./kept-account.ts";
import { app, npmReaders } from "./npm-sdks.ts";
import { environmentOf } from "./readers.ts";

installSdks();

for (const reader of npmReaders) testReader(reader);

const processes = 20;

test.each(npmReaders.filter(({ name }) => !name.includes("cards")))(
	"$name: 20 processes, cold and after an outside kill, fetch nothing and all succeed",
	async (reader) => {
		const { simulator, places, fetches, fetchers } = await keep();
		const [place] = places;
		if (place === undefined) throw new Error("there is no account");
		const command = await reader.prepare();
		// With the true secret: if the SDK fetched, it would get a token, and be seen.
		const env = environmentOf(place);
		const drivers = Array.from({ length: processes }, () =>
			startDriver({ command, env, path: "/" }),
		);
		onTestFinished(async () => {
			await Promise.all(drivers.map((driver) => driver.stop()));
		});
		const all = () => Promise.all(drivers.map((driver) => driver.call()));

		expect(await all()).toEqual(Array(processes).fill({ errcode: 0 }));
		expect(fetches(place.appid)).toBe(1);
		simulator.platform.kill(place.appid, simulator.now());
		expect(await all()).toEqual(Array(processes).fill({ errcode: 0 }));
		expect(fetches(place.appid)).toBe(2);
		expect(fetchers()).toEqual(["wxtokend"]);
	},
);

test("wechat-jssdk: a page is signed with the newest ticket, though it was signed before", async () => {
	const program = `
		import { createHash } from "node:crypto";
		import jssdk from "wechat-jssdk";
		import { plugInto } from "./wechat-jssdk.mjs";
		const wechat = new jssdk.Wechat({
			appId: "wx-fake",
			appSecret: "any text",
			wechatRedirectUrl: "http://app.example",
			storeOptions: { fileStorePath: "./store-signatures.json" },
		});
		let ticket = "one";
		wechat.jssdk.getJsApiTicket = async () => ({ ticket });
		const { jssdk: signer } = plugInto(wechat, { token: () => "token" });
		const isBy = async (ticket) => {
			const { nonceStr, timestamp, url, signature } = await signer.getSignature("http://app.example/#a");
			const text = \`jsapi_ticket=\${ticket}&noncestr=\${nonceStr}&timestamp=\${timestamp}&url=\${url}\`;
			return createHash("sha1").update(text).digest("hex") === signature;
		};
		const first = await isBy("one");
		ticket = "two";
		await signer.getGlobalTokenAndTicket(true);
		console.log(first, await isBy("two"));
		process.exit();
	`;
	const argv = ["--input-type=module", "--eval", program];
	const { stdout } = await promisify(execFile)(process.execPath, argv, {
		cwd: app(),
	});
	expect(stdout).toBe("true true\n");
});

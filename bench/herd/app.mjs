// An app that calls WeChat with the SDK that its argument names, as the SDK's
// own README sets it up for several processes: with its file cache, and its own
// ways to try again. Or with wxtokend's example reader.
//
//   node bench/herd/app.mjs SDK
//
// Each line on stdin is answered by one: {"appid":…,"directory":…} opens the
// SDK anew, as a start of the app would; "call" makes one call, which is "ok" or
// says why not.
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const { BENCH_WECHAT: url, BENCH_SECRET: secret, BENCH_SDKS } = process.env;
const require = createRequire(join(BENCH_SDKS, "package.json"));

/** Each loads its SDK, and gives what opens it; that gives what makes a call. */
const sdks = {
	async wxtokend() {
		const { openWxtokend } = await import("../../examples/node/wxtokend.mjs");
		return ({ appid, directory }) => {
			const wechat = openWxtokend(appid, { directory, api: url });
			return async () =>
				refuseErrors(await wechat.call("/cgi-bin/getcallbackip"));
		};
	},

	async "co-wechat-api"() {
		const API = require("co-wechat-api");
		return ({ appid, directory }) => {
			const file = join(directory, "access_token.txt");
			const api = new API(
				appid,
				secret,
				async () => JSON.parse(await readFile(file, "utf8")),
				(token) => writeFile(file, JSON.stringify(token)),
			);
			api.prefix = `${url}/cgi-bin/`;
			return () => api.getIp();
		};
	},

	async "wechat-api"() {
		const API = require("wechat-api");
		const fs = require("node:fs");
		return ({ appid, directory }) => {
			const file = join(directory, "access_token.txt");
			const api = new API(
				appid,
				secret,
				(callback) =>
					fs.readFile(file, "utf8", (error, text) => {
						if (error) return callback(error);
						// Without this the README's own code ends the process on half a file.
						try {
							callback(null, JSON.parse(text));
						} catch (broken) {
							callback(broken);
						}
					}),
				(token, callback) =>
					fs.writeFile(file, JSON.stringify(token), callback),
			);
			api.endpoint = url;
			return promisify(api.getIp.bind(api));
		};
	},

	async "node-easywechat"() {
		const { OfficialAccount } = require("node-easywechat");
		return ({ appid, directory }) => {
			const app = new OfficialAccount({
				app_id: appid,
				secret,
				http: { baseURL: url },
				file_cache: { path: directory },
			});
			const client = app.getClient();
			return async () =>
				refuseErrors((await client.get("/cgi-bin/getcallbackip")).toObject());
		};
	},

	async "wechat-jssdk"() {
		const { Wechat } = require("wechat-jssdk");
		return ({ appid, directory }) => {
			const wechat = new Wechat({
				appId: appid,
				appSecret: secret,
				card: true,
				accessTokenUrl: `${url}/cgi-bin/token`,
				ticketUrl: `${url}/cgi-bin/ticket/getticket`,
				storeOptions: { fileStorePath: join(directory, "wechat-info.json") },
			});
			return async () => {
				// Or it would answer from its cache of tickets, and call nobody.
				await wechat.store.updateCardTicket({ ticket: undefined });
				await wechat.card.getApiTicket();
			};
		};
	},
};

function refuseErrors({ errcode }) {
	if (errcode) throw new Error(`errcode ${errcode}`);
}

const open = await sdks[process.argv[2]]();
let call;
createInterface({ input: process.stdin }).on("line", async (line) => {
	let answer = "ok";
	try {
		if (line === "call") await call();
		else call = open(JSON.parse(line));
	} catch (error) {
		const { code = "", errcode = "", message = "no message" } = error;
		answer = `${message} ${code}${errcode}`.replaceAll("\n", " ");
	}
	process.stdout.write(`${answer}\n`);
});

import { Readable } from "node:stream";
import { OfficialAccount } from "node-easywechat";
import { plugInto } from "../node-easywechat.mjs";
import { appid, api as base, serve } from "./loop.mjs";

const { WECHAT_SECRET: secret } = process.env;
const app = new OfficialAccount({
	app_id: appid,
	secret,
	http: { baseURL: base },
	// The SDK's own cache must not matter: each process has one of its own.
	file_cache: { path: `./cache-${process.pid}` },
});
const client = plugInto(app).getClient();

serve(async (method) => {
	if (method === "STREAM") {
		const data = Readable.from([Buffer.from("中文")]);
		const url = "/cgi-bin/media/upload";
		return (await client.request("POST", url, { data })).toObject();
	}
	const answer = await (method === "POST"
		? client.request("POST", "/cgi-bin/media/upload", {
				formData: { media: Buffer.from("中文") },
			})
		: client.get("/cgi-bin/getcallbackip"));
	return answer.toObject();
});

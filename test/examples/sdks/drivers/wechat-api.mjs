import { Readable } from "node:stream";
import { promisify } from "node:util";
import { openWechatApi } from "../wechat-api.mjs";
import { openWxtokend } from "../wxtokend.mjs";
import { appid, api as base, serve } from "./loop.mjs";

const { WECHAT_SECRET } = process.env;
const api = openWechatApi(appid, openWxtokend(appid), WECHAT_SECRET);
api.endpoint = base;
const createMenu = promisify(api.createMenu.bind(api));
const getIp = promisify(api.getIp.bind(api));

const upload = promisify(api.uploadMediaStream.bind(api));

/** As a request of a browser that is passed on. */
function incoming() {
	const headers = { host: "example.com", "transfer-encoding": "chunked" };
	return Object.assign(Readable.from([Buffer.from("中文")]), { headers });
}

serve(async (method) => {
	try {
		if (method === "STREAM") return await upload(incoming(), "image");
		return await (method === "POST" ? createMenu({ name: "中文" }) : getIp());
	} catch (error) {
		if (error.name === "WeChatAPIError") return { errcode: error.code };
		throw error;
	}
});

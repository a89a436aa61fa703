import { KeptAPI } from "../co-wechat-api.mjs";
import { openWxtokend } from "../wxtokend.mjs";
import { appid, api as base, serve } from "./loop.mjs";

const { WECHAT_SECRET } = process.env;
const api = new KeptAPI(appid, openWxtokend(appid), WECHAT_SECRET);
api.prefix = `${base}/cgi-bin/`;

const media = Buffer.from("中文");

serve(async (method) => {
	try {
		if (method === "STREAM")
			return await api.uploadMedia(media, "image", "a.png", "image/png");
		return await (method === "POST"
			? api.createMenu({ name: "中文" })
			: api.getIp());
	} catch (error) {
		if (error.name === "WeChatAPIError") return { errcode: error.code };
		throw error;
	}
});

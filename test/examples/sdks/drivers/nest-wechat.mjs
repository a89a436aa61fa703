import "reflect-metadata";
import { createRequire } from "node:module";
import { keptTokens } from "../nest-wechat.mjs";
import { appid as appId, api as base, serve } from "./loop.mjs";

const { WECHAT_SECRET: secret } = process.env;
const require = createRequire(import.meta.url);
const { WeChatService } = require("nest-wechat");
const axios = createRequire(require.resolve("nest-wechat"))("axios");
// The SDK has WeChat's address in its code.
axios.interceptors.request.use((config) => {
	config.url = config.url.replace("https://api.weixin.qq.com", base);
	return config;
});
const service = new WeChatService({
	appId,
	secret,
	cacheAdapter: keptTokens(),
});

serve((method) =>
	method === "POST"
		? service.sendTemplateMessage({ name: "中文" }, appId, secret)
		: service.getJSApiTicket(appId, secret),
);

// Answers each URL on stdin with "timestamp nonceStr signature", or "error TEXT".
import { createInterface } from "node:readline";
import jssdk from "wechat-jssdk";
import { plugInto } from "../wechat-jssdk.mjs";
import { plugTicketsInto } from "../wechat-jssdk-tickets.mjs";

const { WECHAT_APPID: appId } = process.env;
const wechat = plugTicketsInto(
	plugInto(
		new jssdk.Wechat({
			appId,
			appSecret: "any text",
			card: true,
			wechatRedirectUrl: "http://app.example",
			storeOptions: { fileStorePath: `./store-tickets-${process.pid}.json` },
		}),
	),
);
for await (const url of createInterface({ input: process.stdin })) {
	try {
		const page = await wechat.jssdk.getSignature(url);
		console.log(page.timestamp, page.nonceStr, page.signature);
	} catch (error) {
		console.log("error", error.message);
	}
}

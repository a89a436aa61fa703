import jssdk from "wechat-jssdk";
import { plugInto } from "../wechat-jssdk.mjs";
import { appid, api as base, serve } from "./loop.mjs";

const { WECHAT_SECRET: appSecret, CARDS } = process.env;
const wechat = plugInto(
	new jssdk.Wechat({
		appId: appid,
		appSecret,
		card: true,
		accessTokenUrl: `${base}/cgi-bin/token`,
		ticketUrl: `${base}/cgi-bin/ticket/getticket`,
		decodeCardCodeUrl: `${base}/card/code/decrypt`,
		storeOptions: { fileStorePath: `./store-${process.pid}-${CARDS}.json` },
	}),
);

/** As after the two hours for which the SDK keeps a ticket. */
async function newTicket() {
	if (CARDS !== "yes") return wechat.jssdk.getGlobalTokenAndTicket(true);
	await wechat.store.updateCardTicket({ ticket: undefined });
	return wechat.card.getApiTicket();
}

serve(async (method) => {
	try {
		await (method === "POST"
			? wechat.card.decryptCardCode("中文")
			: newTicket());
		return { errcode: 0 };
	} catch (error) {
		if (error.errcode !== undefined) return { errcode: error.errcode };
		throw error;
	}
});

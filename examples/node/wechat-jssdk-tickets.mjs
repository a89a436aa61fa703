// wechat-jssdk with the tickets that wxtokend keeps: it signs pages and cards, and fetches nothing for it.
//   const wechat = plugTicketsInto(plugInto(new Wechat({ appId: "wx0123456789abcdef", appSecret: "any text", … })));
//   await wechat.jssdk.getSignature(url);
import { openTickets } from "./wxtokend-tickets.mjs";

export function plugTicketsInto(
	wechat,
	tickets = openTickets(wechat.jssdk.wechatConfig.appId),
) {
	const { jssdk, card } = wechat;
	// The SDK would keep ticket and signatures for two hours, whatever becomes of them.
	jssdk.createSignature = async (url) => ({ url, ...tickets.page(url) });
	jssdk.getSignature = jssdk.createSignature;
	jssdk.getCachedSignature = jssdk.createSignature;
	if (card)
		card.getApiTicket = async () => ({ ticket: tickets.ticket("card") });
	return wechat;
}

// wechat-jssdk with the token that wxtokend keeps: it never fetches, and calls once more if WeChat refuses a token.
//   const wechat = plugInto(new Wechat({ appId: "wx0123456789abcdef", appSecret: "any text", … }));
//   await wechat.jssdk.getSignature(url);
// Do not read store.globalToken.accessToken: the SDK keeps there what was used for the last ticket.
import { dead, openWxtokend } from "./wxtokend.mjs";

export function plugInto(
	wechat,
	keeper = openWxtokend(wechat.jssdk.wechatConfig.appId),
) {
	/** Calls again with another token, once, if WeChat refuses the first. */
	const retrying = (call) => async (given) => {
		// None is given if the SDK has swallowed the reader's error: this tells it again.
		const token = given ?? keeper.token();
		try {
			return await call(token);
		} catch (answer) {
			const isDead = dead.has(answer?.errcode);
			const other = isDead && (await keeper.replacement(token));
			if (!other) throw answer;
			return call(other);
		}
	};

	const { jssdk, card } = wechat;
	jssdk.getAccessToken = async () => ({ access_token: keeper.token() });
	jssdk.getJsApiTicket = retrying(jssdk.getJsApiTicket.bind(jssdk));
	// The SDK would hand a signature out for two hours, also when the ticket in it ends or was replaced before.
	jssdk.getSignature = (url) => jssdk.createSignature(url);
	if (card) {
		card.getGlobalToken = async () => ({ accessToken: keeper.token() });
		card.getApiTicketRemotely = retrying(card.getApiTicketRemotely.bind(card));
		const decode = card.sendDecodeRequest.bind(card);
		card.sendDecodeRequest = (code, { access_token }) =>
			retrying((token) => decode(code, { access_token: token }))(access_token);
	}
	return wechat;
}

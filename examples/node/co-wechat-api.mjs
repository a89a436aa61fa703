// co-wechat-api with the token that wxtokend keeps: it never fetches, and calls once more if WeChat refuses a token.
//   const api = new KeptAPI("wx0123456789abcdef");
//   await api.getFollowers();
import API from "co-wechat-api";
import { dead, openWxtokend } from "./wxtokend.mjs";

export class KeptAPI extends API {
	constructor(appid, keeper = openWxtokend(appid), secret = undefined) {
		// The SDK asks before every call; the reader looks after the expiry.
		const getToken = async () => ({
			accessToken: keeper.token(),
			expireTime: Number.POSITIVE_INFINITY,
		});
		super(appid, secret, getToken, async () => {}, true);
		this.keeper = keeper;
	}

	async getAccessToken() {
		throw new Error("wxtokend fetches the token; this client never does");
	}

	async request(url, options, retry) {
		try {
			return await super.request(url, options, retry);
		} catch (error) {
			const target = new URL(url);
			const stale = target.searchParams.get("access_token");
			// Web logins (/sns/) have tokens of their own.
			if (!stale || url.startsWith(this.snsPrefix) || !dead.has(error.code))
				throw error;
			const other = await this.keeper.replacement(stale);
			// A stream cannot be sent twice; the next call works.
			const isSpent = options?.data?.pipe ?? options?.stream;
			if (!other || isSpent) throw error;
			target.searchParams.set("access_token", other);
			return super.request(target.href, options, retry);
		}
	}
}

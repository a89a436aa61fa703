// nest-wechat with the token that wxtokend keeps: it never fetches, and calls once more if WeChat refuses a token.
//   WeChatModule.register({ appId: "wx0123456789abcdef", secret: "any text", cacheAdapter: keptTokens() })
// The SDK's own Redis cache stores nothing with cache-manager 7, without an error: then each call fetches.
import { createRequire } from "node:module";
import { dead, openWxtokend } from "./wxtokend.mjs";

export function keptTokens(open = openWxtokend) {
	const keepers = new Map();
	const givenBy = new Map(); // token → its keeper
	const others = new Map(); // jsapi tickets and the like
	const appidIn = (key) => /^key_access_token_(.*)$/.exec(key)?.[1];

	function give(appid) {
		if (!keepers.has(appid)) keepers.set(appid, open(appid));
		const keeper = keepers.get(appid);
		const token = keeper.token();
		if (givenBy.size > 1000) givenBy.clear();
		givenBy.set(token, keeper);
		return token;
	}

	retryRefused((token) => givenBy.get(token));
	return {
		// Without an end: the reader looks at it, and its error keeps the SDK from fetching.
		get: async (key) => {
			const appid = appidIn(key);
			if (appid === undefined) return others.get(key);
			return {
				access_token: give(appid),
				expires_in: Number.POSITIVE_INFINITY,
			};
		},
		set: (key, value) => {
			if (appidIn(key) === undefined) others.set(key, value);
		},
		remove: (key) => others.delete(key),
		close: () => {},
	};
}

/** The SDK calls by an axios of its own, and never calls again. */
function retryRefused(keeperOf) {
	const { resolve } = createRequire(import.meta.url);
	const axios = createRequire(resolve("nest-wechat"))("axios");
	axios.interceptors.response.use(async (answer) => {
		const { config, data } = answer;
		const url = new URL(config.url);
		const stale = url.searchParams.get("access_token");
		const keeper = keeperOf(stale);
		if (!keeper || config.isSecond || !dead.has(data?.errcode)) return answer;
		const other = await keeper.replacement(stale);
		// A stream cannot be sent twice; the next call works.
		if (!other || config.data?.pipe) return answer;
		url.searchParams.set("access_token", other);
		return axios.request({ ...config, url: url.href, isSecond: true });
	});
}

// wechat-api with the token that wxtokend keeps: it never fetches, and calls once more if WeChat refuses a token.
//   const api = openWechatApi("wx0123456789abcdef");
//   api.getFollowers((error, followers) => { … });
import API from "wechat-api";
import { dead, openWxtokend } from "./wxtokend.mjs";

export function openWechatApi(appid, keeper = openWxtokend(appid), secret) {
	const api = new API(appid, secret);

	api.getAccessToken = (callback) =>
		callback(new Error("wxtokend fetches the token; this client never does"));

	api.preRequest = (method, args) => {
		const inputs = [...args].slice(0, -1);
		const callback = args[args.length - 1];

		// The SDK takes the token from `this`: each call gets one of its own, so that
		// concurrent calls cannot mix them up.
		const attempt = (accessToken, done) => {
			const token = new API.AccessToken(accessToken, Number.POSITIVE_INFINITY);
			const call = Object.create(api, { token: { value: token } });
			method.apply(call, [...inputs, done]);
		};

		const first = (used) =>
			attempt(used, async (error, content, response) => {
				const isDead = dead.has(content?.errcode ?? error?.code);
				const other = isDead && (await keeper.replacement(used));
				// A stream cannot be sent twice; the next call works.
				const isSpent = inputs.some((input) => input?.pipe);
				if (other && !isSpent) attempt(other, callback);
				else callback(error, content, response);
			});

		// An error of the reader's goes to the callback, too.
		const token = Promise.resolve().then(() => keeper.token());
		token.then(first, callback);
	};

	return api;
}

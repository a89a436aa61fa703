// node-easywechat with the token that wxtokend keeps: it never fetches, and calls once more if WeChat refuses a token.
//   const app = new OfficialAccount({ app_id: "wx0123456789abcdef", secret: "any text" });
//   plugInto(app);                          // at once: the first getClient() keeps what it finds
//   await app.getClient().get("/cgi-bin/user/get");
// A MiniApp takes it too. Web logins and sns/jscode2session need the true secret: they fetch no access_token.
import { dead, openWxtokend } from "./wxtokend.mjs";

export function plugInto(
	app,
	keeper = openWxtokend(app.getAccount().getAppId()),
) {
	const getToken = async () => keeper.token();
	const refresh = async () => {
		const stale = keeper.token();
		return (await keeper.replacement(stale)) ?? stale;
	};
	const toQuery = async () => ({ access_token: keeper.token() });
	app.setAccessToken({ getToken, toQuery, refresh });

	const client = app.getHttpClient();
	const send = client.request.bind(client);
	client.request = async (method, url, payload = {}) => {
		const answer = await send(method, url, payload);
		const stale = payload.params?.access_token;
		if (!stale || !dead.has(errcodeOf(answer))) return answer;
		const other = await keeper.replacement(stale);
		// A stream cannot be sent twice; the next call works.
		if (!other || isSpent(payload)) return answer;
		const params = { ...payload.params, access_token: other };
		return send(method, url, { ...payload, params });
	};
	return app;
}

function errcodeOf(answer) {
	const content = answer.getContent();
	// With responseType "arraybuffer" a refusal comes as bytes, too.
	const isBytes = Buffer.isBuffer(content) && content[0] === 0x7b;
	return (isBytes ? JSON.parse(content.toString()) : content)?.errcode;
}

function isSpent({ formData = {}, data }) {
	return [formData, data, ...Object.values(formData)].some(
		(part) => part?.pipe,
	);
}

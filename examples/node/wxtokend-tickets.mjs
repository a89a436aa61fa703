// Signs pages (JS-SDK) and cards with the tickets that wxtokend keeps. Put it beside wxtokend.mjs.
//   const tickets = openTickets("wx0123456789abcdef");
//   const config = tickets.page(url); // location.href.split("#")[0] of the browser
//   const cardExt = JSON.stringify(tickets.card("pXch-jnOlGtbuWwIO2NDftZeynRE", { code: "1234" }));
import { createHash, randomBytes } from "node:crypto";
import { request } from "node:http";
import { json } from "node:stream/consumers";
import { openWxtokend } from "./wxtokend.mjs";

const sha1 = (text) => createHash("sha1").update(text).digest("hex");
const randomName = () => randomBytes(8).toString("hex");
const nowInSeconds = () => Math.floor(Date.now() / 1000);

/** sort() compares UTF-16 units: for ASCII that is byte order. localeCompare would be another order. */
export const signatureOf = (values) => sha1([...values].sort().join(""));

export function openTickets(appid, options = {}) {
	const { WXTOKEND_DIRECTORY = "/run/wxtokend" } = process.env;
	const { directory = WXTOKEND_DIRECTORY } = options;

	/** "jsapi" or "card". Read it at every use: it may be another one at any moment. */
	function ticket(kind) {
		const file = `${directory}/wx_${kind}_ticket_${appid}`;
		return openWxtokend(appid, { file }).token();
	}

	/** What wx.config takes. The name is nonceStr there, and noncestr in the text that is signed. */
	function page(url, nonceStr = randomName(), timestamp = nowInSeconds()) {
		const [address] = url.split("#");
		const text = `jsapi_ticket=${ticket("jsapi")}&noncestr=${nonceStr}&timestamp=${timestamp}&url=${address}`;
		return { appId: appid, timestamp, nonceStr, signature: sha1(text) };
	}

	/** As page, but wxtokend signs, and the ticket does not leave it. */
	async function requestPage(url) {
		const path = `/v1/accounts/${appid}/jssdk`;
		const socketPath = `${directory}/control.sock`;
		const signal = AbortSignal.timeout(10_000);
		const answer = await new Promise((resolve, reject) => {
			request({ socketPath, path, method: "POST", signal })
				.on("response", (answer) => json(answer).then(resolve, reject))
				.on("error", reject)
				.end(JSON.stringify({ url }));
		});
		if (answer.signature) return answer;
		throw new Error(`could not sign a page: ${answer.message}`);
	}

	/** cardExt of a card. fields: code and openid, if they are used; timestamp and nonce_str are added. */
	function card(cardId, fields = {}) {
		const times = {
			timestamp: String(nowInSeconds()),
			nonce_str: randomName(),
		};
		const cardExt = { ...times, ...fields };
		const values = [ticket("card"), cardId, ...Object.values(cardExt)];
		return { ...cardExt, signature: signatureOf(values) };
	}

	return { ticket, page, requestPage, card };
}

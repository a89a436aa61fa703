import { createInterface } from "node:readline";

const { openTickets, signatureOf } = await import(
	`${process.env.EXAMPLES}/node/wxtokend-tickets.mjs`
);
const { WECHAT_APPID: appid, WXTOKEND_DIRECTORY: directory } = process.env;
const tickets = openTickets(appid, { directory });

async function sign(what, ...words) {
	if (what === "sort") return signatureOf(words);
	if (what === "ask")
		return JSON.stringify(await tickets.requestPage(words[0]));
	if (what === "page") {
		const [url, nonce, timestamp] = words;
		return Object.values(tickets.page(url, nonce, Number(timestamp))).join(" ");
	}
	const [id, timestamp, nonce_str, code] = words;
	return tickets.card(id, { timestamp, nonce_str, code }).signature;
}

for await (const line of createInterface({ input: process.stdin })) {
	try {
		console.log(await sign(...line.split("\t")));
	} catch (error) {
		console.log("error", error.message);
	}
}

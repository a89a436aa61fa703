// A page that calls wx.config, and the server that signs it. It needs no package.
//   WECHAT_APPID=wx0123456789abcdef node server.mjs            # http://127.0.0.1:8080/
//   WECHAT_SIMULATOR=http://127.0.0.1:PORT … node server.mjs   # without a phone: against `wxtokend simulate`
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { openTickets } from "../node/wxtokend-tickets.mjs";

const {
	WECHAT_APPID: appid,
	WECHAT_SIMULATOR: simulator,
	PORT = "8080",
} = process.env;
if (!appid) throw new Error("set WECHAT_APPID");
const tickets = openTickets(appid);
const read = (name) => readFileSync(new URL(name, import.meta.url), "utf8");
const script = simulator
	? "/jweixin-stub.js"
	: "https://res.wx.qq.com/open/js/jweixin-1.6.0.js";

const routes = {
	// The page tells its own address: the server may not know it, behind a proxy or a CDN.
	"/sign": async ({ searchParams }) => {
		const url = searchParams.get("url");
		return ["application/json", JSON.stringify(tickets.page(url))];
	},
	...(simulator && {
		"/jweixin-stub.js": async () => [
			"text/javascript",
			read("jweixin-stub.js"),
		],
		// What a phone would answer.
		"/verify": async (_, body) => {
			const path = `${simulator}/sim/verify-signature`;
			const answer = await fetch(path, { method: "POST", body });
			return ["application/json", await answer.text()];
		},
	}),
};
const page = async () => [
	"text/html; charset=utf-8",
	read("page.html").replace("SCRIPT", script),
];

createServer(async (request, response) => {
	const url = new URL(request.url, "http://localhost");
	let body = "";
	for await (const part of request) body += part;
	try {
		const [type, text] = await (routes[url.pathname] ?? page)(url, body);
		response
			.writeHead(200, { "Content-Type": type, "Cache-Control": "no-store" })
			.end(text);
	} catch (error) {
		// No ticket, or one that has ended: wxtokend status says why.
		console.error(error.message);
		response.writeHead(503).end();
	}
}).listen(Number(PORT), "127.0.0.1", function () {
	console.log(`http://127.0.0.1:${this.address().port}/`);
});

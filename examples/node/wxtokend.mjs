// Calls WeChat with the token that wxtokend keeps, and never fetches one. Node 18+.
//   const wechat = openWxtokend("wx0123456789abcdef");
//   await wechat.call("/cgi-bin/user/get", { next_openid: "" });    // GET
//   await wechat.call("/cgi-bin/menu/create", {}, { button: [] });  // POST
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { basename } from "node:path";
import { json } from "node:stream/consumers";

export const dead = new Set([40001, 40014, 42001]);

export function openWxtokend(appid, options = {}) {
	// With a URL: wxtokend on another host, instead of file and socket.
	const { WXTOKEND_DIRECTORY = "/run/wxtokend", WXTOKEND_URL } = process.env;
	const { directory = WXTOKEND_DIRECTORY } = options;
	const file = options.file ?? `${directory}/wx_access_token_${appid}`;
	const socketPath = options.socket ?? `${directory}/control.sock`;
	const api = options.api ?? "https://api.weixin.qq.com";
	// Not async: it takes microseconds, and to wait for a thread takes many times as long.
	function read() {
		let why = "it holds no token; see wxtokend status";
		try {
			const { value, expire } = JSON.parse(readFileSync(file, "utf8"));
			if (value && expire) return { value, expire };
		} catch (error) {
			if (error.code) why = error.message; // what JSON.parse says may hold the token
		}
		throw new Error(`could not use ${file}: ${why}`);
	}

	/** Read it before every call: it may be another one at any moment. A promise, with a URL. */
	function token() {
		return WXTOKEND_URL ? ask("token").then(living) : living(read());
	}

	function living({ value, expire }) {
		if (expire > Date.now() / 1000) return value;
		const hint = "its token has expired; see wxtokend status";
		throw new Error(`could not use ${file}: ${hint}`);
	}

	/** What to use instead of a token that WeChat refused; undefined: there is no other. */
	async function replacement(stale) {
		try {
			let { value } = WXTOKEND_URL ? await ask("token") : read();
			if (value === stale) ({ value } = await report(stale));
			return value === stale ? undefined : value;
		} catch {
			return undefined; // WeChat's own answer tells more than this error
		}
	}

	/** WeChat's answer as an object, or as a Buffer if it is a file. */
	async function call(path, query = {}, body = undefined) {
		const used = await token();
		const answer = await send(path, query, body, used);
		const other = dead.has(answer.errcode) && (await replacement(used));
		return other ? send(path, query, body, other) : answer;
	}

	async function send(path, query, body, access_token) {
		const url = `${api}${path}?${new URLSearchParams({ ...query, access_token })}`;
		const post = body && { method: "POST", body: JSON.stringify(body) };
		const signal = AbortSignal.timeout(10_000);
		const answer = await fetch(url, { ...post, signal });
		const content = Buffer.from(await answer.arrayBuffer());
		return content[0] === 0x7b ? JSON.parse(content.toString()) : content;
	}

	async function ask(what, body) {
		const bearer = readFileSync(process.env.WXTOKEND_BEARER_FILE, "utf8");
		const url = `${WXTOKEND_URL}/v1/credentials/${basename(file)}/${what}`;
		const headers = { authorization: `Bearer ${bearer.trim()}` };
		const post = body && { method: "POST", body };
		const signal = AbortSignal.timeout(25_000);
		const answer = await fetch(url, { ...post, headers, signal });
		if (answer.ok) return answer.json();
		throw new Error(`could not use ${url}: HTTP ${answer.status}`);
	}

	function report(stale) {
		if (WXTOKEND_URL) return ask("refresh", JSON.stringify({ stale }));
		const path = `/v1/accounts/${appid}/refresh`;
		const signal = AbortSignal.timeout(25_000); // it may ask WeChat before it answers
		return new Promise((resolve, reject) => {
			request({ socketPath, path, method: "POST", signal })
				.on("response", (answer) => json(answer).then(resolve, reject))
				.on("error", reject)
				.end(JSON.stringify({ stale }));
		});
	}

	return { token, replacement, call };
}

// What somebody writes by hand instead of wxtokend, and nothing beyond: fetch,
// write beside, rename. Once at the start, and at each SIGHUP.
//
//   node bench/bare/first-token.mjs URL FILE
import { rename, writeFile } from "node:fs/promises";
import { request } from "undici";

const [url, file] = process.argv.slice(2);
process.on("SIGHUP", refresh);
// A listener for a signal does not keep a process alive.
setInterval(() => {}, 2 ** 31 - 1);
await refresh();

async function refresh() {
	const requestedAt = Date.now();
	const { body } = await request(url);
	const { access_token: value, expires_in: lifetime } = await body.json();
	const expire = Math.floor(requestedAt / 1000) + lifetime;
	await writeFile(`${file}.tmp`, `${JSON.stringify({ value, expire })}\n`);
	await rename(`${file}.tmp`, file);
}

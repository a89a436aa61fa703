// The bare loop: for each of N files a GET, a temporary file, fsync and rename,
// with so many at a time. What a keeper of many accounts cannot do without.
//
//   node bench/bare/renewals.mjs URL DIRECTORY COUNT CONCURRENCY
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import { Agent, request } from "undici";

const [url, directory, count, concurrency] = process.argv.slice(2);
const dispatcher = new Agent({ connections: Number(concurrency) });
let next = 0;

await Promise.all(Array.from({ length: Number(concurrency) }, work));
await dispatcher.close();

async function work() {
	while (next < Number(count)) {
		const index = next;
		next += 1;
		await renew(`wx_access_token_${index}`);
	}
}

async function renew(name) {
	const requestedAt = Date.now();
	const { body } = await request(url, { dispatcher });
	const { access_token: value, expires_in: lifetime } = await body.json();
	const expire = Math.floor(requestedAt / 1000) + lifetime;
	const temporary = join(directory, `.${name}.tmp`);
	const file = await open(temporary, "w", 0o600);
	await file.writeFile(`${JSON.stringify({ value, expire })}\n`);
	await file.sync();
	await file.close();
	await rename(temporary, join(directory, name));
}

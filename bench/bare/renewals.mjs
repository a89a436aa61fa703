// The bare loop: for each of N files a GET, a temporary file, fsync and rename,
// with so many at a time. What a keeper of many accounts cannot do without.
//
//   node bench/bare/renewals.mjs URL DIRECTORY COUNT CONCURRENCY
import { Agent, request } from "undici";
import { publish, renewAll } from "./loop.mjs";

const [url, directory, count, concurrency] = process.argv.slice(2);
const dispatcher = new Agent({ connections: Number(concurrency) });

await renewAll(Number(count), Number(concurrency), renew);
await dispatcher.close();

async function renew(index) {
	const requestedAt = Date.now();
	const { body } = await request(url, { dispatcher });
	const { access_token: value, expires_in: lifetime } = await body.json();
	const name = `wx_access_token_${index}`;
	await publish(directory, name, value, requestedAt, lifetime);
}

// The bare loop for a platform: for each of its accounts a POST with its refresh token, a
// temporary file, fsync and rename, with so many at a time. Prints how long that took, ms.
//
//   node bench/bare/authorizers.mjs URL COMPONENT TOKEN-FILE AUTHORIZERS-FILE DIRECTORY CONCURRENCY
import { readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import { Agent, request } from "undici";

const [url, component, tokenFile, listFile, directory, concurrency] =
	process.argv.slice(2);
const dispatcher = new Agent({ connections: Number(concurrency) });
const { value: token } = JSON.parse(readFileSync(tokenFile, "utf8"));
const accounts = readFileSync(listFile, "utf8")
	.split("\n")
	.filter((line) => line !== "")
	.map((line) => JSON.parse(line))
	.filter(({ refresh_token }) => refresh_token !== undefined);
let next = 0;

const beganAt = performance.now();
await Promise.all(Array.from({ length: Number(concurrency) }, work));
process.stdout.write(`${performance.now() - beganAt}\n`);
await dispatcher.close();

async function work() {
	while (next < accounts.length) {
		const account = accounts[next];
		next += 1;
		await renew(account);
	}
}

async function renew({ appid, refresh_token }) {
	const requestedAt = Date.now();
	const { body } = await request(
		`${url}/cgi-bin/component/api_authorizer_token?component_access_token=${token}`,
		{
			dispatcher,
			method: "POST",
			body: JSON.stringify({
				component_appid: component,
				authorizer_appid: appid,
				authorizer_refresh_token: refresh_token,
			}),
		},
	);
	const answer = await body.json();
	const { authorizer_access_token: value, expires_in } = answer;
	if (value === undefined) throw new Error(JSON.stringify(answer));
	const expire = Math.floor(requestedAt / 1000) + expires_in;
	const name = `wx_access_token_${appid}`;
	const temporary = join(directory, `.${name}.tmp`);
	const file = await open(temporary, "w", 0o600);
	await file.writeFile(`${JSON.stringify({ value, expire })}\n`);
	await file.sync();
	await file.close();
	await rename(temporary, join(directory, name));
}

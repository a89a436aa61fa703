// The bare loop for a platform: for each of its accounts a POST with its refresh token, a
// temporary file, fsync and rename, with so many at a time. Prints how long that took, ms.
//
//   node bench/bare/authorizers.mjs URL COMPONENT TOKEN-FILE AUTHORIZERS-FILE DIRECTORY CONCURRENCY
import { readFileSync } from "node:fs";
import { Agent, request } from "undici";
import { publish, renewAll } from "./loop.mjs";

const [url, component, tokenFile, listFile, directory, concurrency] =
	process.argv.slice(2);
const dispatcher = new Agent({ connections: Number(concurrency) });
const { value: token } = JSON.parse(readFileSync(tokenFile, "utf8"));
const accounts = readFileSync(listFile, "utf8")
	.split("\n")
	.filter((line) => line !== "")
	.map((line) => JSON.parse(line))
	.filter(({ refresh_token }) => refresh_token !== undefined);

const beganAt = performance.now();
await renewAll(accounts.length, Number(concurrency), renew);
process.stdout.write(`${performance.now() - beganAt}\n`);
await dispatcher.close();

async function renew(index) {
	const { appid, refresh_token } = accounts[index];
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
	const name = `wx_access_token_${appid}`;
	await publish(directory, name, value, requestedAt, expires_in);
}

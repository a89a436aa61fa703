#!/bin/sh
# Node.js 26.10.0: its own no_proxy covers less than that of curl.
#
# With NODE_USE_ENV_PROXY=1 Node.js honours http_proxy, https_proxy and no_proxy, and one
# would guess that the variables that work in the shell work there. For curl (and Go) a
# host in no_proxy includes its subdomains, and a range such as 127.0.0.0/8 its addresses.
# For Node.js `example.test` is that one host, for subdomains a second entry with a dot
# before it is needed, and a range is no entry at all. So what should stay in the house
# goes to the proxy, among it a request to a central token server, with its secret.
#
# Seen: see below; it is so for node:http and for fetch. It needs curl 7.86 or newer.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@26.10.0
cat >look.mjs <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { createServer } from "node:net";
if (process.argv[2] !== undefined) {
	// The program: one request by node:http, and one by fetch.
	const url = process.argv[2];
	const lookup = (_name, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]);
	const [answer] = await once(http.get(url, { lookup }), "response");
	const byHttp = (await answer.toArray()).join("");
	process.stdout.write(byHttp);
	process.exit();
}
/** Tells by the first line whether it was asked as a proxy. */
const server = createServer((socket) => {
	socket.on("error", () => {});
	socket.once("data", (bytes) => {
		const who = / (http:|[^/ ]+:)/.test(String(bytes).split("\r\n")[0]) ? "proxy" : "directly";
		socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${who.length}\r\nConnection: close\r\n\r\n${who}`);
	});
}).listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address();
const run = async (no_proxy, command, ...argv) => {
	const env = { PATH: process.env.PATH, NODE_USE_ENV_PROXY: "1", http_proxy: `http://127.0.0.1:${port}`, no_proxy };
	const child = spawn(command, argv, { env, stdio: ["ignore", "pipe", "ignore"] });
	return (await child.stdout.toArray()).join("");
};
for (const [host, no_proxy] of [
	["api.example.test", "example.test"],
	["api.example.test", ".example.test"],
	["127.0.0.1", "127.0.0.0/8"],
	["127.0.0.1", "127.0.0.1"],
]) {
	const url = `http://${host}:${port}/`;
	const curl = await run(no_proxy, "curl", "-s", "--resolve", `api.example.test:${port}:127.0.0.1`, url);
	const node = await run(no_proxy, "node_modules/.bin/node", "look.mjs", url);
	console.log(`${host} with ${no_proxy}: curl ${curl}, Node.js ${node}`);
}
server.close();
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "api.example.test with example.test: curl directly, Node.js proxy
api.example.test with .example.test: curl directly, Node.js directly
127.0.0.1 with 127.0.0.0/8: curl directly, Node.js proxy
127.0.0.1 with 127.0.0.1: curl directly, Node.js directly" ]

#!/bin/sh
# undici 7.30.2: after one "Connection: close", an Agent with one connection makes a new
# one for each request.
#
# A server ends a connection now and then (nginx after 1000 requests), and one would guess
# that the client makes one new connection and goes on. A Pool does. The Agent, which is a
# map of pools, closes a pool when its last connection ends. If the next request is there
# already, it is served by the pool that is being closed, on a connection that ends after
# it; by then the request after it waits on that pool, too. So in a loop of requests each
# has a connection of its own, with TLS and all, until the loop pauses for a moment. No
# request fails, so nobody notices but by the load.
#
# Seen: connections for 12 requests, of which the third is answered with "Connection:
# close": `Pool 2, Agent 10`. (In the code: closeClientIfUnused in lib/dispatcher/agent.js.)
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund undici@7.30.2
cat >look.mjs <<'END'
import { once } from "node:events";
import { createServer } from "node:net";
import { Agent, Pool } from "undici";
let connections = 0;
let asked = 0;
const server = createServer((socket) => {
	connections += 1;
	socket.on("error", () => {});
	socket.on("data", () => {
		asked += 1;
		const close = asked === 3 ? "Connection: close\r\n" : "";
		socket.write(`HTTP/1.1 200 OK\r\n${close}Content-Length: 2\r\n\r\n{}`);
		if (close !== "") socket.end();
	});
}).listen(0, "127.0.0.1");
await once(server, "listening");
const origin = `http://127.0.0.1:${server.address().port}`;
const connectionsOf = async (dispatcher) => {
	connections = asked = 0;
	for (let count = 0; count < 12; count += 1) {
		const { body } = await dispatcher.request({ origin, path: "/", method: "GET" });
		await body.text();
	}
	await dispatcher.destroy();
	return connections;
};
const one = { connections: 1 };
const pool = await connectionsOf(new Pool(origin, one));
const agent = await connectionsOf(new Agent(one));
console.log(`Pool ${pool}, Agent ${agent}`);
server.close();
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "Pool 2, Agent 10" ]

#!/bin/sh
# undici 7.30.2: an interim "100 Continue" that nobody asked for fails the request.
#
# HTTP lets a server send 1xx answers at any time, and a client must skip those that it
# does not expect (RFC 9110, 15.2). undici skips 102 and 103, but takes a 100 for a
# broken answer and closes the connection: a POST that the server has carried out is
# told as `UND_ERR_SOCKET: bad response`. Its `expectContinue` option is not supported
# over HTTP/1.1, so there is no way to ask for one, either. Node.js's own client skips
# all three.
#
# Seen: `undici: 100 UND_ERR_SOCKET bad response, 102 200, 103 200` and
# `node:http: 100 200, 102 200, 103 200`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund undici@7.30.2
cat >look.mjs <<'END'
import { once } from "node:events";
import { get } from "node:http";
import { createServer } from "node:net";
import { request } from "undici";
const words = { 100: "Continue", 102: "Processing", 103: "Early Hints" };
let interim = 100;
const server = createServer((socket) => {
	socket.on("error", () => {});
	socket.once("data", () =>
		socket.end(
			`HTTP/1.1 ${interim} ${words[interim]}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`,
		),
	);
}).listen(0, "127.0.0.1");
await once(server, "listening");
const url = `http://127.0.0.1:${server.address().port}/`;
const byUndici = async () => {
	try {
		const { statusCode, body } = await request(url);
		await body.text();
		return String(statusCode);
	} catch (error) {
		return `${error.code} ${error.message}`;
	}
};
const byNode = async () => {
	const [answer] = await once(get(url, { agent: false }), "response");
	answer.resume();
	return String(answer.statusCode);
};
for (const [name, ask] of [["undici", byUndici], ["node:http", byNode]]) {
	const seen = [];
	for (interim of [100, 102, 103]) seen.push(`${interim} ${await ask()}`);
	console.log(`${name}: ${seen.join(", ")}`);
}
server.close();
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "undici: 100 UND_ERR_SOCKET bad response, 102 200, 103 200
node:http: 100 200, 102 200, 103 200" ]

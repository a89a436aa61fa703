#!/bin/sh
# undici 7.30.2: a connector that has its socket at hand, and calls back before it returns,
# leaves the request waiting for ever, whatever the timeouts say.
#
# `connect` of a Client or Pool may be a function (target, callback). One that takes a
# connected socket out of a stock calls back at once, as callbacks may everywhere else in
# Node.js. The client keeps the socket, but the loop that writes requests has ended by
# then, and nothing begins it anew. There is no error, and headersTimeout does not end it
# either, as it counts from the writing. A second request sends both on their way, so with
# much traffic nobody notices.
#
# Seen: what became of one request within 3 s, with a headersTimeout of 1 s; and of it
# once another was sent: `later 200, at once waits, then 200`. (In the code: `connect(client)`
# at the end of _resume in lib/dispatcher/client.js. A nextTick before the callback mends it.)
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund undici@7.30.2
cat >look.mjs <<'END'
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
const server = createServer((_, response) => response.end("{}"));
server.listen(0, "127.0.0.1");
await once(server, "listening");
const { port } = server.address();
const clientWith = async (callBack) => {
	const socket = connect(port, "127.0.0.1");
	await once(socket, "connect");
	return new Client(`http://127.0.0.1:${port}`, {
		headersTimeout: 1_000,
		connect: (_, callback) => callBack(callback, socket),
	});
};
const ask = async (client) => {
	const { statusCode, body } = await client.request({ path: "/", method: "GET" });
	await body.dump();
	return statusCode;
};
const within = (answer, ms) => Promise.race([answer, sleep(ms, "waits")]);

const patient = await clientWith((callback, socket) => process.nextTick(callback, null, socket));
const later = await within(ask(patient), 3_000);
const hasty = await clientWith((callback, socket) => callback(null, socket));
const first = ask(hasty);
const atOnce = await within(first, 3_000);
void ask(hasty);
console.log(`later ${later}, at once ${atOnce}, then ${await within(first, 3_000)}`);
process.exit();
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "later 200, at once waits, then 200" ]

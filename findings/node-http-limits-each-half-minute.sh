#!/bin/sh
# Node.js 26.10.0: `server.headersTimeout = 1000` lets a slow request stay for half a minute.
#
# One would guess that each connection has a timer of its own for these limits, as it has
# for `server.timeout`. But one timer of the server looks at all connections, by default
# each 30 s, and only then who is over the limit of headersTimeout or requestTimeout is
# answered with 408. So a limit below half a minute is half a minute; a port with few places
# is held by clients that send nothing for thirty times as long as was set. Tests that wait
# for the limit are then slow, or set the option that the real server lacks:
# `connectionsCheckingInterval` of createServer().
#
# Seen, for a request that is never finished and limits of 1 s: `as it is: after 29 s or
# more, with connectionsCheckingInterval: within 5 s`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@26.10.0
cat >look.mjs <<'END'
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
/** How long a client keeps its place that sends half a head, in words. */
const placeKept = async (options) => {
	const limits = { headersTimeout: 1000, requestTimeout: 1000 };
	const server = createServer({ ...limits, ...options }, (_request, answer) => answer.end());
	await once(server.listen(0, "127.0.0.1"), "listening");
	const client = connect(server.address().port, "127.0.0.1");
	client.write("GET / HTTP/1.1\r\n");
	const began = performance.now();
	await once(client.resume(), "close");
	server.close();
	const seconds = (performance.now() - began) / 1000;
	return seconds >= 29 ? "after 29 s or more" : seconds < 5 ? "within 5 s" : `after ${seconds} s`;
};
const [asItIs, looked] = await Promise.all([placeKept({}), placeKept({ connectionsCheckingInterval: 500 })]);
console.log(`as it is: ${asItIs}, with connectionsCheckingInterval: ${looked}`);
END
seen=$(node_modules/.bin/node look.mjs)
echo "$seen"
[ "$seen" = "as it is: after 29 s or more, with connectionsCheckingInterval: within 5 s" ]

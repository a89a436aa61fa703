#!/bin/sh
# undici 7.30.2: EnvHttpProxyAgent opens a tunnel (CONNECT) for plain http, too.
#
# curl and others hand a plain http request to the proxy of `http_proxy` as it is, with
# the whole URL in its first line. undici's agent for that variable asks for a tunnel
# to port 80. The configurations of squid and tinyproxy as Debian ships them refuse that:
# CONNECT is allowed for 443 (and 563) only. So `http_proxy` works in the shell, and
# fails in the program.
#
# Seen: `undici: CONNECT example.test:80 HTTP/1.1` and
# `curl: GET http://example.test/ HTTP/1.1`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund undici@7.30.2
cat >look.mjs <<'END'
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { EnvHttpProxyAgent, request } from "undici";
let first;
const proxy = createServer((socket) => {
	socket.on("error", () => {});
	socket.once("data", (bytes) => {
		first = String(bytes).split("\r\n")[0];
		socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	});
}).listen(0, "127.0.0.1");
await once(proxy, "listening");
const httpProxy = `http://127.0.0.1:${proxy.address().port}`;
const dispatcher = new EnvHttpProxyAgent({ httpProxy, noProxy: "" });
await request("http://example.test/", { dispatcher }).catch(() => {});
console.log(`undici: ${first}`);
await once(
	spawn("curl", ["-s", "-x", httpProxy, "http://example.test/"], { stdio: "ignore" }),
	"close",
);
console.log(`curl: ${first}`);
await dispatcher.destroy();
proxy.close();
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "undici: CONNECT example.test:80 HTTP/1.1
curl: GET http://example.test/ HTTP/1.1" ]

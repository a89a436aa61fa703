#!/bin/sh
# @redis/client 6.3.1: the time limit of a command ends when the command is written, so a
# server that hangs is waited for without end.
#
# `commandOptions: { timeout: 200 }`, and `withAbortSignal(AbortSignal.timeout(200))`, look
# like a limit on the answer. They only take a command out of the queue of those that are
# not sent yet. What is on the wire has no limit any more: with a Redis that stands still (a
# stopped virtual machine, a slow script, a dead link without a reset) the promise stays
# open, and whoever awaits it stands still, too. If the server is away instead, the limit
# works, so that a test which kills the server sees nothing.
#
# Seen: `server away: timeout 1, signal 1; server stands still: timeout 0, signal 0`: how
# many of these commands ended within 2 s. The remedy is a limit of one's own around each
# command, and to give up the connection when it is reached.
# It needs Debian 12's archive.
set -eu
folder=$(mktemp -d)
trap 'kill -KILL $(cat "$folder"/*.pid 2>/dev/null) 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq redis-tools=5:7.0.15-1~deb12u10 libjemalloc2=5.3.0-1 liblzf1=3.6-3 libatomic1=12.2.0-14+deb12u1 >apt.log 2>&1
for package in *.deb; do dpkg -x "$package" .; done
LD_LIBRARY_PATH=$(dirname "$(find "$folder/usr/lib" -name libatomic.so.1)")
export LD_LIBRARY_PATH
# One program with many names, of which this package leaves "redis-server" out.
ln usr/bin/redis-check-rdb usr/bin/redis-server
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @redis/client@6.3.1
usr/bin/redis-server --port 0 --save "" --daemonize yes --dir "$folder" \
	--unixsocket "$folder/redis.sock" --pidfile "$folder/redis.pid" >/dev/null
cat >look.mjs <<'END'
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
const path = "redis.sock";
const server = Number(readFileSync("redis.pid", "utf8"));
const client = createClient({ socket: { path, reconnectStrategy: 100 } }).on("error", () => {});
await client.connect();
/** 1: the command ended within 2 s, however it did. */
const ended = (command) => Promise.race([command.then(() => 1, () => 1), sleep(2000, 0)]);
const seen = async () => {
	const timeout = client.withCommandOptions({ timeout: 200 }).get("key");
	const signal = client.withAbortSignal(AbortSignal.timeout(200)).get("key");
	return `timeout ${await ended(timeout)}, signal ${await ended(signal)}`;
};
process.kill(server, "SIGSTOP");
const still = await seen();
const lost = new Promise((resolve) => client.once("reconnecting", resolve));
process.kill(server, "SIGKILL");
await lost;
console.log(`server away: ${await seen()}; server stands still: ${still}`);
client.destroy();
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "server away: timeout 1, signal 1; server stands still: timeout 0, signal 0" ]

#!/bin/sh
# Redis 7.0.15: WAIT confirms only what was written before the last command of its own
# connection.
#
# One would guess that `WAIT 1 …` tells whether a replica has all that the master has.
# It looks at the position that the replication had after the last command of the very
# connection that asks. Sent on another one, as by a pool of connections or by a second
# client "for checks", it answers 1 at once, while the only replica stands still and has
# not got the write. So a keeper that takes this for "safe" loses a token in a failover.
#
# Seen: `of the writer: 0, of another: 1`; the source is waitCommand() with `c->woff`.
# The remedy is to send both on one connection; in node-redis, not by a pool.
# It needs Debian 12's archive.
set -eu
folder=$(mktemp -d)
trap 'kill -KILL $(cat "$folder"/*.pid 2>/dev/null) 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq redis-tools=5:7.0.15-1~deb12u10 libjemalloc2=5.3.0-1 liblzf1=3.6-3 libatomic1=12.2.0-14+deb12u1 >apt.log 2>&1
for package in *.deb; do dpkg -x "$package" .; done
LD_LIBRARY_PATH=$(dirname "$(find "$folder/usr/lib" -name libatomic.so.1)")
export LD_LIBRARY_PATH
# One program with many names, of which this package leaves "redis-server" out.
ln usr/bin/redis-check-rdb usr/bin/redis-server
npm init -y >/dev/null
npm install --silent --no-audit --no-fund @redis/client@6.3.1
start() {
	usr/bin/redis-server --port 0 --save "" --repl-diskless-sync-delay 0 --daemonize yes --dir "$folder" "$@" >/dev/null
}
start --unixsocket "$folder/master.sock" --pidfile "$folder/master.pid" --port 16479 --bind 127.0.0.1
start --unixsocket "$folder/replica.sock" --pidfile "$folder/replica.pid" --replicaof 127.0.0.1 16479
cat >look.mjs <<'END'
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@redis/client";
const connect = () => createClient({ socket: { path: "master.sock" } }).on("error", () => {}).connect();
const [writer, another] = await Promise.all([connect(), connect()]);
const confirmed = async (client) => Number(await client.sendCommand(["WAIT", "1", "500"]));
await another.get("key");
// Until the replica has told that it has everything.
for (;;) {
	const told = String(await writer.sendCommand(["INFO", "replication"]));
	const [, has] = /state=online,offset=(\d+)/.exec(told) ?? [];
	if (has !== undefined && has === /master_repl_offset:(\d+)/.exec(told)[1]) break;
	await sleep(100);
}
process.kill(Number(readFileSync("replica.pid", "utf8")), "SIGSTOP");
await writer.set("key", "after");
const byAnother = await confirmed(another);
console.log(`of the writer: ${await confirmed(writer)}, of another: ${byAnother}`);
await Promise.all([writer.close(), another.close()]);
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "of the writer: 0, of another: 1" ]

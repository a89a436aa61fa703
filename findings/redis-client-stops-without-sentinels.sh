#!/bin/sh
# @redis/client 6.3.1: with createSentinel() commands to a healthy primary wait as long as
# no sentinel answers.
#
# Sentinels tell who is the primary; the data go over a connection to the primary itself.
# So one would guess that a client that is connected goes on while the sentinels are down,
# as there is nothing to be failed over, and that they can be restarted, or moved, at any
# time. But when its last sentinel is lost, this client gives up the connections to the
# primary, too, and each command waits for a sentinel to come back, without a limit. Three
# sentinels that share a switch, or one rollout, are then a single point of failure for what
# they should protect.
#
# Seen, 6 s after the only sentinel was stopped: `createSentinel: 0, createClient to the
# same primary: 1`: how many commands were answered within 5 s; and `sentinel back: 1`.
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
usr/bin/redis-server --port 16481 --bind 127.0.0.1 --save "" --daemonize yes --dir "$folder" --pidfile "$folder/redis.pid" >/dev/null
cat >sentinel.conf <<END
port 16482
bind 127.0.0.1
daemonize yes
dir $folder
pidfile $folder/sentinel.pid
sentinel monitor fleet 127.0.0.1 16481 1
END
usr/bin/redis-server sentinel.conf --sentinel >/dev/null
cat >look.mjs <<'END'
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient, createSentinel } from "@redis/client";
while (!existsSync("sentinel.pid") || !existsSync("redis.pid")) await sleep(100);
const sentinelRootNodes = [{ host: "127.0.0.1", port: 16482 }];
const bySentinel = createSentinel({ name: "fleet", sentinelRootNodes }).on("error", () => {});
const direct = createClient({ url: "redis://127.0.0.1:16481" }).on("error", () => {});
await Promise.all([bySentinel.connect(), direct.connect()]);
await bySentinel.set("key", "token");
/** 1: the command was answered within that time. */
const answered = (client, ms) => Promise.race([client.get("key").then((value) => Number(value === "token")), sleep(ms, 0)]);
process.kill(Number(readFileSync("sentinel.pid", "utf8")), "SIGKILL");
await sleep(6000);
const [waits, goesOn] = await Promise.all([answered(bySentinel, 5000), answered(direct, 5000)]);
execFileSync("usr/bin/redis-server", ["sentinel.conf", "--sentinel"], { stdio: "ignore" });
const back = await answered(bySentinel, 20_000);
console.log(`createSentinel: ${waits}, createClient to the same primary: ${goesOn}; sentinel back: ${back}`);
process.exit();
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "createSentinel: 0, createClient to the same primary: 1; sentinel back: 1" ]

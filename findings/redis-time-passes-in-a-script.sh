#!/bin/sh
# Redis 7.0.15: in a script TIME goes on, but keys do not expire.
#
# One would guess that a script sees one instant. For the expiry of keys it does: a key
# is there until the script ends, and PTTL says 0 at the least. But TIME tells the real
# time at each call. So a script that compares an end that it keeps in a value with TIME,
# and one that relies on the key's TTL, do not agree: by TIME a lease of 20 ms has ended,
# by EXISTS it has not. A keeper must rely on one of them alone.
#
# Seen: `TIME passes: 1, PTTL: 0, EXISTS: 1; after the script: 0`. Redis 7.2 changed it:
# there TIME stands still, too. It needs Debian 12's archive.
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
usr/bin/redis-server --port 0 --save "" --daemonize yes --dir "$folder" \
	--unixsocket "$folder/redis.sock" --pidfile "$folder/redis.pid" >/dev/null
cli() { usr/bin/redis-cli -s "$folder/redis.sock" "$@"; }
until cli ping >/dev/null 2>&1; do sleep 0.1; done
inside=$(cli eval '
local function now()
	local t = redis.call("TIME")
	return t[1] * 1000 + t[2] / 1000
end
redis.call("SET", KEYS[1], "lease", "PX", 20)
local start = now()
for _ = 1, 100000 do
	if now() - start > 60 then break end
end
local passes = now() - start > 60 and 1 or 0
return string.format("TIME passes: %d, PTTL: %d, EXISTS: %d",
	passes, redis.call("PTTL", KEYS[1]), redis.call("EXISTS", KEYS[1]))' 1 key)
seen="$inside; after the script: $(cli exists key)"
echo "$seen"
[ "$seen" = "TIME passes: 1, PTTL: 0, EXISTS: 1; after the script: 0" ]

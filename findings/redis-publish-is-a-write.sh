#!/bin/sh
# Redis 7.0.15: PUBLISH counts as a write: no script that only reads may send it, and a
# pause of writes holds it.
#
# A message to a channel changes no key, so one would guess that it is free of what writes
# must obey. But it is replicated, and so EVAL_RO refuses it, and `CLIENT PAUSE … WRITE`,
# which a planned failover uses, holds it like a SET, while a GET goes through. A fleet
# that wakes its followers by PUBLISH hears nothing in that time; who waits for a message
# must also look by itself. A plain EVAL is held as well, whatever its script does.
#
# Seen: `EVAL_RO: ERR; in a pause of writes GET: at once, EVAL_RO: at once, EVAL: held,
# PUBLISH: held`. It needs Debian 12's archive.
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
refused=$(cli eval_ro 'return redis.call("PUBLISH", "channel", "text")' 0 | head -n 1 | cut -d " " -f 1)
cli client pause 600000 write >/dev/null
# Held: after a second the server knows of one more client that waits for the end of the pause.
held() {
	usr/bin/redis-cli -s "$folder/redis.sock" "$@" >/dev/null &
	sleep 1
	if kill -KILL $! 2>/dev/null; then echo held; else echo "at once"; fi
}
seen="EVAL_RO: $refused; in a pause of writes GET: $(held get key), EVAL_RO: $(held eval_ro 'return redis.call("GET", "key")' 0), EVAL: $(held eval 'return redis.call("GET", "key")' 0), PUBLISH: $(held publish channel text)"
echo "$seen"
[ "$seen" = "EVAL_RO: ERR; in a pause of writes GET: at once, EVAL_RO: at once, EVAL: held, PUBLISH: held" ]

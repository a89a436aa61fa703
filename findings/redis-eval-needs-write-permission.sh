#!/bin/sh
# Redis 7.0.15: who may only read a key cannot name it to EVAL, whatever the script does.
#
# One would guess that a user with `%R~wx:*` may run a script that only reads `wx:…`, at
# least one that says so by `flags=no-writes`. EVAL and EVALSHA demand the right to read
# and write for each key in KEYS, before the script is looked at. EVAL_RO and EVALSHA_RO
# are content with the right to read. So a host that only follows, with a user that can
# change nothing, must use those two; many clients know only the first two by name.
#
# Seen: `EVAL: NOPERM, EVAL with no-writes: NOPERM, EVAL_RO: token`; the source is the
# table of commands: the keys of EVAL are "RW", as Redis cannot tell. It needs Debian 12's
# archive.
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
cli acl setuser follower on nopass '%R~wx:*' +@read +@scripting >/dev/null
cli set wx:key token >/dev/null
reads='return redis.call("GET", KEYS[1])'
run() { cli --user follower --pass any --no-auth-warning "$1" "$2" 1 wx:key | head -n 1 | cut -d " " -f 1; }
seen="EVAL: $(run eval "$reads"), EVAL with no-writes: $(run eval "#!lua flags=no-writes
$reads"), EVAL_RO: $(run eval_ro "$reads")"
echo "$seen"
[ "$seen" = "EVAL: NOPERM, EVAL with no-writes: NOPERM, EVAL_RO: token" ]

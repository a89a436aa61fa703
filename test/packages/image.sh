#!/bin/bash
# Loads the image into podman and lives a day with it, as docs/install/docker.md says.
# One line per check: "ok image: NAME" or "not ok image: NAME - why".
# Arguments: the image, the tree of the sources, a folder to work in, and the version.
set -u
image=$1 tree=$2 place=$3 version=$4
appid=wx0123456789abcdef
secret=5ec2e7000000000000000000000c0de5
container=wxtokend-test-$$
file=/run/wxtokend/wx_access_token_$appid
port=$((20000 + $$ % 10000))
# Its own storage, so that nothing of it stays; runc, because crun refuses the mixed
# control groups of some machines; limits that any machine may set.
storage="--root $place/storage --runroot $place/run --runtime runc --cgroup-manager cgroupfs"
limits="--ulimit nofile=1024:1024 --ulimit nproc=1024:1024"

check() { # NAME COMMAND...: its last line of output is the reason
	local title=$1 output
	shift
	if output=$("$@" 2>&1); then
		echo "ok image: $title"
	else
		echo "not ok image: $title - $(tail -n 3 <<<"$output" | tr '\n' ' ') $(engine logs --tail 5 "$container" 2>&1 | tr '\n' ' ')"
	fi
}
engine() { podman $storage "$@"; }

within() { # SECONDS COMMAND...: until it succeeds
	local tries=$(($1 * 10))
	shift
	while [ $((tries--)) -gt 0 ]; do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
	echo "not within the bound: $*"
	return 1
}
denied() { if "$@" >/dev/null 2>&1; then echo "allowed: $*"; return 1; fi; }

node "$tree/dist/wxtokend.cjs" simulate --port $port --account $appid:$secret --quiet >/dev/null 2>&1 &
simulator=$!
clear_away() {
	kill $simulator
	engine rm --force --time 0 --volumes "$container" >/dev/null 2>&1
	umount "$place"/storage/overlay 2>/dev/null
	rm -rf "$place"/storage "$place"/run
}
trap clear_away EXIT

loads() { engine load --quiet --input "$image" && engine tag wxtokend:$version wxtokend:test; }
check "is loaded" loads

cp -r "$tree/examples/docker/wxtokend" "$place/settings"
printf '[wechat]\nbase_urls = ["http://127.0.0.1:%s"]\ncooldown = 0\n' $port >>"$place/settings/config.toml"
install -m 0400 -o 10001 /dev/stdin "$place/settings/$appid.secret" <<<$secret
# The volume as this machine sees it: quicker than a process in the container.
token() { cat "$place/storage/volumes/$container/_data/${file##*/}"; }
# As the service `wxtokend` of compose.yaml.
starts() {
	engine run --detach --name "$container" $limits --network host --user 10001:33 --read-only \
		--cap-drop ALL --security-opt no-new-privileges --volume "$container:/run/wxtokend" \
		--volume "$place/settings:/etc/wxtokend:ro" wxtokend:test &&
		within 20 token
}
check "starts by the files of the example" starts
# The PHP of this machine, over a copy of its files, as another user.
php() {
	engine run --rm $limits --network none --user "$1" --volume "$container:/run/wxtokend:ro" \
		--volume "$tree/examples/docker/site:/site:ro" --rootfs /:O php /site/index.php
}
php_reads() { php 33:33 | grep -q 'lives for [1-9][0-9]* seconds'; }
check "a PHP in another container, as www-data, reads the token" php_reads
denied_to_others() { ! php 65534:65534 | grep -q 'lives for'; }
check "another user reads none" denied_to_others
is_well() { engine exec "$container" sh -c 'wxtokend status >/dev/null || [ $? = 75 ]'; }
check "the health check is content" is_well
has_changed() { [ "$(token)" != "$before" ]; }
before=$(token)
hangs_up() { engine kill --signal HUP "$container" && within 10 has_changed; }
check "HUP brings another token" hangs_up
gets() { engine exec "$container" wxtokend get $appid | grep -q .; }
check "the command gets the token" gets
stops() { engine stop --time 20 "$container" && [ "$(engine inspect --format '{{.State.ExitCode}}' "$container")" = 0 ]; }
check "stops by itself, with 0" stops

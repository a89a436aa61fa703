#!/bin/sh
# systemd 257: LoadCredential= of a directory ends at 256 files; systemd 252 took more.
#
# `LoadCredential=secret:/etc/service/secrets` hands each file of a directory to a service.
# The page systemd.exec(5) gives a limit of 1 MB for all credentials of a unit, and one would
# guess that 300 secrets of 32 bytes are far from it. But 257 holds them in a tmpfs of that
# size, where each file takes a page of 4 KiB. With the 257th file the unit does not start
# any more: status 243/CREDENTIALS and "Protocol error", which is not a word about space.
# 252 used a ramfs, which counts nothing. So a host with many small secrets works for years,
# and its service is gone after the upgrade from Debian 12 to 13.
#
# Seen: `252: 256 files start, 257 files start` and `257: 256 files start, 257 files 243`.
# The remedy is one file with many secrets. It needs root and Debian 12 with debootstrap, and
# makes a Debian 13 by it; TREE=DIRECTORY takes one that is there.
set -eu
machine=$(dirname "$(readlink -f "$0")")/../test/systemd/machine
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
tree=${TREE:-$folder/tree}
[ -d "$tree" ] || debootstrap --variant=minbase \
	--include=systemd,systemd-sysv,dbus,libnss-systemd trixie "$tree" http://deb.debian.org/debian >debootstrap.log
cat >look <<'END'
#!/bin/sh
mkdir /root/secrets
add() { for number in $(seq "$1" "$2"); do echo 0123456789abcdef >"/root/secrets/$number"; done; }
start() {
	systemd-run --quiet --wait --property=LoadCredential=secret:/root/secrets \
		sh -c 'ls "$CREDENTIALS_DIRECTORY" | grep -c .' >/dev/null 2>&1 && echo start || echo $?
}
add 1 256
echo "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'): 256 files $(start), 257 files $(add 257 257; start)"
END
look() { "$machine" "$@" --copy "$folder/look:/root/look" -- sh /root/look; }
seen="$(look --root /)
$(look --root "$tree")"
echo "$seen"
[ "$seen" = "252: 256 files start, 257 files start
257: 256 files start, 257 files 243" ]

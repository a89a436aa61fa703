#!/bin/sh
# systemd 257: a reload of Type=notify-reload fails, though the service has told that it
# reloads and that it is ready.
#
# With Type=notify a service that sends RELOADING=1 and then READY=1 is done; one would
# guess that this is all that Type=notify-reload waits for. But there systemd ignores a
# RELOADING=1 without MONOTONIC_USEC=, and takes the READY=1 after it for an old one.
# `systemctl reload` hangs until the time limit and then fails; the service has long read
# its new secrets. So the type must not be changed without a look at the program: whoever
# does it gets a rotation of keys that is told as failed.
#
# Seen: `RELOADING=1: exit 1, timeout` and `with MONOTONIC_USEC: exit 0, success`; the page
# sd_notify(3) demands that field. It needs root and debootstrap, and makes a Debian 13 for
# it; TREE=DIRECTORY takes one that is there.
set -eu
machine=$(dirname "$(readlink -f "$0")")/../test/systemd/machine
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
tree=${TREE:-$folder/tree}
[ -d "$tree" ] || debootstrap --variant=minbase \
	--include=systemd,systemd-sysv,dbus,libnss-systemd trixie "$tree" http://deb.debian.org/debian >debootstrap.log
chroot "$tree" systemctl --version | grep -q "^systemd 257" || { echo "this is no systemd 257"; exit 1; }
cat >service <<'END'
#!/bin/sh
# By itself systemd-notify adds the time only to --reloading.
trap 'systemd-notify "$1"; systemd-notify --ready' HUP
systemd-notify --ready
while :; do sleep 1 & wait; done
END
reloaded_with() {
	cat >service.unit <<-END
		[Service]
		Type=notify-reload
		NotifyAccess=all
		ExecStart=/usr/local/bin/service $1
		TimeoutStartSec=10
	END
	"$machine" --root "$tree" --copy "$folder/service:/usr/local/bin/service" \
		--copy "$folder/service.unit:/etc/systemd/system/service.service" -- sh -c '
		systemctl start service
		systemctl reload service 2>/dev/null
		echo "exit $?, $(systemctl show --property=ReloadResult --value service)"'
}
seen="RELOADING=1: $(reloaded_with RELOADING=1)
with MONOTONIC_USEC: $(reloaded_with --reloading)"
echo "$seen"
[ "$seen" = "RELOADING=1: exit 1, timeout
with MONOTONIC_USEC: exit 0, success" ]

#!/bin/bash
# Runs inside a booted systemd of a bare Debian without Node.js (see ../systemd/machine),
# as root. One line per check: "ok NAME" or "not ok NAME - why".
# Arguments: what to install ("deb", "rpm" or "archive"), and its file. The RPM is there
# already, by rpm --root, and is removed by it.
set -u
kind=$1 package=$2
appid=wx0123456789abcdef
secret=5ec2e7000000000000000000000c0de5
file=/run/wxtokend/wx_access_token_$appid

check() { # NAME COMMAND...: its last line of output is the reason
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		echo "ok $kind: $name"
	else
		echo "not ok $kind: $name - $(tail -n 2 <<<"$output" | tr '\n' ' ') $(journalctl -u wxtokend -n 5 -o cat --no-pager 2>/dev/null | tr '\n' ' ')"
	fi
}
as() { runuser -u "$1" -- "${@:2}"; }
denied() { if "$@" >/dev/null 2>&1; then echo "allowed: $*"; return 1; fi; }
within() { # SECONDS COMMAND...: until it succeeds
	local tries=$(($1 * 20))
	shift
	while [ $((tries--)) -gt 0 ]; do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
	echo "not within the bound: $*"
	return 1
}

installs() {
	denied command -v node || return 1
	case $kind in
	deb) DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" ;;
	archive)
		mkdir /tmp/unpacked && tar -xzf "$package" -C /tmp/unpacked &&
			/tmp/unpacked/*/install.sh && rm -r /tmp/unpacked
		;;
	rpm) [ -x /usr/bin/wxtokend ] ;;
	esac
}
check "is installed without Node.js on the system" installs

(cd / && exec wxtokend simulate --port 8090 --account $appid:$secret --quiet) >/dev/null 2>&1 &
listens() { grep -q ':1F9A ' /proc/net/tcp; }
within 20 listens

starts() {
	cat >/etc/wxtokend/config.toml <<-TOML
		[wechat]
		base_urls = ["http://127.0.0.1:8090"]
		cooldown = 0
		[[account]]
		appid = "$appid"
	TOML
	printf '%s\n' $secret | install -m 0600 /dev/stdin /etc/wxtokend/secrets/$appid
	wxtokend check >/dev/null && systemctl enable --now wxtokend && as www-data grep -q '"value":"' $file
}
check "starts, and www-data reads the token" starts
check "tells systemd how it is" systemctl status wxtokend
denied_to_others() { denied as nobody cat $file && denied as www-data cat /etc/wxtokend/config.toml; }
check "other users read nothing" denied_to_others
answers() { [ "$(as www-data wxtokend get $appid)" = "$(sed 's/.*"value":"\([^"]*\)".*/\1/' $file)" ]; }
check "www-data gets the token by the command" answers
reloads() {
	local before
	before=$(cat $file)
	systemctl reload wxtokend && [ "$(cat $file)" != "$before" ]
}
check "a reload brings another token" reloads

removes() {
	case $kind in
	deb) apt-get purge -y -qq wxtokend ;;
	archive) /usr/lib/wxtokend/install.sh --uninstall --purge ;;
	rpm) systemctl disable --now wxtokend && return ;;
	esac
	left=$(find /etc /usr /var /run -xdev -name '*wxtokend*' -not -path '/var/cache/*' -not -path '/var/log/*')
	[ -z "$left" ] || { echo "left: $left"; return 1; }
	denied getent passwd wxtokend && denied getent group wxtokend wxtokend-readers
}
check "goes away again, with all that it brought" removes

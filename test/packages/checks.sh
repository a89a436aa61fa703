#!/bin/bash
# Runs inside a booted systemd of a bare Debian without Node.js (see ../systemd/machine),
# as root: what a page of docs/install says, command by command. One line per check:
# "ok NAME" or "not ok NAME - why".
# Arguments: the page, and a folder with the packages and docs/install. The RPM is there
# already, by rpm --root, and is removed by it: Debian has no dnf.
set -u
page=$1 place=$2
appid=wx0123456789abcdef
secret=5ec2e7000000000000000000000c0de5
file=/run/wxtokend/wx_access_token_$appid

check() { # NAME COMMAND...: its last lines of output are the reason
	local title=$1 output
	shift
	if output=$("$@" 2>&1); then
		echo "ok $page: $title"
	else
		echo "not ok $page: $title - $(tail -n 3 <<<"$output" | tr '\n' ' ') $(journalctl -u wxtokend -n 5 -o cat --no-pager 2>/dev/null | tr '\n' ' ')"
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
says() { # HEADING: runs the page's commands of that section, each with the secret as its input
	local line lines
	lines=$(sed -n "/^## $1\$/,/^## /s/^    //p" "$place/install/$page.md" | sed 's/  *# .*//')
	[ -n "$lines" ] || { echo "the page has no commands below $1"; return 1; }
	while IFS= read -r line; do
		case $line in
		dnf*) continue ;;
		# This system is newer than that: units.test.ts is for the others.
		*-m\ 0640*.secret) continue ;;
		esac
		eval "$line" <<<$secret || { echo "failed: $line"; return 1; }
	done <<<"$lines"
}
editor() {
	cat >"$1" <<-TOML
		[wechat]
		base_urls = ["http://127.0.0.1:8090"]
		cooldown = 0
		[[account]]
		appid = "$appid"
	TOML
}
vi() { editor "$@"; }

# What a web server brings along: its user is in the root already, and its unit.
for unit in php8.2-fpm php-fpm; do
	printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\nExecReload=/bin/true\n' >/run/systemd/system/$unit.service
done
systemctl daemon-reload
systemctl start php8.2-fpm php-fpm
export DEBIAN_FRONTEND=noninteractive
case $page in rhel) reader=apache ;; *) reader=www-data ;; esac

installs() {
	denied command -v node || return 1
	mkdir /tmp/here && cd /tmp/here && ln -s "$place"/packages/* . || return 1
	[ $page = rhel ] || says Install || return 1
	[ -x /usr/bin/wxtokend ]
}
apt() { apt-get -y -qq "$@"; }
check "is installed without Node.js on the system" installs

(cd / && exec wxtokend simulate --port 8090 --account $appid:$secret --quiet) >/dev/null 2>&1 &
listens() { grep -q ':1F9A ' /proc/net/tcp; }
within 20 listens

check "starts as the page says" says "Configure and start"
reads() { says "Read the token" | grep -q '"value":"'; }
check "another user reads the token as the page says" reads
check "tells systemd how it is" systemctl status wxtokend
denied_to_others() { denied as nobody cat $file && denied as $reader cat /etc/wxtokend/config.toml; }
check "other users read nothing" denied_to_others
answers() { [ "$(as $reader wxtokend get $appid)" = "$(sed 's/.*"value":"\([^"]*\)".*/\1/' $file)" ]; }
check "the reader gets the token by the command" answers
reloads() {
	local before
	before=$(cat $file)
	systemctl reload wxtokend && [ "$(cat $file)" != "$before" ]
}
check "a reload brings another token" reloads

removes() {
	[ $page != rhel ] || systemctl disable --now wxtokend
	cd / && says Remove || return 1
	denied getent passwd wxtokend && denied getent group wxtokend wxtokend-readers || return 1
	[ $page != rhel ] || return 0
	left=$(find /etc /usr /var /run -xdev -name '*wxtokend*' -not -path '/var/cache/*' -not -path '/var/log/*')
	[ -z "$left" ] || { echo "left: $left"; return 1; }
}
check "goes away again, with all that it brought" removes

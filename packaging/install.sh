#!/bin/sh
# install.sh [--uninstall [--purge]]: puts the program that lies beside this script
# into /usr/lib/wxtokend, with the unit that fits the systemd found, its user and
# groups, and a configuration to fill in; or takes it away again. An upgrade is the
# same as an installation. --purge also removes settings, secrets and tokens.
set -eu

home=/usr/lib/wxtokend

fail() {
	echo "install.sh: $1" >&2
	exit 1
}

check_user() {
	[ "$(id -u)" = 0 ] || fail "could not $1: it must be run as root"
}

# A package manager that has it must be asked to take it away.
check_owner() {
	if [ -e /var/lib/dpkg/info/wxtokend.list ]; then
		fail "could not $1: the Debian package wxtokend is installed; use apt"
	fi
	if command -v rpm >/dev/null && rpm -q --quiet wxtokend 2>/dev/null; then
		fail "could not $1: the RPM wxtokend is installed; use dnf or yum"
	fi
}

check_system() {
	[ -x "$here/bin/node" ] || fail "could not install: there is no bin/node beside this script; run it in the unpacked archive"
	problem=$("$here/bin/node" --version 2>&1 >/dev/null) ||
		fail "could not install: the Node.js of this archive does not run here (glibc 2.28 or newer, and the architecture of the archive, are needed): $problem"
}

put_files() {
	mkdir -p "$home" /usr/bin /usr/share/man/man8
	for part in bin dist systemd; do
		rm -rf "$home/$part.new"
		cp -R "$here/$part" "$home/$part.new"
		# Renamed into place: a program that runs goes on with what it has open.
		rm -rf "${home:?}/$part.old"
		[ ! -e "$home/$part" ] || mv "$home/$part" "$home/$part.old"
		mv "$home/$part.new" "$home/$part"
		rm -rf "${home:?}/$part.old"
	done
	for file in setup config.toml install.sh LICENSE; do
		cp "$here/$file" "$home/$file"
	done
	chown -R 0:0 "$home"
	for folder in systemd/system sysusers.d tmpfiles.d; do
		mkdir -p "/usr/lib/$folder"
		cp "$here/lib/$folder"/* "/usr/lib/$folder/"
	done
	ln -sfn ../lib/wxtokend/bin/wxtokend /usr/bin/wxtokend
	gzip -9nc "$here/dist/wxtokend.8" >/usr/share/man/man8/wxtokend.8.gz
}

# Without python and perl nobody can hand systemd's socket over: then each message
# costs a child process. systemd before 246 may miss such messages: it gets none.
# One of them may have come since the last installation: then nothing of it stays.
fit_unit() {
	for tool in /usr/bin/python3 /usr/libexec/platform-python /usr/bin/perl; do
		[ -x "$tool" ] || continue
		rm -f /etc/systemd/system/wxtokend.service.d/no-perl.conf
		rmdir /etc/systemd/system/wxtokend.service.d 2>/dev/null || true
		return 0
	done
	version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	[ -n "$version" ] || return 0
	mkdir -p /etc/systemd/system/wxtokend.service.d
	if [ "$version" -ge 246 ]; then
		printf '[Service]\nNotifyAccess=all\n'
	else
		printf '[Service]\nType=simple\nWatchdogSec=0\n'
	fi >/etc/systemd/system/wxtokend.service.d/no-perl.conf
}

install_it() {
	check_user install
	check_owner install
	here=$(cd "$(dirname "$0")" && pwd)
	check_system
	former=
	[ ! -e "$home/dist/wxtokend.cjs" ] || former=before
	put_files
	fit_unit
	"$home/setup" configure "$former"
}

uninstall() {
	check_user uninstall
	check_owner uninstall
	[ -e "$home/dist/wxtokend.cjs" ] || fail "could not uninstall: there is nothing in $home"
	"$home/setup" remove
	[ "$1" != --purge ] || "$home/setup" purge
	rm -rf "$home" /etc/systemd/system/wxtokend.service.d/no-perl.conf
	rm -f /usr/bin/wxtokend /usr/share/man/man8/wxtokend.8.gz \
		/usr/lib/systemd/system/wxtokend.service \
		/usr/lib/systemd/system/wxtokend-once.service \
		/usr/lib/systemd/system/wxtokend-once.timer \
		/usr/lib/sysusers.d/wxtokend.conf /usr/lib/tmpfiles.d/wxtokend.conf
	rmdir /etc/systemd/system/wxtokend.service.d 2>/dev/null || true
	[ ! -d /run/systemd/system ] || systemctl daemon-reload
	[ "$1" = --purge ] || echo "wxtokend is removed. Settings and secrets are still in /etc/wxtokend; the user wxtokend is still there."
}

case ${1:-} in
	'') install_it ;;
	--uninstall) uninstall "${2:-}" ;;
	*) fail "what is $1? usage: ./install.sh [--uninstall [--purge]]" ;;
esac

#!/bin/bash
# Runs inside a booted systemd (see `machine`), as root, in a throw-away root file
# system. One line per check: "ok NAME", "not ok NAME - why" or "skip NAME - why".
# Arguments: the package, a newer one, and a tree with dist/ and systemd/.
set -u
deb=$1 newer=$2 tree=$3
program=$tree/dist/wxtokend.cjs
appid=wx0123456789abcdef
secret=5ec2e7000000000000000000000c0de5
file=/run/wxtokend/wx_access_token_$appid
units=/usr/lib/systemd/system
drop=/run/systemd/system/wxtokend.service.d
mkdir -p $drop

check() { # NAME COMMAND...: its last line of output is the reason, 77 means: cannot
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		echo "ok $name"
	elif [ $? = 77 ]; then
		echo "skip $name - $(tail -n 1 <<<"$output")"
	else
		echo "not ok $name - $(tail -n 1 <<<"$output") $(journalctl -u wxtokend -n 8 -o cat --no-pager | tr '\n' ' ')"
	fi
}
within() { # SECONDS COMMAND...: until it succeeds
	local tries=$(($1 * 20))
	shift
	while [ $((tries--)) -gt 0 ]; do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
	echo "not within the bound: $*"
	return 1
}
is() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }
denied() { if "$@" >/dev/null 2>&1; then echo "allowed: $*"; return 1; fi; }
as() { runuser -u "$1" -- "${@:2}"; }
log() { journalctl --sync; journalctl -u wxtokend -o cat --no-pager "$@"; }
token() { sed 's/.*"value":"\([^"]*\)".*/\1/' $file; }
changes() { # COMMAND...: another token is on disk when it is over
	local before result=0
	before=$(token)
	"$@" || result=$?
	[ "$(token)" != "$before" ] || { echo "the same token"; return 1; }
	return $result
}

soon() { within 10 changes "$@"; } # A refresh of a process that is gone counts for 2 s.

property() { systemctl show -P "$1" wxtokend; }
is_active() { [ "$(property ActiveState)" = active ]; }
main_pid() { # Never 0, which to kill means all of us.
	local pid
	pid=$(property MainPID)
	if [ "$pid" -gt 0 ]; then echo "$pid"; else echo none; fi
}
has_new_pid() { # OLD: asked once for both, or they might be those of two processes
	local ActiveState MainPID
	eval "$(systemctl show -p ActiveState,MainPID wxtokend)"
	[ "$ActiveState" = active ] && [ "$MainPID" != "$1" ]
}
settle() { systemctl reset-failed wxtokend 2>/dev/null; systemctl restart wxtokend; }
unit() { # NAME: a drop-in for wxtokend.service, from stdin
	cat >$drop/"$1".conf
	systemctl daemon-reload
}
no_unit() { # NAME
	rm $drop/"$1".conf
	systemctl daemon-reload
}
config() { # [LINE]: the usual one, and that
	cat >/etc/wxtokend/config.toml <<-TOML
		${1-}
		[wechat]
		base_urls = ["http://127.0.0.1:8090"]
		cooldown = 0
		[[account]]
		appid = "$appid"
	TOML
	chgrp wxtokend /etc/wxtokend/config.toml
	chmod 0640 /etc/wxtokend/config.toml
}
credential_is() { install -m 0600 /dev/stdin /etc/wxtokend/secrets/$appid <<<"$1"; } # SECRET
restore() { # what the last check has changed
	config
	has_secret $secret
	credential_is $secret
	rm -f $drop/*.conf
	systemctl daemon-reload
	settle
}
wechat=
simulator() { # [OPTION...]: from now on that is WeChat
	[ -z "$wechat" ] || { kill "$wechat"; wait "$wechat"; }
	node "$program" simulate --port 8090 --account $appid:$secret --quiet "$@" >/dev/null 2>&1 &
	wechat=$!
	within 10 curl -fs http://127.0.0.1:8090/sim/state
}
has_secret() { # SECRET: from now on that is the account's
	curl -fs http://127.0.0.1:8090/sim/accounts -d "{\"appid\":\"$appid\",\"secret\":\"$1\"}" >/dev/null
}
issued() { curl -fs http://127.0.0.1:8090/sim/state | grep -o '"token":{"issued":[0-9]*' | head -n 1; }

# Where Node.js does not come from a Debian package, this one stands for it.
if ! dpkg --compare-versions "$(dpkg-query -W -f '${Version}' nodejs 2>/dev/null)" ge 20.18; then
	mkdir -p /tmp/nodejs/DEBIAN
	printf 'Package: nodejs\nVersion: %s\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: stands for %s\n' \
		"$(node -p process.versions.node)" "$(command -v node)" >/tmp/nodejs/DEBIAN/control
	dpkg-deb --build /tmp/nodejs /tmp/nodejs.deb >/dev/null && dpkg -i /tmp/nodejs.deb >/dev/null
fi
simulator
# Each dpkg would read all manual pages of this machine again.
rm -f /var/lib/man-db/auto-update

# --- The package, and a first start. ---
installs() {
	dpkg -i "$deb" && is "$(stat -c '%U:%G %a' /etc/wxtokend/config.toml)" "root:wxtokend 640" &&
		is "$(stat -c '%U:%G %a' /etc/wxtokend/secrets)" "root:root 700" &&
		denied systemctl is-active wxtokend && denied systemctl is-enabled wxtokend
}
check "the package installs, safely and without starting an unconfigured daemon" installs
unconfigured() {
	denied systemctl start wxtokend && is "$(property ExecMainStatus)" 78 && is "$(property NRestarts)" 0 &&
		log | grep -q 'account: is missing'
}
check "without an account it ends with 78, is not restarted, and says what is missing" unconfigured

config
credential_is $secret
cat >/run/systemd/system/dependent.service <<UNIT
[Unit]
Wants=wxtokend.service
After=wxtokend.service
[Service]
Type=oneshot
User=www-data
ExecStart=/bin/grep --quiet '^{"value":".*","expire":[0-9]*}\$' $file
UNIT
systemctl daemon-reload
systemctl reset-failed wxtokend
check "a unit ordered after it starts when the token is on disk, and reads it as www-data" systemctl start dependent
check "it is active, with a token of mode 0640 for the readers' group" \
	is "$(property ActiveState) $(stat -c '%U:%G %a' $file)" "active wxtokend:wxtokend-readers 640"
status_text() { property StatusText | grep -q '1 of 1 tokens fresh'; }
check "systemctl status tells how many tokens are fresh" within 10 status_text
check "the settings are checked with the secrets where they lie" \
	wxtokend check

# --- Who may read what. ---
check "www-data reads the token, but neither secret nor settings" eval \
	"as www-data cat $file && denied as www-data cat /etc/wxtokend/secrets/$appid && denied as www-data cat /etc/wxtokend/config.toml && denied as www-data cat /run/credentials/wxtokend.service/secret_$appid"
check "a user outside the group reads no token and reaches no socket" eval \
	"denied as nobody cat $file && denied as nobody curl -fs --unix-socket /run/wxtokend/control.sock http://localhost/v1/accounts"
check "the environment of the daemon is closed to others" denied as www-data cat /proc/"$(main_pid)"/environ
nowhere() {
	printf '%s\n%s\n' $secret "$(token)" >/tmp/never
	{
		systemctl show wxtokend
		systemctl cat wxtokend
		journalctl -b -o export
		for process in /proc/[0-9]*; do
			grep -qa simulate "$process/cmdline" || cat "$process/cmdline" # The simulator was given it.
			cat "$process/environ"
			echo
		done
	} >/tmp/everything 2>/dev/null
	grep -aqF -f /tmp/never /tmp/everything && { echo "found: $(grep -aF -f /tmp/never /tmp/everything | head -c 100)"; return 1; }
	[ "$(wc -c </tmp/everything)" -gt 10000 ] && is "$(property LimitCORE)" 0
}
check "neither secret nor token is in systemctl, the journal, command lines, environments or a core" nowhere
debugger_opens() { curl -fs http://127.0.0.1:9229/json; }
logrotate() {
	local old
	old=$(main_pid)
	kill -USR1 "$old"
	within 10 eval 'log | grep -q signal.ignored' && is "$(main_pid)" "$old" && denied debugger_opens
}
check "SIGUSR1 opens no debugger, and is told" logrotate
debugged() {
	unit other <<<$'[Service]\nEnvironment=NODE_OPTIONS=--inspect NODE_DEBUG=http NODE_DEBUG_NATIVE=TLS'
	settle && is "$(property ActiveState)" active || return 1
	# SocketBindDeny= needs BPF, which Debian 12 leaves out of its systemd, and some kernels forbid.
	systemctl --version | grep -qe -BPF_FRAMEWORK || journalctl -b | grep -q "BPF programs but the local system does not" ||
		denied debugger_opens
}
check "NODE_DEBUG is taken away; and the debugger of NODE_OPTIONS, if systemd can" debugged
restore
priorities() { log -p 6..6 | grep -q 'token.refreshed' && log -p 3..3 | grep 'account: is missing'; }
check "the journal knows the priority of each line" priorities

# --- An issuer that takes its time. (Before the readers: the file is deleted.) ---
simulator --latency 5000
unit short <<<$'[Service]\nRestartSec=100ms\nWatchdogSec=4\nTimeoutStartSec=4\nTimeoutStopSec=1'
takes_its_time() { systemctl stop wxtokend && rm $file && systemctl start wxtokend && [ -s $file ]; }
check "a start takes as long as the accounts need, whatever TimeoutStartSec= says" takes_its_time
finishes() {
	kill -HUP "$(main_pid)"
	within 10 test -d $file.lock && changes systemctl stop wxtokend && is "$(property Result)" success
}
check "a stop waits for the refresh under way, whatever TimeoutStopSec= says" finishes
no_unit short
settle
# Its mark is written after the lock was made; without one nobody knows who is dead.
marked() { test -d $file.lock && ! test "${file%/*}/.${file##*/}.state" -ot $file.lock; }
killed_amid() {
	local old before
	old=$(main_pid) before=$(token)
	kill -HUP "$old"
	within 10 marked && kill -KILL "$old" && within 30 has_new_pid "$old" || return 1
	[ "$(token)" != "$before" ] || { echo "it is ready, but still waits for the lock of the dead one"; return 1; }
}
check "kill -9 amid a refresh: the lock does not hold up the next daemon" killed_amid
simulator
settle

# --- Readers loop through all that follows. ---
readers=()
for n in 1 2 3 4; do
	as www-data python3 - "$file" >/tmp/reader.$n <<'PYTHON' &
import json, os, sys, time
reads = failures = 0
known = b""
while not os.path.exists("/tmp/stop-readers"):
    try:
        file = os.open(sys.argv[1], os.O_RDONLY)
        text = os.read(file, 4096)
        os.close(file)
        if text != known:
            content, known = json.loads(text), text
        assert sorted(content) == ["expire", "value"] and content["expire"] > time.time()
    except Exception:
        failures += 1
    reads += 1
    time.sleep(0.01)
print(reads, failures)
PYTHON
	readers+=($!)
done

# --- Reload. ---
check "reload returns with a new token on disk" changes systemctl reload wxtokend
check "an unprivileged member of the group reloads through the command" changes as www-data wxtokend refresh --reload
check "and through the socket with curl" changes as www-data curl -fs --unix-socket /run/wxtokend/control.sock -X POST http://localhost/v1/accounts/$appid/refresh
check "but not through systemctl, without the polkit rule" denied as www-data systemctl reload wxtokend
polkit_rule() {
	[ -x /usr/lib/polkit-1/polkitd ] || { echo "there is no polkitd"; return 77; }
	# Moved there as it will be: polkitd reads a file when it appears, and does not
	# notice when it becomes readable only after that.
	install -m 0644 /usr/share/doc/wxtokend/systemd/polkit/*.rules /etc/polkit-1/
	mv /etc/polkit-1/*.rules /etc/polkit-1/rules.d/
	# It reads its rules again when it notices them.
	within 10 as www-data systemctl reload wxtokend && changes as www-data systemctl reload wxtokend || return 1
	denied as nobody systemctl reload wxtokend && denied as www-data systemctl stop wxtokend &&
		denied as www-data systemctl restart wxtokend && is_active
}
check "with the polkit rule members of the group reload through systemctl, and do nothing else" polkit_rule
fails_but_refreshes() {
	local before
	before=$(token)
	config "$1"
	denied systemctl reload wxtokend && [ "$(token)" != "$before" ]
}
broken_reload() {
	fails_but_refreshes 'nonsense = 1' && fails_but_refreshes 'broken = [' &&
		log | grep -q 'the old configuration stays' && is "$(property NRestarts)" 0
}
check "a reload of a broken configuration fails, and refreshes all the same" broken_reload
restore
reload_reaches() { # It is not waited for if no socket answers where the configuration says.
	local before
	before=$(token)
	systemctl reload wxtokend && within 10 eval '[ "$(token)" != $before ]'
}
another_socket() {
	config 'socket = "other.sock"'
	reload_reaches && within 10 test -S /run/wxtokend/other.sock || return 1
	config
	reload_reaches && within 10 test -S /run/wxtokend/control.sock || return 1
	config 'socket = ""'
	reload_reaches && within 10 test ! -e /run/wxtokend/control.sock || return 1
	# From now on there is nobody who could be waited for.
	reload_reaches
}
check "a reload reaches the daemon also when its socket moves, or is turned off" another_socket
restore
rotation() {
	install -m 0640 -g wxtokend /dev/stdin /etc/wxtokend/s.secret <<<"$secret"
	config
	echo 'secret_file = "/etc/wxtokend/s.secret"' >>/etc/wxtokend/config.toml
	soon systemctl reload wxtokend && has_secret "n$secret" && denied systemctl reload wxtokend || return 1
	property StatusText | grep "0 of 1 tokens fresh, 1 that could not be renewed still valid; $appid: .*40125" || { property StatusText; return 1; }
	echo "n$secret" >/etc/wxtokend/s.secret
	changes systemctl reload wxtokend && is "$(property NRestarts)" 0
}
check "an AppSecret in a file is changed without a restart; until then the status tells what fails" rotation
restore
credential() {
	soon systemctl reload wxtokend && has_secret "c$secret" || return 1
	credential_is "c$secret"
	denied systemctl reload wxtokend && systemctl restart wxtokend && soon systemctl reload wxtokend
}
check "an AppSecret in a credential is changed by a restart" credential
restore
grouped() {
	config 'group = "wxtokend-readers"'
	settle && soon systemctl reload wxtokend || return 1
	config 'group = "www-data"'
	unit group <<<$'[Service]\nGroup=www-data'
	settle && soon systemctl reload wxtokend && is "$(stat -c %G $file /run/wxtokend/control.sock | sort -u)" www-data
}
check "Group= of the unit makes another group the readers', and the settings may name it" grouped
restore

# --- Ends and restarts. ---
stops() { systemctl stop wxtokend && is "$(property Result)" success && [ -s $file ] && systemctl start wxtokend; }
check "stop leaves the file, and start takes it over" stops
no_call() {
	local before
	before=$(issued)
	systemctl restart wxtokend
	[ -n "$before" ] && is "$(issued)" "$before"
}
check "a restart does not call WeChat" no_call
fast=$'[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestartSec=100ms'
unit fast <<<"$fast"
ended_by() { local old; old=$(main_pid); kill -"$1" "$old"; within 20 has_new_pid "$old"; }
check "kill -9 is answered by a restart" ended_by KILL
check "so is a SIGTERM that systemd did not send" ended_by TERM

cat >/opt/block.cjs <<'JS'
process.on("SIGUSR2", () => {
	for (;;);
});
JS
unit watchdog <<<$'[Service]\nWatchdogSec=3\nEnvironment="NODE_OPTIONS=--require /opt/block.cjs"'
settle
watched() { # SIGNAL
	local before
	before=$(log | grep -c 'Watchdog timeout')
	ended_by "$1" && is "$(log | grep -c 'Watchdog timeout')" $((before + 1))
}
heard_after() { [ "$(property WatchdogTimestampMonotonic)" -gt "$1" ]; } # MICROSECONDS
calm() { # until it was heard after twice the time of its watchdog
	local old begin
	old=$(main_pid) begin=$(property WatchdogTimestampMonotonic)
	within 30 heard_after $((begin + 6000000)) && is "$(main_pid)" "$old"
}
check "a healthy daemon is left alone by the watchdog" calm
check "a process that stands still is replaced by the watchdog" watched STOP
check "a blocked loop is replaced by the watchdog" watched USR2
no_unit watchdog

early_hups() {
	local seconds since
	since=$(date +'%F %T')
	# Some come before Node.js can have a handler, and some after it: how late that is
	# depends on how busy the machine is.
	came_early() { log | grep -q "Failed with result 'protocol'"; }
	came_late() { log --since "$since" | grep -q 'reload.requested'; }
	for seconds in 0 0.01 0.03 0.06 0.1 0.15 0.25 0.4 0.8 1.6 3.2 6.4; do
		systemctl stop wxtokend
		systemctl start --no-block wxtokend
		sleep $seconds
		systemctl kill -s HUP --kill-whom=main wxtokend 2>/dev/null
		within 20 is_active || return 1
		[ $seconds \< 0.4 ] || ! came_late || break
	done
	came_early && came_late
}
check "a SIGHUP in the first milliseconds of a start does no lasting harm" early_hups
restore
start_limit() {
	unit other <<<$'[Unit]\nStartLimitBurst=4\n[Service]\nRestartSec=100ms\nExecStart=\nExecStart=/bin/false'
	systemctl restart wxtokend
	within 20 eval '[ "$(property ActiveState)" = failed ]' && log | grep -q 'Start request repeated too quickly'
}
check "a start that fails again and again ends at the start limit" start_limit
restore
wrong_config() {
	config 'nonsense = 1'
	systemctl restart wxtokend
	is "$(property ExecMainStatus) $(property NRestarts) $(property ActiveState)" "78 0 failed"
}
check "a wrong configuration ends with 78 and is not restarted" wrong_config
restore
by_children() {
	local seen
	unit other <<<$'[Service]\nNotifyAccess=all\nWatchdogSec=8\nExecStart=\nExecStart=/usr/bin/env node /usr/lib/wxtokend/dist/wxtokend.cjs run'
	settle && status_text && soon systemctl reload wxtokend || return 1
	seen=$(property WatchdogTimestamp)
	within 10 eval '[ "$(property WatchdogTimestamp)" != "$seen" ]' && is "$(property NRestarts)" 0
}
check "without notify-exec it tells systemd by child processes, if all may" by_children
restore
behind_proxy() {
	unit other <<<$'[Service]\nIPAddressDeny=any\nIPAddressAllow=localhost'
	settle && soon systemctl reload wxtokend
}
check "with IPAddressAllow= for nothing but a proxy it works as well" behind_proxy
restore

queries() {
	local query
	grep -o '^    journalctl .*' "$tree/systemd/README.md" | sed 's/  *#.*//' >/tmp/queries
	[ "$(wc -l </tmp/queries)" -gt 2 ] || return 1
	while read -r query; do
		[ -n "$(eval "set -o pipefail; $query")" ] || { echo "nothing from: $query"; return 1; }
	done </tmp/queries
}
check "the README's queries of the journal find what they say" queries

# --- The units themselves. ---
check "systemd-analyze verify finds nothing" systemd-analyze verify --recursive-errors=no \
	$units/wxtokend.service $units/wxtokend-once.service $units/wxtokend-once.timer
exposure() { systemd-analyze security --offline=yes --no-pager --threshold=11 "$units/$1.service" | tail -n 1; }
check "the daemon's exposure is at most 1.1" exposure wxtokend
check "so is that of the timer's service" exposure wxtokend-once
sandbox() { sed -n '/^NoNewPrivileges=/,/^LimitCORE=/p' "$units/$1.service" | grep -v '^#'; }
same_sandbox() { is "$(sandbox wxtokend-once)" "$(sandbox wxtokend)" && [ "$(sandbox wxtokend | wc -l)" -gt 30 ]; }
check "both have the same sandbox" same_sandbox

# --- Upgrade, under the readers' eyes; then the end of the readers. ---
upgrade() { local old; old=$(main_pid); dpkg -i "$newer" && has_new_pid "$old"; }
check "an upgrade restarts the daemon" upgrade
hard_upgrade() {
	config 'nonsense = 1'
	dpkg -i "$newer" && is "$(dpkg-query -W -f '${Status}' wxtokend)" "install ok installed" || return 1
	rm /etc/wxtokend/config.toml
	dpkg -i "$newer"
}
check "an upgrade comes to its end also with a broken configuration, or none" hard_upgrade
restore
touch /tmp/stop-readers
wait "${readers[@]}"
never_failed() {
	local reads failures total=0
	for n in 1 2 3 4; do
		read -r reads failures </tmp/reader.$n || return 1
		is "$failures" 0 || return 1
		total=$((total + reads))
	done
	echo "# reads: $total" >&3
	[ $total -gt 1000 ]
}
exec 3>&1
check "four readers met a complete, living token throughout" never_failed
pass_by_timer() {
	systemctl stop wxtokend
	rm $file
	systemctl start wxtokend-once && as www-data cat $file && systemctl start wxtokend-once.timer && systemctl is-active wxtokend-once.timer
}
check "one pass by the timer's service fetches a token without a daemon" pass_by_timer

# --- Away. ---
systemctl enable --now wxtokend
removes() {
	dpkg -r wxtokend && denied systemctl is-active wxtokend && denied systemctl is-active wxtokend-once.timer &&
		[ -s $file ] && [ -f /etc/wxtokend/config.toml ]
}
check "removing stops the daemon and keeps settings and files" removes
remains() { find /etc /usr /var /run -xdev -name '*wxtokend*' -not -path '/var/log/*' -not -path '/var/lib/containers/*' -not -path '/var/cache/*' -not -path '/etc/polkit-1/*'; }
purges() {
	local left
	dpkg -P wxtokend || return 1
	rm -r $drop
	left=$(remains)
	is "$left" "" && denied getent passwd wxtokend && denied getent group wxtokend wxtokend-readers
}
check "purging leaves nothing" purges

# --- As the README says it for those without the package. ---
commands() { # HEADING TEXT: the paragraph after the text, in that section
	sed -n "/^## $1/,/^## /p" "$tree/systemd/README.md" | sed -n "/^$2/,\$p" | sed "1,/^\$/d;/^\$/,\$d"
}
npm() { [ "$*" != "root -g" ] || echo /opt; } # It would want the network.
export -f npm
from_tree() {
	cp -r "$tree" /opt/wxtokend && chmod 0755 /opt/wxtokend
	cd "$tree" || return 1
	commands Install "From this tree" >/tmp/install.sh
	[ "$(wc -l </tmp/install.sh)" -gt 5 ] || return 1
	bash -e /tmp/install.sh || return 1
	config
	credential_is $secret
	systemctl daemon-reload
	systemctl enable --now wxtokend && as www-data cat $file && systemctl reload wxtokend
}
check "without the package the README's commands lead to the same" from_tree
away() {
	local left
	commands Remove "From this tree" >/tmp/remove.sh
	[ "$(wc -l </tmp/remove.sh)" -gt 3 ] || return 1
	bash -e /tmp/remove.sh || return 1
	rm -r /opt/wxtokend
	left=$(remains)
	is "$left" "" && denied getent passwd wxtokend && denied getent group wxtokend wxtokend-readers
}
check "and away again" away
kill "$wechat"

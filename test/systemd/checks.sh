#!/bin/bash
# Runs inside a booted systemd (with-systemd), as root, in a throw-away root file
# system. One line per check: "ok NAME" or "not ok NAME - why". Arguments: the
# package, a newer one, and the built program (for its simulator).
set -u
deb=$1 newer=$2 program=$3
appid=wx0123456789abcdef
secret=5ec2e7000000000000000000000c0de5
file=/run/wxtokend/wx_access_token_$appid
drop=/run/systemd/system/wxtokend.service.d
mkdir -p $drop

check() { # NAME COMMAND...: the command's last line of output is the reason
	local name=$1 output
	shift
	if output=$("$@" 2>&1); then
		echo "ok $name"
	else
		echo "not ok $name - $(tail -n 1 <<<"$output") $(journalctl -u wxtokend -n 2 -o cat --no-pager | tail -n 2 | tr '\n' ' ')"
	fi
}
within() { # SECONDS COMMAND...: until it succeeds
	local tries=$(($1 * 20))
	shift
	while [ $((tries--)) -gt 0 ]; do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
	echo "not within the bound: $*"
	return 1
}
token() { sed 's/.*"value":"\([^"]*\)".*/\1/' $file; }
property() { systemctl show -P "$1" wxtokend; }
as() { runuser -u "$1" -- "${@:2}"; }
is() { [ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }; }
denied() { if "$@" >/dev/null 2>&1; then echo "allowed: $*"; return 1; fi; }
is_active() { [ "$(property ActiveState)" = active ]; }
has_new_pid() { is_active && [ "$(property MainPID)" != "$1" ]; }
settle() { systemctl reset-failed wxtokend; systemctl restart wxtokend; }

node "$program" simulate --port 8090 --account $appid:$secret --quiet >/dev/null 2>&1 &
within 10 curl -fs http://127.0.0.1:8090/sim/state

# --- The package, and a first start. ---
installs() {
	dpkg -i "$deb" && is "$(stat -c '%U:%G %a' /etc/wxtokend/config.toml)" "root:wxtokend 640" &&
		is "$(stat -c '%U:%G %a' /etc/wxtokend/secrets)" "root:root 700" &&
		denied systemctl is-active wxtokend && denied systemctl is-enabled wxtokend
}
check "the package installs, safely and without starting an unconfigured daemon" installs
unconfigured() {
	denied systemctl start wxtokend && is "$(property ExecMainStatus)" 78 && is "$(property NRestarts)" 0 &&
		journalctl -u wxtokend -o cat | grep -q 'account: is missing'
}
check "without an account it ends with 78, is not restarted, and says what is missing" unconfigured

cat >/etc/wxtokend/config.toml <<TOML
[wechat]
base_urls = ["http://127.0.0.1:8090"]
cooldown = 0
[[account]]
appid = "$appid"
TOML
install -m 0600 /dev/stdin /etc/wxtokend/secrets/$appid <<<"$secret"
usermod -aG wxtokend-readers www-data
cat >/run/systemd/system/dependent.service <<UNIT
[Unit]
Requires=wxtokend.service
After=wxtokend.service
[Service]
Type=oneshot
User=www-data
ExecStart=/bin/grep -q value $file
UNIT
systemctl daemon-reload
systemctl reset-failed wxtokend
check "a unit ordered after it starts when the token is on disk, and reads it as www-data" systemctl start dependent
check "it is active, with a token of mode 0640 for the readers' group" \
	is "$(property ActiveState) $(stat -c '%U:%G %a' $file)" "active wxtokend:wxtokend-readers 640"
status_text() { property StatusText | grep -q '1 of 1 tokens fresh'; }
check "systemctl status tells how many tokens are fresh" within 10 status_text

# --- Who may read what. ---
pid=$(property MainPID)
check "www-data reads the token, but neither secret nor settings" eval \
	"as www-data cat $file && denied as www-data cat /etc/wxtokend/secrets/$appid && denied as www-data cat /etc/wxtokend/config.toml && denied as www-data cat /run/credentials/wxtokend.service/secret_$appid"
check "a user outside the group reads no token and reaches no socket" eval \
	"denied as nobody cat $file && denied as nobody curl -fs --unix-socket /run/wxtokend/control.sock http://localhost/v1/accounts"
check "the environment of the daemon is closed to others" denied as www-data cat /proc/"$pid"/environ
nowhere() {
	printf '%s\n%s\n' $secret "$(token)" >/tmp/never
	{
		systemctl show wxtokend
		systemctl cat wxtokend
		journalctl -b -o export
		for p in /proc/[0-9]*/cmdline; do
			grep -qa simulate "$p" || cat "$p" # The simulator was given it.
			echo
		done
	} >/tmp/everything 2>/dev/null
	grep -aqF -f /tmp/never /tmp/everything && { echo "found: $(grep -aF -f /tmp/never /tmp/everything | head -c 100)"; return 1; }
	[ "$(wc -c </tmp/everything)" -gt 10000 ] && is "$(property LimitCORE)" 0
}
check "neither secret nor token is in systemctl, the journal, command lines or a core" nowhere
priorities() { journalctl -u wxtokend -p 6..6 -o cat | grep -q '^{.*token.refreshed' && journalctl -u wxtokend -p 3..3 -o cat | grep 'account: is missing'; }
check "the journal knows the priority of each line" priorities

# --- Readers loop through all that follows. ---
rm -f /tmp/stop-readers
for n in 1 2 3 4; do
	as www-data python3 - "$file" >/tmp/reader.$n <<'PYTHON' &
import json, os, sys, time
reads = failures = 0
while not os.path.exists("/tmp/stop-readers"):
    try:
        content = json.load(open(sys.argv[1]))
        assert sorted(content) == ["expire", "value"] and content["expire"] > time.time()
    except Exception:
        failures += 1
    reads += 1
    time.sleep(0.002)
print(reads, failures)
PYTHON
done

# --- Reload. ---
reloads() { local before; before=$(token); "$@" && { [ "$(token)" != "$before" ] || { echo "the same token"; return 1; }; }; }
check "reload returns with a new token on disk" reloads systemctl reload wxtokend
check "an unprivileged member of the group reloads through the command" reloads as www-data wxtokend refresh --reload
check "and through the socket with curl" reloads as www-data curl -fs --unix-socket /run/wxtokend/control.sock -X POST http://localhost/v1/accounts/$appid/refresh
check "but not through systemctl, without the polkit rule" denied as www-data systemctl reload wxtokend
broken_reload() {
	cp /etc/wxtokend/config.toml /tmp/config.toml
	echo 'nonsense = 1' >>/etc/wxtokend/config.toml
	denied systemctl reload wxtokend
	local result=$?
	cp /tmp/config.toml /etc/wxtokend/config.toml
	return $result && is_active
}
check "a reload of a broken configuration fails, and the daemon stays" broken_reload
rotation() {
	install -m 0640 -g wxtokend /dev/stdin /etc/wxtokend/s.secret <<<"$secret"
	sed -i '/^appid/a secret_file = "/etc/wxtokend/s.secret"' /etc/wxtokend/config.toml
	systemctl reload wxtokend || return 1
	curl -fs -X POST http://127.0.0.1:8090/sim/accounts -d "{\"appid\":\"$appid\",\"secret\":\"n$secret\"}" >/dev/null
	denied systemctl reload wxtokend || return 1
	echo "n$secret" >/etc/wxtokend/s.secret
	reloads systemctl reload wxtokend
	local result=$?
	curl -fs -X POST http://127.0.0.1:8090/sim/accounts -d "{\"appid\":\"$appid\",\"secret\":\"$secret\"}" >/dev/null
	cp /tmp/config.toml /etc/wxtokend/config.toml
	systemctl reload wxtokend && return $result
}
check "an AppSecret in a file is changed without a restart" rotation

# --- Ends and restarts. ---
stops() { systemctl stop wxtokend && is "$(property Result)" success && [ -s $file ] && systemctl start wxtokend; }
check "stop leaves the file, and start takes it over" stops
no_call() {
	local before after
	before=$(curl -s http://127.0.0.1:8090/sim/state | grep -o '"token":{"issued":[0-9]*' | head -n 1)
	systemctl restart wxtokend
	after=$(curl -s http://127.0.0.1:8090/sim/state | grep -o '"token":{"issued":[0-9]*' | head -n 1)
	[ -n "$before" ] && is "$after" "$before"
}
check "a restart does not call WeChat" no_call
killed() { local old; old=$(property MainPID); kill -KILL "$old"; within 20 has_new_pid "$old"; }
check "kill -9 is answered by a restart" killed
printf '[Service]\nWatchdogSec=2\nRestartSec=100ms\n' >$drop/fast.conf
systemctl daemon-reload && systemctl restart wxtokend
stopped() { local old; old=$(property MainPID); kill -STOP "$old"; within 20 has_new_pid "$old" && journalctl -u wxtokend | grep -q 'Watchdog timeout'; }
check "a process that stands still is replaced by the watchdog" stopped
blocked() {
	local old
	old=$(property MainPID)
	kill -USR1 "$old" # Opens Node.js's inspector, through which a loop is put in.
	within 5 curl -fs http://127.0.0.1:9229/json
	node --experimental-websocket -e '
		fetch("http://127.0.0.1:9229/json").then((r) => r.json()).then(([{ webSocketDebuggerUrl: url }]) => {
			const socket = new WebSocket(url);
			socket.onopen = () => socket.send(JSON.stringify({ id: 1, method: "Runtime.evaluate", params: { expression: "for (;;);" } }));
			setTimeout(() => process.exit(), 500);
		});' 2>/dev/null
	within 20 has_new_pid "$old"
}
check "a blocked loop is replaced by the watchdog" blocked
calm() { local old; old=$(property MainPID); sleep 5; is "$(property MainPID)" "$old"; }
check "a healthy daemon is left alone by the watchdog" calm
early_hups() {
	for ms in 0 2 5 10 15 20 30 40 60 90 130 180; do
		systemctl restart --no-block wxtokend
		sleep 0.0"$(printf %03d $ms)" 2>/dev/null
		systemctl kill -s HUP --kill-whom=main wxtokend 2>/dev/null
		within 20 is_active || return 1
	done
	systemctl reset-failed wxtokend
}
printf '[Unit]\nStartLimitIntervalSec=0\n' >$drop/limit.conf
systemctl daemon-reload
check "a SIGHUP in the first milliseconds of a start does no lasting harm" early_hups
start_limit() {
	printf '[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=3\n' >$drop/limit.conf
	printf '[Service]\nExecStart=\nExecStart=/bin/false\n' >$drop/false.conf
	systemctl daemon-reload
	systemctl restart wxtokend
	within 20 eval '[ "$(property ActiveState)" = failed ]'
	local result=$?
	rm $drop/limit.conf $drop/false.conf $drop/fast.conf
	systemctl daemon-reload
	settle
	return $result
}
check "a start that fails again and again ends at the start limit" start_limit
wrong_config() {
	echo 'nonsense = 1' >>/etc/wxtokend/config.toml
	systemctl restart wxtokend
	is "$(property ExecMainStatus) $(property NRestarts) $(property ActiveState)" "78 0 failed"
	local result=$?
	cp /tmp/config.toml /etc/wxtokend/config.toml
	settle && return $result
}
check "a wrong configuration ends with 78 and is not restarted" wrong_config

# --- The units themselves. ---
check "systemd-analyze verify finds nothing" systemd-analyze verify --recursive-errors=no \
	/usr/lib/systemd/system/wxtokend.service /usr/lib/systemd/system/wxtokend-once.service /usr/lib/systemd/system/wxtokend-once.timer
exposure=$(systemd-analyze security --offline=yes --no-pager /usr/lib/systemd/system/wxtokend.service | sed -n 's/.*wxtokend.service: *//p')
echo "# exposure: $exposure"
check "its exposure is at most 1.3" systemd-analyze security --offline=yes --threshold=13 /usr/lib/systemd/system/wxtokend.service
pass_by_timer() { rm -f $file; systemctl stop wxtokend; rm -f $file; systemctl start wxtokend-once && [ -s $file ] && systemctl start wxtokend; }

# --- Upgrade, under the readers' eyes; then the end of the readers. ---
upgrade() { local old; old=$(property MainPID); dpkg -i "$newer" && has_new_pid "$old"; }
check "an upgrade restarts the daemon" upgrade
touch /tmp/stop-readers
wait $(jobs -p | tail -n 4)
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
check "one pass by the timer's service fetches a token without a daemon" pass_by_timer

# --- Away. ---
removes() { dpkg -r wxtokend && denied systemctl is-active wxtokend && [ -s $file ] && [ -f /etc/wxtokend/config.toml ]; }
check "removing stops the daemon and keeps settings and files" removes
purges() {
	dpkg -P wxtokend || return 1
	for left in /etc/wxtokend /run/wxtokend /usr/lib/wxtokend /usr/bin/wxtokend /usr/share/doc/wxtokend; do
		[ ! -e $left ] || { echo "left: $left"; return 1; }
	done
	denied getent passwd wxtokend && denied getent group wxtokend-readers
}
check "purging leaves nothing" purges
kill %1 2>/dev/null
echo "# done"

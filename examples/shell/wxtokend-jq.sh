#!/bin/sh
# Calls WeChat with the token that wxtokend keeps, and never fetches one. Needs curl and jq.
#
#   export WECHAT_APPID=wx0123456789abcdef
#   ./wxtokend-jq.sh '/cgi-bin/user/get?next_openid='      # GET
#   ./wxtokend-jq.sh /cgi-bin/menu/create '{"button":[]}'  # POST
set -eu
directory=${WXTOKEND_DIRECTORY:-/run/wxtokend}
file=${WXTOKEND_FILE:-$directory/wx_access_token_$WECHAT_APPID}
socket=${WXTOKEND_SOCKET:-$directory/control.sock}
api=${WECHAT_API:-https://api.weixin.qq.com}
path=$1 body=${2-}

# Tokens go to curl on its standard input: its arguments can be seen in ps.
send() {
	case $path in *\?*) mark='&' ;; *) mark='?' ;; esac
	printf 'url = "%s%s%saccess_token=%s"\n' "$api" "$path" "$mark" "$1" |
		curl -sS --max-time 10 -H 'Content-Type: application/json' ${body:+--data-raw "$body"} --config -
}

# wxtokend on another host, instead of file and socket. It may ask WeChat before it answers, hence 25 s.
ask() {
	bearer=$(cat "$WXTOKEND_BEARER_FILE")
	printf 'url = "%s/v1/credentials/%s/%s"\nheader = "Authorization: Bearer %s"\n%s\n' \
		"$WXTOKEND_URL" "${file##*/}" "$1" "$bearer" "${2-}" | curl -sf --max-time 25 --config -
}
read_it() {
	if [ "${WXTOKEND_URL-}" ]; then ask token; else cat "$file"; fi
}
report() {
	if [ "${WXTOKEND_URL-}" ]; then
		ask refresh "data = \"{\\\"stale\\\":\\\"$1\\\"}\"" | jq -r ".value // empty"
		return
	fi
	printf '{"stale":"%s"}' "$1" | curl -sf --max-time 25 --unix-socket "$socket" --data @- \
		"http://wxtokend/v1/accounts/$WECHAT_APPID/refresh" | jq -r ".value // empty"
}

# Read it before every call: it may be another one at any moment.
token=$(read_it 2>/dev/null | jq -r 'select(.expire > now).value // empty' 2>/dev/null) || token=
[ -n "$token" ] || {
	# If it cannot be read, in the system's own words: permission denied, no such file, …
	if why=$(read_it 2>&1 >/dev/null); then
		why="it holds no token"
		case $(read_it | jq '.value and .expire' 2>/dev/null) in true) why="its token has expired" ;; esac
	fi
	echo "could not use $file: $why; see wxtokend status" >&2
	exit 1
}
answer=$(send "$token")
dead=$(printf %s "$answer" | jq '.errcode == (40001, 40014, 42001) | select(.)' 2>/dev/null) || dead=
if [ "$dead" ]; then
	other=$(read_it | jq -r ".value // empty") || other=$token
	# If the report fails, WeChat's own answer tells more.
	[ "$other" != "$token" ] || other=$(report "$token") || other=
	[ "${other:-$token}" = "$token" ] || answer=$(send "$other")
fi
printf '%s\n' "$answer"

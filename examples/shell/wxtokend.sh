#!/bin/sh
# Calls WeChat with the token that wxtokend keeps, and never fetches one. Needs curl, not jq.
#
#   export WECHAT_APPID=wx0123456789abcdef
#   ./wxtokend.sh '/cgi-bin/user/get?next_openid='      # GET
#   ./wxtokend.sh /cgi-bin/menu/create '{"button":[]}'  # POST
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
report() {
	if [ "${WXTOKEND_URL-}" ]; then
		ask refresh "data = \"{\\\"stale\\\":\\\"$1\\\"}\""
		return
	fi
	printf '{"stale":"%s"}' "$1" | curl -sf --max-time 25 --unix-socket "$socket" --data @- \
		"http://wxtokend/v1/accounts/$WECHAT_APPID/refresh"
}

# Takes a line of JSON apart without a process (sed, cat): each costs more than all the rest of a read.
parse() {
	case $1 in *'"value"'*) value=${1#*'"value"'*'"'} ;; *) value= ;; esac
	value=${value%%'"'*}
	expire=${1##*'"expire"'} expire=${expire#*:} expire=${expire%%[!0-9 ]*}
	[ "$value" ] && [ "$expire" ]
}
read_file() { # its line may lack an end, if somebody else wrote it
	line=
	if [ "${WXTOKEND_URL-}" ]; then
		line=$(ask token) && parse "$line"
		return
	fi
	read -r line 2>/dev/null <"$file" || [ "$line" ] && parse "$line"
}
fail() { # if it cannot be read, in the system's own words: permission denied, no such file, …
	[ "${WXTOKEND_URL-}" ] || why=$(cat "$file" 2>&1 >/dev/null) && why=$1
	echo "could not use $file: $why; see wxtokend status" >&2
	exit 1
}

# Read it before every call: it may be another one at any moment. (bash 5 knows the time without a process.)
read_file || fail "it holds no token"
token=$value
[ "$expire" -gt "${EPOCHSECONDS:-$(date +%s)}" ] || fail "its token has expired"
answer=$(send "$token")
case $answer in '{"errcode":40001,'* | '{"errcode":40014,'* | '{"errcode":42001,'*)
	read_file || value=
	# If the report fails, WeChat's own answer tells more.
	[ "$value" != "$token" ] || parse "$(report "$token")" || value=
	[ "${value:-$token}" = "$token" ] || answer=$(send "$value")
	;;
esac
printf '%s\n' "$answer"

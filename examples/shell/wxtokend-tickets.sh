#!/bin/sh
# Signs pages (JS-SDK) and cards with the tickets that wxtokend keeps. Needs sha1sum; for "request" curl.
#
#   export WECHAT_APPID=wx0123456789abcdef
#   ./wxtokend-tickets.sh page 'https://www.example.com/shop?id=7'     # what wx.config takes
#   ./wxtokend-tickets.sh request 'https://www.example.com/shop?id=7'  # the same, but wxtokend signs
#   ./wxtokend-tickets.sh card pXch-jnOlGtbuWwIO2NDftZeynRE 1234       # cardExt of a card, with its code
set -eu
directory=${WXTOKEND_DIRECTORY:-/run/wxtokend}
timestamp=${TIMESTAMP:-$(date +%s)}
nonce=${NONCE:-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')}

fail() {
	echo "could not sign: $1" >&2
	exit 1
}

# "jsapi" or "card". Read at every use: it may be another one at any moment.
read_ticket() {
	file=$directory/wx_$1_ticket_$WECHAT_APPID line=
	read -r line 2>/dev/null <"$file" || [ "$line" ] || fail "$(cat "$file" 2>&1 >/dev/null); see wxtokend status"
	case $line in *'"value"'*) ticket=${line#*'"value"'*'"'} ;; *) fail "$file holds no ticket" ;; esac
	ticket=${ticket%%'"'*}
	expire=${line##*'"expire"'} expire=${expire#*:} expire=${expire%%[!0-9 ]*}
	[ "${expire:-0}" -gt "$(date +%s)" ] || fail "the ticket in $file has expired; see wxtokend status"
}

# printf is no process of its own, so the ticket never shows in ps.
sha1() {
	sum=$(sha1sum)
	printf %s "${sum%% *}"
}

# Sorted by bytes: LC_ALL=C, as other orders put "_" and "a" elsewhere.
signature() {
	printf '%s\n' "$@" | LC_ALL=C sort | tr -d '\n' | sha1
}

case ${1-} in
page) # the name is nonceStr in wx.config, and noncestr in the text that is signed
	read_ticket jsapi
	text="jsapi_ticket=$ticket&noncestr=$nonce&timestamp=$timestamp&url=${2%%#*}"
	printf '{"appId":"%s","timestamp":%s,"nonceStr":"%s","signature":"%s"}\n' \
		"$WECHAT_APPID" "$timestamp" "$nonce" "$(printf %s "$text" | sha1)"
	;;
request)
	url=$(printf %s "$2" | sed 's/[\\"]/\\&/g')
	answer=$(printf '{"url":"%s"}' "$url" | curl -sS --max-time 10 --unix-socket "$directory/control.sock" --data @- \
		-H 'Content-Type: application/json' "http://wxtokend/v1/accounts/$WECHAT_APPID/jssdk")
	case $answer in *'"signature"'*) printf '%s\n' "$answer" ;; *) fail "$answer" ;; esac
	;;
card)
	read_ticket card
	printf '{%s"timestamp":"%s","nonce_str":"%s","signature":"%s"}\n' "${3:+\"code\":\"$3\",}" "$timestamp" "$nonce" \
		"$(signature "$ticket" "$2" "$timestamp" "$nonce" ${3:+"$3"})"
	;;
signature)
	shift
	signature "$@"
	;;
*) fail "call it with page, request, card or signature" ;;
esac

#!/bin/sh
# Answers each line "ID METHOD PATH" on stdin with "ID<TAB>answer<TAB>JSON" or "ID<TAB>error<TAB>TEXT"; $1 is the example.
WXTOKEND_FILE=$WXTOKEND_DIRECTORY/wx_access_token_$WECHAT_APPID
export WXTOKEND_FILE
while read -r id method path; do
	body=
	[ "$method" = GET ] || body='{"name":"中文"}'
	if text=$("$1" "$path?reader=$WECHAT_APPID" ${body:+"$body"} 2>&1); then kind=answer; else kind=error; fi
	printf '%s\t%s\t%s\n' "$id" "$kind" "$(printf %s "$text" | tr '\n\t' '  ')"
done

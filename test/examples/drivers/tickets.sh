#!/bin/sh
# Answers each line of stdin, words with tabs between them, with one of stdout; $1 is the example.
tab=$(printf '\t')
signature_in() {
	printf %s "${1##*'"signature":"'}" | tr -d '"}'
}
while IFS=$tab read -r what a b c d; do
	export TIMESTAMP= NONCE=
	case $what in
	page) TIMESTAMP=$c NONCE=$b text=$("$1" page "$a" 2>&1) && text="$WECHAT_APPID $c $b $(signature_in "$text")" ;;
	card) TIMESTAMP=$b NONCE=$c text=$("$1" card "$a" "$d" 2>&1) && text=$(signature_in "$text") ;;
	ask) text=$("$1" request "$a" 2>&1) ;;
	sort) text=$("$1" signature "$a" "$b" "$c" "$d" 2>&1) ;;
	esac || text="error $text"
	printf '%s\n' "$text"
done

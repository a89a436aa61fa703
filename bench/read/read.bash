# Each line "WAY COUNT" on stdin: reads the token so often in that way; answers with microseconds per read.
export LC_ALL=C
file=$WXTOKEND_DIRECTORY/wx_access_token_$BENCH_APPID

# The examples' own lines, from where they read the token to where they refuse one that has expired.
eval "jq_reader() { $(sed -n '/^token=/,/^}/p' examples/shell/wxtokend-jq.sh)
}"
eval "plain_reader() { $(sed -n '/^text=/,/^}/p' examples/shell/wxtokend.sh)
}"
eval "$(sed -n '/^[a-z]*_in() /p' examples/shell/wxtokend.sh)"

jq_bare() { token=$(jq -r .value "$file"); }

plain_bare() {
	text=$(cat "$file")
	token=${text#*'"value":"'} token=${token%%'"'*}
}

# One line: bash sends each line by itself, and a second one would wait for the first one's receipt.
redis() {
	[ "${socket-}" ] || exec {socket}<>"/dev/tcp/127.0.0.1/$BENCH_REDIS"
	printf 'GET token\r\n' >&"$socket"
	IFS= read -r length <&"$socket"
	IFS= read -r text <&"$socket"
	token=${text#*'"value":"'} token=${token%%'"'*}
}

# So a shell cannot keep a connection to an HTTP server; a process for each read it is.
server() {
	text=$(curl -sS "http://127.0.0.1:$BENCH_SERVER/token")
	token=${text#*'"value":"'} token=${token%%'"'*}
}

while read -r way count; do
	token=
	"$way"
	[ ${#token} = 136 ] || { echo "no token by $way" >&2; exit 1; }
	started=${EPOCHREALTIME/./}
	for ((i = 0; i < count; i++)); do "$way"; done
	took=$((${EPOCHREALTIME/./} - started))
	# Thousandths, without another process.
	thousandths=$((took * 1000 / count))
	printf '%d.%03d\n' $((thousandths / 1000)) $((thousandths % 1000))
done

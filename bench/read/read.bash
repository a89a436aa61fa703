# Each line "WAY COUNT" on stdin: reads the token so often in that way; answers with microseconds per read.
export LC_ALL=C
WECHAT_APPID=$BENCH_APPID

# The examples' own lines: what they begin with, but for `set`, and then from
# where they read the token to where they call WeChat with it.
set -- /any/path
eval "$(sed '/^set /d; /^# Read it/,$d' examples/shell/wxtokend.sh)"
eval "$(sed -n '/^read_it()/,/^}/p' examples/shell/wxtokend-jq.sh)"
eval "plain_reader() { $(sed -n '/^# Read it/,/^answer=/{/^answer=/!p}' examples/shell/wxtokend.sh)
}"
eval "jq_reader() { $(sed -n '/^# Read it/,/^answer=/{/^answer=/!p}' examples/shell/wxtokend-jq.sh)
}"

jq_bare() { token=$(jq -r .value "$file"); }

plain_bare() {
	text=$(cat "$file")
	token=${text#*'"value":"'} token=${token%%'"'*}
}

# One line: bash sends each line by itself, and a second one would wait for the first one's receipt.
redis() {
	[ "${redis_socket-}" ] || exec {redis_socket}<>"/dev/tcp/127.0.0.1/$BENCH_REDIS"
	printf 'GET token\r\n' >&"$redis_socket"
	IFS= read -r length <&"$redis_socket"
	IFS= read -r text <&"$redis_socket"
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

#!/bin/sh
# node_exporter 1.5.0: two files of the textfile collector that explain a metric in other
# words: the series of the second one are gone, and no metric says so.
#
# HELP is a text for people, so one would guess that its wording changes nothing. But of one
# metric all HELP texts must be equal, also over the files of several programs. If not, the
# series of the file that is read later are left out of the answer. The scrape is a success
# (HTTP 200), and `node_textfile_scrape_error`, which is there for broken files, stays 0;
# only the exporter's own log tells it. So one service that has got a new version with a
# better sentence makes the same metrics of another one vanish, and an alarm on "the token
# is old" falls silent, as it has no series any more.
#
# Seen: `equal texts: a b, error 0, HTTP 200` and `other text: a, error 0, HTTP 200`. The
# remedy is to alarm on absent series as well. It needs Debian 12's archive.
set -eu
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid")" 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq prometheus-node-exporter=1.5.0-1+b6 >apt.log 2>&1
dpkg -x prometheus-node-exporter_*.deb .
mkdir files
metric() { # FILE LABEL HELP
	printf '# HELP service_token_age_seconds %s\n# TYPE service_token_age_seconds gauge\nservice_token_age_seconds{of="%s"} 60\n' \
		"$3" "$2" >"files/$1.prom"
}
metric a a "Age of the token."
metric b b "Age of the token."
usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:19184 --collector.disable-defaults \
	--collector.textfile --collector.textfile.directory=files >log 2>&1 &
echo $! >pid
look() {
	curl -s --retry 20 --retry-connrefused --retry-delay 1 -w 'HTTP %{http_code}' http://127.0.0.1:19184/metrics >answer
	labels=$(sed -n 's/^service_token_age_seconds{of="\(.\)"}.*/\1/p' answer | sort | tr '\n' ' ')
	echo "${labels% }, error $(sed -n 's/^node_textfile_scrape_error //p' answer), $(tail -n 1 answer)"
}
equal=$(look)
metric b b "Age of the token, s."
seen="equal texts: $equal
other text: $(look)"
echo "$seen"
[ "$seen" = "equal texts: a b, error 0, HTTP 200
other text: a, error 0, HTTP 200" ]

#!/bin/sh
# nginx 1.22.1: with a variable and a path in proxy_pass, the query is gone.
#
# `location /push/ { proxy_pass http://127.0.0.1:7801/suite/; }` puts one path in the place
# of the other and hands the query on. One would guess that it does the same with the
# server in a variable (as it is done so that names are looked up again), or with the rest
# of the path in `$1`. But then what stands there is the whole of the new address: no rest
# of the path, and no query. WeChat's pushes carry the signature in the query, so the
# receiver behind it refuses each of them.
#
# Seen: see below. The remedy is `$is_args$args` at the end, or a `rewrite … break`. It
# needs Debian 12's archive.
set -eu
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/nginx.pid")" 2>/dev/null; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq nginx=1.22.1-9+deb12u11 >apt.log 2>&1
dpkg -x nginx_*.deb .
cat >nginx.conf <<'END'
pid nginx.pid;
error_log error.log;
events {}
http {
	access_log off;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	server {
		listen unix:receiver.sock;
		return 200 "$request_uri\n";
	}
	server {
		listen unix:front.sock;
		set $receiver unix:receiver.sock;
		location /plain/ { proxy_pass http://unix:receiver.sock:/suite/; }
		location /variable/ { proxy_pass http://$receiver:/suite/; }
		location ~ ^/rest/(.*)$ { proxy_pass http://unix:receiver.sock:/suite/$1; }
		location ~ ^/args/(.*)$ { proxy_pass http://unix:receiver.sock:/suite/$1$is_args$args; }
		location /rewrite/ {
			rewrite ^/rewrite/(.*)$ /suite/$1 break;
			proxy_pass http://$receiver;
		}
	}
}
END
usr/sbin/nginx -p "$folder" -c nginx.conf -e error.log
seen=$(for name in plain variable rest args rewrite; do
	echo "$name: $(curl -s --unix-socket front.sock "http://front/$name/dk1?nonce=1")"
done)
echo "$seen"
[ "$seen" = "plain: /suite/dk1?nonce=1
variable: /suite/
rest: /suite/dk1
args: /suite/dk1?nonce=1
rewrite: /suite/dk1?nonce=1" ]

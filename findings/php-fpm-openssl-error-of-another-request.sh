#!/bin/sh
# PHP 8.2.36 (php-fpm): openssl_error_string() tells the error of an earlier request.
#
# PHP starts each request with nothing of the one before, so one would guess that the queue
# of openssl's errors is empty, too. It belongs to the worker process: what failed in one
# request and was not read there comes up in the next one that this worker serves. A
# receiver of pushes that takes "is there an error?" for "did this fail?" refuses a good
# push after a bad one that came for somebody else; and on a server with one user, or under
# `php` on the command line, it never shows. Success is told by the return value only.
#
# Seen: `good: hello, no error`, `foreign key: false`, `good: hello, bad decrypt`. The remedy
# is to empty the queue before the call. It needs Debian 12's archive.
set -eu
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid")" 2>/dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
cd "$folder"
apt-get download -qq php8.2-fpm=8.2.36-1~deb12u1 libapparmor1=3.0.8-3 >apt.log 2>&1
for package in *.deb; do dpkg -x "$package" .; done
LD_LIBRARY_PATH=$(dirname "$(find "$folder/usr/lib" -name 'libapparmor.so.1')")
export LD_LIBRARY_PATH
cat >push.php <<'END'
<?php
$iv = str_repeat('i', 16);
$sealed = openssl_encrypt('hello', 'aes-256-cbc', str_repeat('k', 32), 0, $iv);
$key = str_repeat($_SERVER['QUERY_STRING'] === 'foreign' ? 'f' : 'k', 32);
$text = openssl_decrypt($sealed, 'aes-256-cbc', $key, 0, $iv);
if ($text === false) exit('false');
$error = openssl_error_string();
echo "$text, ", $error === false ? 'no error' : substr($error, strrpos($error, ':') + 1);
END
cat >fpm.conf <<END
[global]
pid = $folder/pid
error_log = $folder/log
[www]
user = nobody
group = nogroup
listen = $folder/fpm.sock
listen.mode = 0666
pm = static
pm.max_children = 1
END
usr/sbin/php-fpm8.2 --nodaemonize -R -n -y fpm.conf &
# One request by FastCGI: begin, parameters, no input; then the text of the answer.
cat >ask.mjs <<'END'
import { connect } from "node:net";
const [socket, script, query] = process.argv.slice(2);
const record = (type, content) => {
	const head = Buffer.from([1, type, 0, 1, 0, 0, 0, 0]);
	head.writeUInt16BE(content.length, 4);
	return Buffer.concat([head, content]);
};
const parameters = Object.entries({ SCRIPT_FILENAME: script, REQUEST_METHOD: "GET", QUERY_STRING: query });
const pairs = parameters.map(([name, value]) => Buffer.concat([Buffer.from([name.length, value.length]), Buffer.from(name + value)]));
const none = Buffer.alloc(0);
const link = connect(socket);
link.write(Buffer.concat([record(1, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])), record(4, Buffer.concat(pairs)), record(4, none), record(5, none)]));
const answer = Buffer.concat(await link.toArray());
let text = "";
for (let at = 0; at < answer.length; at += 8 + answer.readUInt16BE(at + 4) + answer[at + 6])
	if (answer[at + 1] === 6) text += answer.subarray(at + 8, at + 8 + answer.readUInt16BE(at + 4));
console.log(text.split("\r\n\r\n")[1]);
END
until [ -S fpm.sock ]; do sleep 0.1; done
ask() { node ask.mjs "$folder/fpm.sock" "$folder/push.php" "$1"; }
seen="good: $(ask good)
foreign key: $(ask foreign)
good: $(ask good)"
echo "$seen"
[ "$seen" = "good: hello, no error
foreign key: false
good: hello, bad decrypt" ]

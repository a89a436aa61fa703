#!/bin/sh
# Node.js 22.23.3, 24.21.0, 26.10.0: under --permission fsync is refused, also where all
# reading and writing is allowed.
#
# `--permission --allow-fs-read=* --allow-fs-write=*` sounds as if the file system were as
# before, and `process.permission.has("fs.write", path)` says true. But all that works on a
# descriptor of fs is off: fsync, fdatasync, fchmod, fchown and futimes fail with
# ERR_ACCESS_DENIED, and with them `writeFileSync` with `flush: true`. What is written for
# good (write, fsync, rename) or with exact rights (open, fchmod) cannot be done, whatever
# is allowed. In 22 and 24 the same works by a FileHandle, in 26 no longer: a program that
# was hardened on 24 fails on its first durable write on 26.
#
# Seen: see below. Whoever hardens a keeper of secrets by --permission must try it with the
# version in use; systemd's ProtectSystem= and ReadWritePaths= do not have this limit.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node22@npm:node@22.23.3 node24@npm:node@24.21.0 node26@npm:node@26.10.0
cat >look.mjs <<'END'
import fs from "node:fs";
const seen = async (work) => {
	try {
		await work();
		return "works";
	} catch (error) {
		return error.code;
	}
};
const file = fs.openSync("token", "w", 0o600);
const handle = await fs.promises.open("token", "w");
console.log(
	[
		process.version,
		`may write ${process.permission.has("fs.write", fs.realpathSync("token"))}`,
		`write ${await seen(() => fs.writeSync(file, "text"))}`,
		`rename ${await seen(() => fs.renameSync("token", "published"))}`,
		`chmod ${await seen(() => fs.chmodSync("published", 0o640))}`,
		`fchmod ${await seen(() => fs.fchmodSync(file, 0o640))}`,
		`fsync ${await seen(() => fs.fsyncSync(file))}`,
		`FileHandle.sync ${await seen(() => handle.sync())}`,
	].join(", "),
);
END
seen=$(for version in 22 24 26; do
	node_modules/node$version/bin/node --permission "--allow-fs-read=*" "--allow-fs-write=*" look.mjs
done)
echo "$seen"
same="may write true, write works, rename works, chmod works, fchmod ERR_ACCESS_DENIED, fsync ERR_ACCESS_DENIED"
[ "$seen" = "v22.23.3, $same, FileHandle.sync works
v24.21.0, $same, FileHandle.sync works
v26.10.0, $same, FileHandle.sync ERR_ACCESS_DENIED" ]

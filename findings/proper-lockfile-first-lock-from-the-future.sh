#!/bin/sh
# proper-lockfile 4.1.2: the first lock that a process takes is touched in the future.
#
# A lock is a directory whose mtime its holder sets anew, and one would guess that it is
# the time of that touch. The first time that a process uses a file system, the library
# tries how fine its times are: it sets the mtime to the next whole second and 5 ms, and
# leaves it there until the first update. So the lock is up to a second ahead of the
# clock. Who judges locks by their age, or takes a time ahead for a wrong clock on another
# host, is misled in just the second in which a process is new. (In the code:
# lib/mtime-precision.js.)
#
# Seen, with a clock that stands at .200 s of a second: `first: 805 ms ahead`.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund proper-lockfile@4.1.2
cat >look.mjs <<'END'
import { statSync, writeFileSync } from "node:fs";
import lockfile from "proper-lockfile";
writeFileSync("file", "");
const now = Math.floor(Date.now() / 1000) * 1000 + 200;
Date.now = () => now;
const RealDate = Date;
globalThis.Date = class extends RealDate {
	constructor(...given) {
		super(...(given.length === 0 ? [now] : given));
	}
};
const touch = async () => {
	const release = await lockfile.lock("file");
	const ahead = statSync("file.lock").mtimeMs - now;
	await release();
	return ahead;
};
console.log(`first: ${await touch()} ms ahead`);
END
seen=$(node look.mjs)
echo "$seen"
[ "$seen" = "first: 805 ms ahead" ]
